package frag

import (
	"math/rand/v2"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func seeded() func(uint32) uint32 {
	r := rand.New(rand.NewPCG(1, 2))
	return r.Uint32N
}

func TestAnIDIsNotGivenAgainBeforeItHasRested(t *testing.T) {
	tb := New(Config{Rand: seeded()})
	last := map[uint16]int64{}
	now, none := int64(0), 0
	for i := range 300_000 {
		now += second / 1800
		id, ok := tb.NextID(nat, remote, frame.ProtoUDP, frame.Addr{10, 0, byte(i >> 8), byte(i)}, now)
		if !ok {
			none++
			continue
		}
		if at, before := last[id]; id == 0 || before && now-at < int64(Rest) {
			t.Fatalf("id %d after %d ms", id, (now-at)/1e6)
		}
		last[id] = now
	}
	if none > 0 {
		t.Errorf("%d times none was free, at 1800 a second", none)
	}
	if len(last) != 1<<16-1 {
		t.Errorf("%d different ids were used", len(last))
	}
}

func TestOneSubscriberCannotTakeAllIDs(t *testing.T) {
	tb := New(Config{Rand: seeded()})
	took := 0
	for range 100_000 {
		if _, ok := tb.NextID(nat, remote, frame.ProtoUDP, alice, 0); ok {
			took++
		}
	}
	if took != 1<<14 {
		t.Errorf("it took %d", took)
	}
	left := 0
	for i := range byte(100) {
		if _, ok := tb.NextID(nat, remote, frame.ProtoUDP, frame.Addr{10, 0, 0, i}, 0); ok {
			left++
		}
	}
	if left < 80 { // one in sixteen shares the flooder's bound
		t.Errorf("%d of 100 others got one", left)
	}
	if _, ok := tb.NextID(nat, remote, frame.ProtoUDP, alice, int64(Rest)); !ok {
		t.Error("none after the ids have rested")
	}
}

func TestWithoutAFreeIDTheDatagramDies(t *testing.T) {
	r := newRouter()
	for range 1 << 14 {
		r.NextID(nat, remote, frame.ProtoUDP, alice, 0)
	}
	pieces := inPieces(outbound(alice, 7, 3000).build(), 1480)
	r.send(pieces[1], pieces[0], pieces[2])
	r.count(t, map[drop.Reason]uint64{drop.FragmentOverflow: 3})
	if len(r.out) != 0 {
		t.Error("something left")
	}
}

func TestIDsOfWholePacketsAreNotThoseOfPieces(t *testing.T) {
	tb := New(Config{Rand: seeded(), WholeIDs: true})
	last, taken := map[uint16]int{}, map[uint16]bool{}
	for i := range 200_000 {
		id := tb.WholeID(nat, remote, frame.ProtoUDP)
		if before, ok := last[id]; ok && i-before < 31*blockIDs {
			t.Fatalf("id %d after %d others", id, i-before)
		}
		last[id] = i
		if id, ok := tb.NextID(nat, remote, frame.ProtoUDP, frame.Addr{10, 0, byte(i >> 8), byte(i)}, 0); ok {
			taken[id] = true
		}
	}
	if len(last) != 1<<15 || len(taken) != 1<<15-1 {
		t.Errorf("%d ids for whole packets, %d for pieces", len(last), len(taken))
	}
	for id := range taken {
		if _, whole := last[id]; whole {
			t.Fatalf("id %d is in both halves", id)
		}
	}
}
