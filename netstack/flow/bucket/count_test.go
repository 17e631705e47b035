package bucket

import "testing"

func TestACountThatWrapsIsExact(t *testing.T) {
	w := newWorld(t, Ways, seedOf(1))
	w.entry(0).count = ^uint64(0) - 5*onePacket - 1000 // left by the slot's flows before
	slot, _ := w.Insert(espKey(1), 0, 0, 1)
	if slot != 0 {
		w.entry(slot).count = w.entry(0).count
		w.shadows[slot].last = w.entry(0).count
	}
	f, _ := w.find(espKey(1))
	packets, bytes := uint64(0), uint64(0)
	for range 20 {
		f.Entry.Add(1500)
		p, b := w.Credit(slot)
		packets, bytes = packets+p, bytes+b
	}
	if packets != 20 || bytes != 30_000 {
		t.Errorf("%d packets, %d bytes, want 20 and 30000", packets, bytes)
	}
}

// A program in the kernel of a 32-bit machine adds half by half.
func TestHalfAnAdditionIsCreditedLater(t *testing.T) {
	w := newWorld(t, Ways, seedOf(1))
	slot, _ := w.Insert(espKey(1), 0, 0, 1)
	e := w.entry(slot)
	const lower = 0xffffffff
	for _, c := range []struct {
		name                string
		before, kept, fresh uint64
	}{
		{"the lower half is written", 5000, ^uint64(lower), lower},
		{"the lower half is written and the upper one lacks the carry", 1<<32 - 100, ^uint64(lower), lower},
		{"the upper half is written", 5000, lower, ^uint64(lower)},
	} {
		w.shadows[slot].last = c.before
		after := c.before + onePacket + 1000
		packets, bytes := uint64(0), uint64(0)
		for _, e.count = range []uint64{c.before, c.before&c.kept | after&c.fresh, after, after + onePacket + 60} {
			p, b := w.Credit(slot)
			packets, bytes = packets+p, bytes+b
		}
		if packets != 2 || bytes != 1060 {
			t.Errorf("%s: %d packets, %d bytes, want 2 and 1060", c.name, packets, bytes)
		}
	}
}
