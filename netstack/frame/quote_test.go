package frame

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spigate/netstack/drop"
)

// errorAbout builds an ICMP error of a router that quotes the first n bytes of
// q, with extra bytes behind the quote.
func errorAbout(q []byte, n int, extra ...byte) []byte {
	quoted := append(append([]byte(nil), q[:min(n, len(q))]...), extra...)
	return spec{Src: Addr{198, 51, 100, 9}, Dst: Addr{203, 0, 113, 3}, Proto: ProtoICMP, TTL: 60, ICMPType: 3, Payload: quoted}.build()
}

func parseQuote(t interface{ Fatalf(string, ...any) }, b []byte) (*Packet, Quote) {
	p := new(Packet)
	if why := p.Parse(b); why != drop.None {
		t.Fatalf("parse: %v", why)
	}
	q, why := p.Quote()
	if why != drop.None {
		t.Fatalf("quote: %v of % x", why, b)
	}
	return p, q
}

func TestARewrittenQuoteIsTheOneBuiltFromScratch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genSpec.Draw(t, "quoted")
		s.ICMPType = 8
		if s.Proto == ProtoESP || s.Proto == 47 {
			s.SrcPort, s.DstPort = 0, 0
		}
		keep := rapid.IntRange(20+4*s.Options+8, 200).Draw(t, "keep")
		if keep == 20+4*s.Options+17 {
			keep-- // half a TCP checksum is left alone: nobody can check it
		}
		b := errorAbout(s.build(), keep)
		p, q := parseQuote(t, b)
		if q.Src != s.Src || q.Dst != s.Dst || q.Proto != s.Proto || q.SrcPort != s.SrcPort || q.DstPort != s.DstPort {
			t.Fatalf("quote %+v", q)
		}
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			a, port := genAddr.Draw(t, "to"), genPort.Draw(t, "port")
			if rapid.Bool().Draw(t, "source") {
				p.RewriteQuoteSource(&q, a, port)
				s.setSource(a, port)
			} else {
				p.RewriteQuoteDestination(&q, a, port)
				s.setDestination(a, port)
			}
		}
		if d := cmp.Diff(errorAbout(s.build(), keep), b); d != "" {
			t.Fatalf("rewritten (+) and built (-): %s", d)
		}
	})
}

func TestAQuoteOfESPNamesItsSPI(t *testing.T) {
	s := spec{Src: Addr{203, 0, 113, 3}, Dst: Addr{198, 51, 100, 1}, Proto: ProtoESP, Payload: payload}
	p, q := parseQuote(t, errorAbout(s.build(), 28))
	if q.SPI != 0x30313233 || q.SrcPort|q.DstPort != 0 {
		t.Errorf("%+v", q)
	}
	p.RewriteQuoteSource(&q, Addr{192, 0, 2, 10}, 77)
	s.Src = Addr{192, 0, 2, 10}
	if d := cmp.Diff(errorAbout(s.build(), 28), p.Bytes()); d != "" {
		t.Error(d)
	}
}

func TestAQuoteThatNamesNoFlowIsRefused(t *testing.T) {
	udp := spec{Src: Addr{203, 0, 113, 3}, Dst: Addr{198, 51, 100, 1}, Proto: ProtoUDP, SrcPort: 500, DstPort: 500, Payload: payload}
	options, icmp := udp, udp
	options.Options = 5
	icmp.Proto, icmp.ICMPType = ProtoICMP, 11
	damaged := errorAbout(udp.build(), 28)
	damaged[len(damaged)-1]++
	later := mutant(udp, func(b []byte) []byte { b[7] = 5; return b })
	tests := []struct {
		name string
		b    []byte
	}{
		{"nothing quoted", errorAbout(nil, 0)},
		{"19 bytes", errorAbout(udp.build(), 19)},
		{"header alone", errorAbout(udp.build(), 20)},
		{"seven bytes of transport", errorAbout(udp.build(), 27)},
		{"options, and seven bytes", errorAbout(options.build(), 47)},
		{"version 6", errorAbout(mutant(udp, func(b []byte) []byte { b[0] = 0x65; return b }), 28)},
		{"header of 16 bytes", errorAbout(mutant(udp, func(b []byte) []byte { b[0] = 0x44; return b }), 28)},
		{"not the first fragment", errorAbout(later, 28)},
		{"an ICMP error about an ICMP error", errorAbout(icmp.build(), 28)},
		{"wrong checksum", damaged},
	}
	for _, tt := range tests {
		var p Packet
		if why := p.Parse(tt.b); why != drop.None {
			t.Fatalf("%s: parse: %v", tt.name, why)
		}
		if _, why := p.Quote(); why != drop.ICMPMalformed {
			t.Errorf("%s: %v", tt.name, why)
		}
	}
}

func TestAFirstFragmentMayBeQuoted(t *testing.T) {
	udp := spec{Proto: ProtoUDP, SrcPort: 500, DstPort: 4500, Payload: payload}
	_, q := parseQuote(t, errorAbout(mutant(udp, func(b []byte) []byte { b[6] = 0x20; return b }), 28))
	if q.SrcPort != 500 || q.DstPort != 4500 {
		t.Errorf("%+v", q)
	}
}

// An extension of the error stands behind a quote that is shorter than its
// place; where the TCP checksum would be is then not the quote's (RFC 4884).
func TestWhatStandsBehindTheQuotedPacketStays(t *testing.T) {
	s := spec{Proto: ProtoTCP, SrcPort: 1, DstPort: 2, Payload: payload}
	short := shorten(s.build(), 30)
	b := errorAbout(short, 30, 1, 2, 3, 4, 5, 6, 7, 8)
	p, q := parseQuote(t, b)
	p.RewriteQuoteSource(&q, Addr{1, 2, 3, 4}, 9)
	if d := cmp.Diff([]byte{1, 2, 3, 4, 5, 6, 7, 8}, b[len(b)-8:]); d != "" {
		t.Error(d)
	}
	if onesSum(p.Transport()) != 0xffff {
		t.Error("the error's checksum is wrong")
	}
}

func TestALengthThatLiesInAQuoteIsForgiven(t *testing.T) {
	s := spec{Proto: ProtoUDP, SrcPort: 7, DstPort: 8, Payload: payload}
	for _, total := range []uint16{0, 24, 0xffff} {
		b := mutant(s, func(b []byte) []byte { binary.BigEndian.PutUint16(b[2:], total); return b })
		_, q := parseQuote(t, errorAbout(b, 28))
		if q.SrcPort != 7 || q.DstPort != 8 {
			t.Errorf("total length %d: %+v", total, q)
		}
	}
}

func TestAQuotedUDPChecksumNeverBecomesZero(t *testing.T) {
	s := spec{Src: Addr{10, 0, 0, 1}, Proto: ProtoUDP, Payload: payload}
	p, q := parseQuote(t, errorAbout(s.build(), 100))
	for port := range 0x10000 {
		p.RewriteQuoteSource(&q, s.Src, uint16(port))
		if p.Bytes()[54] == 0 && p.Bytes()[55] == 0 {
			t.Fatalf("port %d: no checksum", port)
		}
	}
}
