package ipsec

import (
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// sessions is a quota of so many ESP sessions for each subscriber.
type sessions struct {
	limit int
	has   map[frame.Addr]int
}

func (q *sessions) Take(inside frame.Addr) drop.Reason {
	if q.has[inside] >= q.limit {
		return drop.SessionTableFull
	}
	q.has[inside]++
	return drop.None
}
func (q *sessions) Give(inside frame.Addr) { q.has[inside]-- }

func TestESPSessionsCountAgainstTheQuota_R37(t *testing.T) {
	q := &sessions{limit: 2, has: map[frame.Addr]int{}}
	w := newWorld(t)
	w.a = New(Config{Quota: q})
	a := w.client(addrA, 2).tunnel()
	for i := range uint32(3) {
		w.at(100 * float64(i+1))
		a.ask(exCreateChild, 2+i)
		a.spiIn, a.spiOut = 0xa0000000+i, 0xb0000000+i
		if i == 0 {
			w.forwarded(a.out(1), addrA)
			w.forwarded(a.in(1), addrA) // the other half of the same session
			continue
		}
		w.dropped(a.out(1), drop.SessionTableFull)
		w.dropped(a.in(1), drop.SessionTableFull)
	}
	w.at(400)
	w.client(addrB, 2).tunnel()
	if q.has[addrA] != 2 || q.has[addrB] != 1 {
		t.Errorf("counted %v, want two of A's and one of B's", q.has)
	}
	n := New(Config{Quota: &sessions{limit: 1, has: map[frame.Addr]int{}}})
	got, _, err := n.Restore(w.a.Snapshot(nil, w.now), map[string]*Profile{"P": w.profile}, w.now)
	if err != nil || got.ESP != 2 || got.Refused != 1 {
		t.Errorf("restored %+v, %v; want one session each", got, err)
	}
	w.a.Flush(Filter{}, w.now, w.do)
	if q.has[addrA] != 0 || q.has[addrB] != 0 {
		t.Errorf("counted %v after a flush", q.has)
	}
}
