package ipsec

import (
	"spigate/alg"
	"spigate/netstack/drop"
)

// gates is the permission for unknown SPIs, one for each direction, of the one
// client that has or had the lock. The pair opens and closes together.
type gates struct {
	open    bool
	suspect bool // a bound SPI of somebody else began to count anew meanwhile (R71)
	client  *client
	session *ikeSession
	opened  int64
	armed   int64    // last distinct message (R55)
	bound   [2]slots // by direction: what it bound (R64)
	matches [2]bool
}

// matched reports whether ESP came through in that direction.
func (g *gates) matched(dir alg.Direction) bool { return g.matches[dir] }

// deadline is the last moment at which the gates are open: they end with their
// IKE session too (R47).
func (g *gates) deadline() int64 { return min(g.armed+g.session.profile.gate(), g.session.deadline()) }

// gateOpen reports whether the gates are open at now: they end with the lock,
// and without one at their own deadline.
func (p *pair) gateOpen(now int64) bool {
	return p != nil && p.gate.open && now <= p.gate.deadline() && p.lockDue(now) == causeNone
}

func (st *step) openGates(p *pair, s *ikeSession) {
	p.gate = gates{open: true, client: s.client, session: s, opened: st.now, armed: st.now}
	st.log(s.event(p, "GATE OPEN", "", p.lock.ex.id))
}

func (st *step) closeGates(p *pair) { p.gate = gates{} }

// slots are the sessions that one gate bound in one direction.
type slots [maxGateSPIs]*espSession

// place returns where a new session can be put. With every slot taken the one
// that carried a single packet and was silent for longest gives way (R64): a
// stale or forged SPI must not use up the gate.
func (b *slots) place(dir alg.Direction) (int, bool) {
	victim, found := 0, false
	for i, s := range b {
		if s == nil || s.gone {
			return i, true
		}
		if s.packets(dir) == 1 && (!found || s.last(dir) < b[victim].last(dir)) {
			victim, found = i, true
		}
	}
	return victim, found
}

// admitsIn is step 3 of section 5 for an inbound SPI: is there an open gate
// that takes it.
func (p *pair) admitsIn(seq uint32, now int64) drop.Reason {
	if !p.gateOpen(now) {
		return drop.ESPNoGateIn
	}
	if limit := p.gate.session.profile.GateSeqMax; limit != 0 && seq > limit {
		return drop.ESPSeq // a new SA counts from 1 (R65)
	}
	if _, ok := p.gate.bound[alg.Out2In].place(alg.Out2In); !ok {
		return drop.ESPNoGateIn
	}
	return drop.None
}

// admitsOut is the same for an outbound SPI of c.
func (p *pair) admitsOut(c *client, now int64) bool {
	if !p.gateOpen(now) || p.gate.client != c {
		return false
	}
	_, ok := p.gate.bound[alg.In2Out].place(alg.In2Out)
	return ok
}

// match records that ESP came through the gate. Two-way ESP is success: the
// lock is free for who waits, and with no waiter the gates stay open to their
// owner, so that a forged packet cannot shut them before the true SPI arrives
// (R64).
func (st *step) match(p *pair, dir alg.Direction, s *espSession) {
	g := &p.gate
	if !g.matches[dir] {
		g.matches[dir] = true
		what := "GATE MATCH_OUT"
		if dir == alg.Out2In {
			what = "GATE MATCH_IN"
		}
		st.log(s.event(what, ""))
	}
	if p.lock.state == Free {
		return
	}
	p.lock.state = Confirmed
	if g.matches[alg.In2Out] && g.matches[alg.Out2In] {
		st.release(p, causeTwoWay)
	}
}
