package flow

// The flows of one owner form a ring through their records; the map holds any
// one of them. Most owners have two.

// RemoveOwner takes all flows of o out of the table. An Insert for o that was
// decided before is refused, so none comes back.
func (t *Table) RemoveOwner(o Owner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// Even if there is no flow: one may be on its way to Insert.
	t.epoch.Add(1)
	for i := t.owners[o]; i != 0; i = t.owners[o] {
		t.retireSlot(i)
	}
}

// own adds slot i to its owner's ring. Table.mu is held.
func (t *Table) own(i uint32) {
	r := &t.records[i]
	first := t.owners[r.owner]
	if first == 0 {
		r.prev, r.next = i, i
		t.owners[r.owner] = i
		return
	}
	last := t.records[first].prev
	r.prev, r.next = last, first
	t.records[last].next = i
	t.records[first].prev = i
}

// disown takes slot i out of its owner's ring. Table.mu is held.
func (t *Table) disown(i uint32) {
	r := &t.records[i]
	if r.next == i {
		delete(t.owners, r.owner)
		return
	}
	t.records[r.prev].next = r.next
	t.records[r.next].prev = r.prev
	if t.owners[r.owner] == i {
		t.owners[r.owner] = r.next
	}
}
