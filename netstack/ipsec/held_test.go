package ipsec

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestThePacketThatFindsNoSAWaitsAndTheNextAreLost(t *testing.T) {
	g := newGate(t, false)
	first, second2 := udpPacket(100), udpPacket(101)
	type step struct {
		verdict Verdict
		acquire bool
	}
	now := 7 * second
	for i, c := range []struct {
		p    []byte
		at   int64
		want step
	}{
		{first, now, step{Held, true}},
		{second2, now, step{NoSA, false}},
		{second2, now + second/2, step{NoSA, false}},
		{second2, now + second, step{NoSA, true}},
		{second2, now + second + 1, step{NoSA, false}},
	} {
		if r, _ := g.send(c.p, c.at); (step{r.Verdict, r.Acquire}) != c.want {
			t.Errorf("%d: %+v, want %+v", i, r, c.want)
		}
	}
	s := g.selector("lan")
	if i := s.Info(); !i.Holds || i.NoSA != 5 {
		t.Errorf("%+v", i)
	}
	if p, _, ok := g.db.Release(s, now+2*second); !ok || !bytes.Equal(p, first) {
		t.Errorf("released %v", ok)
	}
	if _, _, ok := g.db.Release(s, now); ok {
		t.Error("released twice")
	}
	g.send(first, now)
	if p, _, ok := g.db.Release(s, now+6*second); ok {
		t.Errorf("after six seconds nobody wants it: % x", p)
	}
	g.send(first, now)
	var events []EventKind
	g.db.Sweep(now+4*second, func(e Event) { events = append(events, e.Kind) })
	g.db.Sweep(now+5*second, func(e Event) { events = append(events, e.Kind) })
	if d := cmp.Diff([]EventKind{HeldDropped}, events); d != "" || g.db.held.Load() != 0 {
		t.Error(d, g.db.held.Load())
	}
}

func TestWhatWaitsIsBoundedInAll(t *testing.T) {
	c := Config{Policies: []Policy{rio()}}
	for i := range 20 {
		c.Selectors = append(c.Selectors, protect(fmt.Sprint("s", i), i, fmt.Sprintf("10.1.%d.0/24", i), "192.168.15.0/24"))
	}
	g := newGate(t, false)
	g.apply(c, 0)
	held := 0
	for i := range 20 {
		if r, _ := g.send(inner{src: fmt.Sprintf("10.1.%d.1", i), dst: "192.168.15.2", proto: 47, size: 65000}.packet(), 0); r.Verdict == Held {
			held++
		}
	}
	if held != maxHeld/65000 {
		t.Errorf("%d packets of 65000 bytes wait", held)
	}
	g.apply(Config{}, 0)
	if n := g.db.held.Load(); n != 0 {
		t.Errorf("the selectors are gone, and %d bytes wait", n)
	}
}
