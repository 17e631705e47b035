package ike

import "slices"

// Tick does what is due: repeats, questions whether peers live, rekeying,
// ends of lives, children that should be up.
func (e *Engine) Tick(now int64) []Action {
	e.begin(now)
	for _, sa := range slices.Clone(e.list) {
		if sa.state != stateGone {
			sa.tick()
		}
	}
	for _, p := range e.peers {
		e.keepUp(p)
	}
	e.graves = slices.DeleteFunc(e.graves, func(g *grave) bool { return g.until <= now })
	return e.finish()
}

// NextDeadline is when Tick is due, monotonic nanoseconds: it may be past.
// Never: nothing is waited for. It looks at all SAs; there are at most
// MaxSAs.
func (e *Engine) NextDeadline() int64 {
	at := Never
	for _, sa := range e.list {
		at = min(at, sa.deadline())
	}
	for _, p := range e.peers {
		at = min(at, e.keepUpAt(p))
	}
	if len(e.graves) > 0 {
		at = min(at, e.graves[0].until)
	}
	return at
}

// deadline is the next moment at which tick or run does something.
func (sa *ikeSA) deadline() int64 {
	at := min(sa.rekeyAt, sa.endAt, sa.dueHalfOpen, sa.probeAt(), sa.keepaliveAt())
	for _, c := range sa.children {
		at = min(at, c.rekeyAt, c.endAt)
	}
	if sa.pending != nil {
		return min(at, sa.pending.due)
	}
	if sa.state == stateUp || sa.state == stateClosing {
		for _, t := range sa.tasks {
			at = min(at, t.notBefore)
		}
	}
	return at
}

// probeAt is when the peer is asked whether it lives.
func (sa *ikeSA) probeAt() int64 {
	if sa.state != stateUp || sa.peer.DPDDelay < 0 || sa.pending != nil || len(sa.tasks) > 0 {
		return Never
	}
	return sa.heard + int64(sa.peer.DPDDelay)
}

// keepaliveAt is when a NAT in front of us needs to see a packet.
func (sa *ikeSA) keepaliveAt() int64 {
	if sa.state != stateUp || !sa.natHere || !sa.marker {
		return Never
	}
	return sa.sentAt + int64(sa.e.cfg.Keepalive)
}

func (sa *ikeSA) tick() {
	now := sa.e.now
	switch {
	case sa.dueHalfOpen <= now:
		sa.fail("the other end did not finish what it began", "see what the other end's log says about it; check that UDP 4500 passes")
		return
	case sa.endAt <= now && sa.state == stateUp:
		sa.close("its lifetime is over", 0)
		return
	case sa.endAt <= now:
		sa.bury()
		return
	}
	if sa.pending != nil && sa.pending.due <= now {
		sa.overdue()
		if sa.state == stateGone {
			return
		}
	}
	if sa.rekeyAt <= now {
		sa.rekey()
		sa.rekeyAt = Never
	}
	if sa.probeAt() <= now {
		sa.tasks = append(sa.tasks, &task{kind: taskProbe})
	}
	if sa.keepaliveAt() <= now {
		sa.sentAt = now
		sa.e.send(sa.local, sa.remote, false, []byte{0xff})
	}
	for _, c := range slices.Clone(sa.children) {
		switch {
		case c.endAt <= now:
			c.endAt = Never
			c.close()
		case c.rekeyAt <= now:
			c.rekey()
		}
	}
}

// keepUpAt is when a child that should be up and is not is begun.
func (e *Engine) keepUpAt(p *peer) int64 {
	at := Never
	for i := range p.Children {
		if k := &p.Children[i]; k.Up && !p.Passive && p.retryAt[i] < at && !e.hasChild(p, k) {
			at = p.retryAt[i]
		}
	}
	return at
}

func (e *Engine) keepUp(p *peer) {
	for i := range p.Children {
		if k := &p.Children[i]; k.Up && !p.Passive && p.retryAt[i] <= e.now && !e.hasChild(p, k) {
			e.start(p, k)
		}
	}
}
