package flow

import (
	"sync/atomic"

	"spigate/netstack/frame"
)

// counts is what the table counts of itself.
type counts struct {
	hits, misses, punts     atomic.Uint64
	refused, stale, expired atomic.Uint64
}

// add counts a batch: one addition for each counter that moved.
func (c *counts) add(hits, misses, punts int) {
	if hits != 0 {
		c.hits.Add(uint64(hits))
	}
	if misses != 0 {
		c.misses.Add(uint64(misses))
	}
	if punts != 0 {
		c.punts.Add(uint64(punts))
	}
}

// Stats is the state of the table. Hits, Misses and Punts add up to the frames
// that Process was given.
type Stats struct {
	Hits    uint64 // rewritten and sent
	Misses  uint64 // could have been in the table, was not
	Punts   uint64 // for the stack by nature, or by a check of its flow
	Refused uint64 // inserts into a full table
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
	return Stats{
		Hits: t.count.hits.Load(), Misses: t.count.misses.Load(), Punts: t.count.punts.Load(),
		Refused: t.count.refused.Load(), Stale: t.count.stale.Load(), Expired: t.count.expired.Load(),
		Entries: t.live, Capacity: t.capacity, Hops: len(t.hopIDs),
	}
}

// Info is one flow, for display and tests.
type Info struct {
	Entry
	Out            frame.Interface
	Next           frame.Addr // address of the next hop
	MTU            int        // bytes of IP
	Valid          bool       // the next hop still is; if not, packets go to the stack
	Packets, Bytes uint64     // bytes of IP
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

// collect appends the flows of one slice of slots to infos.
func (t *Table) collect(infos []Info, from uint32) ([]Info, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	to := min(from+sweepSlice, t.fresh)
	for i := from; i < to; i++ {
		if t.records[i].state == stateLive {
			infos = append(infos, t.info(i))
		}
	}
	return infos, to < t.fresh
}

func (t *Table) info(i uint32) Info {
	s, r := &t.slots[i], &t.records[i]
	h := t.hops[s.hop()].Load()
	d := s.st.Load() - r.seen
	in := Info{
		Entry: s.entry(), Out: h.at.out, Next: h.at.next, MTU: h.mtu, Valid: h.valid.Load(),
		Packets: r.packets + d>>bytesBits, Bytes: r.bytes + d&bytesMask, Last: s.last,
	}
	in.Owner = r.owner
	return in
}
