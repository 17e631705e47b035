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

	beside *mapping // set by Expect: whose NAT address the translation shares
}

// DecideOut says what would become of a packet from a subscriber to the
// outside, and changes nothing. Callers ask Client first: a packet of somebody
// who is no subscriber is drop.NoMapping here, but may be routed.
//
// Reasons: ProtocolUnsupported, NATAddressSpoofed, NotSYN, Filtered for a packet
// to port 0 of a remote that is expected (Expect), and in the order of R20 SessionTableFull, GroupSessionLimit, SessionQuota, PortQuota, NoFreePort
// (R14). What CommitOut finds to be over it removes first, and the search for a
// port is its own, so that the limits are exact only there.
func (t *Table) DecideOut(tup Tuple, h Hints, now int64) (OutPlan, drop.Reason) {
	pl := OutPlan{Tuple: tup, Hints: h}
	sh := &t.insides[insideShard(tup.Inside.Addr)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	slot := sh.findSession(tup)
	if slot != 0 {
		if s := sh.sessions.at(slot); t.liveSession(sh, s, now) {
			pl.use(t, sh, s.mapping)
			if s.state == stateExpected {
				return pl, drop.Filtered
			}
			pl.Session = makeID(sh.number, s.generation, slot)
			return pl, drop.None
		}
	}
	st := t.staticOut(tup)
	r, why := t.admitOut(tup, h, st)
	if why != drop.None {
		return pl, why
	}
	pl.Group, pl.Profile = r.group, &r.app
	i, _ := protoIndex(tup.Proto)
	if slot == 0 { // a dead session makes room when it goes
		if why := t.limited(sh, r.group, i, tup.Inside.Addr); why != drop.None {
			return pl, why
		}
	}
	if mslot := sh.findMapping(tup, r, now); mslot != 0 {
		pl.use(t, sh, mslot)
		return pl, drop.None
	}
	if slot == 0 && sh.findKey(tup, r) == 0 && sh.portless(r, i, tup.Inside.Addr) {
		return pl, drop.PortQuota
	}
	if st != nil {
		a := t.cfg().byAddr[st.Outside.Addr]
		port := st.port(tup.Inside.Port)
		pl.Addresses, pl.Ports = t.cfg().addrList[a:a+1:a+1], PortRange{port, port}
		return pl, drop.None
	}
	w := newWant(tup, h, r, now)
	return pl, t.outlook(sh, &pl, &w)
}

// use fills in an existing mapping.
func (pl *OutPlan) use(t *Table, sh *inside, mslot uint32) {
	m := sh.mappings.at(mslot)
	r := t.cfg().rules[m.rules]
	pl.Group, pl.Profile = r.group, &r.app
	pl.Mapping = makeID(sh.number, m.generation, mslot)
	pl.Outside = m.outside
}

// admitOut finds the rules for a new session from inside, or says why there
// must be none. st is the static mapping that it has to use, or nil.
func (t *Table) admitOut(tup Tuple, h Hints, st *static) (*rules, drop.Reason) {
	if _, ok := protoIndex(tup.Proto); !ok {
		return nil, drop.ProtocolUnsupported
	}
	if t.Owns(tup.Inside.Addr) {
		return nil, drop.NATAddressSpoofed
	}
	g := t.cfg().clients.find(tup.Inside.Addr)
	if g == nil {
		return nil, drop.NoMapping
	}
	r := g.rules(tup.Proto, tup.Remote.Port)
	if st != nil {
		i, _ := protoIndex(tup.Proto)
		r = st.rules(i)
	}
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
		s := sh.sessions.at(slot)
		switch live := t.liveSession(sh, s, now); {
		case live && s.state == stateExpected:
			return 0, drop.Filtered // port 0 of the remote is nobody's (Expect)
		case live:
			t.touch(sh, slot, dirOut, pl.Hints, now)
			return slot, drop.None
		}
		t.expire(sh, slot, now, after)
	}
	r, why := t.admitOut(pl.Tuple, pl.Hints, t.staticOut(pl.Tuple))
	if why != drop.None {
		return 0, why
	}
	return t.newSession(sh, pl, r, dirOut, now, after)
}

// newSession makes a session that a packet in direction dir began, with a
// mapping if there is none for it.
func (t *Table) newSession(sh *inside, pl *OutPlan, r *rules, dir int, now int64, after *aftermath) (uint32, drop.Reason) {
	i, _ := protoIndex(pl.Tuple.Proto)
	if why := t.reserve(sh, r.group, i, pl.Tuple.Inside.Addr); why != drop.None {
		return 0, why
	}
	mslot, why := t.mappingFor(sh, pl, r, now, after)
	if why != drop.None {
		t.unreserve(sh, i, pl.Tuple.Inside.Addr)
		return 0, why
	}
	slot := sh.sessions.take()
	t.addSession(sh, slot, mslot, pl.Tuple.Remote, dir, pl.Hints, now, after)
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
	i, _ := protoIndex(tup.Proto)
	if sh.portless(r, i, tup.Inside.Addr) {
		return 0, drop.PortQuota
	}
	mslot := sh.mappings.take()
	m := sh.mappings.at(mslot)
	generation := max(m.generation, 1)
	// The identifier goes into the outside index together with the port.
	w := newWant(tup, pl.Hints, r, now)
	w.id, w.beside = makeID(sh.number, generation, mslot), pl.beside
	w.twin = pl.beside != nil && pl.beside.inside == tup.Inside
	address, port, ok := t.drawFor(sh, tup, &w, after)
	if !ok {
		sh.mappings.give(mslot)
		return 0, drop.NoFreePort
	}
	*m = mapping{
		generation: generation, address: address, inside: tup.Inside, remote: tup.Remote, rules: r.index, proto: tup.Proto,
		outside: frame.Endpoint{Addr: t.cfg().addrList[address], Port: port},
	}
	if r.width != wideFull {
		sh.keys.add(hashOf(sh.seed, tup.mapKey(r)), mslot)
	}
	if r.pairs() {
		sh.pair(tup.Inside.Addr, r.group, address)
	}
	t.countPort(sh, r, tup.Inside.Addr)
	t.live[i].mappings.Add(1)
	t.note(after, t.mappingEvent(MappingCreated, sh, mslot))
	return mslot, drop.None
}
