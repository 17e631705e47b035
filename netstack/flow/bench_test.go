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
	tab := New(Config{})
	f := kinds(100)[kind]
	e := entryFor(b, tab, f, ownerA)
	e.Numbered = numbered
	insert(b, tab, e, 0)
	batch, came := batchOf(f)
	isTCP, seq := kind == "TCP", uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		refill(batch, came)
		for i := range batch {
			if isTCP {
				seq += 100
				binary.BigEndian.PutUint32(batch[i].Bytes()[38:], seq)
			}
		}
		if tab.Process(batch, 1) != len(batch) {
			b.Fatal("missed")
		}
	}
	perPacket(b)
}

// BenchmarkMiss: what a packet for the stack pays here.
func BenchmarkMiss(b *testing.B) {
	tab := New(Config{})
	batch, came := batchOf(kinds(100)["ESP"])
	for b.Loop() {
		refill(batch, came)
		if tab.Process(batch, 1) != 0 {
			b.Fatal("hit")
		}
	}
	perPacket(b)
}

// fill inserts n ESP flows whose SPIs are 1<<20 and up.
func fill(b *testing.B, n int) *Table {
	tab := New(Config{Capacity: n})
	e := entryFor(b, tab, espFrame(0), ownerA)
	for i := range n {
		e.Key.ID = uint32(1<<20 + i)
		e.Owner.ID = uint64(i)
		insert(b, tab, e, 0)
	}
	return tab
}

// BenchmarkProcess: ESP in random order over many flows, batches of 64.
func BenchmarkProcess(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("%d flows", n), func(b *testing.B) {
			tab := fill(b, n)
			batch, came := batchOf(espFrame(0))
			spis := make([]uint32, 1<<20)
			for i := range spis {
				spis[i] = uint32(1<<20 + rand.IntN(n))
			}
			b.ReportAllocs()
			at := 0
			for b.Loop() {
				refill(batch, came)
				for i := range batch {
					binary.BigEndian.PutUint32(batch[i].Bytes()[34:], spis[at])
					at = (at + 1) & (1<<20 - 1)
				}
				if tab.Process(batch, 1) != len(batch) {
					b.Fatal("missed")
				}
			}
			perPacket(b)
		})
	}
}

// BenchmarkPortsWhileFlowsComeAndGo: two ports forward while a third
// goroutine inserts and removes as fast as it can.
func BenchmarkPortsWhileFlowsComeAndGo(b *testing.B) {
	tab := fill(b, 1000)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		e := entryFor(b, tab, espFrame(0), ownerB)
		for now := int64(0); ; now++ {
			select {
			case <-stop:
				return
			default:
			}
			tab.Remove(e.Key)
			tab.Insert(e, tab.Epoch(), 0)
			if now%64 == 0 {
				tab.Sweep(0)
			}
		}
	})
	b.RunParallel(func(pb *testing.PB) {
		f := espFrame(0)
		binary.BigEndian.PutUint32(f[34:], uint32(1<<20+rand.IntN(1000)))
		batch, came := batchOf(f)
		for pb.Next() {
			refill(batch, came)
			tab.Process(batch, 1)
		}
	})
	perPacket(b)
	close(stop)
	wg.Wait()
}

func BenchmarkInsertAndRemove(b *testing.B) {
	tab := New(Config{})
	e := entryFor(b, tab, espFrame(0), ownerA)
	now := int64(0)
	for b.Loop() {
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
	tab := New(Config{Active: func(Report) {}})
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
