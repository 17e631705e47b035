package flow

import "spigate/netstack/frame"

// offloading is the table's side of the seam: which flows the back-end has.
// Everything is under Table.mu.
type offloading struct {
	to    Offload // nil: none
	after uint64
	idle  uint8
	told  func(in, out frame.Interface, packets, bytes uint64)

	late map[uint32]Report // what to tell of records that retired before their ref was released

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

// sweepAway is the policy: busy flows go to the back-end, quiet ones come back,
// and what has come back rests there for a Sweep, and counts. Table.mu is held.
func (t *Table) sweepAway(i uint32, r *record) {
	if r.away == awayHome {
		if t.offload.to != nil && r.state == stateLive && !r.numbered && uint64(r.recent) >= t.offload.after {
			t.offer(r)
		}
		return
	}
	c := carried{Report: t.offload.late[i]}
	if r.state == stateLive {
		c.Report = t.report(t.cur, r.slots[t.parity], r, 0, 0)
	}
	c.Now = t.now
	if t.creditAway(r, &c); c.Packets != 0 {
		t.reports = append(t.reports, c)
	}
	switch r.away {
	case awayTaken:
		if r.quiet++; r.quiet > t.offload.idle {
			t.comeBack(r)
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

// creditAway adds to c what the back-end forwarded of a flow. Table.mu is held.
func (t *Table) creditAway(r *record, c *carried) {
	if r.away == awayHome {
		return
	}
	packets, bytes := t.offload.to.Count(r.ref)
	if packets == 0 {
		return
	}
	r.packets += packets
	r.bytes += bytes
	r.last, r.quiet = max(r.last, t.now), 0
	t.offload.packets += packets
	c.out = t.hops[r.hop].Load().at.out
	c.awayPackets, c.awayBytes = packets, bytes
	c.Packets += packets
	c.Bytes += bytes
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

// untell tells the back-end that a hop is not valid any more. Table.mu is held.
func (t *Table) untell(id HopID, h *hop) {
	if h.told {
		h.told = false
		t.offload.to.SetHop(id, OffloadHop{})
	}
}
