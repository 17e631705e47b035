package flow

import (
	"slices"

	"spigate/netstack/frame"
)

// offloading is the table's side of the seam: which flows the back-end has.
// Everything is under Table.mu.
type offloading struct {
	to    Offload // nil: none
	after uint64
	idle  uint8
	told  func(in, out frame.Interface, packets, bytes uint64)
	home  func(Entry, frame.Interface) bool // which flows are kept at home; nil: none

	late map[uint32]Report // what to tell of records that retired before their ref was released

	refs []uint32  // countAhead's scratch: whose count is asked for,
	got  []Carried // what it is,
	sum  uint64    // and a use for what it loads
	ref  [1]uint32 // countOne's
	one  [1]Carried

	taken            int
	refused, packets uint64
}

// away says where a flow is that the back-end may have.
type away uint8

const (
	awayHome  away = iota // the table alone has it
	awayTaken             // the back-end forwards it
	awayLeft              // it was taken back since the last Sweep
	awayRests             // before the last Sweep: given back at the next
)

func newOffloading(c Config) offloading {
	o := offloading{to: c.Offload, after: c.OffloadAfter, idle: uint8(min(c.OffloadIdle, 255)), told: c.Offloaded, late: make(map[uint32]Report)}
	if o.after == 0 {
		o.after = DefaultOffloadAfter
	}
	if c.OffloadIdle <= 0 {
		o.idle = DefaultOffloadIdle
	}
	return o
}

// countAhead asks the back-end for the counts of all its flows among the records
// from <= i < to: sweepAway is given them in the same order. It also brings into the
// cache what a report of them is made of, loads close together that are waited for
// at once: 100,000 busy flows are a tenth of a core otherwise. Table.mu is held.
func (t *Table) countAhead(from, to uint32) []Carried {
	o := &t.offload
	o.refs = o.refs[:0]
	if t.cur == nil {
		return nil
	}
	for i := from; i < to; i++ {
		r := t.record(i)
		if r.away == awayHome {
			continue
		}
		o.refs = append(o.refs, r.ref)
		if r.state == stateLive {
			o.sum += t.cur.Value(r.slots[t.parity])
		}
	}
	if len(o.refs) == 0 {
		return nil
	}
	o.got = slices.Grow(o.got[:0], len(o.refs))[:len(o.refs)]
	o.to.Count(o.refs, o.got)
	return o.got
}

// countOne asks the back-end for one flow. Table.mu is held.
func (t *Table) countOne(r *record) Carried {
	if r.away == awayHome {
		return Carried{}
	}
	o := &t.offload
	o.ref[0] = r.ref
	o.to.Count(o.ref[:], o.one[:])
	return o.one[0]
}

// sweepAway is the policy: busy flows go to the back-end, quiet ones come back,
// and what has come back rests there for a Sweep, and counts. n is what the back-end
// says of a flow that is not at home. Table.mu is held.
func (t *Table) sweepAway(i uint32, r *record, n Carried) {
	if r.away == awayHome {
		if t.offload.to != nil && r.state == stateLive && !r.numbered && uint64(r.recent) >= t.offload.after && !t.keptHome(r) {
			t.offer(r)
		}
		return
	}
	if n.Packets != 0 {
		c := carried{Report: t.offload.late[i]}
		if r.state == stateLive {
			c.Report = t.report(t.cur, r.slots[t.parity], r, 0, 0)
		}
		c.Now = t.now
		t.creditAway(r, n, &c)
		t.reports = append(t.reports, c)
	}
	switch r.away {
	case awayTaken:
		if r.quiet >= t.offload.idle || t.keptHome(r) {
			t.comeBack(r)
		} else {
			r.quiet++
		}
	case awayLeft:
		r.away = awayRests
	case awayRests:
		t.offload.to.Release(r.ref)
		t.hops[r.hop].Load().away--
		r.away, r.ref = awayHome, 0
		delete(t.offload.late, i)
	}
}

// KeepHome says which flows the table forwards by itself from now on, however busy
// they are: whoever looks at packets one by one sees none of those that the back-end
// forwards. What that has comes back with the next Sweep. nil: none is kept. home is
// given a flow and the interface that its packets leave by; it is called with the
// table's lock held: it must be quick and call nothing of it.
func (t *Table) KeepHome(home func(e Entry, out frame.Interface) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.offload.home = home
}

// keptHome reports whether a live flow is one of these. Table.mu is held.
func (t *Table) keptHome(r *record) bool {
	return t.offload.home != nil && r.state == stateLive && t.offload.home(t.entry(t.cur, r.slots[t.parity], r), t.hops[r.hop].Load().at.out)
}

// offer gives a flow to the back-end, if it takes it. Table.mu is held.
func (t *Table) offer(r *record) {
	h := t.hop(r.hop)
	slot := r.slots[t.parity]
	if h == nil || t.cur.Key(slot).Proto() == frame.ProtoICMP {
		return
	}
	if !h.told {
		h.told = true
		t.offload.to.SetHop(r.hop, OffloadHop{Out: h.at.out, Dst: h.dst, Src: h.src, MTU: h.mtu, Valid: true})
	}
	e := t.entry(t.cur, slot, r)
	ref, ok := t.offload.to.Add(Offloaded{Key: e.Key, Side: e.Side, Addr: e.Addr, Port: e.Port, Hop: e.Hop, DFOnly: e.DFOnly})
	if !ok {
		t.offload.refused++
		return
	}
	r.ref, r.away, r.quiet = ref, awayTaken, 0
	h.away++
	t.offload.taken++
}

// comeBack takes a flow from the back-end: when it returns, the table alone
// forwards it. Table.mu is held.
func (t *Table) comeBack(r *record) {
	t.offload.to.Remove(r.ref)
	r.away = awayLeft
	t.offload.taken--
}

// creditAway adds to a record, and to c, what the back-end forwarded of its flow.
// Table.mu is held.
func (t *Table) creditAway(r *record, n Carried, c *carried) {
	r.packets += n.Packets
	r.bytes += n.Bytes
	r.last, r.quiet = max(r.last, t.now), 0
	t.offload.packets += n.Packets
	c.out = t.hops[r.hop].Load().at.out
	c.away = n
	c.Packets += n.Packets
	c.Bytes += n.Bytes
}

// punt asks the back-end for a packet of each hop that is due: the stack has not
// seen one for PuntEvery. Table.mu is held.
func (t *Table) punt(now int64) {
	if t.offload.taken == 0 {
		return
	}
	for _, id := range t.hopIDs {
		if h := t.hops[id].Load(); h.away > 0 && now >= h.punt.Load() {
			t.offload.to.Punt(id)
		}
	}
}

// untell tells the back-end that a hop is not valid any more, unless the table is
// closed: then nothing is told. Table.mu is held.
func (t *Table) untell(id HopID, h *hop) {
	if h.told && t.cur != nil {
		h.told = false
		t.offload.to.SetHop(id, OffloadHop{})
	}
}
