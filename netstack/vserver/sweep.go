package vserver

// sweepStep is how many connections are looked at under one hold of a lock.
const sweepStep = 128

// Sweep ends what is over (VR16); call it every second, after the sweep of the
// fast path, which tells Active of the last packets. It looks only at what the
// wheels say may be due. emit gets the RSTs for both sides of idle TCP
// connections (VR17); it is called without any lock.
func (t *Table) Sweep(now int64, emit func(Reset)) {
	for i := range t.past {
		t.past[i].turn(now)
		t.pastKeys[i].turn(now)
	}
	var gone []*conn
	for i := range t.shards {
		r := round{now: now}
		for more := true; more; {
			gone, more = t.shards[i].expire(&r, gone[:0])
			for _, c := range gone {
				t.finish(c, c.ended, now, emit)
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
	c.reset, c.ended = c.resetsOnTimeout(), endTime
	if c.state == closing {
		c.ended = endDone
	}
	c.state = dead
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
