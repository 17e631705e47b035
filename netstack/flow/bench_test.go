package flow

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"spigate/netstack/frame"
)

// refill copies the frames of came into batch and forgets where they went.
func refill(batch []frame.Frame, came [][]byte) {
	for i, b := range came {
		copy(batch[i].Bytes(), b[:54])
		batch[i].Out = 0
	}
}

func batchOf(b []byte) (batch []frame.Frame, came [][]byte) {
	for range frame.Batch {
		batch = append(batch, arrived(b, lan))
		came = append(came, b)
	}
	return batch, came
}

// perPacket turns the time of a batch into the time of a packet.
func perPacket(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/frame.Batch, "ns/packet")
}

// BenchmarkHit: one flow, batches of 64, the packet's refill included. Each
// packet of TCP carries the next 100 bytes, so a numbered flow's numbers move.
func BenchmarkHit(b *testing.B) {
	for _, kind := range []string{"ESP", "UDP", "UDP without sum", "TCP", "ICMP"} {
		b.Run(kind, func(b *testing.B) { hitting(b, kind, false) })
	}
	b.Run("TCP numbered", func(b *testing.B) { hitting(b, "TCP", true) })
}

func hitting(b *testing.B, kind string, numbered bool) {
	tab := open(b, Config{})
	f := kinds(100)[kind]
	e := entryFor(b, tab, f, ownerA)
	e.Numbered = numbered
	insert(b, tab, e, 0)
	batch, came := batchOf(f)
	isTCP, seq := kind == "TCP", uint32(0)
	r := tab.Reader()
	b.ReportAllocs()
	for b.Loop() {
		refill(batch, came)
		for i := range batch {
			if isTCP {
				seq += 100
				binary.BigEndian.PutUint32(batch[i].Bytes()[38:], seq)
			}
		}
		if r.Process(batch, 1) != len(batch) {
			b.Fatal("missed")
		}
	}
	perPacket(b)
}

// BenchmarkMiss: what a packet for the stack pays here.
func BenchmarkMiss(b *testing.B) {
	r := open(b, Config{}).Reader()
	batch, came := batchOf(kinds(100)["ESP"])
	for b.Loop() {
		refill(batch, came)
		if r.Process(batch, 1) != 0 {
			b.Fatal("hit")
		}
	}
	perPacket(b)
}

// insertAll inserts, again after two Sweeps where room had to be made.
func insertAll(t testing.TB, tab *Table, entries []Entry) {
	t.Helper()
	for range 5 {
		var again []Entry
		for _, e := range entries {
			if !tab.Insert(e, tab.Epoch(), 0) {
				again = append(again, e)
			}
		}
		if entries = again; len(entries) == 0 {
			return
		}
		tab.Sweep(0)
		tab.Sweep(0)
	}
	t.Fatalf("%d flows found no place: %+v", len(entries), tab.Stats())
}

// fill inserts n ESP flows whose SPIs are 1<<20 and up.
func fill(t testing.TB, n int) *Table {
	tab := open(t, Config{Capacity: n + n/16}) // when it is quite full a few of a million find no place
	entries := make([]Entry, n)
	for i := range entries {
		e := entryFor(t, tab, espFrame(0), ownerA)
		e.Key.ID = uint32(1<<20 + i)
		e.Owner.ID = uint64(i / 2)
		e.Idle = time.Hour
		entries[i] = e
	}
	insertAll(t, tab, entries)
	return tab
}

// BenchmarkProcess: ESP in random order over many flows, batches of 64. The
// refill alone is what of it is not the table's.
func BenchmarkProcess(b *testing.B) {
	b.Run("refill alone", func(b *testing.B) { processing(b, 1000, func(*Reader, []frame.Frame) int { return frame.Batch }) })
	for _, n := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("%d flows", n), func(b *testing.B) {
			processing(b, n, func(r *Reader, batch []frame.Frame) int { return r.Process(batch, 1) })
		})
	}
}

func processing(b *testing.B, n int, process func(r *Reader, batch []frame.Frame) int) {
	tab := fill(b, n)
	batch, came := batchOf(espFrame(0))
	spis := make([]uint32, 1<<20)
	for i := range spis {
		spis[i] = uint32(1<<20 + rand.IntN(n))
	}
	r := tab.Reader()
	b.ReportAllocs()
	at := 0
	for b.Loop() {
		refill(batch, came)
		for i := range batch {
			binary.BigEndian.PutUint32(batch[i].Bytes()[34:], spis[at])
			at = (at + 1) & (1<<20 - 1)
		}
		if process(r, batch) != len(batch) {
			b.Fatal("missed")
		}
	}
	perPacket(b)
}

// BenchmarkPortsWhileFlowsComeAndGo: ports forward, each its own flow, while
// another goroutine inserts and removes as fast as it can.
func BenchmarkPortsWhileFlowsComeAndGo(b *testing.B) {
	tab := fill(b, 1000)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		e := entryFor(b, tab, espFrame(0), ownerB)
		for {
			select {
			case <-stop:
				return
			default:
			}
			tab.Remove(e.Key)
			if !tab.Insert(e, tab.Epoch(), 0) {
				tab.Sweep(0)
			}
		}
	})
	b.RunParallel(func(pb *testing.PB) {
		f := espFrame(0)
		binary.BigEndian.PutUint32(f[34:], uint32(1<<20+rand.IntN(1000)))
		batch, came := batchOf(f)
		r := tab.Reader()
		defer r.Close()
		for pb.Next() {
			refill(batch, came)
			r.Process(batch, 1)
		}
	})
	perPacket(b)
	close(stop)
	wg.Wait()
}

func BenchmarkInsertAndRemove(b *testing.B) {
	tab := open(b, Config{})
	e := entryFor(b, tab, espFrame(0), ownerA)
	now := int64(0)
	for b.Loop() {
		e.Key.ID++
		if !tab.Insert(e, tab.Epoch(), now) {
			tab.Sweep(now)
			continue
		}
		tab.RemoveOwner(ownerA, now)
		now++
	}
}

// BenchmarkCredit: what the slow path's packet of a connection pays here.
func BenchmarkCredit(b *testing.B) {
	tab := open(b, Config{Active: func(Report) {}})
	for _, f := range [][]byte{kinds(10)["TCP"], kinds(10)["UDP"]} {
		e := entryFor(b, tab, f, ownerA)
		e.Numbered = true
		insert(b, tab, e, 0)
	}
	b.ReportAllocs()
	for b.Loop() {
		tab.Credit(ownerA, 1)
	}
}

// BenchmarkSweep: a million flows, none active.
func BenchmarkSweep(b *testing.B) {
	tab := fill(b, 1_000_000)
	for b.Loop() {
		tab.Sweep(int64(time.Second))
	}
}
