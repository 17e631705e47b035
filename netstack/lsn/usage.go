package lsn

import (
	"slices"
	"sync"
	"sync/atomic"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// usage is what one subscriber has, against which its quotas are held (R20).
// It lies in the subscriber's shard: 36 bytes, no pointer.
type usage struct {
	sessions [numProtocols]uint32 // UDP: with those of ESP (R37)
	ports    [numProtocols]uint32 // mappings; those that share a port count each
	esp      uint32
	inside   frame.Addr
	group    uint16 // in whose tally the sessions are
}

func (u *usage) chain() *uint32 { return &u.esp }

func (u *usage) none() bool {
	return u.sessions == [numProtocols]uint32{} && u.ports == [numProtocols]uint32{}
}

// tally is what a group has in all.
type tally struct {
	sessions    [numProtocols]atomic.Int64 // reserved or live; UDP: with those of ESP
	subscribers atomic.Int64               // who have any session
	dropped     [numProtocols]atomic.Uint64

	mu    sync.Mutex
	since int64 // start of the minute whose events are counted, monotonic ns
	told  int
}

// protoUDP is the place of UDP in arrays over protocols.
const protoUDP = 1

// findUsage returns what a subscriber has, 0 and nil if that is nothing. The
// shard's lock is held.
func (sh *inside) findUsage(a frame.Addr) (slot uint32, u *usage) {
	for p := sh.userKeys.probe(hashOf(sh.seed, a)); ; {
		slot = p.next()
		if slot == 0 {
			return 0, nil
		}
		if u = sh.users.at(slot); u.inside == a {
			return slot, u
		}
	}
}

// user returns the usage of a subscriber of a group, and makes it if need be.
// What it had in another group before counts for this one now. The shard's lock
// is held.
func (t *Table) user(sh *inside, a frame.Addr, g *Group) *usage {
	slot, u := sh.findUsage(a)
	switch {
	case slot == 0:
		slot = sh.users.take()
		u = sh.users.at(slot)
		*u = usage{inside: a, group: g.index}
		sh.userKeys.add(hashOf(sh.seed, a), slot)
		g.tally.subscribers.Add(1)
	case u.group != g.index:
		t.cfg().groups[u.group].tally.take(u, -1)
		g.tally.take(u, 1)
		u.group = g.index
	}
	return u
}

// take counts a subscriber in (1) or out (-1).
func (c *tally) take(u *usage, by int64) {
	c.subscribers.Add(by)
	for i, n := range u.sessions {
		c.sessions[i].Add(by * int64(n))
	}
}

// forget drops the usage of a subscriber that has nothing any more.
func (t *Table) forget(sh *inside, slot uint32) {
	u := sh.users.at(slot)
	if !u.none() {
		return
	}
	t.cfg().groups[u.group].tally.subscribers.Add(-1)
	sh.userKeys.remove(hashOf(sh.seed, u.inside), slot)
	*u = usage{}
	sh.users.give(slot)
}

// limited says which limit a new session of a subscriber would break, in the
// order of R20. The first of all is the table's own. The shard's lock is held.
func (t *Table) limited(sh *inside, g *Group, i int, a frame.Addr) drop.Reason {
	limits := &g.transports[i]
	switch {
	case g.paused.Load():
		return drop.NoFreePort
	case t.sessions.Load() >= t.limit:
		return drop.SessionTableFull
	case limits.GroupSessionLimit > 0 && g.tally.sessions[i].Load() >= int64(limits.GroupSessionLimit):
		return drop.GroupSessionLimit
	case limits.SessionQuota > 0 && sh.sessionsOf(a, i) >= limits.SessionQuota:
		return drop.SessionQuota
	}
	return drop.None
}

// portless reports whether the subscriber may have no further port. Ports of
// static mappings are the configuration's and do not count.
func (sh *inside) portless(r *rules, i int, a frame.Addr) bool {
	quota := r.transport.PortQuota
	if quota == 0 || r.static {
		return false
	}
	_, u := sh.findUsage(a)
	return u != nil && int(u.ports[i]) >= quota
}

func (sh *inside) sessionsOf(a frame.Addr, i int) int {
	if _, u := sh.findUsage(a); u != nil {
		return int(u.sessions[i])
	}
	return 0
}

// reserve counts one session of a subscriber within all limits, or says which
// one has no room. The shard's lock is held.
func (t *Table) reserve(sh *inside, g *Group, i int, a frame.Addr) drop.Reason {
	if why := t.limited(sh, g, i, a); why != drop.None {
		return why
	}
	// Other shards count at the same time.
	if t.sessions.Add(1) > t.limit {
		t.sessions.Add(-1)
		return drop.SessionTableFull
	}
	limit := g.transports[i].GroupSessionLimit
	if n := g.tally.sessions[i].Add(1); limit > 0 && n > int64(limit) {
		g.tally.sessions[i].Add(-1)
		t.sessions.Add(-1)
		return drop.GroupSessionLimit
	}
	t.user(sh, a, g).sessions[i]++
	return drop.None
}

// unreserve undoes reserve.
func (t *Table) unreserve(sh *inside, i int, a frame.Addr) {
	t.sessions.Add(-1)
	slot, u := sh.findUsage(a)
	t.cfg().groups[u.group].tally.sessions[i].Add(-1)
	u.sessions[i]--
	t.forget(sh, slot)
}

// countPort counts a mapping that came. uncountPort undoes it.
func (t *Table) countPort(sh *inside, r *rules, a frame.Addr) {
	if i, _ := protoIndex(r.app.Proto); !r.static {
		t.user(sh, a, r.group).ports[i]++
	}
}

func (t *Table) uncountPort(sh *inside, r *rules, a frame.Addr) {
	if r.static {
		return
	}
	i, _ := protoIndex(r.app.Proto)
	slot, u := sh.findUsage(a)
	u.ports[i]--
	t.forget(sh, slot)
}

// TakeESP counts an ESP session of a subscriber like a UDP session of the group
// (R37). What it refuses must not be made; the reasons are those of a session.
// GiveESP gives it back.
func (t *Table) TakeESP(a frame.Addr) drop.Reason {
	sh := &t.insides[insideShard(a)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	g := t.cfg().clients.find(a)
	if g == nil {
		return drop.None // it is nobody's whom limits concern
	}
	why := t.reserve(sh, g, protoUDP, a)
	if why == drop.None {
		t.user(sh, a, g).esp++
	}
	return why
}

// GiveESP ends what TakeESP began. One too many does nothing.
func (t *Table) GiveESP(a frame.Addr) {
	sh := &t.insides[insideShard(a)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if _, u := sh.findUsage(a); u != nil && u.esp > 0 {
		u.esp--
		t.unreserve(sh, protoUDP, a)
	}
}

// Refused notes the end of a packet for which there was no session: g is the
// subscriber's group, or nil where nobody can tell. It counts, and for a limit
// makes an event, as many in a minute as the group's TrapLimit says (R20).
func (t *Table) Refused(g *Group, tup Tuple, why drop.Reason, now int64) {
	i, ok := protoIndex(tup.Proto)
	if !ok {
		return
	}
	t.dropped[i].Add(1)
	if g == nil {
		return
	}
	g.tally.dropped[i].Add(1)
	e := Event{Kind: QuotaExceeded, Proto: tup.Proto, Group: g, Inside: tup.Inside, Remote: tup.Remote}
	if e.Quota, e.Limit = quotaOf(why), t.limitOf(g, i, why); e.Quota == NoQuota && why != drop.NoFreePort {
		return
	}
	if t.onEvent == nil || !g.mayTell(now) {
		return
	}
	if why == drop.NoFreePort {
		e.Kind, e.Outside.Addr = t.exhaustion(g, &tup)
		e.Pool = t.poolNumber(g)
	}
	t.onEvent(e)
}

// exhaustion tells whether a subscriber found no port because its one address
// is full, or because all of the group's are (RFC 8158 has an event for each).
func (t *Table) exhaustion(g *Group, tup *Tuple) (EventKind, frame.Addr) {
	if r := g.rules(tup.Proto, tup.Remote.Port); r != nil && (r.app.Pooling == Paired || g.Type == Deterministic) {
		if nat, ok := t.PairedAddress(tup.Inside.Addr); ok {
			return PortsExhausted, nat
		}
	}
	return AddressesExhausted, frame.Addr{}
}

// poolNumber is the place of a group's first pool among all, from 1.
func (t *Table) poolNumber(g *Group) uint32 {
	return uint32(slices.Index(t.cfg().poolNames, g.Pools[0])) + 1
}

// limitOf says how much the limit allows that was met.
func (t *Table) limitOf(g *Group, i int, why drop.Reason) int {
	switch quotaOf(why) {
	case GroupQuota:
		return g.transports[i].GroupSessionLimit
	case SessionQuota:
		return g.transports[i].SessionQuota
	case PortQuota:
		return g.transports[i].PortQuota
	case TableQuota:
		return int(t.limit)
	}
	return 0
}

func quotaOf(why drop.Reason) Quota {
	switch why {
	case drop.GroupSessionLimit:
		return GroupQuota
	case drop.SessionQuota:
		return SessionQuota
	case drop.PortQuota:
		return PortQuota
	case drop.SessionTableFull:
		return TableQuota
	}
	return NoQuota
}

// Refusing reports whether a reason is one of those of R20, of which the
// subscriber is told.
func Refusing(why drop.Reason) bool { return why == drop.NoFreePort || quotaOf(why) != NoQuota }

// mayTell reports whether the group may make one more event in this minute.
func (g *Group) mayTell(now int64) bool {
	limit := g.TrapLimit
	if limit == 0 {
		limit = DefaultTrapLimit
	}
	c := g.tally
	c.mu.Lock()
	defer c.mu.Unlock()
	if now-c.since >= minute {
		c.since, c.told = now, 0
	}
	c.told++
	return c.told <= limit
}
