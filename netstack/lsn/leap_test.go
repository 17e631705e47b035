package lsn

import (
	"testing"
	"time"

	"spigate/netstack/frame"
)

// TestN34_OneSweepAfterALeapInTimeEndsWhatIsOver: hours without a sweep, as
// after a suspended machine, need no second one, and what is kept by a longer
// time stays.
func TestN34_OneSweepAfterALeapInTimeEndsWhatIsOver(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Proto: frame.ProtoUDP, Mapping: EIM}))
	kept := map[uint64]bool{}
	for port := range uint16(2000) {
		b := f.mustOut(udp(at(frame.Addr{192, 0, 2, byte(port)}, port), at(serverY, 1)), 0, int64(port)*second/10)
		switch port % 4 {
		case 0:
			f.SetIdle(b.Mapping, 20*time.Hour)
			kept[b.Mapping] = true
		case 1:
			f.SetIdle(b.Mapping, time.Second)
		}
	}
	f.Sweep(10 * 3600 * second)
	f.check()
	if n := f.sessions.Load(); n != int64(len(kept)) {
		t.Errorf("%d sessions left, want %d", n, len(kept))
	}
	f.Walk(func(s SessionInfo) bool {
		if !kept[s.Mapping] {
			t.Errorf("%v is still there", s.Tuple)
		}
		return true
	})
	f.Sweep(40 * 3600 * second)
	if n := f.sessions.Load(); n != 0 {
		t.Errorf("%d sessions left for ever", n)
	}
	f.check()
}

// A packet of a known session, either way, allocates nothing; nor does a sweep
// that finds nothing over.
func TestAKnownSessionAllocatesNothing(t *testing.T) {
	for m := APDM; m <= EIM; m++ {
		f := build(t, config(nat1, AppProfile{Proto: frame.ProtoUDP, Mapping: m, Filtering: Filtering(m)}))
		tup := udp(at(subscriber, 1), at(serverY, 2))
		b := f.mustOut(tup, 0, 0)
		now := int64(0)
		n := testing.AllocsPerRun(300, func() {
			now += second
			out, _ := f.DecideOut(tup, Hints{Bytes: 100}, now)
			f.CommitOut(&out, now)
			in, _ := f.DecideIn(tup.Proto, b.Outside, tup.Remote, Hints{Bytes: 100}, now)
			f.CommitIn(&in, now)
			f.FlowActive(b.Session, true, now, 1, 1)
			f.Sweep(now)
		})
		if n != 0 || len(f.gone) != 0 {
			t.Errorf("%v: %v allocations, %d sessions gone", m, n, len(f.gone))
		}
	}
}
