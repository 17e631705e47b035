package ipsec

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

const (
	espHeader  = 8 // SPI and sequence number
	udpHeader  = 8
	espTrailer = 2 // length of the padding, next header

	protoIPv4  = 4  // next header in tunnel mode
	protoDummy = 59 // RFC 4303 section 2.6
	protoTCP   = frame.ProtoTCP
	protoUDP   = frame.ProtoUDP
	protoESP   = frame.ProtoESP

	outerTTL = 64
	maxIPv4  = 0xffff
)

// ipv4 reads the lengths of an IPv4 packet: of its header and of all of it. It
// is false if they cannot be; bytes behind the packet do not matter.
func ipv4(p []byte) (hlen, total int, ok bool) {
	if len(p) < header.IPv4MinimumSize || p[0]>>4 != 4 {
		return 0, 0, false
	}
	hlen, total = int(p[0]&0xf)*4, int(binary.BigEndian.Uint16(p[2:]))
	return hlen, total, hlen >= header.IPv4MinimumSize && hlen <= total && total <= len(p)
}

func fragment(p []byte) bool     { return binary.BigEndian.Uint16(p[6:])&0x3fff != 0 }
func dontFragment(p []byte) bool { return p[6]&0x40 != 0 }

// putOuter writes a tunnel's outer header (RFC 4301 section 5.1.2): TOS and DF
// as the inner header has them (VR35, RFC 6040 section 4.1), the TTL our own.
// The checksum is of the fields: reading back what was just written costs more
// than all the rest here (BenchmarkOuterHeader).
func putOuter(b []byte, proto uint8, tos uint8, df bool, id uint16, src, dst uint32) {
	flags := uint8(0)
	if df {
		flags = header.IPv4FlagDontFragment
	}
	h := header.IPv4(b)
	h.SetHeaderLength(header.IPv4MinimumSize)
	h.SetTOS(tos, 0)
	h.SetTotalLength(uint16(len(b)))
	h.SetID(id)
	h.SetFlagsFragmentOffset(flags, 0)
	h.SetTTL(outerTTL)
	b[9] = proto
	binary.BigEndian.PutUint32(b[12:], src)
	binary.BigEndian.PutUint32(b[16:], dst)
	sum := checksum.Combine(header.IPv4Version<<12|header.IPv4MinimumSize/4<<8|uint16(tos), uint16(len(b)))
	sum = checksum.Combine(sum, id)
	sum = checksum.Combine(sum, uint16(flags)<<13)
	sum = checksum.Combine(sum, outerTTL<<8|uint16(proto))
	sum = checksum.Combine(sum, checksum.Combine(uint16(src>>16), uint16(src)))
	sum = checksum.Combine(sum, checksum.Combine(uint16(dst>>16), uint16(dst)))
	h.SetChecksum(^sum)
}

// patch makes the header at the start of b that of a packet of another protocol
// that ends with b: transport mode, both ways.
func patch(b []byte, proto uint8) {
	h := header.IPv4(b)
	b[9] = proto
	h.SetTotalLength(uint16(len(b)))
	h.SetChecksum(0)
	h.SetChecksum(^h.CalculateChecksum())
}

// setTOS changes TOS; the checksum is updated, so that a header that was wrong
// stays wrong (RFC 1624).
func setTOS(p []byte, tos uint8) {
	h := header.IPv4(p)
	was := binary.BigEndian.Uint16(p)
	p[1] = tos
	// The sum of what is added and what is taken away, in one's complement.
	change := checksum.Combine(^was, binary.BigEndian.Uint16(p))
	h.SetChecksum(^checksum.Combine(^h.Checksum(), change))
}

// mendTransport computes the checksum of a TCP or UDP packet anew. In transport
// mode through a NAT it covers addresses that the receiver never sees (RFC 3948
// section 3.1.2); the ICV has already said that the packet is whole. A UDP
// packet without a checksum stays so.
func mendTransport(p []byte, hlen int) {
	t := p[hlen:]
	src, dst := tcpip.AddrFrom4Slice(p[12:16]), tcpip.AddrFrom4Slice(p[16:20])
	switch {
	case p[9] == protoTCP && len(t) >= header.TCPMinimumSize:
		h := header.TCP(t)
		h.SetChecksum(0)
		sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, src, dst, uint16(len(t)))
		h.SetChecksum(^checksum.Checksum(t, sum))
	case p[9] == protoUDP && len(t) >= header.UDPMinimumSize:
		h := header.UDP(t)
		if h.Checksum() == 0 {
			return
		}
		h.SetChecksum(0)
		sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, src, dst, uint16(len(t)))
		if sum = ^checksum.Checksum(t, sum); sum == 0 {
			sum = 0xffff
		}
		h.SetChecksum(sum)
	}
}
