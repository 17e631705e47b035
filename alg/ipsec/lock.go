package ipsec

import (
	"spigate/alg"
)

// LockState is the state of a pair's lock (section 4.4; drawing in doc.go).
type LockState uint8

// The states of a lock.
const (
	Free        LockState = iota
	Provisional           // a request went out, or was given back to go out
	Confirmed             // its answer came, or ESP matched a gate
)

// String returns the word used in views and logs.
func (s LockState) String() string { return [...]string{"FREE", "PROVISIONAL", "CONFIRMED"}[s] }

// lock is the right to have gates open on a pair. The zero value is free.
type lock struct {
	state   LockState
	late    bool // taken by a late binding, without an exchange (R66)
	kind    uint8
	session *ikeSession
	ex      exchangeKey
	since   int64 // taken
	armed   int64 // last distinct message (R55)
}

// cause says why a lock was released.
type cause uint8

const (
	causeNone    cause = iota
	causeTwoWay        // ESP in both directions
	causeIdle          // the gates saw no traffic
	causeSilent        // no answer to the request
	causeTenure        // held too long while others wait
	causeFailed        // short error reply (R52)
	causeRekeyed       // it was a rekey of the IKE SA (R45)
	causeFloated       // NAT-T (R50)
	causeGone          // the IKE session ended
	causeFlushed
	causeUnbound // the group lost its profile (R11)
)

// causes says what follows from each cause.
var causes = [...]struct {
	word     string
	finished bool // later messages of the exchange change nothing (R49)
	timeout  bool // its client goes behind all waiters (R60)
	token    bool // its session may bind late (R66)
}{
	causeTwoWay:  {word: "two_way", finished: true},
	causeIdle:    {word: "idle", timeout: true, token: true},
	causeSilent:  {word: "no_answer", timeout: true},
	causeTenure:  {word: "tenure", timeout: true, token: true},
	causeFailed:  {word: "short_reply", finished: true},
	causeRekeyed: {word: "ike_rekey", finished: true},
	causeFloated: {word: "nat_t", finished: true},
	causeGone:    {word: "ike_gone", finished: true},
	causeFlushed: {word: "flush", finished: true},
	causeUnbound: {word: "unbound", finished: true},
}

func (c cause) word() string { return causes[c].word }

// holds reports whether the exchange is the one that has the lock.
func (l *lock) holds(s *ikeSession, k exchangeKey) bool {
	return l.state != Free && !l.late && l.session == s && l.ex == k
}

// continues reports whether m carries on the holder's exchange under a message
// id of its own: IKE_FOLLOWUP_KE after CREATE_CHILD_SA (RFC 9370).
func (l *lock) continues(s *ikeSession, m *message) bool {
	return l.state != Free && !l.late && l.session == s && m.exchange == exFollowupKE && !m.response() &&
		l.ex.origin == m.dir && (l.kind == exCreateChild || l.kind == exFollowupKE)
}

// deadline is the last moment at which the lock may be held, and what its end
// would be called. others tells whether somebody waits for it (R55).
func (l *lock) deadline(others bool) (int64, cause) {
	p := l.session.profile
	at, why := l.armed+p.gate(), causeIdle
	if l.state == Provisional {
		at, why = l.armed+p.provisional(), causeSilent
	}
	if tenure := l.since + tenureGates*p.gate(); others && tenure < at {
		at, why = tenure, causeTenure
	}
	if gone := l.session.deadline(); gone < at { // its IKE session ends first (R47)
		at, why = gone, causeGone
	}
	return at, why
}

// lockDue returns why the pair's lock is over at now, or causeNone.
func (p *pair) lockDue(now int64) cause {
	if p.lock.state == Free {
		return causeNone
	}
	at, why := p.lock.deadline(len(p.queue.messages) > 0)
	if now <= at {
		return causeNone
	}
	return why
}

// lockFree reports whether a new exchange can take the lock at now; a lock
// that is over goes to who waits first.
func (p *pair) lockFree(now int64) bool {
	return p.lock.state == Free || p.lockDue(now) != causeNone && len(p.queue.messages) == 0
}

// acquire gives the free lock to an exchange whose message is being forwarded,
// and opens the gates (R54). A response confirms at once (R59).
func (st *step) acquire(p *pair, s *ikeSession, k exchangeKey, m *message) {
	st.closeGates(p)
	p.lock = lock{state: Provisional, kind: m.exchange, session: s, ex: k, since: st.now}
	st.admit(p, m)
}

// admit forwards a message of the exchange that has the lock.
func (st *step) admit(p *pair, m *message) {
	l := &p.lock
	e := l.session.remember(l.ex, l.kind, st.now)
	distinct := e.note(m, st.now)
	if !p.gate.open {
		st.openGates(p, l.session)
		distinct = true
	}
	if m.dir != e.origin {
		l.state = Confirmed
	}
	if distinct {
		l.armed, p.gate.armed = st.now, st.now
	}
}

// follow moves the lock to the message id of an IKE_FOLLOWUP_KE request. What
// still comes under the old id is a retransmission.
func (l *lock) follow(k exchangeKey, now int64) {
	l.session.remember(l.ex, l.kind, now).done = true
	l.ex, l.kind = k, exFollowupKE
}

// takeLate gives the free lock to a session that binds late (R66). Outbound
// SPIs that found no partner at the gate before wait for one at this gate too.
func (st *step) takeLate(p *pair, s *ikeSession) {
	st.closeGates(p)
	p.lock = lock{state: Confirmed, late: true, session: s, since: st.now, armed: st.now}
	p.setToken(s, false)
	st.openGates(p, s)
	for i, e := range s.unpaired {
		if e != nil && !e.gone && e.state == ESPHalf && e.spiOut != 0 {
			p.gate.bound[alg.In2Out][i] = e
			p.gate.matches[alg.In2Out] = true
		}
	}
	s.unpaired = slots{}
}

// release frees the lock and gives it to the next waiter.
func (st *step) release(p *pair, why cause) {
	l, rule := p.lock, causes[why]
	if rule.finished && !l.late {
		l.session.remember(l.ex, l.kind, st.now).done = true
	}
	st.countRelease(p, why)
	if why == causeTwoWay {
		l.session.client.timeouts = 0
		p.setToken(l.session, false)
	}
	if rule.token && l.state == Confirmed && !l.late && !p.gate.matched(alg.Out2In) {
		p.setToken(l.session, true)
		l.session.unpaired = p.gate.bound[alg.In2Out]
	}
	if rule.timeout && p.gate.open { // not if its message was lost after Release
		l.session.client.timeouts = min(l.session.client.timeouts+1, penaltyTimeouts)
		p.queue.demote(l.session.client, st.now)
	}
	what := "GATE RELEASE"
	if rule.timeout {
		what = "GATE TIMEOUT"
	}
	st.log(l.session.event(p, what, rule.word, l.ex.id))
	p.lock = lock{}
	if why != causeTwoWay {
		st.closeGates(p)
	}
	st.grant(p)
}

func (st *step) countRelease(p *pair, why cause) {
	c := st.sh.tally(p.lock.session.tally)
	switch why {
	case causeIdle, causeTenure:
		c.GateTimeout++
	case causeSilent, causeFailed:
		c.GateFail++
	}
	if p.gate.suspect && !p.gate.matched(alg.Out2In) {
		c.SPICollisionSuspect++
	}
}

// grant gives the free lock to the message whose turn it is and hands the
// message back. The gates stay closed until it comes by again (see doc.go).
func (st *step) grant(p *pair) {
	if len(p.queue.messages) == 0 {
		return
	}
	st.closeGates(p)
	h := p.queue.next(st.now)
	p.lock = lock{state: Provisional, kind: h.kind, session: h.key.session, ex: h.key.ex, since: st.now, armed: st.now}
	st.giveBack(h)
	other := heldKey{h.key.session, h.key.ex, h.key.dir.Reverse()}
	if h = p.queue.find(other); h != nil { // a late answer, say: same exchange, same turn
		p.queue.remove(h)
		st.giveBack(h)
	}
}

// giveBack hands a message that has left the queue to the caller.
func (st *step) giveBack(h *heldMessage) {
	st.unhold(h)
	for _, part := range h.parts {
		st.do(Action{Kind: Release, Packet: part.packet, In: h.in, Mark: part.mark})
	}
}
