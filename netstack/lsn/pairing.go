package lsn

import (
	"time"

	"spigate/netstack/frame"
)

// pair is the NAT address of a subscriber with paired pooling (R14, R15): one
// for all protocols and all paired profiles of its group. 32 bytes, no pointer.
type pair struct {
	gone     int64 // when the last mapping ended; matters while mappings is 0
	end      timer // in the shard's wheel, while mappings is 0
	inside   frame.Addr
	address  uint32 // index of the NAT address
	mappings uint32
	group    uint16
}

func (p *pair) chain() *uint32 { return &p.address }
func (p *pair) timer() *timer  { return &p.end }

// kept reports whether the pair still binds: while the subscriber has a paired
// mapping, and until the group's hold is exceeded.
func (p *pair) kept(g *Group, now int64) bool {
	return p.mappings > 0 || now-p.gone <= g.hold.Load()
}

// pairs reports whether mappings with these rules bind their subscriber to one
// address. In a deterministic group arithmetic does that, whatever the profile
// says (table 1.1).
func (r *rules) pairs() bool { return r.app.Pooling == Paired && r.group.Type == Dynamic }

// pairOf returns the NAT address that the subscriber must use for a mapping
// with these rules. ok is false if it may have any.
func (sh *inside) pairOf(a frame.Addr, r *rules, now int64) (address uint32, ok bool) {
	if !r.pairs() {
		return 0, false
	}
	_, p := sh.findPair(a)
	if p == nil || !p.kept(r.group, now) || !r.group.serves(p.address) {
		return 0, false
	}
	return p.address, true
}

func (sh *inside) findPair(a frame.Addr) (slot uint32, p *pair) {
	for c := sh.pairKeys.probe(hashOf(sh.seed, a)); ; {
		slot = c.next()
		if slot == 0 {
			return 0, nil
		}
		if p = sh.pairs.at(slot); p.inside == a {
			return slot, p
		}
	}
}

// pair notes that a paired mapping was made.
func (sh *inside) pair(a frame.Addr, g *Group, address uint32) {
	slot, p := sh.findPair(a)
	if p == nil {
		slot = sh.pairs.take()
		p = sh.pairs.at(slot)
		*p = pair{inside: a}
		sh.pairKeys.add(hashOf(sh.seed, a), slot)
	}
	sh.holds.remove(&sh.pairs, slot)
	p.address, p.group = address, g.index
	p.mappings++
}

// unpair notes that a paired mapping has ended.
func (sh *inside) unpair(a frame.Addr, g *Group, at int64) {
	slot, p := sh.findPair(a)
	p.mappings--
	p.gone = at
	switch hold := g.hold.Load(); {
	case p.mappings > 0:
	case hold == 0:
		sh.dropPair(slot)
	default:
		sh.holds.set(&sh.pairs, slot, at+hold)
	}
}

// dropPair forgets a pair without mappings.
func (sh *inside) dropPair(slot uint32) {
	p := sh.pairs.at(slot)
	sh.holds.remove(&sh.pairs, slot)
	sh.pairKeys.remove(hashOf(sh.seed, p.inside), slot)
	*p = pair{}
	sh.pairs.give(slot)
}

// SetPairingHold changes the PairingHold of the group with that name, also for
// the mappings that have ended already and are still held.
func (t *Table) SetPairingHold(group string, hold time.Duration) {
	for _, g := range t.cfg().list {
		if g.Name == group && g.hold.Swap(int64(hold)) > int64(hold) {
			t.shortenHolds(g)
		}
	}
}

// shortenHolds puts the held pairs of a group to their new place in the wheels.
func (t *Table) shortenHolds(g *Group) {
	for i := range t.insides {
		sh := &t.insides[i]
		for next := uint32(1); next != 0; {
			next = sh.shortenHolds(g, next)
		}
	}
}

// shortenHolds does it for some pairs, and returns where to go on, 0 at the
// end.
func (sh *inside) shortenHolds(g *Group, from uint32) (next uint32) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	end := min(from+sweepStep, sh.pairs.end())
	for slot := from; slot < end; slot++ {
		if p := sh.pairs.at(slot); p.end.prev != 0 && p.group == g.index {
			sh.holds.set(&sh.pairs, slot, p.gone+g.hold.Load())
		}
	}
	if end == sh.pairs.end() {
		return 0
	}
	return end
}

// PairedAddress returns the NAT address that a subscriber is paired with, or
// that a deterministic group computes for it, for ESP (R37). ok is false if it
// has none. It may lag behind the end of the pairing until the next Sweep.
func (t *Table) PairedAddress(a frame.Addr) (nat frame.Addr, ok bool) {
	if g := t.cfg().clients.find(a); g != nil && g.Type == Deterministic {
		address, _, ok := g.dealt(a)
		return t.cfg().addrList[address], ok
	}
	sh := &t.insides[insideShard(a)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, p := sh.findPair(a)
	if p == nil {
		return nat, false
	}
	return t.cfg().addrList[p.address], true
}
