package lsn

import (
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// OutPlan is what would become of a subscriber's packet. CommitOut carries it
// out; explain prints it.
type OutPlan struct {
	Tuple Tuple
	Hints Hints
	Group *Group
	// Profile is the application profile that decides.
	Profile *AppProfile
	// Session and Mapping are those that the packet would use; 0: it would
	// make a new one.
	Session, Mapping uint64
	// Outside is the translation, if Mapping is not 0.
	Outside frame.Endpoint
	// Addresses and Ports are the set that the translation would be drawn from,
	// if Mapping is 0. Read only. Of drawn blocks (R17) it is known only then
	// which one it will be.
	Addresses []frame.Addr
	Ports     PortRange
}

// DecideOut says what would become of a packet from a subscriber to the
// outside, and changes nothing. Callers ask Client first: a packet of somebody
// who is no subscriber is drop.NoMapping here, but may be routed.
//
// Reasons: ProtocolUnsupported, NATAddressSpoofed, Hairpin (R26), NotSYN,
// SessionTableFull, NoFreePort (R14; the search for a port is CommitOut's, so
// that a nearly full address may still fail there).
func (t *Table) DecideOut(tup Tuple, h Hints, now int64) (OutPlan, drop.Reason) {
	pl := OutPlan{Tuple: tup, Hints: h}
	sh := &t.insides[insideShard(tup.Inside.Addr)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if slot := sh.findSession(tup); slot != 0 {
		if s := sh.sessions.at(slot); t.liveSession(sh, s, now) {
			pl.use(t, sh, s.mapping)
			pl.Session = makeID(sh.number, s.generation, slot)
			return pl, drop.None
		}
	}
	r, why := t.admitOut(tup, h)
	if why != drop.None {
		return pl, why
	}
	pl.Group, pl.Profile = r.group, &r.app
	if t.sessions.Load() >= t.limit {
		return pl, drop.SessionTableFull
	}
	if mslot := sh.findMapping(tup, r, now); mslot != 0 {
		pl.use(t, sh, mslot)
		return pl, drop.None
	}
	w := newWant(tup, h, r, now)
	return pl, t.outlook(sh, &pl, &w)
}

// use fills in an existing mapping.
func (pl *OutPlan) use(t *Table, sh *inside, mslot uint32) {
	m := sh.mappings.at(mslot)
	r := t.rules[m.rules]
	pl.Group, pl.Profile = r.group, &r.app
	pl.Mapping = makeID(sh.number, m.generation, mslot)
	pl.Outside = m.outside
}

// admitOut finds the rules for a new session from inside, or says why there
// must be none.
func (t *Table) admitOut(tup Tuple, h Hints) (*rules, drop.Reason) {
	if _, ok := protoIndex(tup.Proto); !ok {
		return nil, drop.ProtocolUnsupported
	}
	if t.Owns(tup.Inside.Addr) {
		return nil, drop.NATAddressSpoofed
	}
	if t.Owns(tup.Remote.Addr) {
		return nil, drop.Hairpin
	}
	g := t.clients.find(tup.Inside.Addr)
	if g == nil {
		return nil, drop.NoMapping
	}
	r := g.rules(tup.Proto, tup.Remote.Port)
	if r.synCheck && !onlySYN(h.TCPFlags) {
		return nil, drop.NotSYN
	}
	return r, drop.None
}

// findMapping returns the live mapping that a new session must share (R19), 0
// if there is none. The shard's lock is held.
func (sh *inside) findMapping(tup Tuple, r *rules, now int64) uint32 {
	if r.width == wideFull {
		return 0 // it would have been found by its only session
	}
	mslot := sh.findKey(tup, r)
	if mslot == 0 || !sh.alive(sh.mappings.at(mslot), r, now) {
		return 0
	}
	return mslot
}

// CommitOut carries a plan of DecideOut out: it refreshes the session or makes
// it, with a mapping if need be. Everything is looked up again, because
// another packet may have come first; the reasons are those of DecideOut.
func (t *Table) CommitOut(pl *OutPlan, now int64) (Binding, drop.Reason) {
	var after aftermath
	sh := &t.insides[insideShard(pl.Tuple.Inside.Addr)]
	sh.mu.Lock()
	slot, why := t.commitOut(sh, pl, now, &after)
	var b Binding
	if why == drop.None {
		b = t.binding(sh, slot)
	}
	sh.mu.Unlock()
	t.tell(&after)
	return b, why
}

func (t *Table) commitOut(sh *inside, pl *OutPlan, now int64, after *aftermath) (uint32, drop.Reason) {
	if slot := sh.findSession(pl.Tuple); slot != 0 {
		if t.liveSession(sh, sh.sessions.at(slot), now) {
			t.touch(sh, slot, dirOut, pl.Hints, now)
			return slot, drop.None
		}
		t.expire(sh, slot, now, after)
	}
	r, why := t.admitOut(pl.Tuple, pl.Hints)
	if why != drop.None {
		return 0, why
	}
	if !t.reserve() {
		return 0, drop.SessionTableFull
	}
	mslot, why := t.mappingFor(sh, pl, r, now, after)
	if why != drop.None {
		t.sessions.Add(-1)
		return 0, why
	}
	slot := sh.sessions.take()
	t.addSession(sh, slot, mslot, pl.Tuple.Remote, dirOut, pl.Hints, now, after)
	return slot, drop.None
}

// mappingFor finds the mapping of a new session from inside, or makes it.
func (t *Table) mappingFor(sh *inside, pl *OutPlan, r *rules, now int64, after *aftermath) (uint32, drop.Reason) {
	tup := pl.Tuple
	if mslot := sh.findMapping(tup, r, now); mslot != 0 {
		return mslot, drop.None
	}
	if r.width != wideFull {
		if mslot := sh.findKey(tup, r); mslot != 0 {
			t.removeMapping(sh, mslot, t.ended(sh, mslot), after)
		}
	}
	mslot := sh.mappings.take()
	m := sh.mappings.at(mslot)
	generation := max(m.generation, 1)
	// The identifier goes into the outside index together with the port.
	w := newWant(tup, pl.Hints, r, now)
	w.id = makeID(sh.number, generation, mslot)
	address, port, ok := t.drawOutside(sh, &w, after)
	if !ok {
		sh.mappings.give(mslot)
		return 0, drop.NoFreePort
	}
	*m = mapping{
		generation: generation, address: address, inside: tup.Inside, remote: tup.Remote, rules: r.index, proto: tup.Proto,
		outside: frame.Endpoint{Addr: t.addrList[address], Port: port},
	}
	if r.width != wideFull {
		sh.keys.add(hashOf(sh.seed, tup.mapKey(r)), mslot)
	}
	if r.pairs() {
		sh.pair(tup.Inside.Addr, r.group, address)
	}
	i, _ := protoIndex(tup.Proto)
	t.live[i].mappings.Add(1)
	t.note(after, t.mappingEvent(MappingCreated, sh, mslot))
	return mslot, drop.None
}
