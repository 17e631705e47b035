package frame

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
)

// Quote is the start of the packet that an ICMP error is about: its IPv4
// header and at least eight bytes of what follows (RFC 792).
type Quote struct {
	b    []byte
	hlen int

	Src, Dst         Addr
	Proto            uint8
	SrcPort, DstPort uint16 // TCP, UDP; for ICMP queries both hold the identifier
	SPI              uint32 // ESP
	Request          bool   // of an ICMP query: the one that asks, not its answer
}

// Quote parses the packet quoted by an ICMP error. A quote that names no flow
// is drop.ICMPMalformed (rule R74): one that is too short, of a fragment that is
// not the first, or of an ICMP message that is not a query. So is an error whose
// own checksum is wrong (RFC 5508 section 4.2): a rewrite would make it right.
func (p *Packet) Quote() (Quote, drop.Reason) {
	t := p.Transport()
	var q Quote
	if len(t) < header.ICMPv4MinimumSize+header.IPv4MinimumSize || checksum.Checksum(t, 0) != 0xffff {
		return q, drop.ICMPMalformed
	}
	b := t[header.ICMPv4MinimumSize:]
	hlen := int(b[0]&0x0f) * 4
	if b[0]>>4 != 4 || hlen < header.IPv4MinimumSize || len(b) < hlen+8 ||
		binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		return q, drop.ICMPMalformed
	}
	// What stands behind the quoted packet is not part of it (RFC 4884). Some
	// systems quote a length that lies; that alone is no reason to drop.
	if total := int(binary.BigEndian.Uint16(b[2:])); total >= hlen+8 {
		b = b[:min(total, len(b))]
	}
	q = Quote{b: b, hlen: hlen, Src: Addr(b[12:16]), Dst: Addr(b[16:20]), Proto: b[9]}
	l4 := b[hlen:]
	switch q.Proto {
	case ProtoTCP, ProtoUDP:
		q.SrcPort, q.DstPort = binary.BigEndian.Uint16(l4), binary.BigEndian.Uint16(l4[2:])
	case ProtoICMP:
		query, request := icmpQuery(l4[0])
		if !query {
			return q, drop.ICMPMalformed
		}
		q.Request = request
		q.SrcPort = binary.BigEndian.Uint16(l4[4:])
		q.DstPort = q.SrcPort
	case ProtoESP:
		q.SPI = binary.BigEndian.Uint32(l4)
	}
	return q, drop.None
}

// RewriteQuoteSource rewrites the quoted packet's source address and, for
// TCP, UDP and ICMP queries, port; then the ICMP checksum over all of it.
// q must come from p.Quote.
func (p *Packet) RewriteQuoteSource(q *Quote, a Addr, port uint16) {
	p.rewriteQuote(q, 12, 0, a, port)
	q.Src, q.SrcPort = a, port
}

// RewriteQuoteDestination is RewriteQuoteSource for the destination side.
func (p *Packet) RewriteQuoteDestination(q *Quote, a Addr, port uint16) {
	p.rewriteQuote(q, 16, 2, a, port)
	q.Dst, q.DstPort = a, port
}

// rewriteQuote writes an address at addrOff of the quoted IPv4 header and a
// port at portOff of the quoted transport header. The quoted transport
// checksum is updated where it is inside the quote, so that a host which
// checks it still recognises its packet (RFC 5508 section 4.2).
func (p *Packet) rewriteQuote(q *Quote, addrOff, portOff int, a Addr, port uint16) {
	ip, l4 := q.b[:q.hlen], q.b[q.hlen:]
	var old, now [6]byte
	copy(old[:4], ip[addrOff:])
	copy(now[:4], a[:])
	copy(ip[addrOff:], a[:])
	header.IPv4(ip).SetChecksum(0)
	header.IPv4(ip).SetChecksum(^header.IPv4(ip).CalculateChecksum())
	sum := -1 // where the transport checksum stands, if there is one
	switch q.Proto {
	case ProtoTCP:
		if len(l4) >= 18 {
			sum = 16
		}
	case ProtoUDP:
		if binary.BigEndian.Uint16(l4[6:]) != 0 {
			sum = 6
		}
	case ProtoICMP:
		sum, portOff = 2, 4
		clear(old[:4]) // no pseudo header
		clear(now[:4])
	default:
		portOff = -1
	}
	if portOff >= 0 {
		copy(old[4:], l4[portOff:portOff+2])
		binary.BigEndian.PutUint16(now[4:], port)
		copy(l4[portOff:], now[4:])
	}
	if sum >= 0 {
		q.updateTransport(l4[sum:], old, now)
	}
	t := p.Transport()
	ic := header.ICMPv4(t)
	ic.SetChecksum(0)
	ic.SetChecksum(^checksum.Checksum(t, 0))
}

// updateTransport updates the quoted transport checksum at the start of at for
// the change from old to now.
func (q *Quote) updateTransport(at []byte, old, now [6]byte) {
	s := ^binary.BigEndian.Uint16(at)
	for i := 0; i < len(old); i += 2 {
		s = updateSum(s, binary.BigEndian.Uint16(old[i:]), binary.BigEndian.Uint16(now[i:]))
	}
	s = ^s
	if s == 0 && q.Proto == ProtoUDP {
		s = 0xffff // RFC 768: 0 would say that there is none
	}
	binary.BigEndian.PutUint16(at, s)
}
