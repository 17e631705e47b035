package vserver

import "spigate/netstack/frame"

// sweepStep is how many connections are looked at under one hold of a lock.
const sweepStep = 128

// Sweep ends what is over (VR16); call it every second, after the sweep of the
// fast path, which tells Active of the last packets. It looks only at what the
// wheels say may be due. emit gets the RSTs for both sides of idle TCP
// connections (VR17); it is called without any lock.
func (t *Table) Sweep(now int64, emit func(Reset)) {
	for i := range t.past {
		t.past[i].turn(now)
	}
	var gone []*conn
	for i := range t.shards {
		r := round{now: now}
		for more := true; more; {
			gone, more = t.shards[i].expire(&r, gone[:0])
			for _, c := range gone {
				t.finish(c, endTime, now, emit)
			}
		}
	}
}

// expire makes up to sweepStep connections dead whose time has come.
func (sh *shard) expire(r *round, gone []*conn) (out []*conn, more bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for range sweepStep {
		c := sh.wheel.take(r)
		if c == nil {
			return gone, false
		}
		if c.expire(sh, r.now) {
			gone = append(gone, c)
		}
	}
	return gone, true
}

func (c *conn) expire(sh *shard, now int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == dead:
		return false
	case now < c.deadline():
		sh.wheel.set(c, c.deadline())
		return false
	}
	c.reset = c.resetsOnTimeout()
	c.die()
	return true
}

// finish removes a connection that the caller made dead, and resets both sides
// if it said so.
func (t *Table) finish(c *conn, why end, now int64, emit func(Reset)) {
	t.drop(c, why, now)
	if !c.reset || emit == nil {
		return
	}
	for _, r := range c.resets() {
		emit(r)
	}
}

// Reload exchanges the listeners (VR11). What new matches is by l from now on;
// live connections keep their listener as long as an object of its kind and
// name would still admit their addresses, ports and protocol, whether enabled
// or not and on whatever VLAN (VR5, Q3). The others end at once, TCP with RST
// to both sides if their profile has reset-on-timeout. Counters go over by
// name.
func (t *Table) Reload(l *Listeners, now int64, emit func(Reset)) (kept, ended int) {
	l.Adopt(t.set.Load())
	t.set.Store(l)
	type key struct {
		kind Kind
		name string
	}
	by := map[key]*Listener{}
	for _, x := range l.all {
		by[key{x.Kind, x.Name}] = x
	}
	heir := func(x *Listener) *Listener {
		if x == nil {
			return nil
		}
		return by[key{x.Kind, x.Name}]
	}
	for i := range t.shards {
		sh := &t.shards[i]
		for _, c := range sh.clients() {
			if sh.inherit(c, heir) {
				kept++
				continue
			}
			if c.kill() {
				ended++
				t.finish(c, endAdmin, now, emit)
			}
		}
	}
	return kept, ended
}

// clients copies the connections whose client key is here.
func (sh *shard) clients() []*conn {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	out := make([]*conn, 0, len(sh.conns))
	for k, c := range sh.conns {
		if c.keys[Client] == k {
			out = append(out, c)
		}
	}
	return out
}

// inherit gives the connection to the new listener, if that admits it.
func (sh *shard) inherit(c *conn, heir func(*Listener) *Listener) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	l, from := heir(c.l), heir(c.from)
	if c.state == dead || l == nil || !l.covers(&c.keys[Client], c.l) {
		return false
	}
	if c.from != nil && (from == nil || !from.covers(&c.keys[Client], c.from)) {
		return false
	}
	c.l, c.from = l, from
	sh.wheel.set(c, c.deadline())
	return true
}

// covers reports whether the flow of a client key would still be the object's,
// whose definition was old.
func (l *Listener) covers(k *Key, old *Listener) bool {
	switch l.Kind {
	case KindServer:
		s := l.Server
		return s.Role == Forward && s.Destination.Contains(k.Dst.Netip()) && s.Source.Contains(k.Src.Netip()) &&
			(s.Protocol == 0 || s.Protocol == k.Proto) && (s.Port == 0 || s.Port == k.port())
	case KindNAT:
		return l.NAT.Originating == old.NAT.Originating && l.NAT.Translation == old.NAT.Translation
	case KindSNAT:
		for _, p := range l.SNAT.Origins {
			if p.Contains(k.Src.Netip()) {
				return true
			}
		}
	}
	return false
}

// port is what a server's port is compared with.
func (k *Key) port() uint16 {
	if k.Proto == frame.ProtoICMP {
		return 0
	}
	return k.DstPort
}

// kill makes a connection dead from outside; RSTs go out for TCP that is not
// closing.
func (c *conn) kill() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == dead {
		return false
	}
	c.reset = c.keys[Client].Proto == frame.ProtoTCP && c.state != closing && c.l.Profile.ResetOnTimeout.Is(true)
	c.die()
	return true
}

// Remove ends the connections that fn picks, as Reload does, and returns how
// many there were. fn is called without any lock.
func (t *Table) Remove(fn func(Info) bool, now int64, emit func(Reset)) (ended int) {
	t.walk(now, func(c *conn, i Info) bool {
		if fn(i) && c.kill() {
			ended++
			t.finish(c, endAdmin, now, emit)
		}
		return true
	})
	return ended
}

// Walk calls fn for each connection until it returns false, without any lock.
func (t *Table) Walk(now int64, fn func(Info) bool) {
	t.walk(now, func(_ *conn, i Info) bool { return fn(i) })
}

func (t *Table) walk(now int64, fn func(*conn, Info) bool) {
	for i := range t.shards {
		for _, c := range t.shards[i].clients() {
			c.mu.Lock()
			alive, info := c.alive(now), c.info(now)
			c.mu.Unlock()
			if alive && !fn(c, info) {
				return
			}
		}
	}
}
