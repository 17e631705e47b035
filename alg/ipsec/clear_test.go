package ipsec

import "testing"

func TestClearingCountersReturnsThemAndLeavesWhatIsThereNow(t *testing.T) {
	for name, c := range map[string]struct {
		full bool
		left func(was Counters) Counters
	}{
		"basic": {false, func(was Counters) Counters {
			was.Total, was.Dropped, was.RxPkts, was.TxPkts = 0, 0, 0, 0
			return was
		}},
		"full": {true, func(was Counters) Counters {
			return Counters{Active: was.Active, Blocked: was.Blocked, IKESessions: was.IKESessions,
				IKEHalfOpen: was.IKEHalfOpen, ESPSessions: was.ESPSessions}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			other := *w.profile
			other.Name = "Q"
			a := w.client(addrA, 2).tunnel()
			w.at(10)
			a.ask(exCreateChild, 2)
			w.profile = &other
			b := w.client(addrB, 2)
			b.phase1()
			w.held(b.ask(exAuth, 1))
			b.out(1) // no gate is B's
			before := w.a.Counters()
			p, _ := w.a.CountersOf("P")
			q, _ := w.a.CountersOf("Q")
			if p.Total == 0 || p.Active == 0 || q.Blocked == 0 || q.Dropped == 0 || q.ESPNoGateOut == 0 {
				t.Fatalf("nothing to clear: %+v %+v", p, q)
			}
			if _, ok := w.a.ClearCounters("R", c.full); ok || w.a.Counters() != before {
				t.Error("a profile that was never used was cleared")
			}
			if was, ok := w.a.ClearCounters("Q", c.full); !ok || was != q {
				t.Errorf("of Q: %+v, want %+v", was, q)
			}
			if got, _ := w.a.CountersOf("Q"); got != c.left(q) {
				t.Errorf("Q is %+v", got)
			}
			if got, _ := w.a.CountersOf("P"); got != p {
				t.Errorf("P is %+v, was %+v", got, p)
			}
			sum := c.left(q)
			sum.Add(&p)
			if was, _ := w.a.ClearCounters("", c.full); was != sum {
				t.Errorf("of all: %+v, want %+v", was, sum)
			}
			if got := w.a.Counters(); got != c.left(sum) {
				t.Errorf("all are %+v", got)
			}
			w.at(20000) // the gauges come down to zero, and not below
			if c := w.a.Counters(); c.Active+c.Blocked+c.IKESessions+c.IKEHalfOpen+c.ESPSessions != 0 {
				t.Errorf("in the end %+v", c)
			}
		})
	}
}
