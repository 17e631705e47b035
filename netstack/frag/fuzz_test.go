package frag

import (
	"bytes"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// FuzzPieces sends any packets in: the input is cut into pieces of the length
// that stands before each. Nothing may panic, leave untranslated or break the
// books.
func FuzzPieces(f *testing.F) {
	pack := func(pieces ...[]byte) (out []byte) {
		for _, p := range pieces {
			out = append(append(out, byte(len(p)>>8), byte(len(p))), p...)
		}
		return out
	}
	for _, proto := range []uint8{frame.ProtoUDP, frame.ProtoTCP, frame.ProtoICMP, frame.ProtoESP, frame.ProtoAH} {
		s := outbound(alice, 7, 200)
		s.proto = proto
		p := inPieces(s.build(), 48)
		f.Add(pack(p...))
		f.Add(pack(p[3], p[1], p[0], p[0], p[2], p[4]))
		s.dport = 500
		f.Add(pack(inPieces(s.build(), 48)...))
		s.src, s.dst = remote, nat
		f.Add(pack(inPieces(s.build(), 64)...))
	}
	f.Add(pack(cutAt(outbound(alice, 7, 200).build(), 4, 16, 48)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newRouter()
		r.gather = func(p *frame.Packet) bool { return p.DstPort == 500 }
		for len(b) > 2 {
			n := min(int(b[0])<<8|int(b[1]), len(b)-2)
			var p frame.Packet
			if p.Parse(b[2:2+n]) == drop.None && p.Fragment {
				r.now += int64(n) * second / 1000
				r.send(bytes.Clone(b[2 : 2+n]))
			}
			b = b[2+n:]
		}
		r.check(t)
		for _, b := range r.out {
			var p frame.Packet
			if p.Parse(b) != drop.None || p.Src != nat && p.Dst != alice {
				t.Fatalf("left as % x", b)
			}
		}
		for _, b := range r.whole {
			var p frame.Packet
			if p.Parse(b) != drop.None || p.Fragment || len(p.Bytes()) != len(b) {
				t.Fatalf("joined to % x", b)
			}
		}
	})
}
