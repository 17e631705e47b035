package frag

import (
	"sync"
	"sync/atomic"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// TestManyPortsAtOnce lets several port loops and the sweep loose on the same
// few subscribers; the books must agree, and what left must be whole.
func TestManyPortsAtOnce(t *testing.T) {
	drops := &drop.Counters{}
	tb := New(Config{Drops: drops})
	var clock, carried atomic.Int64
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 2000 {
				now := clock.Add(second / 4000)
				if i%100 == 0 {
					tb.Sweep(now)
					tb.Stats()
				}
				s := outbound(frame.Addr{192, 0, 2, byte(11 + i%3)}, uint16(i), 400)
				if i%7 == 0 {
					s.dport = 500
				}
				r := router{Table: tb, drops: drops, now: now, gather: func(p *frame.Packet) bool { return p.DstPort == 500 }}
				pieces := inPieces(s.build(), 136)
				r.send(pieces[w%3], pieces[(w+1)%3], pieces[(w+2)%3])
				carried.Add(int64(len(r.out)))
			}
		}()
	}
	wg.Wait()
	tb.check(t)
	if carried.Load() == 0 {
		t.Error("nothing passed")
	}
	tb.Sweep(clock.Load() + 100*second)
	if tb.Stats() != (Stats{}) {
		t.Errorf("left behind: %+v", tb.Stats())
	}
}
