package ipsec

import (
	"slices"

	"spigate/alg"
	"spigate/netstack/drop"
)

// DecideIKE says what would become of an IKE packet. It changes nothing: what
// is due by now and was not done by Tick yet is judged by its own deadline, but
// not what would follow from it, such as who gets the lock next.
func (a *ALG) DecideIKE(p *IKEPacket, now int64) Result {
	m, pl, ok := a.readIKE(p)
	if ok {
		sh := a.shardOf(p.NAT, p.Server)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		pl = a.planIKE(sh, p, &m, now)
	}
	return pl.result(p)
}

// StepIKE decides about an IKE packet and does it.
func (a *ALG) StepIKE(p *IKEPacket, now int64) Result {
	m, pl, ok := a.readIKE(p)
	if !ok && !pl.malformed {
		return pl.result(p)
	}
	sh := a.shardOf(p.NAT, p.Server)
	sh.mu.Lock()
	defer sh.done()
	if !ok {
		sh.tally(a.tallies.of(p.Profile)).MalformedIKE++
		return pl.result(p)
	}
	st := &step{a: a, sh: sh, now: now}
	st.expire(sh.pair(p.NAT, p.Server))
	st.expireClient(sh.pair(p.NAT, p.Server), p.Inside)
	pl = a.planIKE(sh, p, &m, now)
	st.commitIKE(&pl, p, &m)
	st.settle(sh.pair(p.NAT, p.Server))
	r := pl.result(p)
	r.Actions = st.actions
	return r
}

func (pl *ikePlan) result(p *IKEPacket) Result {
	return Result{Verdict: pl.verdict, Reason: pl.reason, Inside: p.Inside, NAT: p.NAT, Why: pl.why}
}

// commitIKE does what the plan says.
func (st *step) commitIKE(pl *ikePlan, p *IKEPacket, m *message) {
	if pl.create {
		st.createIKE(pl, p, m)
	}
	s := pl.session
	if s != nil {
		s.profile, s.lastSeen = p.Profile, st.now
		if m.responder != 0 {
			s.heard[m.dir] = m.responder
		}
		if pl.floats {
			st.float(st.sh.pair(p.NAT, p.Server), s)
		}
		if pl.up && s.state == Half {
			st.raise(st.sh.pair(p.NAT, p.Server), s, m)
		}
		if pl.replaces != nil {
			st.proveRekey(st.sh.pair(p.NAT, p.Server), pl.replaces)
		}
		st.commitPhase2(pl, st.sh.pair(p.NAT, p.Server), p, m)
		st.sh.ikes.sooner(s) // the packet may have brought another profile
	}
	if pl.verdict == alg.Drop {
		st.countDrop(pl.reason, st.a.tallies.of(p.Profile))
	}
}

// createIKE makes the session that the plan asks for. The bounds are checked
// again, because another shard may have taken the last place.
func (st *step) createIKE(pl *ikePlan, p *IKEPacket, m *message) {
	incoming := p.Dir == alg.Out2In
	if r := st.a.subsOf(p.Inside).reserve(p.Inside, !pl.up, incoming); r != drop.None {
		pl.verdict, pl.reason, pl.why = alg.Drop, r, "no room for another IKE session (R41)"
		return
	}
	pr, c := st.sh.ensure(p.NAT, p.Server, p.Inside)
	s := &ikeSession{client: c, profile: p.Profile, tally: st.a.tallies.of(p.Profile), mapping: p.Mapping, initiator: m.initiator, version: m.version,
		pickedUp: m.responder != 0, created: st.now, lastSeen: st.now, lastCreateChild: never}
	c.sessions = append(c.sessions, s)
	st.sh.cookies.enter(s)
	pl.session = s
	st.countIKE(s, 1)
	if !pl.up {
		st.countHalf(s, 1)
	} else { // reserve has not counted it as half-open
		s.state, s.responder = Up, m.responder
	}
	want := st.a.mapsOf(s.mapping).enter(s.mapping, c.inside, pr.key, s.state, s.mappingIdle())
	if want != 0 {
		st.setMappingIdle(s.mapping, want)
	}
	st.sh.ikes.sooner(s)
	st.log(s.event(pr, "IKE CREATED", "", 0))
	if s.state == Up {
		st.log(s.event(pr, "IKE UP", "", 0))
	}
}

// raise makes a HALF session UP and latches the responder's SPI (R43, R44).
func (st *step) raise(pr *pair, s *ikeSession, m *message) {
	s.responder = m.responder
	st.changeState(s, Up)
	st.log(s.event(pr, "IKE UP", "", 0))
}

// changeState moves a session to another state, with its mapping's timer (R40).
func (st *step) changeState(s *ikeSession, to IKEState) {
	from := s.state
	s.state = to
	if from == Half {
		st.a.subsOf(s.client.inside).settled(s.client.inside)
		st.countHalf(s, -1)
	}
	if want := st.a.mapsOf(s.mapping).move(s.mapping, from, to, s.mappingIdle()); want != 0 {
		st.setMappingIdle(s.mapping, want)
	}
	st.sh.ikes.sooner(s)
}

// float marks a session that went to NAT-T and frees what it holds (R50).
func (st *step) float(pr *pair, s *ikeSession) {
	st.changeState(s, Floated)
	st.log(s.event(pr, "IKE FLOATED", "", 0))
	st.strip(pr, s, causeFloated)
}

// strip takes lock, gates, token and waiting messages from a session.
func (st *step) strip(pr *pair, s *ikeSession, why cause) {
	pr.setToken(s, false)
	for _, h := range slices.Clone(pr.queue.messages) {
		if h.key.session == s {
			pr.queue.remove(h)
			st.discard(pr, h, drop.IKEFlushed)
		}
	}
	if pr.lock.state != Free && pr.lock.session == s {
		st.release(pr, why)
	}
	if pr.gate.open && pr.gate.session == s {
		st.closeGates(pr)
	}
}

// proveRekey releases the lock if it is held for the exchange that made the
// new IKE SA: no ESP SA will come of it, so no gate timeout need be burnt (W5).
func (st *step) proveRekey(pr *pair, old *ikeSession) {
	if pr.heldForRekey(old) {
		st.release(pr, causeRekeyed)
	}
}

// heldForRekey reports whether old has the lock for a CREATE_CHILD_SA, which
// may have been its own rekey.
func (p *pair) heldForRekey(old *ikeSession) bool {
	l := &p.lock
	return l.state != Free && !l.late && l.session == old && (l.kind == exCreateChild || l.kind == exFollowupKE)
}

// mappingFate is what becomes of the mapping of an IKE session that ends, if no
// other session is on it.
type mappingFate uint8

const (
	mappingKept   mappingFate = iota // nothing: it has ended itself
	mappingEnds                      // it ends too, as far as IKE used it (R47)
	mappingYields                    // it is plain UDP from now on (R11)
)

// removeIKE ends an IKE session with its lock and gates (R47). ESP sessions stay.
func (st *step) removeIKE(pr *pair, s *ikeSession, why cause, reason string, fate mappingFate) {
	c := s.client
	st.strip(pr, s, why)
	c.sessions = slices.DeleteFunc(c.sessions, func(o *ikeSession) bool { return o == s })
	st.sh.ikes.remove(s)
	st.sh.cookies.leave(s)
	st.a.subsOf(c.inside).leave(c.inside, s.state == Half)
	st.countIKE(s, -1)
	if s.state == Half {
		st.countHalf(s, -1)
	}
	last := !slices.ContainsFunc(c.sessions, func(o *ikeSession) bool { return o.mapping == s.mapping })
	half := int64(s.profile.IKEHalfOpenTimeout)
	idle, seen, empty := st.a.mapsOf(s.mapping).leave(s, pr.key, last, half)
	switch {
	case empty && fate == mappingEnds:
		st.do(Action{Kind: MappingRemove, Mapping: s.mapping, Seen: seen})
	case empty && fate == mappingYields:
		st.setMappingIdle(s.mapping, 0)
	case idle != 0:
		st.setMappingIdle(s.mapping, idle)
	}
	st.log(s.event(pr, "IKE DELETED", reason, 0))
	pr.forget(c)
	st.settle(pr)
}
