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
	var few [fewFlows]carried
	t.mu.Lock()
	t.now = now
	reports := t.creditOwner(o, few[:0])
	t.mu.Unlock()
	t.tell(reports)
}

// RemoveOwner takes all flows of o out of the table and reports what they
// carried, like Credit. An Insert for o that was decided before is refused, so
// none comes back. A reader or the back-end may be just about to forward another
// packet or two: those the next Sweep reports. An owner of very many flows loses
// them slice by slice, so that an Insert for another does not wait for all of
// them. now is monotonic nanoseconds.
func (t *Table) RemoveOwner(o Owner, now int64) {
	var few [fewFlows]carried
	// Even if there is no flow: one may be on its way to Insert.
	t.epoch.Add(1)
	for more := true; more; {
		t.mu.Lock()
		t.now = now
		reports := few[:0]
		reports, more = t.removeSome(o, reports)
		t.mu.Unlock()
		t.tell(reports)
	}
}

// Vacant reports whether o has no flow, and gets none that was decided before: if
// so, an Insert with an epoch taken before is refused, as behind RemoveOwner.
func (t *Table) Vacant(o Owner) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.owners[o] != 0 {
		return false
	}
	t.epoch.Add(1)
	return true
}

// removeSome takes a slice of o's flows out, appends their reports, and reports
// whether o has more. Table.mu is held.
func (t *Table) removeSome(o Owner, reports []carried) ([]carried, bool) {
	for range sweepSlice {
		i := t.owners[o]
		if i == 0 {
			return reports, false
		}
		if c := t.creditFlow(i); c.Packets != 0 || c.Numbered {
			reports = append(reports, c)
		}
		t.retire(i)
	}
	return reports, t.owners[o] != 0
}

// creditOwner credits the flows of o and appends their reports. Table.mu is
// held.
func (t *Table) creditOwner(o Owner, reports []carried) []carried {
	first := t.owners[o]
	for i := first; i != 0; {
		if c := t.creditFlow(i); c.Packets != 0 || c.Numbered {
			reports = append(reports, c)
		}
		if i = t.record(i).next; i == first {
			break
		}
	}
	return reports
}

// own adds flow i to its owner's ring. Table.mu is held.
func (t *Table) own(i uint32) {
	r := t.record(i)
	first := t.owners[r.owner]
	if first == 0 {
		r.prev, r.next = i, i
		t.owners[r.owner] = i
		return
	}
	last := t.record(first).prev
	r.prev, r.next = last, first
	t.record(last).next = i
	t.record(first).prev = i
}

// disown takes flow i out of its owner's ring. Table.mu is held.
func (t *Table) disown(i uint32) {
	r := t.record(i)
	if r.next == i {
		delete(t.owners, r.owner)
		return
	}
	t.record(r.prev).next = r.next
	t.record(r.next).prev = r.prev
	if t.owners[r.owner] == i {
		t.owners[r.owner] = r.next
	}
}
