package flow

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spigate/netstack/flow/bucket"
)

func TestAFlowLeavesWhenIdleExceedsItsLimit(t *testing.T) {
	for _, c := range []struct {
		name  string
		now   int64
		stays bool
	}{
		{"just before", 60*second - 1, true},
		{"exactly at the limit", 60 * second, true},
		{"just behind", 60*second + 1, false},
	} {
		tab := open(t, Config{})
		insert(t, tab, entryFor(t, tab, espFrame(0), ownerA), 0)
		tab.Sweep(c.now)
		if got := tab.Stats().Entries == 1; got != c.stays {
			t.Errorf("%s: stays is %v", c.name, got)
		}
	}
}

// R22: never early and at most two seconds late, wherever in the second the
// last packet falls.
func TestExpiryIsNeverEarlyAndAtMostTwoSecondsLate(t *testing.T) {
	for ms := int64(1); ms < 3000; ms += 97 {
		tab := open(t, Config{})
		insert(t, tab, entryFor(t, tab, espFrame(0), ownerA), 0)
		last := ms * int64(time.Millisecond)
		sent := false
		for at := second; ; at += second {
			if !sent && last < at {
				sent = hit(t, tab, espFrame(0), last)
			}
			tab.Sweep(at)
			if tab.Stats().Entries == 1 {
				continue
			}
			if late := at - last - 60*second; late <= 0 || late > 2*second {
				t.Errorf("last packet at %d ms: gone %v after its limit", ms, time.Duration(late))
			}
			break
		}
	}
}

type active struct {
	Owner          Owner
	Key            Key
	Now            int64
	Packets, Bytes uint64
}

// recording makes a table that appends what it reports to got.
func recording(t cleaner, got *[]active) *Table {
	return open(t, Config{Active: func(r Report) {
		*got = append(*got, active{r.Owner, r.Key, r.Now, r.Packets, r.Bytes})
	}})
}

func TestSweepReportsEachFlowsTrafficOnce(t *testing.T) {
	var got []active
	tab := recording(t, &got)
	insert(t, tab, entryFor(t, tab, espFrame(0), ownerA), 0)
	insert(t, tab, entryFor(t, tab, espFrame(1), ownerB), 0)
	for range 3 {
		hit(t, tab, espFrame(0), 1)
	}
	tab.Sweep(second)
	tab.Sweep(2 * second)
	hit(t, tab, espFrame(1), 2*second)
	tab.Sweep(3 * second)
	want := []active{
		{ownerA, keyOf(t, espFrame(0)), second, 3, 3 * 52},
		{ownerB, keyOf(t, espFrame(1)), 3 * second, 1, 52},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestARemovedFlowsLastPacketsAreStillReported(t *testing.T) {
	var got []active
	tab := recording(t, &got)
	insert(t, tab, entryFor(t, tab, espFrame(0), ownerA), 0)
	hit(t, tab, espFrame(0), 1)
	e := entryFor(t, tab, espFrame(0), ownerB)
	insert(t, tab, e, 1) // the same key, another owner
	hit(t, tab, espFrame(0), 1)
	hit(t, tab, espFrame(0), 1)
	tab.Remove(e.Key)
	for at := range int64(4) {
		tab.Sweep(at * second)
	}
	want := []active{{ownerA, e.Key, 1, 1, 52}, {ownerB, e.Key, 0, 2, 2 * 52}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestActiveMayCallTheTable(t *testing.T) {
	var tab *Table
	tab = open(t, Config{Active: func(r Report) {
		tab.Credit(r.Owner, r.Now)
		tab.RemoveOwner(r.Owner, r.Now)
		tab.Walk(func(Info) bool { return true })
		insert(t, tab, entryFor(t, tab, espFrame(2), ownerB), r.Now)
	}})
	insert(t, tab, entryFor(t, tab, espFrame(0), ownerA), 0)
	hit(t, tab, espFrame(0), 1)
	tab.Sweep(second)
	if hit(t, tab, espFrame(0), second) || !hit(t, tab, espFrame(2), second) {
		t.Error("what Active did is not there")
	}
}

func TestARemovedFlowsRecordOutlastsItsSlot(t *testing.T) {
	tab := open(t, Config{})
	insert(t, tab, entryFor(t, tab, espFrame(0), ownerA), 0)
	slot := tab.record(1).slots[tab.parity]
	tab.Remove(keyOf(t, espFrame(0)))
	for sweeps := range restSweeps {
		if tab.free != 0 {
			t.Errorf("the record is free after %d sweeps, want %d", sweeps, restSweeps)
		}
		want := []bucket.State{bucket.Retired, bucket.Resting, bucket.Free}[sweeps]
		if got := tab.cur.State(slot); got != want {
			t.Errorf("after %d sweeps the slot's state is %d, want %d", sweeps, got, want)
		}
		tab.Sweep(int64(sweeps) * second)
	}
	if tab.free != 1 || tab.cur.State(slot) != bucket.Free {
		t.Errorf("the first free record is %d, the slot's state %d, want 1 and free", tab.free, tab.cur.State(slot))
	}
}
