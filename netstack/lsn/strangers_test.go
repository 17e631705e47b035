package lsn

import (
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Whoever sprays a full cone costs its subscriber 1024 sessions; one that is
// answered is the subscriber's own and makes room, as one that is over does.
func TestStrangersOnAMappingAreBounded(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM, Filtering: EIF}))
	b := f.mustOut(udp(at(subscriber, 5000), at(serverY, 53)), 0, 0)
	from := func(i int) frame.Endpoint { return at(serverZ, uint16(i+1)) }
	for i := range maxStrangers {
		if _, why := f.in(frame.ProtoUDP, b.Outside, from(i), 0, 0); why != drop.None {
			t.Fatalf("stranger %d: %v", i, why)
		}
	}
	if _, why := f.in(frame.ProtoUDP, b.Outside, from(maxStrangers), 0, 0); why != drop.UnansweredLimit {
		t.Errorf("one stranger too many: %v", why)
	}
	f.check()
	f.mustOut(udp(at(subscriber, 5000), from(7)), 0, 0) // an answer
	if _, why := f.in(frame.ProtoUDP, b.Outside, from(maxStrangers), 0, 0); why != drop.None {
		t.Errorf("after an answer: %v", why)
	}
	if _, why := f.in(frame.ProtoUDP, b.Outside, from(3), 0, 0); why != drop.None {
		t.Errorf("a stranger who is there already: %v", why)
	}
	f.mustOut(udp(at(subscriber, 5000), from(8)), 0, 100*second)
	f.Sweep(int64(121 * time.Second)) // the strangers are over, the mapping lives
	if _, why := f.in(frame.ProtoUDP, b.Outside, from(5000), 0, 121*second); why != drop.None {
		t.Errorf("after two minutes: %v", why)
	}
	f.check()
}
