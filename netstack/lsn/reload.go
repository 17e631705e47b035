package lsn

import "slices"

// Check returns all faults of what Reload would take.
func Check(c Config) error {
	_, err := newSettings(c)
	return err
}

// Reloaded counts what became of the sessions that Reload met; those that a
// helper expects, and nobody has come for, are none.
type Reloaded struct {
	Kept    int // they go on
	Cleared int // they ended: their group, static mapping or NAT address is gone, or their subscriber is none any more
	Refused int // they ended: all that is there, but it takes them no more as they are
}

// Reload makes another configuration that of the table, while packets pass. It
// returns all faults at once, and then nothing has changed. Of c only Clients,
// Pools, Groups and Statics count; the rest is fixed by New.
//
// A session goes on, with a timeout that counts from its last packet (R10), if
// its NAT address is still in a pool of its subscriber's group and divided as
// before, its group has the same name, type and client, and its profile the
// same name and modes, and its remote is not exempt; that of a static mapping,
// if that still translates it.
// All others end with Reload, and are told as events. So do the pairings with
// addresses that are gone, and their ports in hold-down.
//
// Packets see the new settings at once. Until Reload returns, some may still
// use a session that is about to end. A group gets no new session while the
// division of one of its addresses changes.
func (t *Table) Reload(c Config, now int64) (Reloaded, error) {
	t.reloading.Lock()
	defer t.reloading.Unlock()
	set, err := newSettings(c)
	if err != nil {
		return Reloaded{}, err
	}
	g, err := newGraft(t.cfg(), set)
	if err != nil {
		return Reloaded{}, err
	}
	t.Sweep(now) // what is over by the old times does not live again by the new ones
	t.settings.Store(set)
	for _, n := range set.list {
		n.hold.Store(int64(n.PairingHold))
	}
	for _, m := range g.moved {
		m.stays.owner.Store(m.says.owner.Load())
		m.stays.hold.reconfigure(&m.says.hold)
		t.keep(m.stays, m.says.keeping())
	}
	for i := range t.insides {
		t.reloadShard(g, &t.insides[i], now)
	}
	t.retire(g)
	for _, n := range set.list {
		n.paused.Store(false)
	}
	return g.count, nil
}

// reloadShard brings a shard in line with the new settings, in short steps.
func (t *Table) reloadShard(g *graft, sh *inside, now int64) {
	var after aftermath
	sh.mu.Lock()
	for _, i := range g.begun {
		if int(i) < len(sh.traffic) {
			sh.traffic[i] = traffic{} // it was another group's
		}
	}
	sh.mu.Unlock()
	for _, step := range []func(from uint32) (next uint32){
		func(from uint32) uint32 { return t.reloadMappings(g, sh, from, now, &after) },
		func(from uint32) uint32 { return t.reloadSessions(g, sh, from, now, &after) },
		func(from uint32) uint32 { return t.reloadPairs(g, sh, from) },
		func(from uint32) uint32 { return t.reloadUsers(sh, from) },
	} {
		for next := uint32(1); next != 0; {
			sh.mu.Lock()
			next = step(next)
			sh.mu.Unlock()
			t.tell(&after)
		}
	}
}

// reloadMappings ends the mappings in some slots that the settings have no
// place for. A mapping made meanwhile is made by the new settings.
func (t *Table) reloadMappings(g *graft, sh *inside, from uint32, now int64, after *aftermath) (next uint32) {
	ended := 0
	for next = from; next < min(from+sweepStep, sh.mappings.end()) && ended < flushStep; next++ {
		if m := sh.mappings.at(next); m.head != 0 && !g.set.keeps(m) {
			n, there := sh.comers(m), g.stillThere(m)
			t.removeMapping(sh, next, now, after)
			g.ended(n, there)
			ended++
		}
	}
	return more(next, sh.mappings.end())
}

// comers is how many sessions a mapping has that somebody has come for.
func (sh *inside) comers(m *mapping) (n int) {
	for slot := m.head; slot != 0; {
		s := sh.sessions.at(slot)
		if s.state != stateExpected {
			n++
		}
		slot = s.next
	}
	return n
}

// ended counts sessions that did. there tells that what they hang on is not gone.
func (g *graft) ended(n int, there bool) {
	if there {
		g.count.Refused += n
	} else {
		g.count.Cleared += n
	}
}

// stillThere reports whether all that a mapping hangs on is in the new settings,
// in whatever form: its subscriber's group, and its NAT address or its static
// mapping.
func (g *graft) stillThere(m *mapping) bool {
	r := g.set.rules[m.rules]
	if r.static {
		return find(g.set.statics.inside, m.proto, m.inside, m.remote.Addr) != nil
	}
	_, has := g.set.byAddr[m.outside.Addr]
	named := func(n *Group) bool { return n.Name == r.group.Name }
	return has && slices.ContainsFunc(g.set.list, named) && g.set.clients.find(m.inside.Addr) != nil
}

// more returns where to go on, 0 at the end.
func more(next, end uint32) uint32 {
	if next >= end {
		return 0
	}
	return next
}

// reloadSessions puts the sessions in some slots where their new idle times
// belong, and ends those to destinations that are exempt now.
func (t *Table) reloadSessions(g *graft, sh *inside, from uint32, now int64, after *aftermath) (next uint32) {
	for next = from; next < min(from+sweepStep, sh.sessions.end()); next++ {
		s := sh.sessions.at(next)
		if s.state == stateNone {
			continue
		}
		m := sh.mappings.at(s.mapping)
		r := t.cfg().rules[m.rules]
		if !r.static && r.group.exempts() && t.Exempt(m.tuple(s.remote)) {
			if s.state != stateExpected {
				g.ended(1, true)
			}
			t.removeSession(sh, next, now, after)
			continue
		}
		if s.state != stateExpected {
			g.count.Kept++
		}
		sh.expiry.set(&sh.sessions, next, s.last+s.idle(m, r))
	}
	return more(next, sh.sessions.end())
}

// reloadPairs drops the held pairs in some slots whose address is gone, and
// puts the others where their new hold belongs. A pair with a mapping has one
// that the new settings have made or kept.
func (t *Table) reloadPairs(g *graft, sh *inside, from uint32) (next uint32) {
	for next = from; next < min(from+sweepStep, sh.pairs.end()); next++ {
		p := sh.pairs.at(next)
		if p.inside.IsZero() || p.mappings > 0 {
			continue
		}
		group := g.set.clients.find(p.inside)
		if group == nil || group.index != p.group || !group.serves(p.address) {
			sh.dropPair(next)
			continue
		}
		sh.holds.set(&sh.pairs, next, p.gone+group.hold.Load())
	}
	return more(next, sh.pairs.end())
}

// reloadUsers counts what is left of the subscribers in some slots, their ESP
// sessions, for their new groups. Nobody counts those of a subscriber who is
// none any more.
func (t *Table) reloadUsers(sh *inside, from uint32) (next uint32) {
	for next = from; next < min(from+sweepStep, sh.users.end()); next++ {
		u := sh.users.at(next)
		if u.inside.IsZero() {
			continue
		}
		if group := t.cfg().clients.find(u.inside); group != nil {
			t.user(sh, u.inside, group)
			continue
		}
		a, esp := u.inside, u.esp
		u.esp = 0
		for range esp {
			t.unreserve(sh, protoUDP, a) // the last one frees u
		}
	}
	return more(next, sh.users.end())
}

// retire forgets the addresses that are gone: nothing refers to them now but
// ports in hold-down.
func (t *Table) retire(g *graft) {
	var left *settings
	for i, n := range g.set.addrs {
		if listed(g.set.nowAddrs, i) {
			continue
		}
		t.releaseAll(n)
		if left == nil {
			clone := *g.set
			left = &clone
			left.addrs = append([]*natAddress(nil), g.set.addrs...)
		}
		left.addrs[i] = &natAddress{}
		left.addrs[i].hold.init(Pool{})
	}
	if left != nil {
		t.settings.Store(left)
	}
}
