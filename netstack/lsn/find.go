package lsn

import "spigate/netstack/frame"

// Finding in a subscriber's shard: an index gives candidates, the slabs say
// whether they are what was asked for. The shard's lock is held.

// findSession returns the session with an inside view, 0 if there is none.
func (sh *inside) findSession(tup Tuple) uint32 {
	key := tup.key()
	for p := sh.tuples.probe(hashOf(sh.seed, key)); ; {
		slot := p.next()
		if slot == 0 {
			return 0
		}
		s := sh.sessions.at(slot)
		if s.remote == tup.Remote && sh.mappings.at(s.mapping).tuple(s.remote) == tup {
			return slot
		}
	}
}

// sessionOf returns the session of a mapping with a remote, 0 if there is none.
func (sh *inside) sessionOf(mslot uint32, remote frame.Endpoint) uint32 {
	slot := sh.findSession(sh.mappings.at(mslot).tuple(remote))
	if slot != 0 && sh.sessions.at(slot).mapping == mslot {
		return slot
	}
	return 0
}

// findKey returns the mapping, live or not, that sessions with this inside view
// share under the rules; 0 if there is none.
func (sh *inside) findKey(tup Tuple, r *rules) uint32 {
	key := tup.mapKey(r)
	for p := sh.keys.probe(hashOf(sh.seed, key)); ; {
		slot := p.next()
		if slot == 0 {
			return 0
		}
		if m := sh.mappings.at(slot); m.rules == r.index && m.tuple(m.remote).mapKey(r) == key {
			return slot
		}
	}
}

// permit counts a mapping's own sessions towards one remote address.
type permit struct {
	permitKey
	count uint32
}

func (p *permit) chain() *uint32 { return &p.count }

// findPermit returns the count for a mapping and a remote address, 0 if there
// is none.
func (sh *inside) findPermit(k permitKey) uint32 {
	for p := sh.permitKeys.probe(hashOf(sh.seed, k)); ; {
		slot := p.next()
		if slot == 0 || sh.permits.at(slot).permitKey == k {
			return slot
		}
	}
}

func (sh *inside) addPermit(k permitKey) {
	slot := sh.findPermit(k)
	if slot == 0 {
		slot = sh.permits.take()
		*sh.permits.at(slot) = permit{permitKey: k}
		sh.permitKeys.add(hashOf(sh.seed, k), slot)
	}
	sh.permits.at(slot).count++
}

func (sh *inside) dropPermit(k permitKey) {
	slot := sh.findPermit(k)
	if p := sh.permits.at(slot); p.count > 1 {
		p.count--
		return
	}
	sh.permitKeys.remove(hashOf(sh.seed, k), slot)
	sh.permits.give(slot)
}
