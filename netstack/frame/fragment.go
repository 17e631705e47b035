package frame

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
)

// ID returns the IPv4 identification in host byte order.
func (p *Packet) ID() uint16 { return binary.BigEndian.Uint16(p.b[4:]) }

// SetID writes the identification and updates the header checksum.
func (p *Packet) SetID(id uint16) {
	ip := header.IPv4(p.b)
	ip.SetChecksum(^updateSum(^ip.Checksum(), p.ID(), id))
	ip.SetID(id)
}

// MoreFragments reports the MF flag.
func (p *Packet) MoreFragments() bool { return p.b[6]&0x20 != 0 }

// FragmentOffset returns where in its datagram the packet's payload stands, in
// bytes: a multiple of 8, at most 65528.
func (p *Packet) FragmentOffset() int {
	return int(binary.BigEndian.Uint16(p.b[6:])&0x1fff) * 8
}

// OpenFirst fills the transport fields of a first fragment as Parse does for a
// whole packet. From then on SetSource and SetDestination rewrite its ports
// (or ICMP identifier) and transport checksum too: that covers bytes which are
// not here, but they do not change, so the incremental update is exact.
//
// A fragment that is not the first, or is cut inside its transport header, is
// drop.FragmentMalformed and stays closed. Whole packets are left alone.
func (p *Packet) OpenFirst() drop.Reason {
	if !p.Fragment {
		return drop.None
	}
	if p.FragmentOffset() != 0 || p.parseTransport() != drop.None {
		return drop.FragmentMalformed
	}
	if t := p.Transport(); p.Proto == ProtoTCP {
		if n := int(t[12]>>4) * 4; n < header.TCPMinimumSize || n > len(t) {
			return drop.FragmentMalformed // RFC 1858: the rest of the header would pass unseen
		}
	}
	p.opened = true
	return drop.None
}

// SetFragment makes b, an IPv4 packet with a good header, the piece of its
// datagram that begins at offset bytes (a multiple of 8), as long as b is;
// offset 0 without more is a whole packet. DF is cleared, because who cuts or
// joins a datagram has answered that question. The header checksum is computed
// anew, the transport's is left alone.
func SetFragment(b []byte, offset int, more bool) {
	ip := header.IPv4(b)
	flags := uint8(0)
	if more {
		flags = header.IPv4FlagMoreFragments
	}
	ip.SetTotalLength(uint16(len(b)))
	ip.SetFlagsFragmentOffset(flags, uint16(offset))
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
}
