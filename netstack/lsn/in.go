package lsn

import (
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// InPlan is what would become of a packet from outside to a NAT address.
// CommitIn carries it out; explain prints it.
type InPlan struct {
	Proto           uint8
	Outside, Remote frame.Endpoint
	Hints           Hints
	Group           *Group
	Profile         *AppProfile // that of the mapping
	Inside          frame.Endpoint
	// Session is the session that the packet would use; 0: it would make a new
	// one, because the filter of Mapping admits the remote.
	Session, Mapping uint64
	// Expected is the session that waits for this packet, if not 0 (Expect).
	Expected uint64
}

// DecideIn says what would become of a packet from remote to a NAT address,
// and changes nothing. For ICMP queries the port of outside is the identifier
// and that of remote 0.
//
// Reasons: NoMapping, Filtered, NotSYN, ProtocolUnsupported, and of R20
// SessionTableFull, GroupSessionLimit, SessionQuota and UnansweredLimit.
// A remote that the filter admits but that the subscriber's same inside
// endpoint already talks to through another mapping is Filtered: a second
// session of the same inside view could not be told from the first.
func (t *Table) DecideIn(proto uint8, out, remote frame.Endpoint, h Hints, now int64) (InPlan, drop.Reason) {
	pl := InPlan{Proto: proto, Outside: out, Remote: remote, Hints: h}
	if _, ok := protoIndex(proto); !ok {
		return pl, drop.ProtocolUnsupported
	}
	sh, mslot, st, why := t.target(proto, out, remote)
	if sh == nil {
		return pl, why
	}
	defer sh.mu.Unlock()
	return pl, t.decideIn(sh, &pl, mslot, st, now)
}

// target finds what a packet from outside is for, and returns with its shard
// locked: a mapping, 0 if there is none, and the static mapping that could make
// one. The mapping of another subscriber, from before the static one, counts
// for more. sh is nil if there is neither, and why says what that means.
func (t *Table) target(proto uint8, out, remote frame.Endpoint) (sh *inside, mslot uint32, st *static, why drop.Reason) {
	sh, mslot, why = t.lookupIn(proto, out, remote)
	if st = t.staticIn(proto, out, remote); st == nil {
		return sh, mslot, nil, why
	}
	own := &t.insides[insideShard(st.Inside.Addr)]
	switch sh {
	case nil:
		own.mu.Lock()
		return own, 0, st, drop.None
	case own:
		return own, mslot, st, why
	}
	return sh, mslot, nil, why
}

// decideIn fills the plan in for a packet to a mapping, or to a static one that
// has no session for it. The shard's lock is held.
func (t *Table) decideIn(sh *inside, pl *InPlan, mslot uint32, st *static, now int64) drop.Reason {
	why := drop.NoMapping
	if mslot != 0 {
		why = t.decideMapped(sh, pl, mslot, now)
	}
	if why == drop.NoMapping && st != nil {
		return t.decideStatic(sh, pl, st, now)
	}
	return why
}

func (t *Table) decideMapped(sh *inside, pl *InPlan, mslot uint32, now int64) drop.Reason {
	m := sh.mappings.at(mslot)
	r := t.cfg().rules[m.rules]
	slot := sh.findSession(m.tuple(pl.Remote))
	live := slot != 0 && t.liveSession(sh, sh.sessions.at(slot), now)
	if s := sh.sessions.at(slot); live && s.mapping == mslot && s.state != stateExpected {
		pl.use(t, sh, slot, s)
		return drop.None
	}
	// A packet from port 0, which is nobody's (RFC 6335 section 6), finds the
	// waiting session live and is not what it waits for.
	if waits := t.waiting(sh, mslot, pl.Remote, now); waits != 0 && !live {
		return t.decideExpected(sh, pl, waits)
	}
	if !sh.alive(m, r, now) {
		return drop.NoMapping // it has expired
	}
	pl.Group, pl.Profile, pl.Inside = r.group, &r.app, m.inside
	pl.Mapping = makeID(sh.number, m.generation, mslot)
	if live || !t.admits(sh, mslot, m, r, pl.Remote, now) {
		return drop.Filtered
	}
	if r.synCheck && !onlySYN(pl.Hints.TCPFlags) {
		return drop.NotSYN
	}
	if slot != 0 {
		return drop.None // it is dead, and makes room when it goes
	}
	if m.strangers >= maxStrangers && pl.Expected == 0 {
		return drop.UnansweredLimit
	}
	i, _ := protoIndex(pl.Proto)
	return t.limited(sh, r.group, i, m.inside.Addr)
}

// use fills in an existing session.
func (pl *InPlan) use(t *Table, sh *inside, slot uint32, s *session) {
	m := sh.mappings.at(s.mapping)
	r := t.cfg().rules[m.rules]
	pl.Group, pl.Profile, pl.Inside = r.group, &r.app, m.inside
	pl.Session = makeID(sh.number, s.generation, slot)
	pl.Mapping = makeID(sh.number, m.generation, s.mapping)
}

// CommitIn carries a plan of DecideIn out: it counts and, where R21 lets it,
// refreshes the session, or makes one for a remote that the filter admits.
// Everything is looked up again; the reasons are those of DecideIn.
func (t *Table) CommitIn(pl *InPlan, now int64) (Binding, drop.Reason) {
	if _, ok := protoIndex(pl.Proto); !ok {
		return Binding{}, drop.ProtocolUnsupported
	}
	sh, mslot, st, why := t.target(pl.Proto, pl.Outside, pl.Remote)
	if sh == nil {
		return Binding{}, why
	}
	var after aftermath
	slot, why := t.commitIn(sh, pl, mslot, st, now, &after)
	var out Binding
	if why == drop.None {
		out = t.binding(sh, slot)
	}
	sh.mu.Unlock()
	t.tell(&after)
	return out, why
}

func (t *Table) commitIn(sh *inside, pl *InPlan, mslot uint32, st *static, now int64, after *aftermath) (uint32, drop.Reason) {
	pl.Session, pl.Mapping, pl.Expected = 0, 0, 0
	if why := t.decideIn(sh, pl, mslot, st, now); why != drop.None {
		return 0, why
	}
	if pl.Mapping == 0 {
		return t.commitStatic(sh, pl, st, now, after)
	}
	if slot, s := sh.session(pl.Session); s != nil {
		t.touch(sh, slot, dirIn, pl.Hints, now)
		return slot, drop.None
	}
	if slot := sh.findSession(sh.mappings.at(mslot).tuple(pl.Remote)); slot != 0 {
		// A session that is over. The mapping stays: it was found alive, so
		// this one is not the last of its own.
		t.expire(sh, slot, now, after)
	}
	if pl.Expected != 0 {
		return t.fulfil(sh, pl, now, after)
	}
	i, _ := protoIndex(pl.Proto)
	m := sh.mappings.at(mslot)
	if why := t.reserve(sh, t.cfg().rules[m.rules].group, i, m.inside.Addr); why != drop.None {
		return 0, why
	}
	slot := sh.sessions.take()
	t.addSession(sh, slot, mslot, pl.Remote, dirIn, pl.Hints, now, after)
	return slot, drop.None
}
