package frag

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// drawn is one datagram of the property test, and what may become of it.
type drawn struct {
	datagramSpec
	side   Side
	gather bool
	lossy  bool // a piece was left out
}

// drawDatagram draws the n-th. Two share an id, and may come from the same host.
func drawDatagram(t *rapid.T, n uint16) drawn {
	d := drawn{side: Side(rapid.IntRange(0, 1).Draw(t, "side"))}
	d.proto = rapid.SampledFrom([]uint8{frame.ProtoUDP, frame.ProtoTCP, frame.ProtoICMP, frame.ProtoESP}).Draw(t, "proto")
	d.id, d.sport, d.dport = n/2, 5353, 53
	d.payload = filler(rapid.IntRange(40, 3000).Draw(t, "length"), byte(n+1))
	d.src, d.dst = frame.Addr{192, 0, 2, byte(rapid.IntRange(11, 14).Draw(t, "subscriber"))}, remote
	if d.proto == frame.ProtoUDP && rapid.Bool().Draw(t, "ike") {
		d.gather, d.dport = true, 500
	}
	if d.side == Out2In {
		d.src, d.dst = remote, nat
	}
	return d
}

// translated is what should come out, by plain arithmetic.
func (d drawn) translated() []byte {
	s := d.datagramSpec
	switch {
	case d.gather:
	case d.side == In2Out:
		s.src, s.sport = nat, natPort+uint16(s.src[3])
	default:
		s.dst, s.dport = alice, 5353
		if s.proto == frame.ProtoICMP {
			s.sport = 5353
		}
	}
	return s.build()
}

// drawPieces cuts a datagram at random places, the first piece with its whole
// header, and shows whether one was left out.
func (d *drawn) drawPieces(t *rapid.T) [][]byte {
	b := d.build()
	var offsets []int
	for at := 24; at < len(b)-20; at += 8 * rapid.IntRange(1, 120).Draw(t, "cut") {
		offsets = append(offsets, at)
	}
	pieces := cutAt(b, offsets...)
	lose := rapid.IntRange(-2*len(pieces), len(pieces)-1).Draw(t, "lose")
	if d.lossy = lose >= 0; d.lossy {
		pieces = append(pieces[:lose:lose], pieces[lose+1:]...)
	}
	for i := rapid.IntRange(-2, len(pieces)-1).Draw(t, "double"); i >= 0 && i < len(pieces); i = -1 {
		pieces = append(pieces, pieces[i])
	}
	return pieces
}

func TestWhatComesOutIsTheTranslatedDatagram(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRouter()
		r.gather = func(p *frame.Packet) bool { return p.DstPort == 500 }
		var all [][]byte
		var sent []drawn
		for n := range uint16(rapid.IntRange(1, 8).Draw(rt, "datagrams")) {
			d := drawDatagram(rt, n)
			if clash(sent, d) {
				continue
			}
			all = append(all, d.drawPieces(rt)...)
			sent = append(sent, d)
		}
		all = rapid.Permutation(all).Draw(rt, "order")
		for _, b := range all {
			r.now += rapid.Int64Range(0, second/100).Draw(rt, "wait")
			if rapid.IntRange(0, 9).Draw(rt, "sweep") == 0 {
				r.Sweep(r.now)
			}
			r.send(b)
			r.check(t)
		}
		judge(rt, t, r, sent)
		r.now += 100 * second
		r.Sweep(r.now)
		if r.Stats() != (Stats{}) {
			rt.Fatalf("left behind: %+v", r.Stats())
		}
	})
}

func clash(sent []drawn, d drawn) bool {
	for _, s := range sent {
		if s.src == d.src && s.dst == d.dst && s.id == d.id && s.proto == d.proto {
			return true
		}
	}
	return false
}

// judge joins what came out the plain way and compares.
func judge(rt *rapid.T, t *testing.T, r *router, sent []drawn) {
	a := assembler{t: t, open: map[Key]*assembly{}}
	for _, b := range r.out {
		var p frame.Packet
		if p.Parse(b); p.Src == (frame.Addr{192, 0, 2, p.Src[3]}) || p.Dst == nat {
			rt.Fatalf("an untranslated piece: %v > %v", p.Src, p.Dst)
		}
		a.receive(b)
	}
	came := append(a.done, r.whole...)
	for _, d := range sent {
		n := 0
		for _, b := range came {
			if same(b, d.translated()) {
				n++
			}
		}
		if d.lossy && n != 0 || !d.lossy && n != 1 {
			rt.Fatalf("%+v: came %d times; drops %v", d, n, r.drops.Snapshot())
		}
	}
	for _, why := range []drop.Reason{drop.FragmentMalformed, drop.FragmentOverflow} {
		if n := r.drops.Get(why); n != 0 {
			rt.Fatalf("%d drops for %s", n, why)
		}
	}
}

// TestNoByteIsEverSpliced sends overlapping and contradicting pieces of the
// same datagrams: whatever is lost, nothing that comes out mixes two of them.
func TestNoByteIsEverSpliced(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRouter()
		r.gather = func(p *frame.Packet) bool { return p.DstPort == 500 }
		a := assembler{t: t, open: map[Key]*assembly{}}
		for range rapid.IntRange(1, 60).Draw(rt, "pieces") {
			s := outbound(alice, uint16(rapid.IntRange(0, 1).Draw(rt, "id")), 200)
			s.payload = filler(200, rapid.Byte().Draw(rt, "content"))
			s.dport = rapid.SampledFrom([]uint16{53, 500}).Draw(rt, "port")
			from := rapid.IntRange(0, 25).Draw(rt, "from") * 8
			to := from + rapid.IntRange(0, 10).Draw(rt, "len")*8
			r.now += rapid.Int64Range(0, second/20).Draw(rt, "wait")
			pieces := cutAt(s.build(), from, min(to, 208))
			r.send(pieces[min(len(pieces)-1, min(from, 1))])
			r.check(t)
		}
		a.receive(r.out...) // fatal on two different bytes in one place
		for _, b := range r.whole {
			var p frame.Packet
			if p.Parse(b) != drop.None || p.Fragment {
				rt.Fatalf("% x", b)
			}
		}
	})
}

func TestCoverageAgreesWithABitmap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c coverage
		var have [64]bool
		for range 40 {
			from := rapid.IntRange(0, 60).Draw(t, "from")
			to := from + rapid.IntRange(1, 4).Draw(t, "n")
			free, all := true, true
			for i := from; i < min(to, 64); i++ {
				free, all = free && !have[i], all && have[i]
			}
			got := c.cover(span{uint16(from), uint16(to)})
			if to > 64 {
				return
			}
			if (got == drop.None) != free || got == drop.FragmentDuplicate && !all {
				t.Fatalf("%d to %d: %v; %v", from, to, got, c.spans)
			}
			for i := from; i < to && got == drop.None; i++ {
				have[i] = true
			}
			plain := make([]bool, 64)
			for i, s := range c.spans {
				if s.from >= s.to || i > 0 && c.spans[i-1].to >= s.from {
					t.Fatalf("%v", c.spans)
				}
				for j := s.from; j < s.to; j++ {
					plain[j] = true
				}
			}
			if !bytes.Equal(asBytes(plain), asBytes(have[:])) {
				t.Fatalf("%v, want %v", c.spans, have)
			}
		}
	})
}
