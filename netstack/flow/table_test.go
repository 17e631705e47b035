package flow

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spigate/netstack/frame"
)

// espFrame is a packet of the i-th of many ESP flows.
func espFrame(i int) []byte {
	return ipv4(inside, remote, frame.ProtoESP, 64, esp(uint32(0x10000+i), 32))
}

func TestTheSameFlowOnAnotherInterfaceMisses(t *testing.T) {
	tab := open(t, Config{})
	insert(t, tab, entryFor(t, tab, espFrame(0), ownerA), 0)
	batch := []frame.Frame{arrived(espFrame(0), wan)}
	if tab.process(batch, 1) != 0 || tab.Stats().Misses != 1 {
		t.Errorf("%+v, want a miss", tab.Stats())
	}
}

func TestABatchOfManyIsForwardedFrameByFrame(t *testing.T) {
	tab := open(t, Config{})
	var batch []frame.Frame
	for i := range 200 {
		if i%3 == 0 {
			insert(t, tab, entryFor(t, tab, espFrame(i), ownerA), 0)
		}
		batch = append(batch, arrived(espFrame(i), lan))
	}
	if n := tab.process(batch, 1); n != 67 {
		t.Errorf("%d hits, want 67", n)
	}
	for i := range batch {
		if (batch[i].Out == wan) != (i%3 == 0) {
			t.Errorf("frame %d: Out %d", i, batch[i].Out)
		}
	}
	if s := tab.Stats(); s.Hits != 67 || s.Misses != 133 || s.Punts != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAFullTableRefusesAndCountsAndEvictsNobody(t *testing.T) {
	tab := open(t, Config{Capacity: 2})
	insert(t, tab, entryFor(t, tab, espFrame(0), ownerA), 0)
	insert(t, tab, entryFor(t, tab, espFrame(1), ownerA), 0)
	third := entryFor(t, tab, espFrame(2), ownerA)
	if tab.Insert(third, tab.Epoch(), 0) {
		t.Error("a third flow found room for two")
	}
	if s := tab.Stats(); s.Refused != 1 || s.Entries != 2 || s.Capacity != 2 {
		t.Errorf("%+v", s)
	}
	replaced := entryFor(t, tab, espFrame(1), ownerB)
	insert(t, tab, replaced, 0) // an equal key needs no room
	tab.Remove(keyOf(t, espFrame(0)))
	insert(t, tab, third, 0)
	if hit(t, tab, espFrame(0), 1) || !hit(t, tab, espFrame(1), 1) || !hit(t, tab, espFrame(2), 1) {
		t.Error("the wrong flows are in the table")
	}
}

func TestAnEqualKeyIsReplaced(t *testing.T) {
	tab := open(t, Config{})
	e := entryFor(t, tab, espFrame(0), ownerA)
	insert(t, tab, e, 0)
	e.Addr, e.Owner = frame.Addr{203, 0, 113, 9}, ownerB
	insert(t, tab, e, 0)
	tab.RemoveOwner(ownerA, 0)
	batch := []frame.Frame{arrived(espFrame(0), lan)}
	if tab.process(batch, 1) != 1 || frame.Addr(batch[0].Bytes()[26:30]) != e.Addr {
		t.Error("the old entry still rewrites, or the new one went with the old owner")
	}
}

func TestARepeatedInsertKeepsTheFlowsCounters(t *testing.T) {
	tab := open(t, Config{})
	e := entryFor(t, tab, espFrame(0), ownerA)
	insert(t, tab, e, 0)
	hit(t, tab, espFrame(0), 1)
	insert(t, tab, e, 5*second)
	tab.Walk(func(in Info) bool {
		want := Info{Entry: e, Out: wan, Next: gateway, MTU: 1500, Valid: true, Packets: 1, Bytes: 52, Last: 5 * second}
		if d := cmp.Diff(want, in); d != "" {
			t.Error(d)
		}
		return true
	})
}

func TestRemovingAnOwnerTakesAllItsFlowsAndNoOthers(t *testing.T) {
	tab := open(t, Config{})
	for i := range 9 {
		insert(t, tab, entryFor(t, tab, espFrame(i), []Owner{ownerA, ownerB, {Kind: OwnerLSN, ID: 2}}[i%3]), 0)
	}
	tab.Remove(keyOf(t, espFrame(3))) // from the middle of the ring
	tab.RemoveOwner(ownerA, 0)
	for i := range 9 {
		if got := hit(t, tab, espFrame(i), 1); got != (i%3 != 0) {
			t.Errorf("flow %d: hit is %v", i, got)
		}
	}
	if n := tab.Stats().Entries; n != 6 {
		t.Errorf("%d entries, want 6", n)
	}
}

// Of a 1:1 address all flows have one owner. In one go they would keep the lock for
// two seconds, were there a million.
func TestAnOwnerOfVeryManyFlowsKeepsNobodyWaitingForAllOfThem(t *testing.T) {
	var tab *Table
	var left []int
	packets := uint64(0)
	tab = open(t, Config{Active: func(r Report) {
		packets += r.Packets
		left = append(left, tab.Stats().Entries) // here the lock is free
	}})
	const flows = 3*sweepSlice + 1
	entries := manyEntries(t, tab, flows)
	for i := range entries {
		entries[i].Owner = ownerA
	}
	insertAll(t, tab, entries)
	for _, e := range entries {
		hit(t, tab, espWith(e.Key.ID), 1)
	}
	epoch := tab.Epoch()
	left = nil // some were told of when they made room for another
	tab.RemoveOwner(ownerA, 2)
	if packets != flows || left[0] != flows-sweepSlice || left[len(left)-1] != 0 {
		t.Errorf("told of %d packets, want %d; %d flows left at the first report, %d at the last", packets, flows, left[0], left[len(left)-1])
	}
	if tab.Insert(entryFor(t, tab, espFrame(0), ownerA), epoch, 2) || tab.Stats().Entries != 0 {
		t.Error("a flow is there")
	}
}

// Each of these ends what a decision may have rested on.
func TestADecisionThatWasOvertakenDoesNotInsert(t *testing.T) {
	for name, overtake := range map[string]func(tab *Table){
		"the owner, before its first flow": func(tab *Table) { tab.RemoveOwner(ownerA, 0) },
		"another owner":                    func(tab *Table) { tab.RemoveOwner(ownerB, 0) },
		"a key":                            func(tab *Table) { tab.Remove(Key{}) },
		"a next hop":                       func(tab *Table) { tab.InvalidateHop(wan, gateway) },
		"an unknown next hop":              func(tab *Table) { tab.InvalidateHop(wan, remote) },
		"an interface":                     func(tab *Table) { tab.InvalidateInterface(wan) },
		"everything":                       func(tab *Table) { tab.Flush() },
		"a new MAC":                        func(tab *Table) { tab.Hop(wan, gateway, macIn, macOut, 1500) },
	} {
		tab := open(t, Config{})
		epoch := tab.Epoch()
		e := entryFor(t, tab, espFrame(0), ownerA)
		overtake(tab)
		if tab.Insert(e, epoch, 0) {
			t.Errorf("%s: inserted", name)
		}
		if s := tab.Stats(); s.Entries != 0 || s.Stale != 1 || s.Refused != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestSweepingAnIdleFlowDoesNotOvertakeADecision(t *testing.T) {
	tab := open(t, Config{})
	insert(t, tab, entryFor(t, tab, espFrame(0), ownerA), 0)
	epoch := tab.Epoch()
	tab.Sweep(1000 * second)
	if !tab.Insert(entryFor(t, tab, espFrame(1), ownerB), epoch, 1000*second) {
		t.Error("refused, although no decision can rest on an idle flow")
	}
}

func TestFlushEmptiesAndTheTableFillsAgain(t *testing.T) {
	tab := open(t, Config{Capacity: 100})
	for round := range 5 {
		for i := range 100 {
			insert(t, tab, entryFor(t, tab, espFrame(i), ownerA), 0)
		}
		tab.Flush()
		for i := range 100 {
			if hit(t, tab, espFrame(i), 1) {
				t.Fatalf("round %d: flow %d is forwarded", round, i)
			}
		}
		tab.Sweep(int64(3*round) * second)
		if n := tab.Stats().Entries; n != 0 {
			t.Fatalf("round %d: %d flows are left", round, n)
		}
		tab.Sweep(int64(3*round+1) * second) // their slots rest
		tab.Sweep(int64(3*round+2) * second)
	}
}

// All of a million flows in one go would keep the lock, and with it every packet
// that the stack decides on, for a quarter of a second.
func TestFlushLeavesTheWorkToTheSweepHoweverManyFlowsThereAre(t *testing.T) {
	var got []Report
	tab := reporting(t, &got)
	const flows = 3 * sweepSlice
	entries := manyEntries(t, tab, flows)
	insertAll(t, tab, entries)
	for _, e := range entries {
		hit(t, tab, espWith(e.Key.ID), 1)
	}
	tab.Flush()
	if s := tab.Stats(); s.Entries != flows || s.Hops != 0 {
		t.Errorf("%d flows are left to Sweep, want all %d; %d next hops", s.Entries, flows, s.Hops)
	}
	// What comes again before the Sweep does not wait for it.
	again := 0
	for _, e := range manyEntries(t, tab, 10) {
		if !tab.Insert(e, tab.Epoch(), 2) {
			continue // its buckets are full, and one of ten thousand waits for room
		}
		again++
		if !hit(t, tab, espWith(e.Key.ID), 3) {
			t.Errorf("SPI %#x is not forwarded after it was decided anew", e.Key.ID)
		}
	}
	tab.Sweep(4)
	if n := tab.Stats().Entries; again == 0 || n != again || len(got) != flows+again {
		t.Errorf("%d flows and %d reports after Sweep, want %d and %d", n, len(got), again, flows+again)
	}
}

func TestWalkShowsEveryFlowAndStopsWhenTold(t *testing.T) {
	tab := open(t, Config{})
	seen := map[Key]bool{}
	for i := range 1000 {
		insert(t, tab, entryFor(t, tab, espFrame(i), ownerA), 0)
	}
	tab.Remove(keyOf(t, espFrame(500)))
	tab.Walk(func(in Info) bool { seen[in.Key] = true; return true })
	if len(seen) != 999 || seen[keyOf(t, espFrame(500))] {
		t.Errorf("%d flows seen, want 999", len(seen))
	}
	n := 0
	tab.Walk(func(Info) bool { n++; return n < 3 })
	if n != 3 {
		t.Errorf("went on to %d after being told to stop at 3", n)
	}
}

func TestEntriesComeBackFromWalkAsTheyWentIn(t *testing.T) {
	tab := open(t, Config{})
	e := Entry{
		Key:  Key{Src: remote, Dst: outside, ID: PortsID(443, 65535), Proto: frame.ProtoTCP, In: 255},
		Side: Destination, Addr: inside, Port: 0xabcd, Hop: hopOf(t, tab, lan, inside),
		Owner: Owner{Kind: OwnerConn, ID: 1 << 63}, Idle: 3 * time.Hour,
		Numbered: true, End: 0xfffffffe, Ack: 7,
	}
	insert(t, tab, e, 0)
	tab.Walk(func(in Info) bool {
		if d := cmp.Diff(e, in.Entry); d != "" {
			t.Error(d)
		}
		return true
	})
}

func TestAnOwnerThatIsVacantGetsNothingThatWasDecidedBefore(t *testing.T) {
	tab := open(t, Config{})
	e := entryFor(t, tab, espFrame(0), ownerA)
	epoch := tab.Epoch()
	if !tab.Vacant(ownerA) || tab.Insert(e, epoch, 0) || !tab.Vacant(ownerA) {
		t.Error("a flow that was decided before is there")
	}
	insert(t, tab, e, 0)
	epoch = tab.Epoch()
	if tab.Vacant(ownerA) || tab.Epoch() != epoch {
		t.Error("it has a flow, and others are kept away")
	}
}
