package ipsec

import "spigate/netstack/drop"

// commitPhase2 does what the plan says about lock and queue.
func (st *step) commitPhase2(pl *ikePlan, pr *pair, p *IKEPacket, m *message) {
	s := pl.session
	switch pl.admit {
	case admitNothing:
		return
	case admitNote:
		s.remember(pl.ex, m.exchange, st.now).note(m, st.now)
	case admitFinish:
		st.finish(pl, pr, m)
	case admitHolder:
		st.admit(pr, m)
	case admitFollow:
		pr.lock.follow(pl.ex, st.now)
		st.admit(pr, m)
	case admitJoin:
		st.join(pl, pr, m)
	case admitTake:
		st.acquire(pr, s, pl.ex, m)
	case admitWait:
		st.hold(pl, pr, p, m)
		return
	case admitRefuse:
		st.refuse(pl, pr, p)
		return
	}
	if m.version == 2 && m.exchange == exCreateChild {
		s.lastCreateChild = st.now
	}
	if pl.admit == admitHolder && m.failure() {
		st.release(pr, causeFailed)
	}
}

// finish remembers that an exchange without the lock came to nothing.
func (st *step) finish(pl *ikePlan, pr *pair, m *message) {
	e := pl.session.remember(pl.ex, m.exchange, st.now)
	e.note(m, st.now)
	e.done = true
	// Its request may still wait, if the answer is to a copy that overtook it.
	h := pr.queue.find(heldKey{pl.session, pl.ex, m.dir.Reverse()})
	if h != nil {
		pr.queue.remove(h)
		st.discard(pr, h, drop.IKEFlushed)
	}
}

// join forwards a message of a second exchange of the lock's client (R57).
func (st *step) join(pl *ikePlan, pr *pair, m *message) {
	e := pl.session.remember(pl.ex, m.exchange, st.now)
	if e.note(m, st.now) {
		pr.lock.armed, pr.gate.armed = st.now, st.now
	}
	if m.dir != e.origin {
		pr.lock.state = Confirmed
	}
}

// hold keeps a copy of the message until its turn comes (R58).
func (st *step) hold(pl *ikePlan, pr *pair, p *IKEPacket, m *message) {
	for _, h := range pl.giveWay {
		pr.queue.remove(h)
		st.discard(pr, h, drop.IKEHoldOverflow)
	}
	before := pr.queue.bytes
	h, fresh := pr.queue.put(heldKey{pl.session, pl.ex, m.dir}, m, p, st.now)
	st.a.count.heldBytes.Add(int64(pr.queue.bytes - before))
	if !fresh {
		return
	}
	if pl.session.client.timeouts >= penaltyTimeouts {
		h.notBefore = st.now + p.Profile.gate()
	}
	c := st.sh.tally(pl.session.tally)
	c.Blocked++
	c.P2Held++
	st.log(pl.session.event(pr, "P2 HELD", "", m.id))
}

// refuse logs a message that may not even wait.
func (st *step) refuse(pl *ikePlan, pr *pair, p *IKEPacket) {
	st.sh.tally(st.a.tallies.of(p.Profile)).P2Dropped++
	what := "P2 DROPPED"
	if pl.reason == drop.IKEBlocked {
		what = "P2 BLOCKED"
	}
	if pl.session != nil {
		st.log(pl.session.event(pr, what, pl.reason.String(), pl.ex.id))
	}
}
