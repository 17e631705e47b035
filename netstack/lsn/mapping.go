package lsn

import "spigate/netstack/frame"

// mapping ties an inside endpoint to an outside one: 56 bytes, no pointer. It
// lives as long as one session of its own does (session.own).
type mapping struct {
	override   int64  // idle time set by the ALG, 0: the profile's
	head, tail uint32 // its sessions, own ones first; 0: a free slot
	own        uint32 // how many of them keep it alive
	generation uint32 // of this slot
	address    uint32 // index of the NAT address
	inside     frame.Endpoint
	outside    frame.Endpoint
	remote     frame.Endpoint // of the packet that made it
	rules      uint16
	strangers  uint16 // sessions that are not own; not counted for static mappings
	proto      uint8
}

// maxStrangers is how many remotes may have sessions on a mapping that its
// subscriber has not answered: whoever forges sources at a full cone could fill
// the subscriber's quota, or the table. Who offers a service to unanswered
// thousands has a static mapping.
const maxStrangers = 1024

func (m *mapping) chain() *uint32 { return &m.tail }

func (m *mapping) tuple(remote frame.Endpoint) Tuple {
	return Tuple{Proto: m.proto, Inside: m.inside, Remote: remote}
}

func (m *mapping) claim(r *rules) claim { return newClaim(m.proto, r.width, m.remote) }

// claims reports whether the mapping's claim covers a remote on a port.
func (m *mapping) claims(r *rules, proto uint8, out, remote frame.Endpoint) bool {
	return m.proto == proto && m.outside == out && m.claim(r) == newClaim(proto, r.width, remote)
}

// addSession puts a session into a fresh slot. Its mapping must be complete.
// The shard's lock is held.
func (t *Table) addSession(sh *inside, slot, mslot uint32, remote frame.Endpoint, dir int, h Hints, now int64, after *aftermath) {
	s, m := sh.sessions.at(slot), sh.mappings.at(mslot)
	r := t.cfg().rules[m.rules]
	s.start(remote, r, dir, h, now)
	if h.Bytes > 0 { // there is no packet where a helper asks for a session
		sh.passed(r, dir, 1, uint64(h.Bytes))
	}
	s.mapping = mslot
	sh.link(slot, s, m)
	sh.tuples.add(hashOf(sh.seed, m.tuple(remote).key()), slot)
	sh.expiry.set(&sh.sessions, slot, now+s.idle(m, r))
	if s.own() {
		sh.allow(s, m, r)
	} else {
		m.stranger(r, 1)
	}
	i, _ := protoIndex(r.app.Proto)
	t.live[i].sessions.Add(1)
	t.created[i].Add(1)
	t.note(after, t.sessionEvent(SessionCreated, sh, slot))
}

// touch notes a packet of a live session, and does what follows from it. The
// shard's lock is held.
func (t *Table) touch(sh *inside, slot uint32, dir int, h Hints, now int64) {
	s := sh.sessions.at(slot)
	m := sh.mappings.at(s.mapping)
	r := t.cfg().rules[m.rules]
	before := s.idle(m, r)
	sh.passed(r, dir, 1, uint64(max(h.Bytes, 0)))
	if s.touch(r, dir, h, now) {
		t.adopt(sh, slot)
	}
	if s.idle(m, r) < before { // a later end needs no telling
		sh.expiry.set(&sh.sessions, slot, s.last+s.idle(m, r))
	}
}

// adopt makes a session that a stranger began the subscriber's own, after its
// first packet. The shard's lock is held.
func (t *Table) adopt(sh *inside, slot uint32) {
	s := sh.sessions.at(slot)
	m := sh.mappings.at(s.mapping)
	r := t.cfg().rules[m.rules]
	sh.unlink(s, m)
	sh.link(slot, s, m)
	sh.allow(s, m, r)
	m.stranger(r, -1)
}

// stranger counts sessions that are not own.
func (m *mapping) stranger(r *rules, n int) {
	if !r.static {
		m.strangers = uint16(int(m.strangers) + n)
	}
}

// removeSession ends a session, and with its last own session the mapping. at
// is the instant of the end. The shard's lock is held.
func (t *Table) removeSession(sh *inside, slot uint32, at int64, after *aftermath) {
	s := sh.sessions.at(slot)
	mslot := s.mapping
	m := sh.mappings.at(mslot)
	wasOwn := s.own()
	t.dropSession(sh, slot, after)
	if wasOwn && m.own == 0 {
		t.removeMapping(sh, mslot, at, after)
	}
}

// dropSession takes a session out of all tables.
func (t *Table) dropSession(sh *inside, slot uint32, after *aftermath) {
	s := sh.sessions.at(slot)
	m := sh.mappings.at(s.mapping)
	r := t.cfg().rules[m.rules]
	sh.tuples.remove(hashOf(sh.seed, m.tuple(s.remote).key()), slot)
	sh.expiry.remove(&sh.sessions, slot)
	if s.own() {
		sh.disallow(s, m, r)
	} else {
		m.stranger(r, -1)
	}
	sh.unlink(s, m)
	after.gone = append(after.gone, makeID(sh.number, s.generation, slot))
	if s.state == stateExpected {
		t.expected.waiting.Add(-1)
	} else {
		t.note(after, t.sessionEvent(SessionDeleted, sh, slot))
	}
	s.state, s.generation = stateNone, nextGeneration(s.generation)
	sh.sessions.give(slot)
	i, _ := protoIndex(r.app.Proto)
	t.live[i].sessions.Add(-1)
	t.unreserve(sh, i, m.inside.Addr)
}

// removeMapping ends a mapping with the sessions it still has. The shard's
// lock is held.
func (t *Table) removeMapping(sh *inside, mslot uint32, at int64, after *aftermath) {
	m := sh.mappings.at(mslot)
	r := t.cfg().rules[m.rules]
	for m.head != 0 {
		t.dropSession(sh, m.head, after)
	}
	if r.width != wideFull {
		sh.keys.remove(hashOf(sh.seed, m.tuple(m.remote).mapKey(r)), mslot)
	}
	unused := t.giveBack(m, r, makeID(sh.number, m.generation, mslot), at)
	t.uncountPort(sh, r, m.inside.Addr)
	if r.pairs() {
		sh.unpair(m.inside.Addr, r.group, at)
	}
	t.note(after, t.mappingEvent(MappingDeleted, sh, mslot))
	if !r.static {
		t.leaveBlock(sh, m, m.claim(r), unused, after)
	}
	m.generation = nextGeneration(m.generation)
	sh.mappings.give(mslot)
	i, _ := protoIndex(r.app.Proto)
	t.live[i].mappings.Add(-1)
}

// link puts a session into its mapping's list: own sessions in front, so that
// a live one is found without a walk past strangers.
func (sh *inside) link(slot uint32, s *session, m *mapping) {
	s.prev, s.next = m.tail, 0
	if s.own() {
		s.prev, s.next = 0, m.head
	}
	sh.join(s.prev, slot, m)
	sh.join(slot, s.next, m)
}

func (sh *inside) unlink(s *session, m *mapping) { sh.join(s.prev, s.next, m) }

// join makes b follow a; 0 is the end of the list on that side.
func (sh *inside) join(a, b uint32, m *mapping) {
	if a != 0 {
		sh.sessions.at(a).next = b
	} else {
		m.head = b
	}
	if b != 0 {
		sh.sessions.at(b).prev = a
	} else {
		m.tail = a
	}
}

// looks bounds the walk along a mapping's own sessions. Where none of so many
// is live, the mapping is trusted to be no older than the last sweep.
const looks = 64

// alive reports whether the mapping has a live session of its own (R22: looked
// up, not left to the sweep).
func (sh *inside) alive(m *mapping, r *rules, now int64) bool {
	return sh.anyOwn(m, r, now, func(*session) bool { return true })
}

func (sh *inside) anyOwn(m *mapping, r *rules, now int64, match func(*session) bool) bool {
	slot := m.head
	for range looks {
		if slot == 0 {
			return false
		}
		s := sh.sessions.at(slot)
		if !s.own() {
			return false
		}
		if match(s) && !s.expired(m, r, now) {
			return true
		}
		slot = s.next
	}
	return true
}

// liveSession reports whether a session may still be used: its own time has
// not run out, and the subscriber still keeps the mapping alive.
func (t *Table) liveSession(sh *inside, s *session, now int64) bool {
	m := sh.mappings.at(s.mapping)
	r := t.cfg().rules[m.rules]
	return !s.expired(m, r, now) && (s.own() || sh.alive(m, r, now))
}

// RemoveMapping ends a mapping and its sessions (R47). It does nothing for a
// mapping that is gone. A paired subscriber's hold (R15) begins with the last
// Sweep: nobody tells the time here.
func (t *Table) RemoveMapping(id uint64) {
	sh := t.shardOf(id)
	if sh == nil {
		return
	}
	var after aftermath
	sh.mu.Lock()
	if slot, m := sh.mapping(id); m != nil {
		t.removeMapping(sh, slot, t.swept.Load(), &after)
	}
	sh.mu.Unlock()
	t.tell(&after)
}
