package bucket

// Insert puts a flow in. flags are Destination, Extended and DFOnly; own is the
// caller's, given back by Lookup, Sweep and moved. It does not look for a flow of
// the same key: to replace one, Insert and then Remove the old one, whose slot
// Insert may have moved. It is false when both of the key's buckets are full: then
// it has made room if it could, which is free after two Sweeps; the flow's packets
// go on without the table, and a later one tries again.
func (t *Table) Insert(k Key, flags uint32, value uint64, own uint32) (slot uint32, ok bool) {
	h := t.seed.hash(k)
	if slot, ok = t.place(h); ok {
		t.publish(slot, k, flags, value, own)
		return slot, true
	}
	if t.makeRoom(first(h, t.buckets), second(h, t.buckets)) {
		t.stats.Later++
	} else {
		t.stats.Failed++
	}
	return 0, false
}

// Fill is Insert into a table that no reader has looked into yet: there the room
// that is made is free at once, as nobody can be about to count in it. It is false
// if no room could be made.
func (t *Table) Fill(k Key, flags uint32, value uint64, own uint32) (slot uint32, ok bool) {
	h := t.seed.hash(k)
	b1, b2 := first(h, t.buckets), second(h, t.buckets)
	if slot, ok = t.place(h); !ok && t.makeRoom(b1, b2) {
		t.hasten(b1)
		t.hasten(b2)
		slot, ok = t.place(h)
	}
	if !ok {
		t.stats.Failed++
		return 0, false
	}
	t.publish(slot, k, flags, value, own)
	return slot, true
}

// hasten makes those slots of bucket b free that rest.
func (t *Table) hasten(b uint64) {
	for i := range uint32(Ways) {
		if s := &t.shadows[uint32(b)*Ways+i]; s.state > Live {
			s.state = Free
			t.stats.Resting--
		}
	}
}

// place finds a free slot in the buckets of h.
func (t *Table) place(h uint64) (slot uint32, ok bool) {
	if slot, ok = t.vacant(first(h, t.buckets), h); ok {
		return slot, true
	}
	return t.vacant(second(h, t.buckets), h)
}

// vacant finds a free slot of bucket b, in the order of h.
func (t *Table) vacant(b, h uint64) (slot uint32, ok bool) {
	at := uint32(b)*Ways + preferred(h)
	for i := range uint32(Ways) {
		if t.shadows[at^i].state == Free {
			return at ^ i, true
		}
	}
	return 0, false
}

// publish writes a flow into a free slot: the tag last, so that whoever sees it
// sees the rest. The count goes on where it was.
func (t *Table) publish(slot uint32, k Key, flags uint32, value uint64, own uint32) {
	e := t.entry(slot)
	storeWord(&e.addrs, k.addrs)
	storeHalf(&e.id, k.ID())
	storeWord(&e.value, value)
	t.shadows[slot] = shadow{last: readCount(&e.count), own: own, state: Live}
	storeHalf(&e.tag, next(e.tag, k.scope(), flags|Valid))
	t.stats.Live++
}

// Remove takes a live slot's flow out: readers do not find it any more, but one
// may be just about to count a packet. Two Sweeps later the slot is free.
func (t *Table) Remove(slot uint32) {
	s, e := &t.shadows[slot], t.entry(slot)
	if s.state != Live {
		return
	}
	storeHalf(&e.tag, next(e.tag, e.tag&scopeMask, e.tag&^Valid))
	s.state = Retired
	t.stats.Live--
	t.stats.Resting++
}

// makeRoom moves one flow out of two full buckets, unless room was made already
// and rests. It is false if neither can be.
func (t *Table) makeRoom(b1, b2 uint64) bool {
	return t.rests(b1) || t.rests(b2) || t.kick(b1) || t.kick(b2)
}

// rests reports whether a slot of bucket b will be free by itself.
func (t *Table) rests(b uint64) bool {
	for i := range uint32(Ways) {
		if t.shadows[uint32(b)*Ways+i].state > Live {
			return true
		}
	}
	return false
}

// kick moves one flow of bucket b into its other bucket, if there is room: the
// copy first, then the old one goes, so that one of them is there all the time.
func (t *Table) kick(b uint64) bool {
	for i := range uint32(Ways) {
		from := uint32(b)*Ways + i
		k := t.Key(from)
		h := t.seed.hash(k)
		other := first(h, t.buckets)
		if other == b {
			other = second(h, t.buckets)
		}
		to, ok := t.vacant(other, h)
		if !ok {
			continue
		}
		own := t.shadows[from].own
		t.publish(to, k, t.Flags(from), t.Value(from), own)
		t.Remove(from)
		t.stats.Moved++
		if t.moved != nil {
			t.moved(own, from, to)
		}
		return true
	}
	return false
}

// Lookup finds a live flow's slot, for the writer.
func (t *Table) Lookup(k Key) (slot, own uint32, ok bool) {
	h := t.seed.hash(k)
	for _, b := range [2]uint64{first(h, t.buckets), second(h, t.buckets)} {
		for i := range uint32(Ways) {
			slot = uint32(b)*Ways + i
			if t.shadows[slot].state == Live && t.Key(slot) == k {
				return slot, t.shadows[slot].own, true
			}
		}
	}
	return 0, 0, false
}
