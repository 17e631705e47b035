package frame

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
)

// IP protocol numbers that the router tells apart.
const (
	ProtoICMP = 1
	ProtoTCP  = 6
	ProtoUDP  = 17
	ProtoESP  = 50
	ProtoAH   = 51
)

// TCP flags as they stand in the header.
const (
	TCPFin = 1 << iota
	TCPSyn
	TCPRst
)

// Packet is a view of one IPv4 packet. Parse fills it; it can be reused.
type Packet struct {
	b    []byte // the packet, cut to its total length
	hlen int    // IPv4 header length in bytes

	opened bool // a first fragment whose transport header may be looked at

	Src, Dst         Addr
	Proto            uint8
	SrcPort, DstPort uint16 // TCP, UDP; host byte order
	ICMPType         uint8
	ICMPCode         uint8
	ICMPID           uint16 // echo and timestamp queries; host byte order
	TCPFlags         uint8
	SPI, Seq         uint32 // ESP (RFC 4303 section 2), host byte order
	Fragment         bool   // MF set or offset not 0: no transport field is filled before OpenFirst
}

// Parse fills p with a view of the IPv4 packet at the start of b; bytes behind
// its total length (Ethernet padding) are cut off. It returns drop.None, or
// the reason why the packet cannot be looked at. Header checksums are not
// verified here: the stack does that on the slow path, the flow table on the
// fast one.
//
// A transport header that is cut short is drop.L4Malformed, an ESP one
// drop.ESPShort; the addresses are valid even then.
func (p *Packet) Parse(b []byte) drop.Reason {
	*p = Packet{}
	if len(b) < header.IPv4MinimumSize || b[0]>>4 != 4 {
		return drop.IPMalformed
	}
	hlen, total := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:]))
	if hlen < header.IPv4MinimumSize || total < hlen || total > len(b) {
		return drop.IPMalformed
	}
	p.b, p.hlen = b[:total:total], hlen
	p.Src, p.Dst = Addr(b[12:16]), Addr(b[16:20])
	p.Proto = b[9]
	if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		p.Fragment = true
		return drop.None
	}
	return p.parseTransport()
}

func (p *Packet) parseTransport() drop.Reason {
	t := p.b[p.hlen:]
	switch p.Proto {
	case ProtoTCP:
		if len(t) < header.TCPMinimumSize {
			return drop.L4Malformed
		}
		p.SrcPort, p.DstPort = binary.BigEndian.Uint16(t), binary.BigEndian.Uint16(t[2:])
		p.TCPFlags = t[13]
	case ProtoUDP:
		if len(t) < header.UDPMinimumSize {
			return drop.L4Malformed
		}
		if n := int(binary.BigEndian.Uint16(t[4:])); n < header.UDPMinimumSize || n > len(t) && !p.Fragment {
			return drop.L4Malformed
		}
		p.SrcPort, p.DstPort = binary.BigEndian.Uint16(t), binary.BigEndian.Uint16(t[2:])
	case ProtoICMP:
		if len(t) < header.ICMPv4MinimumSize {
			return drop.L4Malformed
		}
		p.ICMPType, p.ICMPCode = t[0], t[1]
		p.ICMPID = binary.BigEndian.Uint16(t[4:])
	case ProtoESP:
		if len(t) < 8 {
			return drop.ESPShort
		}
		p.SPI, p.Seq = binary.BigEndian.Uint32(t), binary.BigEndian.Uint32(t[4:])
	}
	return drop.None
}

// Bytes returns the whole packet, from the IPv4 header to its total length.
func (p *Packet) Bytes() []byte { return p.b }

// HeaderLength returns the IPv4 header's length in bytes, options included.
func (p *Packet) HeaderLength() int { return p.hlen }

// Transport returns what follows the IPv4 header.
func (p *Packet) Transport() []byte { return p.b[p.hlen:] }

// UDPPayload returns the datagram's payload by its own length field, or as
// much of it as is in a first fragment. The packet must be a UDP one that Parse,
// for a first fragment OpenFirst, accepted.
func (p *Packet) UDPPayload() []byte {
	t := p.Transport()
	return t[header.UDPMinimumSize:min(int(binary.BigEndian.Uint16(t[4:])), len(t))]
}

// TTL returns the time to live.
func (p *Packet) TTL() uint8 { return p.b[8] }

// DontFragment reports the DF flag.
func (p *Packet) DontFragment() bool { return p.b[6]&0x40 != 0 }

// ICMPQuery reports whether the packet is an ICMP query or its answer, whose
// identifier the NAT uses in place of a port (RFC 5508 section 3), and whether
// it is the asking one.
func (p *Packet) ICMPQuery() (query, request bool) {
	if p.l4() != ProtoICMP {
		return false, false
	}
	return icmpQuery(p.ICMPType)
}

func icmpQuery(kind uint8) (query, request bool) {
	switch header.ICMPv4Type(kind) {
	case header.ICMPv4Echo, header.ICMPv4Timestamp, header.ICMPv4InfoRequest:
		return true, true
	case header.ICMPv4EchoReply, header.ICMPv4TimestampReply, header.ICMPv4InfoReply:
		return true, false
	}
	return false, false
}

// ICMPError reports whether the packet is an ICMP error, which quotes the
// packet that it is about (RFC 792).
func (p *Packet) ICMPError() bool {
	if p.Proto != ProtoICMP || p.Fragment {
		return false
	}
	switch header.ICMPv4Type(p.ICMPType) {
	case header.ICMPv4DstUnreachable, header.ICMPv4SrcQuench, header.ICMPv4TimeExceeded, header.ICMPv4ParamProblem:
		return true
	}
	return false
}
