package bucket

// Credit returns what the slot counted since it was last credited or inserted:
// each packet once. The slot may be live, retired or resting.
func (t *Table) Credit(slot uint32) (packets, bytes uint64) {
	s := &t.shadows[slot]
	count := readCount(&t.entry(slot).count)
	d := count - s.last
	if d>>63 != 0 {
		// It seems to run backwards: half of an addition was read (words_32.go).
		// The next reading has the whole of it.
		return 0, 0
	}
	s.last = count
	return packetsOf(d), bytesOf(d)
}

// Sweep credits the slots from <= slot < to and moves those that lost their flow
// one state on: a slot is free when a whole Sweep over the table has passed since
// the one that first saw it gone. fn is told each slot that is not free, with
// what it counted and the state that it has now; Free says that this was its
// last word. fn may call the table.
func (t *Table) Sweep(from, to uint32, fn func(slot, own uint32, packets, bytes uint64, s State)) {
	for slot := from; slot < min(to, t.Len()); slot++ {
		s := &t.shadows[slot]
		if s.state == Free {
			continue
		}
		packets, bytes := t.Credit(slot)
		switch s.state {
		case Retired:
			s.state = Resting
		case Resting:
			s.state = Free
			t.stats.Resting--
		}
		fn(slot, s.own, packets, bytes, s.state)
	}
}
