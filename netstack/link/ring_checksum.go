package link

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Offsets of the checksum in the transport headers, in bytes.
const (
	tcpChecksum = 16
	udpChecksum = 6
)

// finishChecksum computes the TCP or UDP checksum of a packet whose sender
// left that to its network card (TP_STATUS_CSUMNOTREADY). Only programs on
// this machine, behind a veth or a bridge, send such packets. A fragment is
// left alone: its sum covers bytes that are not here, and no kernel leaves it
// unfinished. It reports whether there was something to finish.
func finishChecksum(f *frame.Frame) bool {
	if f.Len() < frame.HeaderLen || f.EtherType() != frame.TypeIPv4 {
		return false
	}
	var p frame.Packet
	if p.Parse(f.Payload()) != drop.None || p.Fragment {
		return false
	}
	var at int
	switch p.Proto {
	case frame.ProtoTCP:
		at = tcpChecksum
	case frame.ProtoUDP:
		at = udpChecksum
	default:
		return false
	}
	t := p.Transport()
	clear(t[at : at+2])
	sum := header.PseudoHeaderChecksum(tcpip.TransportProtocolNumber(p.Proto),
		tcpip.AddrFrom4(p.Src), tcpip.AddrFrom4(p.Dst), uint16(len(t)))
	sum = ^checksum.Checksum(t, sum)
	if p.Proto == frame.ProtoUDP && sum == 0 {
		sum = 0xffff // RFC 768: zero means that none was computed
	}
	binary.BigEndian.PutUint16(t[at:], sum)
	return true
}
