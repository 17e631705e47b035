package lsn

// sweepStep is how many slots are looked at while a shard's lock is held, so
// that a packet waits for tens of microseconds at most.
const sweepStep = 1024

// Sweep removes what has expired (R22); call it every second. It walks through
// all slots, shard by shard, in memory order: some tens of milliseconds for a
// million sessions (BenchmarkSweepAMillion), spread over a thousand short holds
// of one lock each. Look-ups do not depend on it: they check the time
// themselves. The sessions that it removes go to Config.OnGone.
func (t *Table) Sweep(now int64) {
	t.swept.Store(now)
	var after aftermath
	for i := range t.insides {
		sh := &t.insides[i]
		for next := uint32(1); next != 0; {
			sh.mu.Lock()
			next = t.sweepSlots(sh, next, now, &after)
			sh.mu.Unlock()
			t.tell(&after)
		}
		sh.mu.Lock()
		t.sweepPairs(sh, now)
		sh.mu.Unlock()
	}
}

// sweepSlots looks at sweepStep slots and returns where to go on, 0 at the
// end.
func (t *Table) sweepSlots(sh *inside, from uint32, now int64, after *aftermath) uint32 {
	end := min(from+sweepStep, sh.sessions.end())
	for slot := from; slot < end; slot++ {
		s := sh.sessions.at(slot)
		if s.state == stateNone {
			continue
		}
		if m := sh.mappings.at(s.mapping); s.expired(m, t.rules[m.rules], now) {
			t.expire(sh, slot, now, after)
		}
	}
	if end == sh.sessions.end() {
		return 0
	}
	return end
}

// expire removes a session that is over: its own time has run out, or that of
// the mapping's own sessions. The shard's lock is held.
func (t *Table) expire(sh *inside, slot uint32, now int64, after *aftermath) {
	s := sh.sessions.at(slot)
	m := sh.mappings.at(s.mapping)
	r := t.rules[m.rules]
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
	r := t.rules[m.rules]
	for slot := m.head; slot != 0; {
		s := sh.sessions.at(slot)
		if s.own() {
			at = max(at, s.last+s.idle(m, r))
		}
		slot = s.next
	}
	return at
}

// sweepPairs forgets the NAT addresses of subscribers whose hold is over.
func (t *Table) sweepPairs(sh *inside, now int64) {
	for a, p := range sh.pairs {
		if !p.kept(t.groups[p.group], now) {
			delete(sh.pairs, a)
		}
	}
}
