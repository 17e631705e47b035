package frag

import (
	"bytes"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// carry walks one datagram of two pieces through the table.
func carry(tb *Table, pieces [2][]byte, id uint16, now int64) drop.Reason {
	for _, b := range pieces {
		var p frame.Packet
		p.Parse(b)
		p.SetSource(alice, 5353) // as it came, undoing the last round
		p.SetID(id)
		k := KeyOf(&p, 1, In2Out)
		if res := tb.Piece(k, &p, now); res.Verdict == First {
			tb.Decide(res.Datagram, Translation{Addr: nat, Port: natPort}, now)
		}
		if why := tb.Carry(k, &p, now); why != drop.None {
			return why
		}
	}
	return drop.None
}

func twoPieces() [2][]byte {
	return [2][]byte(inPieces(outbound(alice, 7, 2000).build(), 1480))
}

func TestPiecesInOrderAllocateNothing(t *testing.T) {
	tb, pieces, id := New(Config{Rand: seeded()}), twoPieces(), uint16(0)
	n := testing.AllocsPerRun(200, func() {
		id++
		if why := carry(tb, pieces, id, int64(id)*second/1000); why != drop.None {
			t.Fatal(why)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkInOrder is a datagram in two pieces, the usual case.
func BenchmarkInOrder(b *testing.B) {
	tb, pieces := New(Config{}), twoPieces()
	b.ReportAllocs()
	for i := range b.N {
		carry(tb, pieces, uint16(i), int64(i)*second/400)
	}
}

// BenchmarkLastFirst is the same the other way round: one piece is held.
func BenchmarkLastFirst(b *testing.B) {
	pieces := twoPieces()
	r := newRouter()
	b.ReportAllocs()
	for range b.N {
		r.now += second / 400
		r.send(pieces[1], pieces[0])
		r.out = r.out[:0]
	}
}

// BenchmarkGather is an IKE message of 4 KB.
func BenchmarkGather(b *testing.B) {
	r := gatherer()
	pieces := inPieces(ikeDatagram(alice, 7, 4000).build(), 1480)
	b.ReportAllocs()
	for range b.N {
		r.now += second / 400
		r.send(pieces...)
		r.whole = r.whole[:0]
	}
}

// BenchmarkFlood is a piece that belongs to nothing while the table is full of
// such from many strangers.
func BenchmarkFlood(b *testing.B) {
	tb := New(Config{})
	s := outbound(alice, 7, 2000)
	s.dst = nat
	piece := bytes.Clone(inPieces(s.build(), 1480)[1])
	b.ReportAllocs()
	for i := range b.N {
		var p frame.Packet
		p.Parse(piece)
		p.SetSource(frame.Addr{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}, 0)
		tb.Piece(KeyOf(&p, 1, Out2In), &p, int64(i))
	}
}
