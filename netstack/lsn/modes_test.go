package lsn

import (
	"fmt"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// mapCase and filterCase say what a mode does towards another port of the
// server and towards another host.
type mapCase struct {
	mode                 Mapping
	otherPort, otherHost bool // the same outside endpoint serves them
}

type filterCase struct {
	mode                 Filtering
	otherPort, otherHost drop.Reason // what becomes of a packet from them
}

func TestEachMappingWithEachFiltering(t *testing.T) {
	maps := []mapCase{{APDM, false, false}, {ADM, true, false}, {EIM, true, true}}
	filters := []filterCase{
		{APDF, drop.Filtered, drop.Filtered},
		{ADF, drop.None, drop.Filtered},
		{EIF, drop.None, drop.None},
	}
	for _, m := range maps {
		for _, fl := range filters {
			t.Run(fmt.Sprintf("%v mapping, %v filtering", m.mode, fl.mode), func(t *testing.T) { testModes(t, m, fl) })
		}
	}
}

func testModes(t *testing.T, m mapCase, fl filterCase) {
	f := build(t, config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: m.mode, Filtering: fl.mode}))
	x := at(subscriber, 1000)
	b := f.mustOut(udp(x, at(serverY, 80)), 0, 0)
	if got := f.reply(b, 0, 1, drop.None); got.Inside != x || got.Session != b.Session {
		t.Errorf("the reply went to %v, session %x", got.Inside, got.Session)
	}
	if _, why := f.in(frame.ProtoUDP, b.Outside, at(serverY, 99), 0, 2); why != fl.otherPort {
		t.Errorf("from another port of the server: %v, want %v", why, fl.otherPort)
	}
	if _, why := f.in(frame.ProtoUDP, b.Outside, at(serverZ, 99), 0, 3); why != fl.otherHost {
		t.Errorf("from another host: %v, want %v", why, fl.otherHost)
	}
	p := f.mustOut(udp(x, at(serverY, 81)), 0, 4)
	if same := p.Outside == b.Outside && p.Mapping == b.Mapping; same != m.otherPort {
		t.Errorf("towards another port: %v after %v", p.Outside, b.Outside)
	}
	h := f.mustOut(udp(x, at(serverZ, 80)), 0, 5)
	if same := h.Outside == b.Outside && h.Mapping == b.Mapping; same != m.otherHost {
		t.Errorf("towards another host: %v after %v", h.Outside, b.Outside)
	}
	if o := f.mustOut(udp(at(other, 1000), at(serverY, 80)), 0, 6); o.Outside == b.Outside {
		t.Errorf("two subscribers share %v towards one server", o.Outside)
	}
	f.check()
}

func TestPortsOverlapOnlyWhereNoRemoteIsShared(t *testing.T) {
	x1, x2 := at(subscriber, 1000), at(other, 1000)
	tests := []struct {
		name      string
		mapping   Mapping
		filtering Filtering
		second    frame.Endpoint // X1 talks to Y:80, X2 to this one
		overlap   bool
	}{
		{"APDM, another port of the server", APDM, APDF, at(serverY, 81), true},
		{"APDM, another server", APDM, APDF, at(serverZ, 80), true},
		{"APDM, the same endpoint", APDM, APDF, at(serverY, 80), false},
		{"ADM, another server", ADM, APDF, at(serverZ, 80), true},
		{"ADM, another port of the server", ADM, APDF, at(serverY, 81), false},
		{"EIM, another server", EIM, APDF, at(serverZ, 80), false},
		{"APDM that admits the whole address, another port", APDM, ADF, at(serverY, 81), false},
		{"APDM that admits the whole address, another server", APDM, ADF, at(serverZ, 80), true},
		{"APDM that admits everybody, another server", APDM, EIF, at(serverZ, 80), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: tt.mapping, Filtering: tt.filtering})
			c.Rand = always(500)
			f := build(t, c)
			a := f.mustOut(udp(x1, at(serverY, 80)), 0, 0)
			b := f.mustOut(udp(x2, tt.second), 0, 0)
			if a.Outside.Port != FirstPort+500 {
				t.Errorf("first port %d, want the drawn one", a.Outside.Port)
			}
			if overlap := a.Outside == b.Outside; overlap != tt.overlap {
				t.Errorf("%v and %v: overlap %v, want %v", a.Outside, b.Outside, overlap, tt.overlap)
			}
			if got := f.reply(a, 0, 1, drop.None); got.Inside != x1 {
				t.Errorf("reply for X1 went to %v", got.Inside)
			}
			if got := f.reply(b, 0, 1, drop.None); got.Inside != x2 {
				t.Errorf("reply for X2 went to %v", got.Inside)
			}
			f.check()
		})
	}
}

func TestPortsOfDifferentWidthsAreNotShared(t *testing.T) {
	c := config(nat1,
		AppProfile{Name: "wide", Proto: frame.ProtoUDP, Mapping: ADM, Ports: []PortRange{{53, 53}}},
		AppProfile{Name: "narrow", Proto: frame.ProtoUDP})
	c.Rand = always(0)
	f := build(t, c)
	a := f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
	b := f.mustOut(udp(at(subscriber, 1), at(serverY, 80)), 0, 0)
	if a.Outside == b.Outside {
		t.Errorf("a claim on %v and one on a port of it share %v", serverY, a.Outside)
	}
}

func TestAddressFilterForgetsAServerThatTheSubscriberNoLongerSpeaksTo(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM, Filtering: ADF}))
	x := at(subscriber, 1000)
	b := f.mustOut(udp(x, at(serverY, 80)), 0, 0)
	f.mustOut(udp(x, at(serverZ, 80)), 0, 60*second)
	if _, why := f.in(frame.ProtoUDP, b.Outside, at(serverY, 7), 0, 120*second); why != drop.None {
		t.Errorf("at exactly the timeout: %v", why)
	}
	if _, why := f.in(frame.ProtoUDP, b.Outside, at(serverY, 8), 0, 120*second+1); why != drop.Filtered {
		t.Errorf("after the timeout: %v, want filtered", why)
	}
	if _, why := f.in(frame.ProtoUDP, b.Outside, at(serverZ, 8), 0, 120*second+1); why != drop.None {
		t.Errorf("the other server: %v", why)
	}
	f.Sweep(120*second + 1)
	f.check()
}

func TestStrangersDoNotKeepAFullConeMappingAlive(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM, Filtering: EIF}))
	b := f.mustOut(udp(at(subscriber, 1000), at(serverY, 80)), 0, 0)
	for s := int64(10); s <= 120; s += 10 {
		if _, why := f.in(frame.ProtoUDP, b.Outside, at(serverZ, uint16(s)), 0, s*second); why != drop.None {
			t.Fatalf("at %d s: %v", s, why)
		}
	}
	for _, port := range []uint16{120, 200} { // one with a session, one without
		if _, why := f.in(frame.ProtoUDP, b.Outside, at(serverZ, port), 0, 120*second+1); why != drop.NoMapping {
			t.Errorf("from port %d after the timeout: %v, want no mapping", port, why)
		}
	}
	f.Sweep(120*second + 1)
	if st := f.Stats(); st.Sessions[1] != 0 || len(f.gone) != 13 {
		t.Errorf("%d sessions left, %d reported gone, want 0 and 13", st.Sessions[1], len(f.gone))
	}
	f.check()
}

func TestAnAnswerToAStrangerMakesItsSessionTheSubscribersOwn(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM, Filtering: EIF}))
	x := at(subscriber, 1000)
	b := f.mustOut(udp(x, at(serverY, 80)), 0, 0)
	f.in(frame.ProtoUDP, b.Outside, at(serverZ, 9), 0, 100*second)
	if got := f.mustOut(udp(x, at(serverZ, 9)), 0, 110*second); got.Outside != b.Outside {
		t.Errorf("the answer left from %v, not %v", got.Outside, b.Outside)
	}
	f.Sweep(121 * second)
	if _, why := f.in(frame.ProtoUDP, b.Outside, at(serverZ, 10), 0, 230*second); why != drop.None {
		t.Errorf("120 s after the answer: %v", why)
	}
	if _, why := f.in(frame.ProtoUDP, b.Outside, at(serverZ, 11), 0, 230*second+1); why != drop.NoMapping {
		t.Errorf("later: %v, want no mapping", why)
	}
	f.check()
}

func TestAFloodOfStrangersDoesNotHideThatTheMappingHasExpired(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM, Filtering: EIF}))
	x := at(subscriber, 1000)
	b := f.mustOut(udp(x, at(serverY, 80)), 0, 0)
	for port := range uint16(3 * looks) {
		f.in(frame.ProtoUDP, b.Outside, at(serverZ, port), 0, 60*second)
	}
	f.mustOut(udp(x, at(serverY, 81)), 0, 10*second)
	f.in(frame.ProtoUDP, b.Outside, at(serverZ, 9000), 0, 130*second)
	if _, why := f.in(frame.ProtoUDP, b.Outside, at(serverZ, 9001), 0, 130*second+1); why != drop.NoMapping {
		t.Errorf("after the timeout: %v, want no mapping", why)
	}
	f.check()
}

func TestAMappingWithManyDeadSessionsIsGoneAfterTheSweep(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM, Filtering: EIF}))
	var b Binding
	for port := range uint16(3 * looks) {
		b = f.mustOut(udp(at(subscriber, 1000), at(serverY, port)), 0, 0)
	}
	f.Sweep(121 * second)
	if _, why := f.in(frame.ProtoUDP, b.Outside, at(serverZ, 1), 0, 121*second); why != drop.NoMapping {
		t.Errorf("after the sweep: %v, want no mapping", why)
	}
	f.check()
}

func TestAddressFilterCountsTheSessionsTowardsAServer(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM, Filtering: ADF}))
	x := at(subscriber, 1000)
	b := f.mustOut(udp(x, at(serverY, 80)), 0, 0)
	f.mustOut(udp(x, at(serverY, 81)), 0, 60*second)
	f.Sweep(121 * second) // the first of the two is gone
	if _, why := f.in(frame.ProtoUDP, b.Outside, at(serverY, 99), 0, 121*second); why != drop.None {
		t.Errorf("with one of two sessions left: %v", why)
	}
	f.check()
}
