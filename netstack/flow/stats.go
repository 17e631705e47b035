package flow

import "spigate/netstack/frame"

// counts is what the table counts of itself, under Table.mu.
type counts struct {
	hits, misses, punts            uint64 // of Readers that were closed
	refused, later, stale, expired uint64
}

// add takes over what a Reader counted.
func (c *counts) add(r *readerCounts) {
	c.hits += r.hits.Load()
	c.misses += r.misses.Load()
	c.punts += r.punts.Load()
}

// Stats is the state of the table. Hits, Misses and Punts add up to the frames
// that Process was given.
type Stats struct {
	Hits    uint64 // rewritten and sent
	Misses  uint64 // could have been in the table, was not
	Punts   uint64 // for the stack by nature, or by a check of its flow
	Refused uint64 // inserts into a full table
	Later   uint64 // inserts that found no place yet: room is being made
	Stale   uint64 // inserts whose decision was overtaken (Epoch)
	Expired uint64 // flows that Sweep dropped: idle, or without next hop

	Entries, Capacity int // flows
	Hops              int // valid next hops

	Offloaded      int    // flows that Config.Offload has at the moment
	OffloadRefused uint64 // busy flows that it did not take
	OffloadPackets uint64 // that it forwarded; they are not in Hits
}

// Stats returns the state of the table.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.count
	for r := range t.readers {
		c.add(&r.counts)
	}
	return Stats{
		Hits: c.hits, Misses: c.misses, Punts: c.punts,
		Refused: c.refused, Later: c.later, Stale: c.stale, Expired: c.expired,
		Entries: t.live, Capacity: t.capacity, Hops: len(t.hopIDs),
		Offloaded: t.offload.taken, OffloadRefused: t.offload.refused, OffloadPackets: t.offload.packets,
	}
}

// Info is one flow, for display and tests.
type Info struct {
	Entry
	Out            frame.Interface
	Next           frame.Addr // address of the next hop
	MTU            int        // bytes of IP
	Valid          bool       // the next hop still is; if not, packets go to the stack
	Packets, Bytes uint64     // bytes of IP; what Config.Offload forwarded, as of the last Sweep
	Last           int64      // last known activity, monotonic ns, as of the last Sweep
	Offloaded      bool       // Config.Offload forwards it
}

// Walk calls fn with a copy of every flow until fn returns false. It does not
// stop the table: a flow that comes or goes meanwhile may be seen or not. fn
// may call the table.
func (t *Table) Walk(fn func(Info) bool) {
	infos := make([]Info, 0, sweepSlice)
	for from, more := uint32(1), true; more; from += sweepSlice {
		infos, more = t.collect(infos[:0], from)
		for _, in := range infos {
			if !fn(in) {
				return
			}
		}
	}
}

// Find returns the flow with key k as Walk does, without a packet being counted
// for it.
func (t *Table) Find(k Key) (Info, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cur == nil {
		return Info{}, false
	}
	_, i, ok := t.cur.Lookup(k.packed())
	if !ok || t.record(i).state != stateLive {
		return Info{}, false
	}
	return t.info(t.record(i)), true
}

// collect appends the flows of one slice of records to infos.
func (t *Table) collect(infos []Info, from uint32) ([]Info, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	to := min(from+sweepSlice, t.fresh)
	for i := from; i < to; i++ {
		if r := t.record(i); r.state == stateLive {
			infos = append(infos, t.info(r))
		}
	}
	return infos, to < t.fresh
}

func (t *Table) info(r *record) Info {
	slot := r.slots[t.parity]
	h := t.hops[r.hop].Load()
	packets, bytes := t.cur.Uncredited(slot)
	in := Info{
		Entry: t.entry(t.cur, slot, r), Out: h.at.out, Next: h.at.next, MTU: h.mtu, Valid: h.valid.Load(),
		Packets: r.packets + packets, Bytes: r.bytes + bytes, Last: r.last, Offloaded: r.away == awayTaken,
	}
	in.Owner = r.owner
	return in
}
