package flow

import (
	"sync/atomic"
	"time"

	"spigate/netstack/frame"
)

// HopID names a row of the table of next hops. 0 is none.
type HopID uint16

// MaxHops is how many next hops the table holds.
const MaxHops = 1024

// PuntEvery is how often one packet of a next hop goes to the stack although
// its flow is known, so that the stack's neighbour entry stays in use: the
// stack does not see what the fast path sends.
const PuntEvery = 20 * time.Second

// hop is a next hop. It does not change once it is published, but for valid
// and punt, so that a reader may use a row that has just been replaced.
type hop struct {
	at       hopKey
	dst, src frame.MAC
	macs     [12]byte // both, as they stand in a frame
	mtu      int      // bytes of IP

	valid atomic.Bool
	punt  atomic.Int64 // when the next packet is due for the stack; 0: no flow yet

	// Under Table.mu.
	refs int  // live flows
	away int  // flows that the back-end has, or had and may still forward a packet of
	told bool // the back-end knows it as valid
}

type hopKey struct {
	out  frame.Interface
	next frame.Addr
}

// unused reports whether the row may be given to another. Table.mu is held.
func (h *hop) unused() bool { return h.refs == 0 && h.away == 0 }

// due reports whether this packet is the one for the stack. One caller wins.
func (h *hop) due(now int64) bool {
	p := h.punt.Load()
	return now >= p && h.punt.CompareAndSwap(p, now+int64(PuntEvery))
}

// Hop finds or makes the row of the next hop with address next, reached
// through out: dst and src are the MAC addresses to write, mtu is in bytes of
// IP. A row with other MACs or another MTU is replaced, and its flows stop
// hitting. It returns false when MaxHops next hops are in use.
func (t *Table) Hop(out frame.Interface, next frame.Addr, dst, src frame.MAC, mtu int) (HopID, bool) {
	at := hopKey{out, next}
	t.mu.Lock()
	defer t.mu.Unlock()
	if id, known := t.hopIDs[at]; known {
		h := t.hops[id].Load()
		if h.dst == dst && h.src == src && h.mtu == mtu {
			return id, true
		}
		t.invalidate(id, h)
	}
	id, ok := t.freeHop()
	if !ok {
		return 0, false
	}
	h := &hop{at: at, dst: dst, src: src, mtu: mtu}
	copy(h.macs[:], dst[:])
	copy(h.macs[len(dst):], src[:])
	h.valid.Store(true)
	t.hops[id].Store(h)
	t.hopIDs[at] = id
	return id, true
}

// InvalidateHop makes every flow to this next hop miss from now on: its MAC
// address or its reachability changed.
func (t *Table) InvalidateHop(out frame.Interface, next frame.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// Even without a row: an Insert may have been decided that will need one.
	t.epoch.Add(1)
	if id, known := t.hopIDs[hopKey{out, next}]; known {
		t.invalidate(id, t.hops[id].Load())
	}
}

// InvalidateInterface is InvalidateHop for all next hops behind out.
func (t *Table) InvalidateInterface(out frame.Interface) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch.Add(1)
	for at, id := range t.hopIDs {
		if at.out == out {
			t.invalidate(id, t.hops[id].Load())
		}
	}
}

// invalidate retires a row. A row never becomes valid again: flows on it were
// decided for a world that is gone. Table.mu is held.
func (t *Table) invalidate(id HopID, h *hop) {
	t.epoch.Add(1)
	h.valid.Store(false)
	t.untell(id, h)
	if t.hopIDs[h.at] == id {
		delete(t.hopIDs, h.at)
	}
}

// freeHop returns a row that was never used, or takes one that no flow uses.
// Table.mu is held.
func (t *Table) freeHop() (HopID, bool) {
	for id := HopID(1); id <= MaxHops; id++ {
		h := t.hops[id].Load()
		if h == nil {
			return id, true
		}
		if h.unused() && !h.valid.Load() {
			return id, true
		}
	}
	// All rows are valid or in use. Somebody may hold the id of an unused
	// one for an Insert to come: invalidate's new epoch refuses it.
	for id := HopID(1); id <= MaxHops; id++ {
		if h := t.hops[id].Load(); h.unused() {
			t.invalidate(id, h)
			return id, true
		}
	}
	return 0, false
}

// hop returns the valid row of id, or nil. Table.mu is held.
func (t *Table) hop(id HopID) *hop {
	if id == 0 || id > MaxHops {
		return nil
	}
	if h := t.hops[id].Load(); h != nil && h.valid.Load() {
		return h
	}
	return nil
}
