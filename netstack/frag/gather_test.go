package frag

import (
	"bytes"
	"slices"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func ikeDatagram(src frame.Addr, id uint16, n int) datagramSpec {
	s := outbound(src, id, n)
	s.sport, s.dport = 500, 500
	return s
}

func gatherer() *router {
	r := newRouter()
	r.gather = func(p *frame.Packet) bool { return p.DstPort == 500 }
	return r
}

func TestAGatheredDatagramComesOutWhole(t *testing.T) {
	for _, n := range []int{1481, 3000, 65507} {
		for name, order := range map[string]func([][]byte){
			"in order":   func([][]byte) {},
			"last first": func(p [][]byte) { slices.Reverse(p) },
			"mixed":      func(p [][]byte) { slices.SortFunc(p, func(a, b []byte) int { return int(a[7]^0x55) - int(b[7]^0x55) }) },
		} {
			r := gatherer()
			s := ikeDatagram(alice, 7, n)
			pieces := inPieces(s.build(), 1480)
			order(pieces)
			r.send(pieces...)
			if len(r.whole) != 1 || !bytes.Equal(r.whole[0], s.build()) || len(r.out) != 0 {
				t.Fatalf("%d bytes %s: %d came whole, %d in pieces", n, name, len(r.whole), len(r.out))
			}
			r.count(t, nil)
			if st := r.Stats(); st != (Stats{Decided: 1}) {
				t.Errorf("left behind: %+v", st)
			}
		}
	}
}

func TestTheCutIsRememberedOnceAndUsedAgain(t *testing.T) {
	r := gatherer()
	pieces := inPieces(ikeDatagram(alice, 7, 4000).build(), 1000)
	r.send(pieces...)
	var p frame.Packet
	p.Parse(r.whole[0])
	k := KeyOf(&p, 1, In2Out)
	r.now = 60 * second
	r.Sweep(r.now)
	if cut := r.Cut(k, r.now); cut != 1020 {
		t.Fatalf("cut %d, want 1020", cut)
	}
	if cut := r.Cut(k, r.now); cut != 0 {
		t.Errorf("a second time: %d", cut)
	}
	moved := Key{Src: remote, Dst: alice, ID: 7, Proto: frame.ProtoUDP, In: 2, Side: Out2In}
	r.Remember(moved, 576, r.now)
	r.Remember(moved, 1020, r.now)
	if cut := r.Cut(moved, r.now); cut != 1020 || r.Stats() != (Stats{}) {
		t.Errorf("under another name: %d, %+v", cut, r.Stats())
	}
	again := Split(&p, 1020)
	if len(again) != len(pieces) {
		t.Fatalf("%d pieces, want %d", len(again), len(pieces))
	}
	for i := range again {
		if !bytes.Equal(again[i], pieces[i]) {
			t.Errorf("piece %d differs", i)
		}
	}
}

func TestSplitLeavesAloneWhatItCannotCut(t *testing.T) {
	b := ikeDatagram(alice, 7, 3000).build()
	options := append(append(bytes.Clone(b[:20]), 1, 1, 1, 1), b[20:]...)
	options[0] = 0x46
	frame.SetFragment(options, 0, false)
	for name, tt := range map[string]struct {
		b    []byte
		size int
	}{
		"it fits":           {b, len(b)},
		"options":           {options, 1500},
		"no room":           {b, 27},
		"a piece":           {inPieces(b, 1480)[0], 576},
		"no size":           {b, 0},
		"nothing to cut in": {outbound(alice, 7, 0).build(), 27},
	} {
		var p frame.Packet
		p.Parse(tt.b)
		if out := Split(&p, tt.size); len(out) != 1 || !bytes.Equal(out[0], tt.b) {
			t.Errorf("%s: %d pieces", name, len(out))
		}
	}
}

func TestAGatheredDatagramWithoutItsLastPieceDies(t *testing.T) {
	r := gatherer()
	pieces := inPieces(ikeDatagram(alice, 7, 5000).build(), 1480)
	r.send(pieces[1], pieces[0], pieces[2])
	r.now = 2*second + 1
	r.Sweep(r.now)
	r.count(t, map[drop.Reason]uint64{drop.FragmentTimeout: 3})
	if r.Stats() != (Stats{}) {
		t.Errorf("%+v", r.Stats())
	}
}

func TestTheFirstPieceOfAGatheredDatagramWinsOverWhatCameBefore(t *testing.T) {
	r := gatherer()
	s := ikeDatagram(alice, 7, 5000)
	evil := ikeDatagram(alice, 7, 5000)
	evil.payload = filler(5000, 0xff)
	e := cutAt(evil.build(), 800, 1200, 1600)
	pieces := inPieces(s.build(), 1480)
	r.send(e[1], e[2]) // one inside the first piece, one across its end
	r.send(pieces...)
	if len(r.whole) != 1 || !bytes.Equal(r.whole[0], s.build()) {
		t.Errorf("%d came whole", len(r.whole))
	}
	r.count(t, map[drop.Reason]uint64{drop.FragmentDuplicate: 1, drop.FragmentMalformed: 1})
}

func TestASubscriberGathersSixteenDatagramsAtMost(t *testing.T) {
	r := gatherer()
	for id := range uint16(20) {
		r.send(inPieces(ikeDatagram(alice, id, 3000).build(), 1480)[0])
	}
	if g := r.Stats().Gathering; g != 16 {
		t.Errorf("%d are gathered", g)
	}
	r.count(t, map[drop.Reason]uint64{drop.FragmentOverflow: 4})
	s := ikeDatagram(alice, 19, 3000)
	r.send(inPieces(s.build(), 1480)[1:]...)
	if len(r.whole) != 1 {
		t.Error("the newest did not come through")
	}
}

func TestGatheringIsBoundedInBytesAndTheFlooderPays(t *testing.T) {
	r := gatherer()
	s := ikeDatagram(bob, 7, 8000)
	pieces := inPieces(s.build(), 1480)
	r.send(pieces[:5]...)
	for id := range uint16(300) {
		flood := ikeDatagram(sharing(r.Table, bob), 1000+id, 60000)
		r.send(inPieces(flood.build(), 1480)[1:]...) // before the first: waits
		r.send(inPieces(flood.build(), 1480)[:40]...)
		if b := r.Stats().Bytes; b > 6<<20 {
			t.Fatalf("%d bytes are held", b)
		}
	}
	r.send(pieces[5:]...)
	for _, w := range r.whole {
		if bytes.Equal(w, s.build()) {
			return
		}
	}
	t.Error("another subscriber's IKE was lost")
}

// sharing returns a subscriber whose datagrams lie in the same shard.
func sharing(t *Table, with frame.Addr) frame.Addr {
	want := t.shardOf(Key{Src: with})
	for i := range byte(255) {
		if a := (frame.Addr{10, 0, 0, i}); t.shardOf(Key{Src: a}) == want {
			return a
		}
	}
	panic("none")
}
