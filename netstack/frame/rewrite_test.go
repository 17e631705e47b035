package frame

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spigate/netstack/drop"
)

// change applies one rewrite to the packet and the same to its specification.
func change(t *rapid.T, p *Packet, s *spec) {
	a, port := genAddr.Draw(t, "to"), genPort.Draw(t, "port")
	switch rapid.IntRange(0, 2).Draw(t, "op") {
	case 0:
		p.SetSource(a, port)
		s.setSource(a, port)
	case 1:
		p.SetDestination(a, port)
		s.setDestination(a, port)
	case 2:
		s.TTL = rapid.Uint8().Draw(t, "ttl")
		p.SetTTL(s.TTL)
	}
}

func TestARewrittenPacketIsTheOneBuiltFromScratch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genSpec.Draw(t, "packet")
		b := s.build()
		var p Packet
		if why := p.Parse(b); why != drop.None {
			t.Fatalf("parse: %v", why)
		}
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			change(t, &p, &s)
		}
		if d := cmp.Diff(s.build(), b); d != "" {
			t.Fatalf("rewritten (+) and built (-): %s", d)
		}
		var again Packet
		again.Parse(b)
		if again.Src != p.Src || again.Dst != p.Dst || again.SrcPort != p.SrcPort || again.DstPort != p.DstPort || again.ICMPID != p.ICMPID {
			t.Fatalf("the view says %+v, the bytes %+v", p, again)
		}
	})
}

// A sum that was wrong stays wrong: the receiver must be able to see that the
// packet was damaged before it came to us.
func TestARewriteDoesNotHideDamage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genSpec.Filter(func(s spec) bool {
			return s.Proto == ProtoTCP || s.Proto == ProtoICMP || s.Proto == ProtoUDP && !s.NoUDPSum
		}).Draw(t, "packet")
		b := s.build()
		b[len(b)-1] ^= byte(rapid.IntRange(1, 255).Draw(t, "damage"))
		var p Packet
		p.Parse(b)
		change(t, &p, &s)
		if onesSum(p.Transport(), s.pseudo(len(p.Transport()))) == 0xffff {
			t.Fatal("the damaged packet has a good checksum now")
		}
	})
}

func TestESPAndUnknownProtocolsKeepEveryByteBehindTheHeader(t *testing.T) {
	for _, proto := range []uint8{ProtoESP, ProtoAH, 47, 132} {
		s := spec{Src: Addr{10, 0, 0, 1}, Dst: Addr{10, 0, 0, 2}, Proto: proto, TTL: 64, Payload: []byte("0123456789abcdef")}
		b := s.build()
		var p Packet
		p.Parse(b)
		p.SetSource(Addr{1, 2, 3, 4}, 77)
		p.SetDestination(Addr{5, 6, 7, 8}, 78)
		p.SetTTL(63)
		if !bytes.Equal(b[20:], s.Payload) {
			t.Errorf("protocol %d: % x", proto, b[20:])
		}
	}
}

func TestAFragmentKeepsEveryByteBehindTheHeader(t *testing.T) {
	for _, proto := range []uint8{ProtoTCP, ProtoUDP, ProtoICMP} {
		for _, offset := range []uint16{0x2000, 1, 0x2001} { // first, last, in between
			s := spec{Proto: proto, TTL: 64, FlagsOffset: offset, ICMPType: 8, Payload: []byte("0123456789abcdef")}
			b := s.build()
			before := bytes.Clone(b[20:])
			var p Packet
			if why := p.Parse(b); why != drop.None || !p.Fragment || p.SrcPort|p.DstPort|p.ICMPID != 0 {
				t.Errorf("protocol %d: %v, %+v", proto, why, p)
			}
			p.SetSource(Addr{1, 2, 3, 4}, 77)
			p.SetDestination(Addr{5, 6, 7, 8}, 78)
			if !bytes.Equal(b[20:], before) || onesSum(b[:20]) != 0xffff {
				t.Errorf("protocol %d, offset %#x: % x", proto, offset, b)
			}
		}
	}
}

func TestAUDPChecksumThatWasNotComputedStaysSo(t *testing.T) {
	s := spec{Proto: ProtoUDP, NoUDPSum: true, TTL: 64, Payload: []byte("ike")}
	b := s.build()
	var p Packet
	p.Parse(b)
	p.SetSource(Addr{1, 2, 3, 4}, 77)
	p.SetDestination(Addr{5, 6, 7, 8}, 78)
	if b[26] != 0 || b[27] != 0 {
		t.Errorf("checksum % x, want none", b[26:28])
	}
}

// For some port the computed sum is 0, which must be sent as 0xffff.
func TestAUDPChecksumNeverBecomesZero(t *testing.T) {
	s := spec{Src: Addr{10, 0, 0, 1}, Dst: Addr{10, 0, 0, 2}, Proto: ProtoUDP, TTL: 64, Payload: []byte("ike!")}
	b := s.build()
	var p Packet
	p.Parse(b)
	ones := 0
	for port := range 0x10000 {
		p.SetSource(s.Src, uint16(port))
		switch sum := uint16(b[26])<<8 | uint16(b[27]); sum {
		case 0:
			t.Fatalf("port %d: no checksum", port)
		case 0xffff:
			ones++
		}
	}
	if ones == 0 {
		t.Error("no port made the sum zero, so this test shows nothing")
	}
}

func TestAnEchoReplyThatBecomesAllZerosStaysGood(t *testing.T) {
	s := spec{Proto: ProtoICMP, TTL: 64, SrcPort: 9, Payload: make([]byte, 8)}
	b := s.build()
	var p Packet
	p.Parse(b)
	p.SetDestination(Addr{10, 0, 0, 1}, 0)
	if onesSum(p.Transport()) != 0xffff {
		t.Errorf("the receiver refuses % x", p.Transport())
	}
}

func TestARewriteAllocatesNothing(t *testing.T) {
	for _, proto := range []uint8{ProtoTCP, ProtoUDP, ProtoICMP, ProtoESP} {
		b := spec{Proto: proto, TTL: 64, ICMPType: 8, Payload: make([]byte, 40)}.build()
		var p Packet
		n := testing.AllocsPerRun(50, func() {
			p.Parse(b)
			p.SetSource(Addr{1, 2, 3, 4}, 77)
			p.SetDestination(Addr{5, 6, 7, 8}, 78)
			p.SetTTL(63)
		})
		if n != 0 {
			t.Errorf("protocol %d: %v allocations", proto, n)
		}
	}
}
