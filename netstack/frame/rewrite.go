package frame

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// SetTTL writes the time to live and updates the header checksum (RFC 1141).
func (p *Packet) SetTTL(ttl uint8) {
	ip := header.IPv4(p.b)
	old := uint16(p.b[8])<<8 | uint16(p.b[9])
	p.b[8] = ttl
	ip.SetChecksum(^updateSum(^ip.Checksum(), old, uint16(ttl)<<8|uint16(p.b[9])))
}

// SetSource rewrites the source address, and the source port or ICMP
// identifier where the protocol has one, with every checksum that covers
// them. port is in host byte order and ignored for other protocols.
func (p *Packet) SetSource(a Addr, port uint16) {
	ip := header.IPv4(p.b)
	old, now := tcpip.AddrFrom4(p.Src), tcpip.AddrFrom4(a)
	ip.SetSourceAddressWithChecksumUpdate(now)
	p.Src = a
	switch p.l4() {
	case ProtoTCP:
		t := header.TCP(p.Transport())
		t.UpdateChecksumPseudoHeaderAddress(old, now, true)
		t.SetSourcePortWithChecksumUpdate(port)
		p.SrcPort = port
	case ProtoUDP:
		// A checksum of zero (none was computed) stays, and none becomes zero
		// (RFC 768): both are gVisor's doing.
		u := header.UDP(p.Transport())
		u.UpdateChecksumPseudoHeaderAddress(old, now, true)
		u.SetSourcePortWithChecksumUpdate(port)
		p.SrcPort = port
	case ProtoICMP:
		p.setICMPID(port)
	}
}

// SetDestination is SetSource for the destination side.
func (p *Packet) SetDestination(a Addr, port uint16) {
	ip := header.IPv4(p.b)
	old, now := tcpip.AddrFrom4(p.Dst), tcpip.AddrFrom4(a)
	ip.SetDestinationAddressWithChecksumUpdate(now)
	p.Dst = a
	switch p.l4() {
	case ProtoTCP:
		t := header.TCP(p.Transport())
		t.UpdateChecksumPseudoHeaderAddress(old, now, true)
		t.SetDestinationPortWithChecksumUpdate(port)
		p.DstPort = port
	case ProtoUDP:
		u := header.UDP(p.Transport())
		u.UpdateChecksumPseudoHeaderAddress(old, now, true)
		u.SetDestinationPortWithChecksumUpdate(port)
		p.DstPort = port
	case ProtoICMP:
		p.setICMPID(port)
	}
}

// l4 returns the protocol whose header is here and must follow a rewrite: none
// for fragments, but for a first one after OpenFirst.
func (p *Packet) l4() uint8 {
	if p.Fragment && !p.opened {
		return 0
	}
	return p.Proto
}

func (p *Packet) setICMPID(id uint16) {
	if query, _ := p.ICMPQuery(); !query {
		return
	}
	t := header.ICMPv4(p.Transport())
	t.SetIdentWithChecksumUpdate(id)
	p.ICMPID = id
	// Without a pseudo header a message can become all zeros, and then the
	// incremental sum ends at the wrong one of its two zeros (RFC 1624
	// section 3): the receiver would refuse it. In a first fragment the rest may
	// not be zero; then both zeros say the same.
	if t.Checksum() == 0 && checksum.Checksum(t, 0) == 0 {
		t.SetChecksum(0xffff)
	}
}

// updateSum replaces old by now in the one's complement sum.
func updateSum(sum, old, now uint16) uint16 {
	s := uint32(sum) + uint32(^old) + uint32(now)
	s = s&0xffff + s>>16
	return uint16(s&0xffff + s>>16)
}
