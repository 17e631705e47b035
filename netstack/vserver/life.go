package vserver

import (
	"time"

	"spigate/netstack/frame"
)

// side tells whose packet shows the key.
func (c *conn) side(k Key) Side {
	if k == c.keys[Client] {
		return Client
	}
	return Remote
}

// counters are those of the listener and of the SNAT or NAT behind it.
func (c *conn) counters() [2]*Counters {
	if c.from == nil || c.from == c.l {
		return [2]*Counters{c.l.counters}
	}
	return [2]*Counters{c.l.counters, c.from.counters}
}

func (c *conn) count(from Side, packets, bytes uint64) {
	for _, n := range c.counters() {
		if n != nil {
			n.packet(from, packets, bytes)
		}
	}
}

// enter puts a new connection under its keys: first that of the answers, then
// the client's, and with it comes to life. No two shards are locked at once.
func (t *Table) enter(c *conn, of *Listeners, s *Segment, in frame.Interface, now int64) Verdict {
	if c.keys[Client] == c.keys[Remote] {
		return TupleBusy
	}
	if v := t.claim(c, Remote, s, now, nil); v != Admit {
		return v
	}
	v := t.claim(c, Client, s, now, func(sh *shard) Verdict {
		if t.set.Load() != of {
			return Stale
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.state, c.in[Client] = c.start(s, now), in
		c.track(Client, s, now)
		for _, n := range c.counters() {
			if n != nil {
				n.enter()
			}
		}
		c.count(Client, 1, uint64(s.Length))
		sh.wheel.set(c, c.deadline())
		return Admit
	})
	if v != Admit {
		t.release(c, Remote)
	}
	return v
}

// claim enters a connection under one of its keys, and ends one that has the
// key but is over. With the key taken it calls then, under the shard's lock.
func (t *Table) claim(c *conn, side Side, s *Segment, now int64, then func(*shard) Verdict) Verdict {
	k := c.keys[side]
	sh := t.shard(k)
	if !t.evict(sh, k, s, now) {
		return TupleBusy
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.conns[k] != nil {
		return TupleBusy // somebody was quicker
	}
	v := Admit
	if then != nil {
		v = then(sh)
	}
	if v == Admit {
		sh.conns[k] = c
	}
	return v
}

// evict ends the connection that has a key, if it is over. OnEnd is told of it
// before another lives in its place, and with no lock held.
func (t *Table) evict(sh *shard, k Key, s *Segment, now int64) bool {
	sh.mu.RLock()
	old := sh.conns[k]
	sh.mu.RUnlock()
	if old == nil {
		return true
	}
	if !old.yield(s, now) {
		return false
	}
	t.drop(old, endDone, now)
	return true
}

// Free reports whether Open would find the remote key free for a connection
// that s begins: no connection has it, or one that is over. Another may take it
// until then.
func (t *Table) Free(remote Key, s Segment, now int64) bool {
	sh := t.shard(remote)
	sh.mu.RLock()
	c := sh.conns[remote]
	sh.mu.RUnlock()
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.yields(&s, now)
}

// yields reports whether the connection's place may be taken. A dead one is
// being removed by somebody else, who is quick: the key is his until then.
func (c *conn) yields(s *Segment, now int64) bool {
	return c.state != opening && c.state != dead && (!c.alive(now) || c.replaceable(s))
}

// yield makes the connection dead if its place may be taken.
func (c *conn) yield(s *Segment, now int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.yields(s, now) {
		return false
	}
	c.state = dead
	return true
}

// release takes a connection from under one of its keys, if it is there.
func (t *Table) release(c *conn, side Side) {
	sh := t.shard(c.keys[side])
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.conns[c.keys[side]] == c {
		delete(sh.conns, c.keys[side])
	}
	if side == Client {
		c.link.remove()
	}
}

// drop removes a connection that the caller made dead; exactly one does.
// OnEnd's flows are credited while the connection stands under its keys, what
// comes later by its ID.
func (t *Table) drop(c *conn, why end, at int64) {
	if t.onEnd != nil {
		t.onEnd(c.end(at))
	}
	t.bury(c)
	t.release(c, Client)
	t.release(c, Remote)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.counters() {
		if n != nil {
			n.leave(time.Duration(at-c.opened), why)
		}
	}
	c.l.counters.cancel()
	t.count.Add(-1)
}

// hasten tells the wheel of a deadline that came nearer.
func (t *Table) hasten(c *conn) {
	sh := t.shard(c.keys[Client])
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != dead {
		sh.wheel.set(c, c.deadline())
	}
}

func (c *conn) end(at int64) End {
	c.mu.Lock()
	defer c.mu.Unlock()
	return End{c.id, c.session(), c.others(), c.keys[Client], c.keys[Remote], c.l, c.byLSN(), c.reset, at}
}
