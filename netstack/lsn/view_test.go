package lsn

import (
	"testing"

	"spigate/netstack/frame"
)

// crowd gives one subscriber n mappings, so that they fill one shard over many
// steps, each with two sessions.
func crowd(t *testing.T, n int) *fixture {
	t.Helper()
	f := build(t, config(nat1, AppProfile{Proto: frame.ProtoUDP, Mapping: EIM, Filtering: EIF}))
	for port := range uint16(n) {
		f.mustOut(udp(at(subscriber, port), at(serverY, 1)), 0, 0)
		f.mustOut(udp(at(subscriber, port), at(serverZ, 1)), 0, 0)
	}
	return f
}

func TestAListIsNotCopiedAsAWhole(t *testing.T) {
	const mappings = 8 * walkStep
	f := crowd(t, mappings)
	shown := 0
	if n := testing.AllocsPerRun(1, func() { f.Walk(func(SessionInfo) bool { shown++; return true }) }); n > 1 {
		t.Errorf("%v allocations for a list of %d sessions", n, 2*mappings)
	}
	if shown != 2*2*mappings { // AllocsPerRun runs once more, to warm up
		t.Errorf("%d of %d sessions shown twice", shown, 2*mappings)
	}
}

// What a reader of the list does to the table must not hide what stays.
func TestAListShowsWhatLivesThroughout(t *testing.T) {
	const mappings = 3 * walkStep
	f := crowd(t, mappings)
	seen := map[Tuple]int{}
	f.Walk(func(s SessionInfo) bool {
		seen[s.Tuple]++
		switch {
		case s.Inside.Port%2 == 1:
			f.RemoveMapping(s.Mapping)
		case s.Remote.Addr == serverY:
			f.mustOut(udp(at(subscriber, s.Inside.Port+mappings), at(serverY, 1)), 0, 0) // may be shown or not
		}
		return true
	})
	for port := range uint16(mappings) {
		for _, y := range []frame.Addr{serverY, serverZ} {
			if n := seen[udp(at(subscriber, port), at(y, 1))]; n != 1 && port%2 == 0 || n > 1 {
				t.Fatalf("session of port %d with %v shown %d times", port, y, n)
			}
		}
	}
	f.check()
}

func TestAFlushRemembersNothing(t *testing.T) {
	const mappings = 8 * walkStep
	f := crowd(t, mappings)
	f.onGone = func(uint64) {}
	b, _ := f.FindOut(udp(at(subscriber, 77), at(serverY, 1)))
	if n := testing.AllocsPerRun(1, func() { f.Flush(Filter{NAT: serverY}) }); n != 0 {
		t.Errorf("%v allocations to flush nothing of %d sessions", n, 2*mappings)
	}
	if s, m := f.Flush(Filter{NATPort: b.Outside.Port}); s != 2 || m != 1 {
		t.Errorf("flushed %d sessions of %d mappings, want 2 of 1", s, m)
	}
	if s, m := f.Flush(Filter{}); s != 2*(mappings-1) || m != mappings-1 {
		t.Errorf("flushed %d sessions of %d mappings", s, m)
	}
	f.check()
}
