package flow

// sweepSlice is how many slots are looked at under the lock at a time, so
// that an Insert waits for microseconds and not for the whole table.
const sweepSlice = 256

// report is one call of Config.Active to come.
type report struct {
	owner          Owner
	key            Key
	packets, bytes uint64
}

// Sweep reports every flow's traffic since the last Sweep to Config.Active and
// drops the flows that were idle for longer than their Idle, and those whose
// next hop is gone. It is to be called once a second; now is monotonic
// nanoseconds.
//
// Activity counts as of the Sweep that sees it: up to one interval too late,
// never too early. A flow whose idle time is exactly Idle stays (rule R22).
func (t *Table) Sweep(now int64) {
	t.sweeping.Lock()
	defer t.sweeping.Unlock()
	for from, more := uint32(1), true; more; from += sweepSlice {
		more = t.sweepFrom(from, now)
		if t.active == nil {
			continue
		}
		for i := range t.reports {
			r := &t.reports[i]
			t.active(r.owner, r.key, now, r.packets, r.bytes)
		}
	}
}

// sweepFrom handles one slice, leaves its reports in t.reports, and reports
// whether there are slots behind it.
func (t *Table) sweepFrom(from uint32, now int64) (more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reports = t.reports[:0]
	to := min(from+sweepSlice, t.fresh)
	for i := from; i < to; i++ {
		t.sweepSlot(i, now)
	}
	return to < t.fresh
}

func (t *Table) sweepSlot(i uint32, now int64) {
	s, r := &t.slots[i], &t.records[i]
	if r.state == stateFree {
		return
	}
	if packets, bytes := t.credit(i); packets != 0 {
		s.last = now
		t.reports = append(t.reports, report{r.owner, s.key(), packets, bytes})
	}
	switch r.state {
	case stateLive:
		// Nothing that a decision could rest on goes away here, so the
		// epoch stays.
		gone := !t.hops[s.hop()].Load().valid.Load()
		if idle := now-s.last > s.idle; idle || gone {
			t.retireSlot(i)
			t.count.expired.Add(1)
		}
	case stateRetired:
		r.state = stateResting
	case stateResting:
		r.state = stateFree
		r.next, t.free = t.free, i
	}
}

// credit adds what slot i counted since the last credit to its record.
func (t *Table) credit(i uint32) (packets, bytes uint64) {
	s, r := &t.slots[i], &t.records[i]
	st := s.st.Load()
	d := st - s.seen
	s.seen = st
	packets, bytes = d>>bytesBits, d&bytesMask
	r.packets += packets
	r.bytes += bytes
	return packets, bytes
}
