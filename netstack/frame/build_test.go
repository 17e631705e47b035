package frame

import (
	"encoding/binary"

	"pgregory.net/rapid"
)

// spec says what a packet is made of; build computes every length and checksum
// from scratch, in the plainest way.
type spec struct {
	Src, Dst         Addr
	Proto, TTL       uint8
	SrcPort, DstPort uint16 // ICMP: the identifier, in both
	ICMPType         uint8
	NoUDPSum         bool
	Options          int // 32-bit words of IPv4 options
	FlagsOffset      uint16
	Payload          []byte // behind the transport header
}

// onesSum is the one's complement sum of RFC 1071, byte pair by byte pair.
func onesSum(parts ...[]byte) uint16 {
	var sum uint32
	for _, b := range parts {
		for k := range b {
			if k%2 == 0 {
				sum += uint32(b[k]) << 8
			} else {
				sum += uint32(b[k])
			}
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// transport builds the transport header and payload, and returns where the
// checksum goes, or -1.
func (s spec) transport() (b []byte, sum int) {
	sum = -1
	switch s.Proto {
	case ProtoTCP:
		b = make([]byte, 20)
		b[12], sum = 5<<4, 16
	case ProtoUDP:
		b = make([]byte, 8)
		binary.BigEndian.PutUint16(b[4:], uint16(8+len(s.Payload)))
		if !s.NoUDPSum {
			sum = 6
		}
	case ProtoICMP:
		b = make([]byte, 8)
		b[0], sum = s.ICMPType, 2
		binary.BigEndian.PutUint16(b[4:], s.SrcPort)
		return append(b, s.Payload...), sum
	default:
		return append([]byte(nil), s.Payload...), sum
	}
	binary.BigEndian.PutUint16(b, s.SrcPort)
	binary.BigEndian.PutUint16(b[2:], s.DstPort)
	return append(b, s.Payload...), sum
}

func (s spec) build() []byte {
	t, at := s.transport()
	hlen := 20 + 4*s.Options
	h := make([]byte, hlen)
	h[0], h[8], h[9] = 0x40|byte(hlen/4), s.TTL, s.Proto
	binary.BigEndian.PutUint16(h[2:], uint16(hlen+len(t)))
	binary.BigEndian.PutUint16(h[6:], s.FlagsOffset)
	copy(h[12:], s.Src[:])
	copy(h[16:], s.Dst[:])
	for k := 20; k < hlen; k++ {
		h[k] = 1 // no operation
	}
	binary.BigEndian.PutUint16(h[10:], ^onesSum(h))
	if at >= 0 {
		sum := ^onesSum(t, s.pseudo(len(t)))
		if s.Proto == ProtoUDP && sum == 0 {
			sum = 0xffff
		}
		binary.BigEndian.PutUint16(t[at:], sum)
	}
	return append(h, t...)
}

func (s spec) pseudo(n int) []byte {
	if s.Proto == ProtoICMP {
		return nil
	}
	b := append(append(append([]byte(nil), s.Src[:]...), s.Dst[:]...), 0, s.Proto)
	return binary.BigEndian.AppendUint16(b, uint16(n))
}

// setSource is what Packet.SetSource should come to.
func (s *spec) setSource(a Addr, port uint16) {
	s.Src, s.SrcPort = a, port
	if s.Proto == ProtoICMP {
		s.DstPort = port
	}
}

func (s *spec) setDestination(a Addr, port uint16) {
	s.Dst, s.DstPort = a, port
	if s.Proto == ProtoICMP {
		s.SrcPort = port
	}
}

// Generators. Zeros and all-ones are frequent, because that is where one's
// complement has its corners.
var (
	genAddr = rapid.Custom(func(t *rapid.T) Addr {
		return Addr(binary.BigEndian.AppendUint32(nil, rapid.Uint32().Draw(t, "addr")))
	})
	genPort = rapid.OneOf(rapid.Uint16(), rapid.SampledFrom([]uint16{0, 1, 0xffff, 500, 4500}))
	genSpec = rapid.Custom(func(t *rapid.T) spec {
		s := spec{
			Src: genAddr.Draw(t, "src"), Dst: genAddr.Draw(t, "dst"),
			Proto:    rapid.SampledFrom([]uint8{ProtoTCP, ProtoUDP, ProtoICMP, ProtoESP, 47}).Draw(t, "proto"),
			TTL:      rapid.Uint8().Draw(t, "ttl"),
			SrcPort:  genPort.Draw(t, "sport"),
			DstPort:  genPort.Draw(t, "dport"),
			ICMPType: rapid.SampledFrom([]uint8{0, 8}).Draw(t, "type"),
			NoUDPSum: rapid.Bool().Draw(t, "nosum"),
			Options:  rapid.IntRange(0, 10).Draw(t, "options"),
		}
		if s.Proto == ProtoICMP {
			s.DstPort = s.SrcPort
		}
		if rapid.Bool().Draw(t, "zeros") {
			s.Payload = make([]byte, rapid.IntRange(8, 40).Draw(t, "len"))
		} else {
			s.Payload = rapid.SliceOfN(rapid.Byte(), 8, 64).Draw(t, "payload")
		}
		return s
	})
)
