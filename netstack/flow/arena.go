package flow

import (
	"math/rand/v2"
	"slices"

	"spigate/netstack/flow/bucket"
)

// arena is one bucket table with its memory. There is one that readers look
// flows up in (Table.cur); while it grows, or gets another seed, there is one
// that is being filled (Table.next); and there are those that a reader may
// still be in (Table.olds).
type arena struct {
	*bucket.Table
	memory *bucket.Memory
	swept  func(slot, own uint32, packets, bytes uint64, s bucket.State)
}

const (
	// firstSlots is what a table begins with.
	firstSlots = 1024
	// copySlice is how many records one Insert takes over into the next arena:
	// it is full of half of its slots before they run out.
	copySlice = 16
	// hurrySlots are taken over in a fraction of a millisecond.
	hurrySlots = 8192
	// reseedSweeps is how many Sweeps lie between two seeds at least.
	reseedSweeps = 60
)

// newArena makes an empty arena. moved is called under Table.mu.
func (t *Table) newArena(slots int) *arena {
	memory, err := bucket.Anonymous(slots)
	if err != nil {
		return nil // there is no memory: who waits for a place is refused
	}
	a := &arena{memory: memory}
	a.Table, err = bucket.New(memory.Bytes(), bucket.Seed{rand.Uint64(), rand.Uint64()}, func(own, from, to uint32) {
		t.moved(a, own, from, to)
	})
	if err != nil {
		_ = memory.Release() // as above
		return nil
	}
	a.swept = func(slot, own uint32, packets, bytes uint64, _ bucket.State) {
		if packets != 0 {
			t.carried(a, slot, own, packets, bytes)
		}
	}
	return a
}

// release gives the memory back. Nobody is in it any more.
func (a *arena) release() {
	// There is nothing that could be done about memory that the kernel does not
	// take back.
	_ = a.Release()
	_ = a.memory.Release()
}

// moved is told that a flow has another slot. What it counted in the old one
// so far is credited now; a late packet the Sweep credits.
func (t *Table) moved(a *arena, own, from, to uint32) {
	r := t.record(own)
	if a == t.next {
		r.slots[t.parity^1] = to
		return
	}
	r.slots[t.parity] = to
	if packets, bytes := a.Credit(from); packets != 0 {
		t.credit(r, packets, bytes)
		t.pending = append(t.pending, t.report(a, from, r, packets, bytes))
	}
}

// crowded reports whether more flows need more slots than there are.
func (t *Table) crowded() bool {
	s := t.cur.Stats()
	return int(t.cur.Len()) < t.maxSlots && uint32(s.Live+s.Resting) > t.cur.Len()/2
}

// grow makes the next arena if one is needed. Table.mu is held.
func (t *Table) grow() {
	if t.next != nil || !t.crowded() {
		return
	}
	t.begin(min(2*int(t.cur.Len()), t.maxSlots))
}

// hurry makes room at once for a flow that found no place, if the table may grow
// and is still so small that nobody waits long for it. A large one does not grow
// for the few that wait two Sweeps for room. It reports whether there is more room
// now. Table.mu is held.
func (t *Table) hurry() bool {
	slots := int(t.cur.Len())
	if slots >= t.maxSlots || slots > hurrySlots {
		return false
	}
	if t.next == nil {
		t.begin(min(2*slots, t.maxSlots))
	}
	t.takeOver(t.fresh)
	return int(t.cur.Len()) > slots
}

// begin makes the next arena. Table.mu is held.
func (t *Table) begin(slots int) {
	t.next, t.copied = t.newArena(slots), 1
}

// takeOver copies the flows of n more records into the next arena, and puts
// that in the place of the current one when it is complete. Table.mu is held.
func (t *Table) takeOver(n uint32) {
	for ; t.next != nil && n > 0; n-- {
		if t.copied == t.fresh {
			t.swap()
			return
		}
		if r := t.record(t.copied); r.state == stateLive && !t.doubled(r) {
			t.double(t.copied, r)
		}
		t.copied++
	}
}

// doubled reports whether a flow is in the next arena already. Table.mu is held.
func (t *Table) doubled(r *record) bool {
	_, _, ok := t.next.Lookup(t.cur.Key(r.slots[t.parity]))
	return ok
}

// double writes a flow of the current arena into the next one, too. Where it
// finds no place the next one is given up. Table.mu is held.
func (t *Table) double(i uint32, r *record) {
	a, slot := t.cur, r.slots[t.parity]
	twin, ok := t.next.Fill(a.Key(slot), a.Flags(slot), a.Value(slot), i)
	if ok {
		r.slots[t.parity^1] = twin
		return
	}
	t.next.release() // another seed, later, has more luck
	t.next = nil
}

// swap puts the next arena in the place of the current one. Readers that are in
// that one end their batch there; what they counted is credited by Sweep.
// Table.mu is held.
func (t *Table) swap() {
	t.olds = append(t.olds, t.cur)
	t.cur, t.next, t.parity = t.next, nil, t.parity^1
	t.arena.Store(t.cur)
}

// complete takes all flows over into the next arena, if there is one.
func (t *Table) complete() {
	for more := true; more; {
		t.mu.Lock()
		t.takeOver(sweepSlice)
		more = t.next != nil
		t.mu.Unlock()
	}
}

// sweepArenas credits all that was counted in any arena and unmaps those that
// nobody is in any more. It reports whether another has become the current one in
// the meantime: that was not swept.
func (t *Table) sweepArenas(now int64) (again bool) {
	t.mu.Lock()
	t.all, t.left = append(t.all[:0], t.olds...), t.left[:0]
	for _, a := range t.olds {
		if !t.inUse(a) { // and nobody enters it again
			t.left = append(t.left, a)
		}
	}
	cur := t.cur
	t.mu.Unlock()
	if cur == nil {
		return false
	}
	t.all = append(t.all, cur)
	for _, a := range t.all {
		for from, more := uint32(0), true; more; from += sweepSlice {
			more = t.sweepSlots(a, from, now)
			t.tell(t.reports)
		}
	}
	return t.unmap(cur)
}

// sweepSlots handles one slice, leaves its reports in t.reports, and reports
// whether there are slots behind it.
func (t *Table) sweepSlots(a *arena, from uint32, now int64) (more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now, t.reports = now, t.reports[:0]
	if t.cur == nil {
		return false // closed
	}
	to := min(from+sweepSlice, a.Len())
	if a == t.cur {
		a.Sweep(from, to, a.swept)
		return to < a.Len()
	}
	// No slot of an old arena becomes free: a reader may be there for long.
	for slot := from; slot < to; slot++ {
		if s := a.State(slot); s != bucket.Free {
			packets, bytes := a.Credit(slot)
			a.swept(slot, a.Own(slot), packets, bytes, s)
		}
	}
	return to < a.Len()
}

// carried credits what was counted in a slot. Table.mu is held.
func (t *Table) carried(a *arena, slot, own uint32, packets, bytes uint64) {
	r := t.record(own)
	t.credit(r, packets, bytes)
	t.reports = append(t.reports, carried{Report: t.report(a, slot, r, packets, bytes)})
}

// unmap gives the memory of old arenas back that nobody was in before their last
// packets were credited. It reports whether cur is not the current one any more.
func (t *Table) unmap(cur *arena) (another bool) {
	t.mu.Lock()
	open := t.cur != nil // else Close has done it
	another = open && t.cur != cur
	t.olds = slices.DeleteFunc(t.olds, func(a *arena) bool { return slices.Contains(t.left, a) })
	t.mu.Unlock()
	for _, a := range t.left {
		if open {
			a.release()
		}
	}
	clear(t.left)
	clear(t.all)
	return another
}

// endSweep draws a new seed if flows found no place although there is room: by
// chance, or because somebody found out about the old one. And it asks the
// back-end for packets that are due.
func (t *Table) endSweep(now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cur == nil {
		return
	}
	t.punt(now)
	failed := t.cur.Stats().Failed
	if failed > t.failed && t.next == nil && t.sweeps >= t.reseeded+reseedSweeps {
		t.reseeded = t.sweeps
		t.begin(int(t.cur.Len()))
	}
	t.failed = failed
}
