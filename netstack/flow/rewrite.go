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

// rewrite applies a flow to the IPv4 packet at the start of ip, which parse
// accepted: TTL, one address, the port or identifier on that side, and every
// checksum that covers them. The order of the updates is the slow path's
// (the stack's TTL, then frame.Packet.SetSource or SetDestination), so that
// the two forms of zero in one's complement come out the same.
func rewrite(ip []byte, w1, w2 uint64) {
	sum := ^binary.BigEndian.Uint16(ip[atIPSum:])
	ttl := binary.BigEndian.Uint16(ip[atTTL:])
	ip[atTTL]--
	sum = update(sum, ttl, ttl-1<<8)

	addr := ip[atSource:]
	port := 0
	if Side(w1&sideMask) == Destination {
		addr, port = addr[4:], 2
	}
	from, to := binary.BigEndian.Uint32(addr), uint32(w2>>32)
	binary.BigEndian.PutUint32(addr, to)
	binary.BigEndian.PutUint16(ip[atIPSum:], ^updateAddr(sum, from, to))

	t, number := ip[ipLen:], uint16(w2>>16)
	switch ip[atProto] {
	case frame.ProtoTCP:
		sum := updateAddr(^binary.BigEndian.Uint16(t[16:]), from, to)
		binary.BigEndian.PutUint16(t[16:], ^swap(t[port:], number, sum))
	case frame.ProtoUDP:
		rewriteUDP(t, port, number, from, to)
	case frame.ProtoICMP:
		rewriteICMP(ip[ipLen:binary.BigEndian.Uint16(ip[2:])], number)
	}
}

// rewriteICMP has no pseudo header: the addresses are not in this checksum. So
// a message can become all zeros, and then the incremental sum ends at the
// wrong one of its two zeros (RFC 1624 section 3), as in frame.Packet.
func rewriteICMP(t []byte, number uint16) {
	sum := ^swap(t[4:], number, ^binary.BigEndian.Uint16(t[2:]))
	binary.BigEndian.PutUint16(t[2:], sum)
	if sum == 0 && checksum.Checksum(t, 0) == 0 {
		binary.BigEndian.PutUint16(t[2:], 0xffff)
	}
}

// rewriteUDP keeps a checksum of zero, which means that none was computed;
// a computed one that becomes zero is sent as 0xffff (RFC 768).
func rewriteUDP(t []byte, port int, number uint16, from, to uint32) {
	was := binary.BigEndian.Uint16(t[6:])
	if was == 0 {
		binary.BigEndian.PutUint16(t[port:], number)
		return
	}
	sum := ^swap(t[port:], number, updateAddr(^was, from, to))
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(t[6:], sum)
}

// swap writes a 16 bit field and returns the sum with the new value in it.
func swap(field []byte, to, sum uint16) uint16 {
	from := binary.BigEndian.Uint16(field)
	binary.BigEndian.PutUint16(field, to)
	return update(sum, from, to)
}

// updateAddr replaces an address in a one's complement sum.
func updateAddr(sum uint16, from, to uint32) uint16 {
	return update(update(sum, uint16(from>>16), uint16(to>>16)), uint16(from), uint16(to))
}

// update replaces one word in a one's complement sum (RFC 1624 equation 3).
// An equal word leaves the sum as it is, zero or not, as the stack does.
func update(sum, from, to uint16) uint16 {
	if from == to {
		return sum
	}
	return checksum.Combine(sum, checksum.Combine(to, ^from))
}
