package ipsec

import (
	"encoding/binary"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spigate/netstack/frame"
)

// checkAgenda: a heap, whose rows know their places and are never too late.
func checkAgenda[T timed](t failer, g *agenda[T], want int) {
	t.Helper()
	if len(g.rows) != want {
		t.Fatalf("agenda has %d rows, want %d", len(g.rows), want)
	}
	for i, r := range g.rows {
		if int(*r.what.place()) != i+1 {
			t.Fatalf("row %d believes to be at %d", i, *r.what.place()-1)
		}
		if r.at > r.what.deadline() {
			t.Fatalf("row %d: %d is after its deadline %d", i, r.at, r.what.deadline())
		}
		if g.rows[(i+1)/2-boolToInt(i > 0)].at > r.at {
			t.Fatalf("row %d is earlier than its parent", i)
		}
	}
}

type appointment struct {
	at  int64
	row int32
}

func (a *appointment) deadline() int64 { return a.at }
func (a *appointment) place() *int32   { return &a.row }

func TestAgendaIsInOrderWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var g agenda[*appointment]
		in := map[*appointment]bool{}
		all := make([]*appointment, 20)
		for i := range all {
			all[i] = &appointment{}
		}
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			a := all[rapid.IntRange(0, len(all)-1).Draw(rt, "which")]
			at := rapid.Int64Range(0, 50).Draw(rt, "at")
			switch rapid.IntRange(0, 4).Draw(rt, "op") {
			case 0:
				a.at = at
				g.put(a)
				in[a] = true
			case 1:
				a.at = max(a.at, at) // away: nothing to do
			case 2:
				g.remove(a)
				delete(in, a)
			case 3:
				a.at = min(a.at, at)
				g.sooner(a)
				in[a] = true
			case 4:
				budget := 5
				if d := g.due(at, &budget); d != nil && at <= d.at {
					rt.Fatalf("due at %d although its deadline is %d", at, d.at)
				} else if d == nil && budget > 0 {
					for x := range in {
						if at > x.at {
							rt.Fatalf("nothing is due at %d, but %d is", at, x.at)
						}
					}
				}
			}
			checkAgenda(rt, &g, len(in))
		}
	})
}

func TestTickEndsManySessionsInSlices(t *testing.T) {
	// All sessions of one server end in the same moment: each call does a
	// bounded part, and asks to be called again at once.
	const n = 5000
	w := newWorld(t)
	w.a = New(Config{MaxIKESessions: 2 * n})
	for i := range n {
		var inside frame.Addr
		binary.BigEndian.PutUint32(inside[:], 0x0a000000+uint32(i))
		p := w.client(inside, 2)
		p.mapping, p.initiator = uint64(i)+1, uint64(i)+1
		p.spiIn, p.spiOut = 0x10000+uint32(i), 0x10000+uint32(i)
		p.tunnel()
	}
	w.jump(3601)
	left := len(w.sessions(Filter{}))
	for calls := 0; left > 0; calls++ {
		w.do(w.a.Tick(w.now))
		now := len(w.sessions(Filter{}))
		if left-now > tickBudget || calls > 2*n/tickBudget+1 {
			t.Fatalf("call %d ended %d sessions, %d are left", calls, left-now, now)
		}
		left = now
		if at, ok := w.a.NextDeadline(); left > 0 && (!ok || at > w.now) {
			t.Fatalf("%d are over, but the next call is wanted at %v", left, time.Duration(at))
		}
	}
}
