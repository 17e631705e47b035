package filter

import (
	"encoding/binary"

	"spigate/netstack/frame"
)

// Packet is what an expression looks at. What could not be read is zero: a
// packet that is cut short matches by what is left of it.
type Packet struct {
	In, Out frame.Interface // 0: not known
	Kind    uint16          // EtherType, host byte order

	// Of frame.TypeIPv4:
	Proto            uint8
	Src, Dst         frame.Addr
	Fragment         bool
	Ported           bool   // it has ports, and they are in this piece
	SrcPort, DstPort uint16 // host byte order
	SPI              uint32 // host byte order; 0: none
	AnySPI           bool   // it stands for packets of every SPI
}

// Encapsulates reports whether the ports are those of ESP in UDP (RFC 3948): the
// SPI is then in the packet, and not in what is known of its flow.
func (p *Packet) Encapsulates() bool {
	return p.Proto == frame.ProtoUDP && p.Ported && (p.SrcPort == natT || p.DstPort == natT)
}

const (
	ipv4Header = 20
	udpHeader  = 8
	natT       = 4500 // port of ESP in UDP (RFC 3948)
)

// OfFrame reads an Ethernet frame, from its destination MAC address on, with or
// without its tag. b may be of any length.
func OfFrame(b []byte) (p Packet) {
	if len(b) < frame.HeaderLen {
		return p
	}
	p.Kind = binary.BigEndian.Uint16(b[12:])
	b = b[frame.HeaderLen:]
	if p.Kind == frame.TypeVLAN && len(b) >= frame.TagLen {
		p.Kind, b = binary.BigEndian.Uint16(b[2:]), b[frame.TagLen:]
	}
	switch p.Kind {
	case frame.TypeIPv4:
		p.ipv4(b)
	case frame.TypeARP:
		p.arp(b)
	}
	return p
}

// OfPacket reads an IPv4 packet. b may be of any length.
func OfPacket(b []byte) Packet {
	p := Packet{Kind: frame.TypeIPv4}
	p.ipv4(b)
	return p
}

// arp takes the two IPv4 addresses of an ARP message (RFC 826).
func (p *Packet) arp(b []byte) {
	if len(b) >= 28 && b[4] == 6 && b[5] == 4 {
		p.Src, p.Dst = frame.Addr(b[14:18]), frame.Addr(b[24:28])
	}
}

func (p *Packet) ipv4(b []byte) {
	if len(b) < ipv4Header || b[0]>>4 != 4 {
		return
	}
	p.Proto, p.Src, p.Dst = b[9], frame.Addr(b[12:16]), frame.Addr(b[16:20])
	part := binary.BigEndian.Uint16(b[6:]) & 0x3fff
	p.Fragment = part != 0
	header := int(b[0]&15) * 4
	if part&0x1fff != 0 || header < ipv4Header || len(b) < header+4 {
		return
	}
	t := b[header:]
	switch p.Proto {
	case frame.ProtoTCP, frame.ProtoUDP:
		p.Ported, p.SrcPort, p.DstPort = true, binary.BigEndian.Uint16(t), binary.BigEndian.Uint16(t[2:])
		if p.Encapsulates() && len(t) >= udpHeader+4 {
			p.SPI = binary.BigEndian.Uint32(t[udpHeader:]) // 0: IKE
		}
	case frame.ProtoESP:
		p.SPI = binary.BigEndian.Uint32(t)
	}
}
