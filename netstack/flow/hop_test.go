package flow

import (
	"testing"

	"spigate/netstack/frame"
)

func TestEveryTwentySecondsOnePacketOfANextHopGoesToTheStack(t *testing.T) {
	tab := open(t, Config{})
	for i := range 2 {
		insert(t, tab, entryFor(t, tab, espFrame(i), ownerA), 100*second)
	}
	step := func(at int64, flow int, want bool) {
		t.Helper()
		if got := hit(t, tab, espFrame(flow), at); got != want {
			t.Errorf("at %d s: forwarded is %v", at/second, got)
		}
	}
	step(100*second, 0, true)
	step(120*second-1, 0, true)
	step(120*second, 0, false) // one for ARP
	step(120*second, 0, true)
	step(120*second, 1, true) // the same next hop: served
	step(140*second-1, 1, true)
	step(140*second, 1, false)
	if s := tab.Stats(); s.Punts != 2 || s.Misses != 0 {
		t.Errorf("%+v, want 2 punts", s)
	}
}

func TestAPacketLongerThanTheNextHopsMTUIsTheStacks(t *testing.T) {
	tab := open(t, Config{})
	id, _ := tab.Hop(wan, gateway, macGW, macOut, 100)
	for n, want := range map[int]bool{80: true, 81: false} {
		b := ipv4(inside, remote, frame.ProtoESP, 64, esp(0x1000, n))
		e := entryFor(t, open(t, Config{}), b, ownerA)
		e.Hop = id
		insert(t, tab, e, 0)
		if got := hit(t, tab, b, 1); got != want {
			t.Errorf("%d bytes of IP over an MTU of 100: forwarded is %v", n+ipLen, got)
		}
	}
}

func TestAFlowOnAnInvalidatedNextHopNeverHitsAgain(t *testing.T) {
	for name, invalidate := range map[string]func(tab *Table){
		"the next hop":   func(tab *Table) { tab.InvalidateHop(wan, gateway) },
		"its interface":  func(tab *Table) { tab.InvalidateInterface(wan) },
		"its MAC":        func(tab *Table) { tab.Hop(wan, gateway, macIn, macOut, 1500) },
		"its MTU":        func(tab *Table) { tab.Hop(wan, gateway, macGW, macOut, 1400) },
		"MAC, and back":  func(tab *Table) { tab.Hop(wan, gateway, macIn, macOut, 1500) },
		"our MAC":        func(tab *Table) { tab.Hop(wan, gateway, macGW, macIn, 1500) },
		"twice the same": func(tab *Table) { tab.InvalidateHop(wan, gateway); tab.InvalidateHop(wan, gateway) },
	} {
		tab := open(t, Config{})
		e := entryFor(t, tab, espFrame(0), ownerA)
		insert(t, tab, e, 0)
		invalidate(tab)
		hopOf(t, tab, wan, gateway) // the next hop is there again
		if hit(t, tab, espFrame(0), 1) {
			t.Errorf("%s: still hits", name)
		}
		insert(t, tab, entryFor(t, tab, espFrame(0), ownerA), 1)
		if !hit(t, tab, espFrame(0), 2) {
			t.Errorf("%s: does not hit after it was decided anew", name)
		}
	}
}

func TestOtherNextHopsOfAnInterfaceSurvive(t *testing.T) {
	tab := open(t, Config{})
	e := entryFor(t, tab, espFrame(0), ownerA)
	e.Hop = hopOf(t, tab, lan, inside)
	insert(t, tab, e, 0)
	insert(t, tab, entryFor(t, tab, espFrame(1), ownerA), 0)
	tab.InvalidateInterface(wan)
	if !hit(t, tab, espFrame(0), 1) || hit(t, tab, espFrame(1), 1) {
		t.Error("the wrong interface went")
	}
	tab.Sweep(second)
	if s := tab.Stats(); s.Entries != 1 || s.Expired != 1 || s.Hops != 1 {
		t.Errorf("%+v: Sweep leaves the dead flow in place", s)
	}
}

func TestTheTableOfNextHopsIsBoundedAndReused(t *testing.T) {
	tab := open(t, Config{})
	nth := func(i int) frame.Addr { return frame.Addr{10, 0, byte(i >> 8), byte(i)} }
	for i := range 3 * MaxHops {
		hopOf(t, tab, wan, nth(i)) // nobody uses the old ones
	}
	tab = open(t, Config{})
	for i := range MaxHops {
		e := entryFor(t, open(t, Config{}), espFrame(i), ownerA)
		e.Hop = hopOf(t, tab, wan, nth(i))
		insert(t, tab, e, 0)
	}
	if _, ok := tab.Hop(wan, nth(MaxHops), macGW, macOut, 1500); ok {
		t.Error("one next hop too many")
	}
	epoch := tab.Epoch()
	tab.Sweep(1000 * second) // all flows go, and leave their next hops unused
	id := hopOf(t, tab, wan, nth(MaxHops))
	if tab.Epoch() == epoch {
		t.Error("a row was given to another next hop without a new epoch")
	}
	e := entryFor(t, open(t, Config{}), espFrame(0), ownerA)
	e.Hop = id
	insert(t, tab, e, 1000*second)
}

func TestAnInsertWithoutAValidNextHopIsRefused(t *testing.T) {
	tab := open(t, Config{})
	e := entryFor(t, tab, espFrame(0), ownerA)
	for _, id := range []HopID{0, 7, MaxHops, MaxHops + 1, 0xffff} {
		e.Hop = id
		if tab.Insert(e, tab.Epoch(), 0) {
			t.Errorf("next hop %d was taken", id)
		}
	}
}
