package vserver

import "spigate/netstack/frame"

// Reloaded counts what became of the connections that Reload met.
type Reloaded struct {
	Kept    int // they go on
	Cleared int // they ended: the object that admitted them, their translated address or their LSN group is gone
	Refused int // they ended: the object is there, and would not admit them any more
}

// Ended is how many did.
func (r Reloaded) Ended() int { return r.Cleared + r.Refused }

// Reload exchanges the listeners (VR11). What new matches is by l from now on;
// live connections keep their listener as long as an object of its kind and
// name would still admit their addresses, ports and protocol, whether enabled
// or not and on whatever VLAN (VR5, Q3). The others end at once, TCP with RST
// to both sides if their profile has reset-on-timeout. Counters go over by
// name.
//
// How a live connection is translated stands in its keys and in Hit.ByLSN and
// does not change: a virtual server may change its source translation, a
// NAT its translation address, a SNAT may come or go. The connection ends only
// if nothing in the configuration has its translated address any more, or if
// its LSN group is gone: its answers would not be let in.
func (t *Table) Reload(l *Listeners, now int64, emit func(Reset)) (n Reloaded) {
	l.Adopt(t.set.Load())
	t.set.Store(l)
	for i := range t.shards {
		sh := &t.shards[i]
		for _, c := range sh.clients() {
			stays, refused := sh.inherit(c, l)
			if stays {
				n.Kept++
				continue
			}
			if !c.kill() {
				continue
			}
			if refused {
				n.Refused++
			} else {
				n.Cleared++
			}
			t.finish(c, endAdmin, now, emit)
		}
	}
	return n
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

// inherit gives the connection to its new listener, if it is still legal.
// refused tells that the listener is there and does not admit it any more.
func (sh *shard) inherit(c *conn, set *Listeners) (stays, refused bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	l := set.heir(c.l)
	if c.state == dead || l == nil || !set.translates(c) {
		return false, false
	}
	if !l.covers(&c.keys[Client], c.l) {
		return false, true
	}
	// Its SNAT or NAT goes on counting it even if it would not translate it
	// any more.
	c.l, c.from = l, set.heir(c.from)
	sh.wheel.set(c, c.deadline())
	return true, false
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
		return l.NAT.Originating == old.NAT.Originating
	case KindSNAT:
		for _, p := range l.SNAT.Origins {
			if p.Contains(k.Src.Netip()) {
				return true
			}
		}
	}
	return false
}

// translates reports whether the addresses that the connection was translated
// to are still somebody's, and its LSN group is still there.
func (l *Listeners) translates(c *conn) bool {
	client, remote := &c.keys[Client], &c.keys[Remote]
	switch {
	case client.Src != remote.Dst && !l.answers[remote.Dst]: // its source
		return false
	case client.Dst != remote.Src && !l.answers[client.Dst]: // its destination, by a NAT
		return false
	}
	return !c.byLSN() || l.Find(KindGroup, c.lsn.group) != nil
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
	c.state = dead
	return true
}
