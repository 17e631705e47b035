package frame

import "net/netip"

// Addr is an IPv4 address in network byte order: a fixed-size key without a
// pointer, unlike netip.Addr.
type Addr [4]byte

// String returns the dotted form.
func (a Addr) String() string { return netip.AddrFrom4(a).String() }

// Netip returns the address for configuration and display code.
func (a Addr) Netip() netip.Addr { return netip.AddrFrom4(a) }

// IsZero reports whether a is 0.0.0.0.
func (a Addr) IsZero() bool { return a == Addr{} }

// Endpoint is an address with a port. For ICMP queries the port is the
// identifier on the inside and outside, and 0 on the remote side.
type Endpoint struct {
	Addr Addr
	Port uint16 // host byte order
}

// String returns ADDR:PORT.
func (e Endpoint) String() string {
	return netip.AddrPortFrom(e.Addr.Netip(), e.Port).String()
}

// MAC is an Ethernet address.
type MAC [6]byte

// IsGroup reports whether m is a broadcast or multicast address.
func (m MAC) IsGroup() bool { return m[0]&1 != 0 }
