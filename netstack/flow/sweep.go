package flow

import "spigate/netstack/frame"

// sweepSlice is how many slots are looked at under the lock at a time, so
// that an Insert waits for microseconds and not for the whole table.
const sweepSlice = 256

// Report is what one flow carried since it was last reported.
type Report struct {
	Owner Owner
	Key   Key
	// The flow's rewrite: what its packets have on this side when they leave.
	Side Side
	Addr frame.Addr
	Port uint16 // host byte order

	Now            int64 // of the Sweep, Credit or RemoveOwner that tells it, monotonic ns
	Packets, Bytes uint64

	Numbered bool
	End, Ack uint32 // Numbered: the flow's numbers by now, not what they moved by
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
		t.tell(t.reports)
	}
}

// tell hands reports on. No lock is held but that of the one Sweep.
func (t *Table) tell(reports []Report) {
	if t.active == nil {
		return
	}
	for i := range reports {
		t.active(reports[i])
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
	if packets, bytes := t.credit(i, now); packets != 0 {
		t.reports = append(t.reports, t.report(i, now, packets, bytes))
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

// credit adds what slot i counted since the last credit to its record. Table.mu
// is held, so whatever was counted is credited once.
func (t *Table) credit(i uint32, now int64) (packets, bytes uint64) {
	s, r := &t.slots[i], &t.records[i]
	st := s.st.Load()
	d := st - r.seen
	if d == 0 {
		return 0, 0
	}
	r.seen = st
	packets, bytes = d>>bytesBits, d&bytesMask
	r.packets += packets
	r.bytes += bytes
	s.last = max(s.last, now)
	return packets, bytes
}

// report is the report of a credit. It reads the numbers after the credit read
// the counts, so they are at least those of the packets. Table.mu is held.
func (t *Table) report(i uint32, now int64, packets, bytes uint64) Report {
	e := t.slots[i].entry()
	return Report{
		Owner: t.records[i].owner, Key: e.Key, Side: e.Side, Addr: e.Addr, Port: e.Port,
		Now: now, Packets: packets, Bytes: bytes,
		Numbered: e.Numbered, End: e.End, Ack: e.Ack,
	}
}
