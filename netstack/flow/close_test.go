package flow

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"spigate/netstack/frame"
)

// Whatever a table is at when it is closed: nobody touches memory that it has given
// back, and afterwards it is empty and takes nothing.
func TestATableMayBeClosedInTheMidstOfEverything(t *testing.T) {
	for range 10 {
		var told atomic.Uint64
		tab := New(Config{Active: func(r Report) { told.Add(r.Packets) }})
		entries := manyEntries(t, tab, 6000)
		var closed atomic.Bool
		var others sync.WaitGroup
		// Each goes on until it has gone once round a closed table.
		until := func(step func(n int)) {
			others.Go(func() {
				for n, last := 0, false; !last; n++ {
					last = closed.Load()
					step(n)
				}
			})
		}
		var r [2]*Reader
		for port := range r {
			r[port] = tab.Reader()
			until(func(n int) {
				f := []frame.Frame{arrived(espWith(entries[(2*n+port)%len(entries)].Key.ID), lan)}
				r[port].Process(f, 1)
			})
		}
		until(func(n int) { tab.Sweep(1) })
		until(func(n int) {
			tab.Walk(func(Info) bool { return true })
			tab.Credit(entries[n%len(entries)].Owner, 1)
			tab.RemoveOwner(entries[n%len(entries)].Owner, 1)
			tab.Stats()
		})
		for i := range len(entries) / 2 {
			tab.Insert(entries[i], tab.Epoch(), 1)
		}
		for n := 0; told.Load() == 0; n++ {
			tab.Insert(entries[n%len(entries)], tab.Epoch(), 1)
			runtime.Gosched()
		}
		until(func(n int) { tab.Insert(entries[n%len(entries)], tab.Epoch(), 1) })
		tab.Close()
		closed.Store(true)
		others.Wait()
		hop, _ := tab.Hop(wan, gateway, macGW, macOut, 1500)
		entries[0].Hop = hop
		if s := tab.Stats(); s.Entries != 0 || tab.Insert(entries[0], tab.Epoch(), 1) || hit(t, tab, espWith(entries[1].Key.ID), 1) {
			t.Fatalf("the closed table is not empty, or takes a flow: %+v", s)
		}
	}
}
