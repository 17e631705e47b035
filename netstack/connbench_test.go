package netstack

import (
	"encoding/binary"
	"testing"

	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// BenchmarkConnectionFast is one packet of an established TCP connection through
// each translation, with its sequence numbers followed, as BenchmarkFastPath.
func BenchmarkConnectionFast(b *testing.B) {
	benchmarkConnection(b, func(_ *world, l *loop) { l.turn() })
}

// BenchmarkConnectionSlow is the same packet through the stack.
func BenchmarkConnectionSlow(b *testing.B) {
	benchmarkConnection(b, func(w *world, l *loop) {
		for range l.batch {
			w.r.interfaces[l.in].Reinject(l.is[frame.HeaderLen:], 0)
		}
	})
}

func benchmarkConnection(b *testing.B, turn func(*world, *loop)) {
	for _, tr := range everyTranslation() {
		b.Run(tr.name, func(b *testing.B) {
			real := tr.tangle(tr.world(b))
			w := tr.world(b, onNull)
			for side, flags := range []uint8{syn, synAck} {
				real.send(w, side, real.packet(1, side, flags, ""))
			}
			real.send(w, 0, real.packet(1, 0, ack, ""))
			l := w.loop(real.tcp.port[0], frame.Batch, real.packet(1, 0, ack, text(1400)))
			l.turn()
			b.ReportAllocs()
			b.SetBytes(int64(len(l.is)))
			b.ResetTimer()
			for i := 0; i < b.N; i += len(l.batch) {
				turn(w, l)
			}
		})
	}
}

// BenchmarkConnectionOpen is the first packet of a UDP flow, by the whole slow
// path: connections a second are its inverse. A hundred thousand live beside it.
func BenchmarkConnectionOpen(b *testing.B) {
	for _, tr := range everyTranslation() {
		if tr.from == 1 || tr.name == "lsn" { // the group's one address has not that many ports
			continue
		}
		b.Run(tr.name, func(b *testing.B) {
			w := tr.world(b, onNull)
			p := udpTo(at(client1, 0), at(server, 0), "question")
			p[26], p[27] = 0, 0 // no checksum: the ports change
			b.ReportAllocs()
			for i := range b.N {
				if i%100_000 == 0 {
					b.StopTimer()
					w.r.conns.Remove(func(vserver.Info) bool { return true }, w.r.now(), nil)
					b.StartTimer()
				}
				n := uint32(i % 100_000)
				binary.BigEndian.PutUint32(p[20:], (1024+n%50_000)<<16|(1+n/50_000))
				w.r.interfaces[lanIf].Reinject(p, 0)
			}
			b.StopTimer()
			if n := w.r.conns.Len(); n != (b.N-1)%100_000+1 {
				b.Fatalf("%d connections of %d packets", n, b.N)
			}
		})
	}
}
