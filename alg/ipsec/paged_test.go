package ipsec

import (
	"runtime"
	"slices"
	"testing"

	"spigate/alg"
)

// allocated returns how many bytes fn allocates, whether freed again or not.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestAViewOfManySessionsDoesNotCopyThemAll(t *testing.T) {
	const n = 15_000
	w := onOnePair(t, n) // one shard, the worst case
	seen := map[uint64]bool{}
	for s := range w.a.Sessions(Filter{}) {
		seen[s.ID] = true
		w.a.Counters() // nothing is locked
	}
	if len(seen) != n {
		t.Errorf("%d sessions of %d were seen", len(seen), n)
	}
	rows := 0
	bytes := allocated(func() {
		for range w.a.Sessions(Filter{}) {
			rows++
		}
	})
	kept := 0
	whole := allocated(func() { kept = len(slices.Collect(w.a.Sessions(Filter{}))) })
	if rows != n || kept != n || bytes > 3<<20 || whole < 2*bytes {
		t.Errorf("a walk along %d sessions allocates %d bytes, keeping them %d", rows, bytes, whole)
	}
	ikes := 0
	for range w.a.IKESessions(Filter{NAT: addrN}) {
		ikes++
	}
	if ikes != n {
		t.Errorf("%d IKE sessions of %d were seen", ikes, n)
	}
}

func TestAViewLeavesOutWhatEndsMeanwhileAndStopsWhenTold(t *testing.T) {
	const n = 6000 // more than come sorted
	w := onOnePair(t, n)
	rows := 0
	for range w.a.Sessions(Filter{}) {
		if rows++; rows == 10 {
			break
		}
	}
	if rows != 10 {
		t.Errorf("%d rows after the end", rows)
	}
	rows = 0
	for range w.a.Sessions(Filter{}) {
		if rows++; rows == 1 { // the first comes when inOrder of them have been read
			w.a.Flush(Filter{}, w.now, w.do)
		}
	}
	if rows < inOrder || rows > inOrder+viewPage+1 {
		t.Errorf("%d rows came, though all ended after %d", rows, inOrder)
	}
}

func TestFewSessionsComeInOrder(t *testing.T) {
	w := newWorld(t)
	for i := range 100 {
		w.numbered(i * 7919 % 100).tunnel()
	}
	all := w.sessions(Filter{})
	for i := 1; i < len(all); i++ {
		if order(all[i-1].Inside, all[i].Inside) >= 0 {
			t.Fatalf("%v before %v", all[i-1].Inside, all[i].Inside)
		}
	}
	if len(all) != 100 || len(w.sessions(Filter{Inside: w.numbered(7).inside})) != 1 {
		t.Errorf("%d sessions", len(all))
	}
	p := w.numbered(3)
	p.send(ike{dir: alg.In2Out, exchange: exCreateChild, responder: p.responder, id: 9, body: 200})
	if g := w.gates(Filter{Inside: p.inside}); len(g) != 1 || g[0].Inside != p.inside {
		t.Errorf("gates %+v", g)
	}
	if g := w.gates(Filter{Inside: addrC}); len(g) != 0 {
		t.Errorf("gates of somebody else: %+v", g)
	}
}
