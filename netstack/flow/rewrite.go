package flow

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"spigate/netstack/frame"
)

// Offsets in an IPv4 header without options, in bytes.
const (
	atFlags  = 6
	atTTL    = 8
	atProto  = 9
	atIPSum  = 10
	atSource = 12

	dontFragment = 0x40 // in the byte at atFlags
)

// patch is a flow's rewrite. The numbers are what the machine reads where they
// stand in a packet: one's complement sums are the same in both byte orders.
type patch struct {
	at   int // in bytes behind the source address and port: 0, or the destination
	addr uint32
	port uint16
}

// rewrite applies a flow to the IPv4 packet at the start of ip, which parse
// accepted: TTL, one address, the port or identifier on that side, and every
// checksum that covers them.
func (p patch) rewrite(ip []byte) {
	h := (*[ipLen]byte)(ip)
	h[atTTL]--
	addr := h[atSource+p.at&2*2:][:4]
	from := binary.NativeEndian.Uint32(addr)
	binary.NativeEndian.PutUint32(addr, p.addr)
	moved := change(uint16(from>>16), uint16(p.addr>>16)) + change(uint16(from), uint16(p.addr))
	put(h[atIPSum:], ttlDown+moved)
	if h[atProto] != frame.ProtoESP {
		p.rewriteTransport(ip, moved)
	}
}

// rewriteTransport applies a flow to what is behind the IPv4 header of ip, of
// which moved is what the new address adds to sums.
func (p patch) rewriteTransport(ip []byte, moved uint32) {
	t := ip[ipLen:]
	switch ip[atProto] {
	case frame.ProtoTCP:
		put(t[16:], moved+p.renumber(t[p.at:]))
	case frame.ProtoUDP:
		p.rewriteUDP(t, moved)
	case frame.ProtoICMP:
		p.rewriteICMP(ip[ipLen:binary.BigEndian.Uint16(ip[2:])])
	}
}

// renumber writes a port or identifier, and returns what changed.
func (p patch) renumber(field []byte) uint32 {
	from := binary.NativeEndian.Uint16(field)
	binary.NativeEndian.PutUint16(field, p.port)
	return change(from, p.port)
}

// rewriteICMP has no pseudo header: the addresses are not in this checksum. So
// a message can become all zeros, and then the incremental sum ends at the
// wrong one of its two zeros (RFC 1624 section 3), as in frame.Packet.
func (p patch) rewriteICMP(t []byte) {
	put(t[2:], p.renumber(t[4:]))
	if binary.NativeEndian.Uint16(t[2:]) == 0 && checksum.Checksum(t, 0) == 0 {
		binary.NativeEndian.PutUint16(t[2:], 0xffff)
	}
}

// rewriteUDP keeps a checksum of zero, which means that none was computed;
// a computed one that becomes zero is sent as 0xffff (RFC 768).
func (p patch) rewriteUDP(t []byte, moved uint32) {
	moved += p.renumber(t[p.at:])
	if binary.NativeEndian.Uint16(t[6:]) == 0 {
		return
	}
	put(t[6:], moved)
	if binary.NativeEndian.Uint16(t[6:]) == 0 {
		binary.NativeEndian.PutUint16(t[6:], 0xffff)
	}
}

// change is what replacing one word adds to a one's complement sum (RFC 1624
// equation 3). An equal word adds nothing rather than 0xffff, the other zero:
// the sum stays as it is, zero or not, as on the slow path.
func change(from, to uint16) uint32 {
	d := uint32(to) + uint32(^from)
	if d == 0xffff {
		d = 0
	}
	return d
}

// put adds changes to the checksum in field, however many at once: a sum that is
// not zero never becomes zero, whatever the order, so the result is that of the
// slow path, which adds one by one (the stack's TTL, then frame.Packet).
func put(field []byte, changes uint32) {
	sum := uint32(^binary.NativeEndian.Uint16(field)) + changes
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	binary.NativeEndian.PutUint16(field, ^uint16(sum))
}
