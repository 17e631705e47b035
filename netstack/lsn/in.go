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
}

// DecideIn says what would become of a packet from remote to a NAT address,
// and changes nothing. For ICMP queries the port of outside is the identifier
// and that of remote 0.
//
// Reasons: NoMapping, Filtered, NotSYN, SessionTableFull, ProtocolUnsupported.
// A remote that the filter admits but that the subscriber's same inside
// endpoint already talks to through another mapping is Filtered: a second
// session of the same inside view could not be told from the first.
func (t *Table) DecideIn(proto uint8, out, remote frame.Endpoint, h Hints, now int64) (InPlan, drop.Reason) {
	pl := InPlan{Proto: proto, Outside: out, Remote: remote, Hints: h}
	if _, ok := protoIndex(proto); !ok {
		return pl, drop.ProtocolUnsupported
	}
	b := t.lookup(proto, out, remote)
	sh := t.shardBehind(b)
	if sh == nil {
		return pl, b.nobody()
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return pl, t.decideIn(sh, &pl, b, now)
}

// shardBehind returns the shard of the subscriber behind an outside endpoint,
// nil if there is none.
func (t *Table) shardBehind(b behind) *inside {
	switch {
	case b.session != 0:
		return t.shardOf(b.session)
	case b.mapping != 0:
		return t.shardOf(b.mapping)
	}
	return nil
}

// nobody is the reason if neither a session nor a claim is there.
func (b behind) nobody() drop.Reason {
	if b.used {
		return drop.Filtered
	}
	return drop.NoMapping
}

// decideIn fills the plan in. The shard's lock is held; the outside index may
// have changed since b was read.
func (t *Table) decideIn(sh *inside, pl *InPlan, b behind, now int64) drop.Reason {
	if slot, s := sh.session(b.session); s != nil && t.liveSession(sh, s, now) {
		pl.use(t, sh, slot, s)
		return drop.None
	}
	mslot, m := sh.mapping(b.mapping)
	if m == nil {
		return drop.NoMapping // it has expired
	}
	r := t.rules[m.rules]
	if !sh.alive(m, r, now) {
		return drop.NoMapping
	}
	pl.Group, pl.Profile, pl.Inside, pl.Mapping = r.group, &r.app, m.inside, b.mapping
	if !t.admits(sh, mslot, m, r, pl.Remote, now) {
		return drop.Filtered
	}
	if slot, ok := sh.tuples[m.tuple(r, pl.Remote).key()]; ok {
		s := sh.sessions.at(slot)
		if live := t.liveSession(sh, s, now); live && s.mapping == mslot {
			pl.use(t, sh, slot, s) // another packet came first
			return drop.None
		} else if live {
			return drop.Filtered
		}
	}
	if r.synCheck && !onlySYN(pl.Hints.TCPFlags) {
		return drop.NotSYN
	}
	if t.sessions.Load() >= t.limit {
		return drop.SessionTableFull
	}
	return drop.None
}

// use fills in an existing session.
func (pl *InPlan) use(t *Table, sh *inside, slot uint32, s *session) {
	m := sh.mappings.at(s.mapping)
	r := t.rules[m.rules]
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
	b := t.lookup(pl.Proto, pl.Outside, pl.Remote)
	sh := t.shardBehind(b)
	if sh == nil {
		return Binding{}, b.nobody()
	}
	var after aftermath
	sh.mu.Lock()
	slot, why := t.commitIn(sh, pl, b, now, &after)
	var out Binding
	if why == drop.None {
		out = t.binding(sh, slot)
	}
	sh.mu.Unlock()
	t.tell(&after)
	return out, why
}

func (t *Table) commitIn(sh *inside, pl *InPlan, b behind, now int64, after *aftermath) (uint32, drop.Reason) {
	pl.Session, pl.Mapping = 0, 0
	if why := t.decideIn(sh, pl, b, now); why != drop.None {
		return 0, why
	}
	if slot, s := sh.session(pl.Session); s != nil {
		// The subscriber is not heard here, so the session cannot become its own.
		s.touch(t.rules[sh.mappings.at(s.mapping).rules], dirIn, pl.Hints, now)
		return slot, drop.None
	}
	mslot, m := sh.mapping(pl.Mapping)
	r := t.rules[m.rules]
	if slot, ok := sh.tuples[m.tuple(r, pl.Remote).key()]; ok {
		// A session that is over. The mapping stays: it was found alive, so
		// this one is not the last of its own.
		t.expire(sh, slot, now, after)
	}
	if !t.reserve() {
		return 0, drop.SessionTableFull
	}
	slot := sh.sessions.take()
	s := sh.sessions.at(slot)
	s.generation = max(s.generation, 1)
	t.addSession(sh, slot, mslot, pl.Remote, dirIn, pl.Hints, now, after)
	return slot, drop.None
}
