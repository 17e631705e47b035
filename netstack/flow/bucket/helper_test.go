package bucket

import (
	"math/rand/v2"
	"syscall"
	"testing"
)

// world is a table with its arena, and what moved told.
type world struct {
	*Table
	memory *Memory
	moves  [][3]uint32 // own, from, to
}

func newWorld(t testing.TB, slots int, seed Seed) *world {
	t.Helper()
	memory, err := Anonymous(slots)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{memory: memory}
	w.Table, err = New(memory.Bytes(), seed, func(own, from, to uint32) {
		w.moves = append(w.moves, [3]uint32{own, from, to})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Release(); err != nil {
			t.Error(err)
		}
		if err := memory.Release(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// seedOf draws a seed that is the same in every run.
func seedOf(n uint64) Seed {
	r := rand.New(rand.NewPCG(n, 1))
	return Seed{r.Uint64(), r.Uint64()}
}

// espKey is the i-th SPI between one pair of addresses.
func espKey(i int) Key { return MakeKey(0x0100a8c0_0a0200c6, uint32(0x10000+i), 50, 1) }

// find is Hash and Find.
func (w *world) find(k Key) (Found, bool) { return w.Find(k, w.Hash(k)) }

// sweepAll sweeps the whole table and sums what it told of each own.
func (w *world) sweepAll() map[uint32][2]uint64 {
	sums := map[uint32][2]uint64{}
	w.Sweep(0, w.Len(), func(_, own uint32, packets, bytes uint64, _ State) {
		s := sums[own]
		sums[own] = [2]uint64{s[0] + packets, s[1] + bytes}
	})
	return sums
}

// smallPages takes the huge pages away from memory that nobody has touched.
func smallPages(t testing.TB, m *Memory) {
	t.Helper()
	if err := syscall.Madvise(m.bytes, syscall.MADV_NOHUGEPAGE); err != nil {
		t.Fatal(err)
	}
}
