package lsn

import (
	"hash/maphash"
	"sync"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// outside is one shard of the outside index: which mappings stand behind an
// outside port. A session has no place here: its mapping's shard knows it.
type outside struct {
	mu       sync.Mutex
	seed     maphash.Seed
	ports    slab[portUse, *portUse]
	portKeys index
	claims   index // references of mappings, by port and remote; not for wideAny
}

// portUse is how a port is in use: by how many claims, and how wide they are.
// All claims on one port have the same width: that keeps "does it overlap" one
// look-up, and costs only that the widths do not share a port.
type portUse struct {
	addr  frame.Addr
	port  uint16
	proto uint8
	width width
	// count is how many claims there are; for wideAny, where there can be but
	// one, it is the mapping's reference.
	count uint32
}

// wideHeld is the width of a port in hold-down (R25): no claim has it, and so
// the port fits none.
const wideHeld width = 3

func (u *portUse) chain() *uint32 { return &u.count }

func (u *portUse) key() portKey { return portKey{u.addr, u.port, uint16(u.proto)} }

// users is how many claims there are; u may be nil.
func (u *portUse) users() uint32 {
	switch {
	case u == nil:
		return 0
	case u.width == wideAny:
		return 1
	}
	return u.count
}

// port finds the use of a port, nil and 0 if it is free. The lock is held.
func (o *outside) port(k portKey) (slot uint32, u *portUse) {
	for p := o.portKeys.probe(hashOf(o.seed, k)); ; {
		slot = p.next()
		if slot == 0 {
			return 0, nil
		}
		if u = o.ports.at(slot); u.key() == k {
			return slot, u
		}
	}
}

// hash is what a claim on a used port is found by. Claims of one remote on
// different ports never have the same, so that the last port that is free for
// a remote is found; those of different remotes may, which makes a port look
// taken once in four thousand million times.
func (o *outside) hash(slot uint32, c claim) uint32 {
	return mix(slot ^ hashOf(o.seed, c.remote))
}

// fits reports whether the claim overlaps no other one on that port (R19).
func (o *outside) fits(a frame.Addr, port uint16, c claim) bool {
	slot, u := o.port(portKey{a, port, uint16(c.proto)})
	if u == nil {
		return true
	}
	if u.width != c.width || u.width == wideAny {
		return false
	}
	p := o.claims.probe(o.hash(slot, c))
	return p.next() == 0
}

// take enters a claim that fits, for the mapping id. It reports whether nobody
// used the port before.
func (o *outside) take(n *natAddress, port uint16, c claim, id uint64) (fresh bool) {
	k := portKey{n.addr, port, uint16(c.proto)}
	slot, u := o.port(k)
	if fresh = u == nil; fresh {
		n.tally(c.proto, port, 1)
		slot = o.ports.take()
		u = o.ports.at(slot)
		*u = portUse{addr: n.addr, port: port, proto: c.proto, width: c.width}
		o.portKeys.add(hashOf(o.seed, k), slot)
	}
	if c.width == wideAny {
		u.count = makeRef(id)
		return fresh
	}
	u.count++
	o.claims.add(o.hash(slot, c), makeRef(id))
	return fresh
}

// giveBack undoes take. With hold, a port that nobody uses any more is kept
// from use until free. It reports whether nobody uses the port now.
func (o *outside) giveBack(n *natAddress, port uint16, c claim, id uint64, hold bool) (unused bool) {
	slot, u := o.port(portKey{n.addr, port, uint16(c.proto)})
	if c.width != wideAny {
		o.claims.remove(o.hash(slot, c), makeRef(id))
	}
	switch {
	case u.users() > 1:
		u.count--
		return false
	case hold:
		u.width, u.count = wideHeld, 0
	default:
		o.free(n, slot, u)
	}
	return true
}

// free makes a port free for everybody.
func (o *outside) free(n *natAddress, slot uint32, u *portUse) {
	n.tally(u.proto, u.port, -1)
	o.portKeys.remove(hashOf(o.seed, u.key()), slot)
	o.ports.give(slot)
}

// behind returns the n-th mapping that may stand behind an outside port towards
// a remote, 0 if there are no more, and whether anybody uses the port at all.
func (o *outside) behind(k portKey, remote frame.Endpoint, n int) (ref uint32, used bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	slot, u := o.port(k)
	switch {
	case u == nil || u.width == wideHeld:
		return 0, false
	case u.width == wideAny && n == 0:
		return u.count, true
	case u.width == wideAny:
		return 0, true
	}
	p := o.claims.probe(o.hash(slot, newClaim(u.proto, u.width, remote)))
	for ref = p.next(); n > 0 && ref != 0; n-- {
		ref = p.next()
	}
	return ref, true
}

// lookup finds the mapping that stands behind an outside port towards a remote,
// and returns with its shard locked. sh is nil if there is none; why says then
// whether the port is in use towards others (Filtered) or not at all
// (NoMapping).
func (t *Table) lookup(proto uint8, out, remote frame.Endpoint) (sh *inside, mslot uint32, why drop.Reason) {
	o := &t.outsides[outsideShard(out.Addr, out.Port)]
	k := portKey{out.Addr, out.Port, uint16(proto)}
	for n := 0; ; n++ {
		ref, used := o.behind(k, remote, n)
		if ref == 0 {
			if used && n == 0 {
				return nil, 0, drop.Filtered
			}
			return nil, 0, drop.NoMapping // or it ended between the two locks
		}
		shard, slot := splitRef(ref)
		sh = &t.insides[shard]
		sh.mu.Lock()
		if m := sh.mappings.at(slot); m.head != 0 && m.claims(t.cfg().rules[m.rules], proto, out, remote) {
			return sh, slot, drop.None
		}
		sh.mu.Unlock()
	}
}
