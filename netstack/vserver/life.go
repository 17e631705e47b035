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
	sh.mu.Lock()
	old := sh.conns[k]
	if old != nil && !old.yield(s, now) {
		sh.mu.Unlock()
		return TupleBusy
	}
	v := Admit
	if then != nil {
		v = then(sh)
	}
	if v == Admit {
		sh.conns[k] = c
	}
	sh.mu.Unlock()
	if old != nil {
		t.drop(old, endDone, now)
	}
	return v
}

// yield makes the connection dead if its place may be taken. A dead one is
// being removed by somebody else, who is quick: the key is his until then.
func (c *conn) yield(s *Segment, now int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == opening || c.state == dead || c.alive(now) && !c.replaceable(s) {
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
func (t *Table) drop(c *conn, why end, at int64) {
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
