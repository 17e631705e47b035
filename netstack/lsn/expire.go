package lsn

// sweepStep is how many slots are looked at while a shard's lock is held, so
// that a packet waits for some tens of microseconds at most.
const sweepStep = 128

// Sweep removes what has expired (R22); call it every second. It looks only at
// what the wheels say may be due: the sessions whose time, as it was when they
// were last looked at, has come. Each look takes a shard's lock for sweepStep
// sessions. Look-ups do not depend on it: they check the time themselves. The
// sessions that it removes go to Config.OnGone.
func (t *Table) Sweep(now int64) {
	t.swept.Store(now)
	set := t.cfg()
	for _, i := range set.live {
		t.release(set.addrs[i], now)
	}
	var after aftermath
	for i := range t.insides {
		sh := &t.insides[i]
		for r := (round{now: now}); t.sweepSessions(sh, &r, &after); {
			t.tell(&after)
		}
		t.tell(&after)
		for r := (round{now: now}); t.sweepPairs(sh, &r); {
		}
	}
}

// sweepSessions looks at up to sweepStep sessions, and reports whether there
// are more.
func (t *Table) sweepSessions(sh *inside, round *round, after *aftermath) (more bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for range sweepStep {
		slot := sh.expiry.next(&sh.sessions, round)
		if slot == 0 {
			return false
		}
		s := sh.sessions.at(slot)
		m := sh.mappings.at(s.mapping)
		r := t.cfg().rules[m.rules]
		if s.expired(m, r, round.now) {
			t.expire(sh, slot, round.now, after)
		} else {
			sh.expiry.set(&sh.sessions, slot, s.last+s.idle(m, r))
		}
	}
	return true
}

// sweepPairs forgets the NAT addresses of subscribers whose hold is over, like
// sweepSessions.
func (t *Table) sweepPairs(sh *inside, round *round) (more bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for range sweepStep {
		slot := sh.holds.next(&sh.pairs, round)
		if slot == 0 {
			return false
		}
		p := sh.pairs.at(slot)
		if g := t.cfg().groups[p.group]; p.kept(g, round.now) {
			sh.holds.set(&sh.pairs, slot, p.gone+g.hold.Load())
		} else {
			sh.dropPair(slot)
		}
	}
	return true
}

// expire removes a session that is over: its own time has run out, or that of
// the mapping's own sessions. The shard's lock is held.
func (t *Table) expire(sh *inside, slot uint32, now int64, after *aftermath) {
	s := sh.sessions.at(slot)
	m := sh.mappings.at(s.mapping)
	r := t.cfg().rules[m.rules]
	if s.expired(m, r, now) {
		t.removeSession(sh, slot, s.last+s.idle(m, r), after)
		return
	}
	t.removeMapping(sh, s.mapping, t.ended(sh, s.mapping), after)
}

// ended returns when a mapping without a live session of its own came to its
// end.
func (t *Table) ended(sh *inside, mslot uint32) (at int64) {
	m := sh.mappings.at(mslot)
	r := t.cfg().rules[m.rules]
	for slot := m.head; slot != 0; {
		s := sh.sessions.at(slot)
		if s.own() {
			at = max(at, s.last+s.idle(m, r))
		}
		slot = s.next
	}
	return at
}
