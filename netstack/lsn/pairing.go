package lsn

import (
	"time"

	"spigate/netstack/frame"
)

// pair is the NAT address of a subscriber with paired pooling (R14, R15): one
// for all protocols and all paired profiles of its group.
type pair struct {
	gone     int64  // when the last mapping ended; matters while mappings is 0
	address  uint32 // index of the NAT address
	mappings uint32
	group    uint16
}

// kept reports whether the pair still binds: while the subscriber has a paired
// mapping, and until the group's hold is exceeded.
func (p pair) kept(g *Group, now int64) bool {
	return p.mappings > 0 || now-p.gone <= g.hold.Load()
}

// pairOf returns the NAT address that the subscriber must use for a mapping
// with these rules. ok is false if it may have any.
func (sh *inside) pairOf(a frame.Addr, r *rules, now int64) (address uint32, ok bool) {
	if r.app.Pooling != Paired {
		return 0, false
	}
	p, ok := sh.pairs[a]
	if !ok || !p.kept(r.group, now) {
		return 0, false
	}
	return p.address, true
}

func (sh *inside) pair(a frame.Addr, g *Group, address uint32) {
	p := sh.pairs[a]
	sh.pairs[a] = pair{address: address, mappings: p.mappings + 1, group: g.index}
}

// unpair notes that a paired mapping has ended.
func (sh *inside) unpair(a frame.Addr, g *Group, at int64) {
	p := sh.pairs[a]
	p.mappings--
	p.gone = at
	if p.mappings == 0 && g.hold.Load() == 0 {
		delete(sh.pairs, a)
		return
	}
	sh.pairs[a] = p
}

// SetPairingHold changes the PairingHold of the group with that name, also for
// the mappings that have ended already and are still held.
func (t *Table) SetPairingHold(group string, hold time.Duration) {
	for _, g := range t.groups {
		if g.Name == group {
			g.hold.Store(int64(hold))
		}
	}
}

// PairedAddress returns the NAT address that a subscriber is paired with, for
// ESP (R37). ok is false if it has none. It may lag behind the end of the
// pairing until the next Sweep.
func (t *Table) PairedAddress(a frame.Addr) (nat frame.Addr, ok bool) {
	sh := &t.insides[insideShard(a)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	p, ok := sh.pairs[a]
	if !ok {
		return nat, false
	}
	return t.addrList[p.address], true
}
