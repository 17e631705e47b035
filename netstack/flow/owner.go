package flow

// The flows of one owner form a ring through their records; the map holds any
// one of them. Most owners have two.

// fewFlows is how many flows of an owner are reported without an allocation.
const fewFlows = 4

// Credit reports what the flows of o carried since they were last reported, as
// Sweep would, but at once. Another goroutine may have counted some of it just
// now and not have told it yet; so a Numbered flow is reported even with zero
// packets, and when Credit returns, the numbers of all that was forwarded before
// were told. now is monotonic nanoseconds. Any number of goroutines may call it,
// and Active may.
func (t *Table) Credit(o Owner, now int64) {
	var few [fewFlows]Report
	t.mu.Lock()
	reports := t.creditOwner(o, now, few[:0])
	t.mu.Unlock()
	t.tell(reports)
}

// RemoveOwner takes all flows of o out of the table and reports what they
// carried, like Credit. An Insert for o that was decided before is refused, so
// none comes back. A reader may be just about to forward another packet or two:
// those the next Sweep reports. now is monotonic nanoseconds.
func (t *Table) RemoveOwner(o Owner, now int64) {
	var few [fewFlows]Report
	t.mu.Lock()
	// Even if there is no flow: one may be on its way to Insert.
	t.epoch.Add(1)
	reports := t.creditOwner(o, now, few[:0])
	for i := t.owners[o]; i != 0; i = t.owners[o] {
		t.retireSlot(i)
	}
	t.mu.Unlock()
	t.tell(reports)
}

// creditOwner credits the flows of o and appends their reports. Table.mu is
// held.
func (t *Table) creditOwner(o Owner, now int64, reports []Report) []Report {
	first := t.owners[o]
	for i := first; i != 0; {
		packets, bytes := t.credit(i, now)
		if packets != 0 || t.slots[i].w1.Load()&numbered != 0 {
			reports = append(reports, t.report(i, now, packets, bytes))
		}
		if i = t.records[i].next; i == first {
			break
		}
	}
	return reports
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
