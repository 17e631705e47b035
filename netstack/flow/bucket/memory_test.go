package bucket

import (
	"bytes"
	"testing"
	"unsafe"
)

func TestAnArenaIsZeroedAndAligned(t *testing.T) {
	for _, slots := range []int{Ways, 6, 1000, 65536, 200_000} {
		m, err := Anonymous(slots)
		if err != nil {
			t.Fatal(err)
		}
		b := m.Bytes()
		want := (slots + Ways - 1) / Ways * Size
		if len(b) != want || cap(b) != want || bytes.Count(b, []byte{0}) != want {
			t.Errorf("%d slots: %d bytes, want %d of zero", slots, len(b), want)
		}
		align := uintptr(Size)
		if want >= hugePage {
			align = hugePage
		}
		if uintptr(unsafe.Pointer(&b[0]))%align != 0 {
			t.Errorf("%d slots: %p is not aligned to %d", slots, &b[0], align)
		}
		b[0], b[want-1] = 1, 1
		for range 2 { // the second time does nothing
			if err := m.Release(); err != nil || m.Bytes() != nil {
				t.Errorf("released: %v, %d bytes left", err, len(m.Bytes()))
			}
		}
	}
}

func TestWhatIsNoArenaIsRefused(t *testing.T) {
	for _, slots := range []int{-1, 0, Ways - 1, MaxSlots + 1} {
		if _, err := Anonymous(slots); err == nil {
			t.Errorf("an arena of %d slots", slots)
		}
	}
	m, err := Anonymous(1000)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Release() }()
	b := m.Bytes()
	for name, mem := range map[string][]byte{
		"nothing": nil, "half a bucket": b[:Size/2], "a bucket and a half": b[:Size+Size/2], "not aligned": b[64 : 64+Size],
	} {
		if _, err := New(mem, Seed{}, nil); err == nil {
			t.Errorf("a table over %s", name)
		}
	}
}

// One NAT session is two flows.
func TestASessionTakes160BytesOffTheHeap(t *testing.T) {
	for _, sessions := range []int{1000, 100_000, 1_000_000} {
		if each := Slots(2*sessions) * (EntrySize + shadowSize) / sessions; each > 160 {
			t.Errorf("%d sessions: %d bytes each", sessions, each)
		}
	}
	if Slots(0) != Ways || Slots(1<<31-1) > MaxSlots {
		t.Errorf("the least is %d slots, the most %d", Slots(0), Slots(1<<31-1))
	}
}

func TestHitsAndChangesAllocateNothing(t *testing.T) {
	w := newWorld(t, 4096, seedOf(1))
	w.moves = make([][3]uint32, 0, 1<<16)
	var keys [batch]Key
	var hashes [batch]uint64
	n := 0
	allocs := testing.AllocsPerRun(100, func() {
		for i := range keys {
			n++
			keys[i] = espKey(n)
			w.Insert(keys[i], 0, 1, 2)
		}
		w.Seek(keys[:], hashes[:])
		for i, k := range keys {
			if f, ok := w.Find(k, hashes[i]); ok {
				f.Entry.Add(100)
			}
			if slot, _, ok := w.Lookup(k); ok {
				w.Remove(slot)
			}
		}
		w.Sweep(0, w.Len(), func(uint32, uint32, uint64, uint64, State) {})
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
