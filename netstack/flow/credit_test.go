package flow

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"spigate/netstack/frame"
)

// reporting makes a table that appends its whole reports to got.
func reporting(t cleaner, got *[]Report) *Table {
	return open(t, Config{Active: func(r Report) { *got = append(*got, r) }})
}

func wantReports(t *testing.T, got *[]Report, want ...Report) {
	t.Helper()
	inOrder := func(a, b Report) int { return cmp.Compare(a.Key.ID, b.Key.ID) }
	slices.SortStableFunc(want, inOrder)
	slices.SortStableFunc(*got, inOrder)
	if d := gocmp.Diff(want, *got); d != "" {
		t.Error(d)
	}
	*got = nil
}

func reportOf(e Entry, now int64, packets, bytes uint64) Report {
	return Report{
		Owner: e.Owner, Key: e.Key, Side: e.Side, Addr: e.Addr, Port: e.Port, Now: now, Packets: packets, Bytes: bytes,
		Numbered: e.Numbered, End: e.End, Ack: e.Ack,
	}
}

func TestCreditReportsAtOnceAndNobodyReportsItAgain(t *testing.T) {
	var got []Report
	tab := reporting(t, &got)
	mine, other := entryFor(t, tab, espFrame(0), ownerA), entryFor(t, tab, espFrame(1), ownerB)
	insert(t, tab, mine, 0)
	insert(t, tab, other, 0)
	hit(t, tab, espFrame(0), 1)
	hit(t, tab, espFrame(0), 1)
	hit(t, tab, espFrame(1), 1)
	tab.Credit(ownerA, 5)
	wantReports(t, &got, reportOf(mine, 5, 2, 104))
	tab.Credit(ownerA, 6)
	tab.Credit(Owner{Kind: OwnerConn, ID: 77}, 6) // has none
	wantReports(t, &got)
	hit(t, tab, espFrame(0), 7)
	tab.Sweep(second)
	wantReports(t, &got, reportOf(mine, second, 1, 52), reportOf(other, second, 1, 52))
}

func TestCreditTellsANumberedFlowsNumbersEvenIfNothingMoved_VR17(t *testing.T) {
	var got []Report
	tab, e := numberedFlow(t, func(r Report) { got = append(got, r) }, 1000, 500)
	tab.Sweep(1)
	wantReports(t, &got) // Sweep tells of traffic only
	hit(t, tab, segment(ackFlag, 1000, 510, 100), 1)
	e.End, e.Ack = 1100, 510
	tab.Sweep(2)
	wantReports(t, &got, reportOf(e, 2, 1, 140))
	tab.Credit(e.Owner, 3)
	wantReports(t, &got, reportOf(e, 3, 0, 0))
	tab.RemoveOwner(e.Owner, 4)
	wantReports(t, &got, reportOf(e, 4, 0, 0))
	tab.RemoveOwner(e.Owner, 5)
	tab.Credit(e.Owner, 5)
	wantReports(t, &got)
}

func TestCreditDoesNotMakeAQuietFlowLiveLonger(t *testing.T) {
	tab, e := numberedFlow(t, nil, 0, 0)
	tab.Credit(e.Owner, 50*second)
	tab.Sweep(60*second + 1)
	if tab.Stats().Entries != 0 {
		t.Error("it is still there")
	}
}

func TestCreditedTrafficKeepsAFlowAlive(t *testing.T) {
	tab, e := numberedFlow(t, nil, 0, 0)
	hit(t, tab, segment(ackFlag, 0, 0, 0), 1)
	tab.Credit(e.Owner, 50*second)
	tab.Sweep(110 * second)
	if tab.Stats().Entries != 1 {
		t.Error("it left 60 seconds after its last packet")
	}
	tab.Sweep(110*second + 1)
	if tab.Stats().Entries != 0 {
		t.Error("it is still there")
	}
}

func TestAReportNamesTheRewriteOfItsFlow(t *testing.T) {
	var got []Report
	tab := reporting(t, &got)
	out := entryFor(t, tab, kinds(0)["UDP"], ownerA)
	in := entryFor(t, tab, ipv4(remote, outside, frame.ProtoUDP, 64, udp(53, 61000, 0, 0)), ownerA)
	in.Side, in.Addr, in.Port = Destination, inside, 40000
	insert(t, tab, out, 0)
	insert(t, tab, in, 0)
	hit(t, tab, kinds(0)["UDP"], 1)
	hit(t, tab, ipv4(remote, outside, frame.ProtoUDP, 64, udp(53, 61000, 0, 0)), 1)
	tab.Sweep(second)
	wantReports(t, &got, reportOf(out, second, 1, 28), reportOf(in, second, 1, 28))
}

func TestARemovedOwnersTrafficIsReportedAtOnceAndLateReadersTrafficByTheSweep(t *testing.T) {
	var got []Report
	tab, e := numberedFlow(t, func(r Report) { got = append(got, r) }, 1000, 500)
	b := segment(ackFlag, 1000, 500, 100)
	hit(t, tab, b, 1)
	// A reader has found the flow and not yet forwarded its packet.
	f := arrived(segment(ackFlag, 1100, 500, 100), lan)
	k, _ := parse(&f)
	a := tab.arena.Load()
	late, ok := a.Find(k, a.Hash(k))
	if !ok {
		t.Fatal("the flow is not there")
	}
	tab.RemoveOwner(e.Owner, 7)
	e.End = 1100
	wantReports(t, &got, reportOf(e, 7, 1, 140))
	tab.numbers.at(uint32(late.Value)).advance(1200, 500)
	late.Entry.Add(140)
	tab.Sweep(9)
	e.End = 1200
	wantReports(t, &got, reportOf(e, 9, 1, 140))
	tab.Sweep(10)
	tab.Sweep(11)
	wantReports(t, &got)
}

func TestAReplacedFlowIsReportedAtOnceAsItWas(t *testing.T) {
	var got []Report
	tab := reporting(t, &got)
	e := entryFor(t, tab, espFrame(0), ownerA)
	insert(t, tab, e, 0)
	hit(t, tab, espFrame(0), 1)
	moved := e
	moved.Addr = frame.Addr{203, 0, 113, 9}
	insert(t, tab, moved, 2)
	wantReports(t, &got, reportOf(e, 2, 1, 52))
	moved.Addr[3]++ // and one that carried nothing is not
	insert(t, tab, moved, 3)
	tab.Sweep(4)
	wantReports(t, &got)
}

func TestCreditingAndRemovingAnOwnerOfFourFlowsAllocatesNothing(t *testing.T) {
	var packets uint64
	tab := open(t, Config{Active: func(r Report) { packets += r.Packets }})
	var came [][]byte
	var entries []Entry
	for i := range fewFlows {
		came = append(came, ipv4(inside, remote, frame.ProtoTCP, 64, tcp(uint16(40000+i), 443, ackFlag, 0)))
		e := entryFor(t, tab, came[i], ownerA)
		e.Numbered = true
		entries = append(entries, e)
	}
	batch := make([]frame.Frame, len(came))
	for i, b := range came {
		batch[i] = arrived(b, lan)
	}
	now, r := int64(0), tab.Reader()
	n := testing.AllocsPerRun(200, func() {
		for _, e := range entries {
			insert(t, tab, e, now)
		}
		for range 2 {
			refill(batch, came)
			if r.Process(batch, 1) != len(came) {
				t.Fatal("missed")
			}
			tab.Credit(ownerA, now)
		}
		refill(batch, came)
		r.Process(batch, 1)
		tab.RemoveOwner(ownerA, now)
		tab.Sweep(now)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	if packets != 201*3*fewFlows { // AllocsPerRun runs once more to warm up
		t.Errorf("%d packets reported, want %d", packets, 201*3*fewFlows)
	}
}

func TestAnOwnerOfManyFlowsIsCreditedWhole(t *testing.T) {
	var got []Report
	tab := reporting(t, &got)
	for i := range 3 * fewFlows {
		insert(t, tab, entryFor(t, tab, espFrame(i), ownerA), 0)
		hit(t, tab, espFrame(i), 1)
	}
	tab.Credit(ownerA, 2)
	seen := map[Key]bool{}
	for _, r := range got {
		seen[r.Key] = r.Packets == 1
	}
	if len(got) != 3*fewFlows || len(seen) != 3*fewFlows {
		t.Errorf("%d reports of %d flows, want %d", len(got), len(seen), 3*fewFlows)
	}
}

// ledger sums what Active is told.
type ledger struct{ packets, bytes [4]atomic.Uint64 }

func (l *ledger) active(r Report) {
	l.packets[r.Owner.ID].Add(r.Packets)
	l.bytes[r.Owner.ID].Add(r.Bytes)
}

// race is two ports that forward two numbered flows each, one owner each.
type race struct {
	tab     *Table
	frames  [4][]byte
	entries [4]Entry
	sent    [4]atomic.Uint64 // packets of each flow
	through [2]atomic.Uint64 // packets that each port is done with
	stop    atomic.Bool
}

func newRace(t *testing.T, active func(Report)) *race {
	r := &race{tab: open(t, Config{Active: active})}
	for i := range r.frames {
		r.frames[i] = ipv4(inside, remote, frame.ProtoTCP, 64, tcp(uint16(40000+i), 443, ackFlag, i))
		e := entryFor(t, r.tab, r.frames[i], Owner{Kind: OwnerConn, ID: uint64(i)})
		e.Numbered, e.Idle = true, time.Hour
		insert(t, r.tab, e, 0)
		r.entries[i] = e
	}
	return r
}

func (r *race) forward(t *testing.T, port int) {
	for n := range 20_000 {
		if i := n%2*2 + port; hit(t, r.tab, r.frames[i], 1) {
			r.sent[i].Add(1)
		}
		r.through[port].Add(1)
	}
}

// wait returns once each port is done with a packet more than *since, or all
// ports have finished.
func (r *race) wait(since *[2]uint64) {
	for port := range since {
		for r.through[port].Load() == since[port] && !r.stop.Load() {
			runtime.Gosched()
		}
	}
	for port := range since {
		since[port] = r.through[port].Load()
	}
}

// change takes two of the owners away and brings them back, and replaces the
// flow of a third.
func (r *race) change(n int) {
	i := n % 3
	if i < 2 {
		r.tab.RemoveOwner(r.entries[i].Owner, int64(n))
	}
	e := r.entries[i]
	e.Port += uint16(n)
	r.tab.Insert(e, r.tab.Epoch(), int64(n))
}

// Ports forward while everybody who may credit does so as fast as possible, and
// owners come and go: every packet is in one report.
func TestHoweverCreditsRaceEveryPacketIsReportedOnce(t *testing.T) {
	var l ledger
	r := newRace(t, l.active)
	var ports, credits sync.WaitGroup
	for port := range r.through {
		ports.Go(func() { r.forward(t, port) })
	}
	crediting := func(step func(n int)) {
		credits.Go(func() {
			for n := 0; !r.stop.Load(); n++ {
				step(n)
			}
		})
	}
	var swept, changed [2]uint64
	crediting(func(n int) {
		r.tab.Sweep(int64(n))
		swept = [2]uint64{r.through[0].Load(), r.through[1].Load()}
		r.wait(&swept) // the second between two sweeps is longer than a packet takes
	})
	crediting(func(n int) {
		r.change(n)
		if n > 20 { // more would fill the flows' buckets with resting slots
			r.wait(&changed)
		}
	})
	crediting(func(n int) { r.tab.Credit(r.entries[n%4].Owner, int64(n)) })
	crediting(func(n int) { r.tab.Credit(r.entries[n%3].Owner, int64(n)) })
	ports.Wait()
	r.stop.Store(true)
	credits.Wait()
	r.tab.Sweep(0)
	for i := range r.frames {
		want := r.sent[i].Load()
		if got := l.packets[i].Load(); got != want || want == 0 {
			t.Errorf("flow %d: %d packets reported, %d forwarded", i, got, want)
		}
		if got := l.bytes[i].Load(); got != want*uint64(40+i) {
			t.Errorf("flow %d: %d bytes reported, %d forwarded", i, got, want*uint64(40+i))
		}
	}
}

// When Credit returns, the owner knows the number of the last byte that was
// forwarded before, even if a Sweep on another goroutine has just counted it.
func TestAfterCreditTheOwnerKnowsTheLastNumber_VR17(t *testing.T) {
	var known atomic.Uint32
	tab, e := numberedFlow(t, func(r Report) {
		for was := known.Load(); int32(r.End-was) > 0 && !known.CompareAndSwap(was, r.End); {
			was = known.Load()
		}
	}, 0, 0)
	var stop atomic.Bool
	var sweeps sync.WaitGroup
	sweeps.Go(func() {
		for !stop.Load() {
			tab.Sweep(1)
		}
	})
	for n := range uint32(20_000) {
		if !hit(t, tab, segment(ackFlag, n, 0, 1), 1) {
			t.Fatal("not forwarded")
		}
		tab.Credit(e.Owner, 1)
		if got := known.Load(); got != n+1 {
			t.Fatalf("after Credit the owner knows %d, sent was %d", got, n+1)
		}
	}
	stop.Store(true)
	sweeps.Wait()
}
