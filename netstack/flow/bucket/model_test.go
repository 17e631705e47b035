package bucket

import (
	"testing"

	"pgregory.net/rapid"
)

// model is what a table should be: a map, and the sums of what was added and
// credited for each insertion. Each insertion has an own number of its own.
type model struct {
	*Table
	live     map[Key]uint32 // own
	slots    map[uint32]uint32
	added    map[uint32][2]uint64
	credited map[uint32][2]uint64
	late     []held
	owns     uint32
}

// held is what a reader found and may still count for: until the second sweep
// after it was removed.
type held struct {
	entry *Entry
	own   uint32
	slot  uint32
}

func newModel(t *rapid.T, slots int) (m *model, release func()) {
	memory, err := Anonymous(slots)
	if err != nil {
		t.Fatal(err)
	}
	m = &model{
		live: map[Key]uint32{}, slots: map[uint32]uint32{},
		added: map[uint32][2]uint64{}, credited: map[uint32][2]uint64{},
	}
	m.Table, err = New(memory.Bytes(), Seed{rapid.Uint64().Draw(t, "seed"), 1}, func(own, from, to uint32) {
		if m.slots[own] != from || m.State(from) != Retired || m.State(to) != Live {
			t.Fatalf("own %d moved from %d to %d: it was in %d", own, from, to, m.slots[own])
		}
		m.slots[own] = to
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, func() { _, _ = m.Release(), memory.Release() }
}

func (m *model) draw(t *rapid.T) Key {
	return espKey(rapid.IntRange(0, int(m.Len())*3/2).Draw(t, "flow"))
}

func (m *model) insert(t *rapid.T) {
	k := m.draw(t)
	if _, known := m.live[k]; known {
		return
	}
	m.owns++
	slot, ok := m.Insert(k, Destination, uint64(m.owns)*3, m.owns)
	if !ok {
		return
	}
	m.live[k], m.slots[m.owns] = m.owns, slot
}

func (m *model) remove(t *rapid.T) {
	k := m.draw(t)
	own, known := m.live[k]
	slot, got, ok := m.Lookup(k)
	if ok != known || ok && (got != own || slot != m.slots[own]) {
		t.Fatalf("the writer finds own %d in %d, %t; want %d in %d", got, slot, ok, own, m.slots[own])
	}
	if known {
		m.Remove(slot)
		delete(m.live, k)
	}
}

// forward finds a flow and counts a packet, now or later.
func (m *model) forward(t *rapid.T) {
	k := m.draw(t)
	f, ok := m.Find(k, m.Hash(k))
	own, known := m.live[k]
	if ok != known || ok && (f.Value != uint64(own)*3 || f.Flags != Valid|Destination) {
		t.Fatalf("found %t, %+v; want %t, own %d", ok, f, known, own)
	}
	if !ok {
		return
	}
	m.add(t, f.Entry, own)
	m.late = append(m.late, held{f.Entry, own, m.slots[own]})
}

func (m *model) add(t *rapid.T, e *Entry, own uint32) {
	n := rapid.IntRange(20, 65535).Draw(t, "bytes")
	e.Add(n)
	a := m.added[own]
	m.added[own] = [2]uint64{a[0] + 1, a[1] + uint64(n)}
}

// forwardLate counts a packet for a flow that was found before: it may have moved
// or gone since.
func (m *model) forwardLate(t *rapid.T) {
	if len(m.late) != 0 {
		h := m.late[rapid.IntRange(0, len(m.late)-1).Draw(t, "late")]
		m.add(t, h.entry, h.own)
	}
}

func (m *model) credit(own uint32, packets, bytes uint64) {
	c := m.credited[own]
	m.credited[own] = [2]uint64{c[0] + packets, c[1] + bytes}
}

func (m *model) creditOne(t *rapid.T) {
	slot := rapid.Uint32Range(0, m.Len()-1).Draw(t, "slot")
	if m.State(slot) != Free {
		own := m.Own(slot)
		packets, bytes := m.Credit(slot)
		m.credit(own, packets, bytes)
	}
}

// sweep sweeps the whole table in slices.
func (m *model) sweep(t *rapid.T) {
	step := rapid.Uint32Range(1, m.Len()).Draw(t, "slice")
	free := map[uint32]bool{}
	for from := uint32(0); from < m.Len(); from += step {
		m.Sweep(from, from+step, func(slot, own uint32, packets, bytes uint64, s State) {
			m.credit(own, packets, bytes)
			if s != m.State(slot) {
				t.Fatalf("told %v, is %v", s, m.State(slot))
			}
			free[slot] = s == Free
		})
	}
	// A reader is done with what is free by now.
	kept := m.late[:0]
	for _, h := range m.late {
		if !free[h.slot] {
			kept = append(kept, h)
		}
	}
	m.late = kept
}

func (m *model) check(t *rapid.T) {
	resting := 0
	for slot := range m.Len() {
		if s := m.State(slot); s == Retired || s == Resting {
			resting++
		}
	}
	if s := m.Stats(); s.Live != len(m.live) || s.Resting != resting {
		t.Fatalf("%+v; want %d live, %d resting", s, len(m.live), resting)
	}
}

func TestATableIsAMapAndItsCountsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, release := newModel(t, Ways*rapid.IntRange(1, 6).Draw(t, "buckets"))
		defer release()
		t.Repeat(map[string]func(*rapid.T){
			"":            m.check,
			"insert":      m.insert,
			"insertMore":  m.insert,
			"remove":      m.remove,
			"forward":     m.forward,
			"forwardLate": m.forwardLate,
			"credit":      m.creditOne,
			"sweep":       m.sweep,
		})
		m.sweep(t)
		for own, want := range m.added {
			if m.credited[own] != want {
				t.Fatalf("own %d carried %v, credited are %v", own, want, m.credited[own])
			}
		}
	})
}
