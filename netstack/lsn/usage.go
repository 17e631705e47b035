package lsn

import (
	"sync"
	"sync/atomic"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// usage is what one subscriber has, against which its quotas are held (R20).
// It lies in the subscriber's shard.
type usage struct {
	sessions [numProtocols]uint32 // UDP: with those of ESP (R37)
	ports    [numProtocols]uint32 // mappings; those that share a port count each
	esp      uint32
	group    uint16
}

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

// change lets fn count in a subscriber's usage, which goes in and out by value:
// a pointer would cost an allocation. The shard's lock is held.
func (t *Table) change(sh *inside, a frame.Addr, g *Group, fn func(u usage) usage) {
	u, known := sh.users[a]
	u.group = g.index
	u = fn(u)
	switch {
	case !u.none():
		if !known {
			g.tally.subscribers.Add(1)
		}
		sh.users[a] = u
	case known:
		g.tally.subscribers.Add(-1)
		delete(sh.users, a)
	}
}

// limited says which limit a new session of a subscriber would break, in the
// order of R20. The first of all is the table's own. The shard's lock is held.
func (t *Table) limited(sh *inside, g *Group, i int, a frame.Addr) drop.Reason {
	limits := &g.transports[i]
	switch {
	case t.sessions.Load() >= t.limit:
		return drop.SessionTableFull
	case limits.GroupSessionLimit > 0 && g.tally.sessions[i].Load() >= int64(limits.GroupSessionLimit):
		return drop.GroupSessionLimit
	case limits.SessionQuota > 0 && int(sh.users[a].sessions[i]) >= limits.SessionQuota:
		return drop.SessionQuota
	}
	return drop.None
}

// portless reports whether the subscriber may have no further port. Ports of
// static mappings are the configuration's and do not count.
func (sh *inside) portless(r *rules, i int, a frame.Addr) bool {
	quota := r.transport.PortQuota
	return quota > 0 && !r.static && int(sh.users[a].ports[i]) >= quota
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
	t.change(sh, a, g, func(u usage) usage { u.sessions[i]++; return u })
	return drop.None
}

// unreserve undoes reserve.
func (t *Table) unreserve(sh *inside, g *Group, i int, a frame.Addr) {
	t.sessions.Add(-1)
	g.tally.sessions[i].Add(-1)
	t.change(sh, a, g, func(u usage) usage { u.sessions[i]--; return u })
}

// countPort counts a mapping that came (1) or went (-1).
func (t *Table) countPort(sh *inside, r *rules, a frame.Addr, n int) {
	if r.static {
		return
	}
	i, _ := protoIndex(r.app.Proto)
	t.change(sh, a, r.group, func(u usage) usage { u.ports[i] += uint32(n); return u })
}

// TakeESP counts an ESP session of a subscriber like a UDP session of the group
// (R37). What it refuses must not be made; the reasons are those of a session.
// GiveESP gives it back.
func (t *Table) TakeESP(a frame.Addr) drop.Reason {
	g := t.cfg().clients.find(a)
	if g == nil {
		return drop.None // it is nobody's whom limits concern
	}
	sh := &t.insides[insideShard(a)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	why := t.reserve(sh, g, protoUDP, a)
	if why == drop.None {
		t.change(sh, a, g, func(u usage) usage { u.esp++; return u })
	}
	return why
}

// GiveESP ends what TakeESP began. One too many does nothing.
func (t *Table) GiveESP(a frame.Addr) {
	sh := &t.insides[insideShard(a)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[a]
	if u.esp == 0 {
		return
	}
	g := t.cfg().groups[u.group]
	t.change(sh, a, g, func(u usage) usage { u.esp--; return u })
	t.unreserve(sh, g, protoUDP, a)
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
	if e.Quota = quotaOf(why); why == drop.NoFreePort {
		e.Kind = PortsExhausted
	} else if e.Quota == NoQuota {
		return
	}
	if t.onEvent != nil && g.mayTell(now) {
		t.onEvent(e)
	}
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
