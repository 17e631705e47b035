package bucket

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

// identities are the flows that follow each other in one slot.
const identities = 8

func churnKey(i int) Key      { return MakeKey(uint64(i)*0x0101010101010101, uint32(i), 50, 1) }
func churnValue(i int) uint64 { return uint64(i+1) * 0x1111111111111111 }
func churnFlags(i int) uint32 { return uint32(i) & Destination }
func (w *world) reuse(i int)  { w.publish(0, churnKey(i), churnFlags(i), churnValue(i), uint32(i)) }
func (w *world) reuseAtOnce() { w.Remove(0); w.shadows[0].state = Free; w.stats.Resting-- }

// findUnguarded is Find without the guard.
func (t *Table) findUnguarded(k Key, h uint64) (Found, bool) {
	b := unsafe.Add(t.base, uintptr(first(h, t.buckets)*Size))
	at := place(differs(b, 0, k), differs(b, 1, k), differs(b, 2, k), differs(b, 3, k))
	if at == Size {
		return Found{}, false
	}
	e := (*Entry)(unsafe.Add(b, at))
	return Found{e, peekWord(&e.value), uint32(peekWord(e.rest())>>tagShift) & flagMask}, true
}

// churn looks up with find while a writer on another core puts one flow after the
// other into the same slot, which never rests. It stops after that many look-ups,
// or with the first wrong one.
func churn(t *testing.T, find func(*Table, Key, uint64) (Found, bool), lookups int) (hits, wrong int) {
	t.Helper()
	w := newWorld(t, Ways, seedOf(3))
	w.reuse(0)
	var stop atomic.Bool
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 1; !stop.Load(); n++ {
			w.reuseAtOnce()
			w.reuse(n % identities)
		}
	})
	for n := 0; n < lookups && wrong == 0; n++ {
		i := n % identities
		f, ok := find(w.Table, churnKey(i), w.Hash(churnKey(i)))
		if !ok {
			continue
		}
		hits++
		if f.Value != churnValue(i) || f.Flags&^Valid != churnFlags(i) {
			wrong++
		}
	}
	stop.Store(true)
	writer.Wait()
	return hits, wrong
}

func TestASlotReusedAtOnceNeverGivesAnothersRewrite(t *testing.T) {
	hits, wrong := churn(t, (*Table).Find, 5_000_000)
	t.Logf("%d hits", hits)
	if hits == 0 || wrong != 0 {
		t.Errorf("%d hits, %d wrong", hits, wrong)
	}
}

// It is the guard that does it: without it the same churn gives wrong rewrites.
func TestWithoutTheGuardASlotReusedAtOnceGivesAnothersRewrite(t *testing.T) {
	hits, wrong := churn(t, (*Table).findUnguarded, 100_000_000)
	t.Logf("%d hits, %d wrong", hits, wrong)
	// On one core the two only meet where the scheduler stops a reader.
	if wrong == 0 && runtime.NumCPU() > 1 {
		t.Errorf("%d hits, none wrong: this churn cannot show that the guard works", hits)
	}
}

// exact is a reader that counts what it adds, and a writer that inserts, moves,
// removes and sweeps meanwhile.
type exact struct {
	*world
	added    [512]uint64 // packets by key, the reader's
	credited [512]uint64 // by key = own, the writer's
	rounds   atomic.Uint64
	stop     atomic.Bool
}

func (x *exact) read() {
	var keys [batch]Key
	var hashes [batch]uint64
	for n := 0; !x.stop.Load(); n++ {
		for i := range keys {
			keys[i] = churnKey((n*37 + i*11) % len(x.added))
		}
		x.Seek(keys[:], hashes[:])
		for i, k := range keys {
			if f, ok := x.Find(k, hashes[i]); ok {
				f.Entry.Add(100)
				x.added[k.ID()]++
			}
		}
		x.rounds.Add(1)
	}
}

// rest waits until the reader has finished what it was at: between two sweeps of
// a slot a batch always ends.
func (x *exact) rest() {
	for seen := x.rounds.Load(); x.rounds.Load() < seen+2; {
		runtime.Gosched()
	}
}

func (x *exact) sweep(t *testing.T) {
	x.rest()
	x.Sweep(0, x.Len(), func(_, own uint32, packets, bytes uint64, _ State) {
		x.credited[own] += packets
		if bytes != packets*100 {
			t.Errorf("%d packets have %d bytes", packets, bytes)
		}
	})
}

func TestNoPacketIsLostOrCountedTwiceWhileFlowsMove(t *testing.T) {
	x := &exact{world: newWorld(t, 640, seedOf(4))}
	var reader sync.WaitGroup
	reader.Go(x.read)
	for n := range 20_000 {
		i := n * 7 % len(x.added)
		if slot, _, ok := x.Lookup(churnKey(i)); ok && n%5 == 0 {
			x.Remove(slot)
		} else if !ok {
			x.Insert(churnKey(i), 0, churnValue(i), uint32(i))
		}
		if n%len(x.added) == 0 {
			x.sweep(t)
		}
	}
	x.stop.Store(true)
	reader.Wait()
	x.Sweep(0, x.Len(), func(_, own uint32, packets, _ uint64, _ State) { x.credited[own] += packets })
	if x.Stats().Moved == 0 {
		t.Error("no flow was moved: the table is too empty for this test")
	}
	for i, n := range x.added {
		if x.credited[i] != n {
			t.Errorf("flow %d carried %d packets, %d are credited", i, n, x.credited[i])
		}
	}
}
