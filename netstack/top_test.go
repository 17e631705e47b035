package netstack

import (
	"testing"
	"time"

	"spigate/netstack/top"
)

// From packets of the fast path to the list of the busiest: rates are what was
// carried between two sweeps, and both directions are the subscriber's.
func TestTheBusiestOfASecondAreFound(t *testing.T) {
	w, conversations := established(t)
	for _, name := range []string{"UDP out", "UDP in", "ESP out"} {
		conversations[name].turn() // the first of a flow go through the stack
	}
	meter := w.r.Top()
	meter.Watch(w.r.Now())
	w.clock.Advance(time.Second) // what was carried until now is part of no interval
	_, next := meter.Watch(w.r.Now())
	for name, turns := range map[string]int{"UDP out": 3, "UDP in": 2, "ESP out": 5} {
		for range turns {
			conversations[name].turn()
		}
	}
	w.clock.Advance(time.Second)
	<-next
	got, _ := meter.Watch(w.r.Now())
	if len(got.ByPackets) != 3 || got.Span != int64(time.Second) {
		t.Fatalf("%d flows in %d ns: %+v", len(got.ByPackets), got.Span, got.ByPackets)
	}
	for i, packets := range []uint64{5 * 64, 3 * 64, 2 * 64} {
		if f := got.ByPackets[i]; f.Packets != packets || f.Bytes < packets*1400 {
			t.Errorf("place %d: %+v, want %d packets", i, f, packets)
		}
	}
	if len(got.SubscriberBytes) != 1 {
		t.Fatalf("subscribers %+v", got.SubscriberBytes)
	}
	s := got.SubscriberBytes[0]
	s.BytesIn, s.BytesOut = 0, 0
	if want := (top.Subscriber{Addr: client1, Flows: 3, PacketsOut: 8 * 64, PacketsIn: 2 * 64}); s != want {
		t.Errorf("it is %+v, want %+v", s, want)
	}
}
