package lsn

import (
	"sync/atomic"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// A helper reads in a subscriber's connection that the remote is going to open
// another one (FTP, TFTP). Expect makes room for it: a session towards port 0 of
// the remote's address, which no packet has. The first packet from any port of
// that address makes that session its own, and nobody else comes in after it.
//
//	Expect ──► expected ── packet from remote ──► opening or open, as any session
//	              └── ExpectTime is exceeded ───► gone
//
// Where the mapping admits the remote's address anyway there is nothing to do.

// ExpectTime is how long Expect waits for the remote.
const ExpectTime = time.Minute

// ExpectStats counts what became of expectations. Those that are neither Used
// nor Waiting ended without anybody.
type ExpectStats struct {
	Opened, Used uint64
	Waiting      int
}

type expectations struct {
	opened, used atomic.Uint64
	waiting      atomic.Int64
}

// Expect lets one connection, or exchange of datagrams, in to port of the
// subscriber of session, from any port of the session's remote address. It
// returns where outside that is: on the NAT address of the session (R14), for
// the subscriber's own port of the session on its own port outside, else on a
// port that is drawn. To ask again while nobody has come gives the same one, and
// the time begins anew.
//
// Reasons: NoMapping, if the session is gone; Filtered, if the subscriber sends
// to port 0 of the remote; NoFreePort, and the limits of R20.
func (t *Table) Expect(session uint64, port uint16, now int64) (frame.Endpoint, drop.Reason) {
	sh := t.shardOf(session)
	if sh == nil {
		return frame.Endpoint{}, drop.NoMapping
	}
	var after aftermath
	sh.mu.Lock()
	outside, why := t.expect(sh, session, port, now, &after)
	sh.mu.Unlock()
	t.tell(&after)
	return outside, why
}

func (t *Table) expect(sh *inside, id uint64, port uint16, now int64, after *aftermath) (frame.Endpoint, drop.Reason) {
	_, s := sh.session(id)
	if s == nil || !t.liveSession(sh, s, now) {
		return frame.Endpoint{}, drop.NoMapping
	}
	m := sh.mappings.at(s.mapping)
	if !t.cfg().keeps(m) {
		return frame.Endpoint{}, drop.NoMapping // Reload is about to end it
	}
	r := t.cfg().rules[m.rules]
	tup := m.tuple(frame.Endpoint{Addr: s.remote.Addr})
	tup.Inside.Port = port
	if slot := sh.findSession(tup); slot != 0 {
		e := sh.sessions.at(slot)
		switch live := t.liveSession(sh, e, now); {
		case live && e.state == stateExpected:
			e.last = now
			return sh.mappings.at(e.mapping).outside, drop.None
		case live:
			return frame.Endpoint{}, drop.Filtered
		}
		t.expire(sh, slot, now, after)
	}
	if st := t.staticOut(tup); st != nil { // it is open already (R27)
		return frame.Endpoint{Addr: st.Outside.Addr, Port: st.port(port)}, drop.None
	}
	mslot := sh.findMapping(tup, r, now)
	if port == m.inside.Port && r.width != wideFull {
		mslot = s.mapping
	}
	if mslot != 0 && t.admits(sh, mslot, sh.mappings.at(mslot), r, tup.Remote, now) {
		return sh.mappings.at(mslot).outside, drop.None
	}
	return t.await(sh, m, mslot, tup, now, after)
}

// await makes an expected session on the mapping mslot or, if that is 0, on a
// new one for one remote alone, on the NAT address of m.
func (t *Table) await(sh *inside, m *mapping, mslot uint32, tup Tuple, now int64, after *aftermath) (frame.Endpoint, drop.Reason) {
	r, own := t.cfg().rules[m.rules], tup.Inside.Addr
	i, _ := protoIndex(tup.Proto)
	why := t.reserve(sh, r.group, i, own)
	if why != drop.None {
		return frame.Endpoint{}, why
	}
	if mslot == 0 {
		pl := OutPlan{Tuple: tup, beside: m}
		if mslot, why = t.mappingFor(sh, &pl, r.strict, now, after); why != drop.None {
			t.unreserve(sh, i, own)
			return frame.Endpoint{}, why
		}
	}
	slot := sh.sessions.take()
	var untold aftermath // fulfil tells of the session, when its remote is known
	t.addSession(sh, slot, mslot, tup.Remote, dirOut, Hints{}, now, &untold)
	s := sh.sessions.at(slot)
	s.state, s.seen, s.packets = stateExpected, kept, [2]uint64{}
	sh.expiry.set(&sh.sessions, slot, now+int64(ExpectTime))
	t.expected.opened.Add(1)
	t.expected.waiting.Add(1)
	return sh.mappings.at(mslot).outside, drop.None
}

// bound returns the NAT address that a new mapping must have. ok is false if it
// may have any.
func (sh *inside) bound(w *want) (address uint32, ok bool) {
	if w.beside != nil {
		return w.beside.address, true
	}
	return sh.pairOf(w.inside, w.rules, w.now)
}

// drawBeside draws a port on the address of another mapping of the subscriber,
// and for the same inside port that one's.
func (t *Table) drawBeside(sh *inside, w *want, after *aftermath) (address uint32, port uint16, ok bool) {
	n, g := t.cfg().addrs[w.beside.address], w.rules.group
	switch {
	case w.twin:
		return t.drawTwin(w)
	case n.blocks == nil: // of a static mapping, in a group with blocks
		port, ok = t.draw(n, w)
		return w.beside.address, port, ok
	case g.Type == Dynamic:
		return t.drawBlocks(sh, w, after)
	}
	if a, _, dealt := g.dealt(w.inside); !dealt || a != w.beside.address {
		return 0, 0, false
	}
	return t.drawDealt(w)
}

// drawTwin takes the very port of the mapping beside which a new one is to be,
// for another remote.
func (t *Table) drawTwin(w *want) (address uint32, port uint16, ok bool) {
	n, port := t.cfg().addrs[w.beside.address], w.beside.outside.Port
	if _, ok = t.drawOne(n, port, w); !ok || n.blocks == nil {
		return w.beside.address, port, ok
	}
	if number, in := n.blocks.of(port); in {
		n.blocks.list[number].grow(w.claim, w.fresh)
	}
	return w.beside.address, port, true
}

// lookupIn is lookup for a packet that may be waited for with any port.
func (t *Table) lookupIn(proto uint8, out, remote frame.Endpoint) (sh *inside, mslot uint32, why drop.Reason) {
	sh, mslot, why = t.lookup(proto, out, remote)
	if sh == nil && remote.Port != 0 {
		if sh, mslot, _ = t.lookup(proto, out, frame.Endpoint{Addr: remote.Addr}); sh != nil {
			why = drop.None
		}
	}
	return sh, mslot, why
}

// waiting returns the session of a mapping that waits for a remote, 0 if there
// is none. The shard's lock is held.
func (t *Table) waiting(sh *inside, mslot uint32, remote frame.Endpoint, now int64) uint32 {
	slot := sh.sessionOf(mslot, frame.Endpoint{Addr: remote.Addr})
	if s := sh.sessions.at(slot); slot == 0 || s.state != stateExpected || !t.liveSession(sh, s, now) {
		return 0
	}
	return slot
}

// decideExpected fills the plan in for a packet that somebody waits for. The
// shard's lock is held.
func (t *Table) decideExpected(sh *inside, pl *InPlan, slot uint32) drop.Reason {
	s := sh.sessions.at(slot)
	m := sh.mappings.at(s.mapping)
	r := t.cfg().rules[m.rules]
	pl.Group, pl.Profile, pl.Inside = r.group, &r.app, m.inside
	pl.Mapping = makeID(sh.number, m.generation, s.mapping)
	pl.Expected = makeID(sh.number, s.generation, slot)
	if r.synCheck && !onlySYN(pl.Hints.TCPFlags) {
		return drop.NotSYN
	}
	return drop.None
}

// fulfil gives an expected session to the remote that has come. Another one
// with the same inside view is gone already.
func (t *Table) fulfil(sh *inside, pl *InPlan, now int64, after *aftermath) (uint32, drop.Reason) {
	slot, s := sh.session(pl.Expected)
	if s == nil {
		return 0, drop.NoMapping
	}
	m := sh.mappings.at(s.mapping)
	r := t.cfg().rules[m.rules]
	if r.width == wideFull { // the claim is for the remote alone
		if !t.reclaim(m, r, pl.Remote, pl.Mapping) {
			return 0, drop.Filtered
		}
		m.remote = pl.Remote
	}
	sh.tuples.remove(hashOf(sh.seed, m.tuple(s.remote).key()), slot)
	was := *s
	s.start(pl.Remote, r, dirIn, pl.Hints, now)
	sh.passed(r, dirIn, 1, uint64(max(pl.Hints.Bytes, 0)))
	s.mapping, s.prev, s.next, s.due = was.mapping, was.prev, was.next, was.due
	s.seen |= kept
	sh.tuples.add(hashOf(sh.seed, m.tuple(s.remote).key()), slot)
	sh.expiry.set(&sh.sessions, slot, now+s.idle(m, r))
	t.expected.used.Add(1)
	t.expected.waiting.Add(-1)
	t.note(after, t.sessionEvent(SessionCreated, sh, slot))
	return slot, drop.None
}

// reclaim changes the one remote that a mapping claims its port for. It reports
// false if another mapping has that.
func (t *Table) reclaim(m *mapping, r *rules, remote frame.Endpoint, id uint64) bool {
	o := &t.outsides[outsideShard(m.outside.Addr, m.outside.Port)]
	o.mu.Lock()
	defer o.mu.Unlock()
	slot, u := o.port(portKey{m.outside.Addr, m.outside.Port, uint16(m.proto)})
	is := newClaim(m.proto, r.width, remote)
	if p := o.claims.probe(o.hash(slot, is)); u == nil || p.next() != 0 {
		return false
	}
	o.claims.remove(o.hash(slot, m.claim(r)), makeRef(id))
	o.claims.add(o.hash(slot, is), makeRef(id))
	return true
}

// Expectations returns how many connections helpers have asked for.
func (t *Table) Expectations() ExpectStats {
	e := &t.expected
	return ExpectStats{Opened: e.opened.Load(), Used: e.used.Load(), Waiting: int(e.waiting.Load())}
}
