package flow

import "spigate/netstack/frame"

// sweepSlice is how many slots or records are looked at under the lock at a
// time, so that an Insert waits for microseconds and not for the whole table.
const sweepSlice = 256

// Report is what one flow carried since it was last reported.
type Report struct {
	Owner Owner
	Key   Key
	// The flow's rewrite: what its packets have on this side when they leave.
	Side Side
	Addr frame.Addr
	Port uint16 // host byte order

	Now            int64 // of the call that tells it, monotonic ns
	Packets, Bytes uint64

	Numbered bool
	End, Ack uint32 // Numbered: the flow's numbers by now, not what they moved by
}

// carried is a report, and which part of it the back-end forwarded.
type carried struct {
	Report
	out  frame.Interface
	away Carried
}

// Sweep reports every flow's traffic since the last Sweep to Config.Active and
// drops the flows that were idle for longer than their Idle, and those whose
// next hop is gone. It gives busy flows to Config.Offload, and takes quiet ones
// back. It is to be called once a second; now is monotonic nanoseconds.
//
// Activity counts as of the Sweep that sees it: up to one interval too late,
// never too early. A flow whose idle time is exactly Idle stays (rule R22).
func (t *Table) Sweep(now int64) {
	t.sweeping.Lock()
	defer t.sweeping.Unlock()
	t.sweeps++
	t.complete()
	for again := true; again; {
		again = t.sweepArenas(now)
	}
	for from, more := uint32(1), true; more; from += sweepSlice {
		more = t.sweepRecords(from, now)
		t.tell(t.reports)
	}
	t.endSweep(now)
}

// tell hands reports on. No lock is held but that of the one Sweep.
func (t *Table) tell(reports []carried) {
	for i := range reports {
		r := &reports[i]
		if t.active != nil {
			t.active(r.Report)
		}
		if t.offload.told != nil && r.away.Packets != 0 {
			t.offload.told(r.Key.In, r.out, r.away.Packets, r.away.Bytes)
		}
	}
}

// sweepRecords handles one slice, leaves its reports in t.reports, and reports
// whether there are records behind it.
func (t *Table) sweepRecords(from uint32, now int64) (more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now, t.reports = now, t.reports[:0]
	to := min(from+sweepSlice, t.fresh)
	counts := t.countAhead(from, to)
	for i := from; i < to; i++ {
		var n Carried
		if t.record(i).away != awayHome && len(counts) > 0 {
			n, counts = counts[0], counts[1:]
		}
		t.sweepRecord(i, n)
	}
	return to < t.fresh
}

// sweepRecord handles one record, of whose flow the back-end says n.
func (t *Table) sweepRecord(i uint32, n Carried) {
	r := t.record(i)
	if r.state == stateFree || t.cur == nil {
		return
	}
	t.sweepAway(i, r, n)
	r.recent = 0
	if r.state == stateLive {
		if t.expired(i, r) {
			t.retire(i)
			t.count.expired++
		}
		return
	}
	if r.rest > 0 {
		r.rest--
	}
	if r.rest == 0 && r.away == awayHome && len(t.olds) == 0 {
		t.freeRecord(i)
	}
}

// expired reports whether flow i leaves. Nothing that a decision could rest on
// goes away then, so the epoch stays. Table.mu is held.
func (t *Table) expired(i uint32, r *record) bool {
	if !t.hops[r.hop].Load().valid.Load() {
		return true
	}
	if t.now-r.last <= r.idle {
		return false
	}
	// Packets may have come since its slot was looked at.
	if c := t.creditFlow(i); c.Packets != 0 {
		t.reports = append(t.reports, c)
		return false
	}
	return true
}

// creditFlow credits what live flow i carried in every place where packets are
// counted. Table.mu is held.
func (t *Table) creditFlow(i uint32) carried {
	r := t.record(i)
	slot := r.slots[t.parity]
	packets, bytes := t.cur.Credit(slot)
	k := t.cur.Key(slot)
	for _, a := range t.olds {
		if s, own, ok := a.Lookup(k); ok && own == i {
			p, b := a.Credit(s)
			packets, bytes = packets+p, bytes+b
		}
	}
	if packets != 0 {
		t.credit(r, packets, bytes)
	}
	c := carried{Report: t.report(t.cur, slot, r, packets, bytes)}
	if n := t.countOne(r); n.Packets != 0 {
		t.creditAway(r, n, &c)
	}
	return c
}

// credit adds to a record what its flow carried through the table. Table.mu is
// held, so whatever was counted is credited once.
func (t *Table) credit(r *record, packets, bytes uint64) {
	r.packets += packets
	r.bytes += bytes
	r.recent += uint32(min(packets, uint64(^uint32(0)-r.recent)))
	r.last = max(r.last, t.now)
}

// report is the report of a credit. It reads the numbers after the credit read
// the counts, so they are at least those of the packets. Table.mu is held.
func (t *Table) report(a *arena, slot uint32, r *record, packets, bytes uint64) Report {
	e := t.entry(a, slot, r)
	return Report{
		Owner: r.owner, Key: e.Key, Side: e.Side, Addr: e.Addr, Port: e.Port,
		Now: t.now, Packets: packets, Bytes: bytes,
		Numbered: e.Numbered, End: e.End, Ack: e.Ack,
	}
}
