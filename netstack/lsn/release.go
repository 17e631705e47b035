package lsn

import "spigate/netstack/frame"

// EndSessions ends those sessions of a mapping that over reports, by remote
// endpoint and by when their idle time began (monotonic nanoseconds), and the
// mapping with its last own session. What remains idles out by its profile
// again, whatever SetIdle said. over must not call the Table. It is how the ALG
// gives back what IKE used (R47).
func (t *Table) EndSessions(id uint64, over func(remote frame.Endpoint, last int64) bool) {
	sh := t.shardOf(id)
	if sh == nil {
		return
	}
	var after aftermath
	sh.mu.Lock()
	if _, m := sh.mapping(id); m != nil {
		m.override = 0
		t.endSessions(sh, id, m.head, over, &after)
	}
	sh.mu.Unlock()
	t.tell(&after)
}

// endSessions goes along a mapping's list from slot on, until its end or that
// of the mapping.
func (t *Table) endSessions(sh *inside, id uint64, slot uint32, over func(frame.Endpoint, int64) bool, after *aftermath) {
	for slot != 0 {
		s := sh.sessions.at(slot)
		next := s.next
		if over(s.remote, s.last) {
			t.removeSession(sh, slot, t.swept.Load(), after)
		} else {
			m := sh.mappings.at(s.mapping)
			sh.expiry.set(&sh.sessions, slot, s.last+s.idle(m, t.cfg().rules[m.rules]))
		}
		if _, m := sh.mapping(id); m == nil {
			return
		}
		slot = next
	}
}
