package ipsec

import "spigate/netstack/frame"

// NATOfOutbound returns the NAT address that the subscriber's outbound ESP
// with this SPI leaves from. A bound SPI keeps the address of the IKE session
// it came of (R37), however the subscriber is paired by now.
func (a *ALG) NATOfOutbound(inside, server frame.Addr, spi uint32) (frame.Addr, bool) {
	s := a.subsOf(inside).find(outKey{inside, server, spi})
	if s == nil {
		return frame.Addr{}, false
	}
	return s.nat, true
}
