package flow

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spigate/netstack/frame"
)

// espWith is an ESP packet with an SPI.
func espWith(spi uint32) []byte { return ipv4(inside, remote, frame.ProtoESP, 64, esp(spi, 32)) }

// manyEntries are n ESP flows with an owner for every two.
func manyEntries(t testing.TB, tab *Table, n int) []Entry {
	entries := make([]Entry, n)
	e := entryFor(t, tab, espWith(0), ownerA)
	for i := range entries {
		e.Key.ID, e.Owner.ID, e.Idle = uint32(1<<20+i), uint64(i/2), time.Hour
		entries[i] = e
	}
	return entries
}

func TestATableGrowsAndLosesNeitherAFlowNorAPacket(t *testing.T) {
	const flows = 20_000
	var told uint64
	tab := open(t, Config{Active: func(r Report) { told += r.Packets }})
	entries := manyEntries(t, tab, flows)
	before := tab.cur.Len()
	sent := uint64(0)
	batch := make([]frame.Frame, 1)
	r := tab.Reader()
	for i, e := range entries {
		if !tab.Insert(e, tab.Epoch(), 0) {
			continue // until there is room
		}
		for _, k := range []int{i, i / 2, i / 3} { // others may wait
			batch[0] = arrived(espWith(entries[k].Key.ID), lan)
			sent += uint64(r.Process(batch, 1))
		}
	}
	tab.Sweep(1)
	insertAll(t, tab, entries)
	for _, e := range entries {
		batch[0] = arrived(espWith(e.Key.ID), lan)
		if r.Process(batch, 1) != 1 {
			t.Fatalf("SPI %#x is not forwarded", e.Key.ID)
		}
	}
	tab.Sweep(2)
	if told != sent+flows || sent < 2*flows {
		t.Errorf("told of %d packets, sent %d", told, sent+flows)
	}
	if after := tab.cur.Len(); after < 16*before || len(tab.olds) != 0 || tab.next != nil {
		t.Errorf("%d slots became %d; %d old arenas", before, after, len(tab.olds))
	}
}

// growNow gives the table another arena.
func growNow(tab *Table) {
	tab.mu.Lock()
	tab.begin(2 * int(tab.cur.Len()))
	tab.mu.Unlock()
	tab.complete()
}

func TestWhatComesAndGoesWhileATableGrowsIsRightInBothArenas(t *testing.T) {
	tab := open(t, Config{})
	entries := manyEntries(t, tab, 50)
	for _, e := range entries[:40] {
		insert(t, tab, e, 0)
	}
	tab.Remove(entries[0].Key)
	for range restSweeps {
		tab.Sweep(0)
	}
	tab.begin(2 * int(tab.cur.Len()))
	tab.takeOver(10)
	insert(t, tab, entries[45], 0) // in the record of the first, which is taken over already
	tab.Remove(entries[5].Key)     // taken over
	tab.Remove(entries[38].Key)    // not yet
	if tab.next == nil {
		t.Fatal("the table has grown already: the test is wrong")
	}
	tab.complete()
	for i, e := range entries {
		want := i < 40 && i != 0 && i != 5 && i != 38 || i == 45
		if got := hit(t, tab, espWith(e.Key.ID), 1); got != want {
			t.Errorf("flow %d: forwarded is %v", i, got)
		}
	}
	tab.RemoveOwner(entries[45].Owner, 0)
	if hit(t, tab, espWith(entries[45].Key.ID), 1) {
		t.Error("a flow that came meanwhile cannot be removed")
	}
}

func TestAnOldArenaStaysUntilNoReaderIsInIt(t *testing.T) {
	var got []Report
	tab := reporting(t, &got)
	e := entryFor(t, tab, espFrame(0), ownerA)
	insert(t, tab, e, 0)
	r := tab.Reader()
	a := r.enter() // and there it stays
	k := e.Key.packed()
	late, ok := a.Find(k, a.Hash(k))
	if !ok {
		t.Fatal("the flow is not there")
	}
	growNow(tab)
	hit(t, tab, espFrame(0), 1) // by another reader, in the new arena
	for at := int64(1); at < 5; at++ {
		late.Entry.Add(52)
		tab.Sweep(at)
		n := uint64(1)
		if at == 1 {
			n++
		}
		var packets uint64
		for _, r := range got {
			packets += r.Packets
		}
		if packets != n || len(tab.olds) != 1 {
			t.Errorf("Sweep %d: told of %d packets, want %d; %d old arenas, want 1", at, packets, n, len(tab.olds))
		}
		got = nil
	}
	late.Entry.Add(52)
	tab.Credit(ownerA, 5)
	wantReports(t, &got, reportOf(e, 5, 1, 52))
	tab.RemoveOwner(ownerA, 6)
	if _, ok := a.Find(k, a.Hash(k)); ok {
		t.Error("a removed flow is found in the old arena")
	}
	late.Entry.Add(52)
	for at := int64(7); at < 12; at++ {
		tab.Sweep(at) // the record outlasts the arena
	}
	wantReports(t, &got, reportOf(e, 7, 1, 52))
	late.Entry.Add(52)
	r.in.Store(nil)
	tab.Sweep(12)
	wantReports(t, &got, reportOf(e, 12, 1, 52))
	if len(tab.olds) != 0 {
		t.Error("the old arena is still there")
	}
	for at := int64(13); at < 17; at++ {
		tab.Sweep(at)
	}
	if tab.free == 0 {
		t.Error("the flow's record is still in use")
	}
}

// colliding are n flows of one pair of the table's buckets.
func colliding(tab *Table, e Entry, n int) (entries []Entry) {
	buckets := uint64(tab.cur.Len() / 4)
	for spi := uint32(1); len(entries) < n; spi++ {
		e.Key.ID = spi
		h := tab.cur.Hash(e.Key.packed())
		if h&0xffffffff*buckets>>32 < 2 && h>>32*buckets>>32 < 2 {
			entries = append(entries, e)
		}
	}
	return entries
}

func TestFlowsThatFindNoPlaceMakeTheTableDrawAnotherSeed(t *testing.T) {
	tab := open(t, Config{Capacity: 100})
	entries := colliding(tab, entryFor(t, tab, espFrame(0), ownerA), 12)
	for range reseedSweeps {
		tab.Sweep(0)
	}
	refused := 0
	for _, e := range entries {
		if !tab.Insert(e, tab.Epoch(), 0) {
			refused++
		}
	}
	if refused < 4 {
		t.Fatalf("%d flows of one pair of buckets refused, want 4 at least: the test is wrong", refused)
	}
	tab.Sweep(0)
	for range 5 {
		tab.Sweep(0)
		for _, e := range entries {
			tab.Insert(e, tab.Epoch(), 0)
		}
	}
	for _, e := range entries {
		if !hit(t, tab, espWith(e.Key.ID), 1) {
			t.Errorf("SPI %#x is not forwarded", e.Key.ID)
		}
	}
}

func TestASmallTableGrowsAtOnceForAFlowThatFindsNoPlace(t *testing.T) {
	tab := open(t, Config{})
	for _, e := range colliding(tab, entryFor(t, tab, espFrame(0), ownerA), 12) {
		insert(t, tab, e, 0)
	}
}

// Ports forward while the table grows from 1,024 slots on, flows come and go,
// and Sweep runs all the time: every packet is told of once, and each has the
// rewrite of its own flow.
func TestWhileATableGrowsEveryPacketIsReportedOnce(t *testing.T) {
	const flows = 12_000
	var told atomic.Uint64
	tab := open(t, Config{Active: func(r Report) { told.Add(r.Packets) }})
	entries := manyEntries(t, tab, flows)
	for i := range entries {
		binary.BigEndian.PutUint32(entries[i].Addr[:], entries[i].Key.ID)
	}
	var known, sent atomic.Uint64
	var turns [2]atomic.Uint64
	var stop atomic.Bool
	var ports, sweeps sync.WaitGroup
	for port := range turns {
		ports.Go(func() { sent.Add(forwardKnown(t, tab, entries, port, &known, &turns[port], &stop)) })
	}
	sweeps.Go(func() {
		for !stop.Load() {
			tab.Sweep(1)
			turn(&turns, &stop) // the second between two sweeps is longer than a batch takes
		}
	})
	for i, e := range entries {
		tab.Insert(e, tab.Epoch(), 1)
		known.Store(uint64(i))
		if i%100 == 99 {
			tab.RemoveOwner(entries[i/2].Owner, 1)
		}
		if i%600 == 599 { // on a busy machine the ports would not run at all
			turn(&turns, &stop)
		}
	}
	stop.Store(true)
	ports.Wait()
	sweeps.Wait()
	tab.Sweep(1)
	if told.Load() != sent.Load() || told.Load() == 0 {
		t.Errorf("told of %d packets, sent %d", told.Load(), sent.Load())
	}
	if tab.Sweep(1); len(tab.olds) != 0 || tab.cur.Len() < 16*firstSlots {
		t.Errorf("%d old arenas, %d slots", len(tab.olds), tab.cur.Len())
	}
}

// turn waits until each port has done a batch more, or all have stopped.
func turn(turns *[2]atomic.Uint64, stop *atomic.Bool) {
	for port := range turns {
		for seen := turns[port].Load(); turns[port].Load() == seen && !stop.Load(); {
			runtime.Gosched()
		}
	}
}

// forwardKnown is one of two ports: it has every second flow of those that are
// known, counts its batches, and returns how many packets it forwarded.
func forwardKnown(t *testing.T, tab *Table, entries []Entry, port int, known, turns *atomic.Uint64, stop *atomic.Bool) (sent uint64) {
	r := tab.Reader()
	defer r.Close()
	batch := make([]frame.Frame, frame.Batch)
	for at := port; !stop.Load(); {
		for i := range batch {
			at += 2
			if uint64(at) >= known.Load() {
				at = port
			}
			batch[i] = arrived(espWith(entries[at].Key.ID), lan)
		}
		sent += uint64(r.Process(batch, 1))
		turns.Add(1)
		for i := range batch {
			if b := batch[i].Bytes(); batch[i].Out != 0 && string(b[26:30]) != string(b[34:38]) {
				t.Errorf("SPI % x has the rewrite % x", b[34:38], b[26:30])
			}
		}
	}
	return sent
}

// A session has two flows. What docs/size.md says of their memory is held here.
func TestTheMemoryOfASession(t *testing.T) {
	const sessions = 500_000
	tab := open(t, Config{Capacity: 2 * sessions})
	tab.begin(tab.maxSlots)
	tab.complete()
	const shadow = 16
	n := (len(tab.cur.memory.Bytes()) + shadow*int(tab.cur.Len())) / sessions
	t.Logf("%d bytes off the heap for two entries and their shadow, with %d flows", n, 2*sessions)
	if n > 160 {
		t.Errorf("%d bytes for a session's entries and their shadow, want 160 at most", n)
	}
}

func TestTheMemoryOfAFlowOnTheHeap(t *testing.T) {
	const flows = 50_000
	tab := open(t, Config{Capacity: 2 * flows})
	entries := manyEntries(t, tab, flows)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	insertAll(t, tab, entries)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(entries)
	n := int(after.HeapAlloc-before.HeapAlloc) / flows
	t.Logf("%d bytes on the heap for a flow of a session of two", n)
	if n > 130 {
		t.Errorf("%d bytes on the heap for a flow, want 130 at most", n)
	}
}
