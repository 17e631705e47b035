package ipsec

import (
	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// espMove is what an ESP packet does.
type espMove uint8

const (
	espRefuse espMove = iota
	espKnown          // its SPI is bound
	espGate           // it binds at an open gate
	espLate           // it binds with a session's token (R66)
)

// espPlan is what DecideESP found.
type espPlan struct {
	move    espMove
	reason  drop.Reason
	why     string
	nat     frame.Addr
	session *espSession // known
	client  *client     // of gate or token
	token   *ikeSession // whose token is used
	place   bool        // a place in the quota was taken for the session that it makes
}

// firstSPI is the lowest SPI that may be on the wire (RFC 4303 section 2.1).
const firstSPI = 256

// planESP decides about a packet. It changes nothing but that it takes a place
// in the quota, which unplace gives back. The shard is locked; s is what the
// index has for an outbound SPI, or nil.
func (a *ALG) planESP(sh *shard, s *espSession, p *ESPPacket, now int64) espPlan {
	var pl espPlan
	if p.Dir == alg.In2Out {
		pl = planOut(sh, s, p, now)
	} else {
		pl = planIn(sh, p, now)
	}
	makes := pl.move == espLate || pl.move == espGate && sh.pair(p.NAT, p.Server).gate.partner(p.Dir) == nil
	if makes && a.count.espSessions.Load() >= int64(a.cfg.MaxESPSessions) {
		return espPlan{reason: drop.ALGTableFull, nat: p.NAT, why: "the table of ESP sessions is full"}
	}
	if makes && a.cfg.Quota != nil {
		if r := a.cfg.Quota.Take(pl.client.inside); r != drop.None {
			return espPlan{reason: r, nat: p.NAT, why: "the subscriber has no session left (R37)"}
		}
		pl.place = true
	}
	return pl
}

// unplace gives the plan's place in the quota back, if no session has it.
func (a *ALG) unplace(pl *espPlan) {
	if pl.place {
		a.cfg.Quota.Give(pl.client.inside)
		pl.place = false
	}
}

// planIn decides about an inbound packet (section 5, right column). It changes
// nothing. The shard is locked.
func planIn(sh *shard, p *ESPPacket, now int64) espPlan {
	k := spiKey{p.NAT, p.Server, p.SPI}
	s := sh.inbound[k]
	if s != nil && now <= s.deadline() {
		return espPlan{move: espKnown, session: s, client: s.client, nat: p.NAT}
	}
	if sh.stones.has(k, now) || s != nil && s.stale(now) {
		return espPlan{reason: drop.ESPStaleSPI, why: "the SPI's session has ended (R69)"}
	}
	pr := sh.pair(p.NAT, p.Server)
	reason := pr.admitsIn(p.Seq, now)
	if reason == drop.None {
		return espPlan{move: espGate, client: pr.gate.client, nat: p.NAT, why: "the inbound gate is open (R64)"}
	}
	if reason == drop.ESPSeq {
		return espPlan{reason: reason, why: "the sequence number is too high for a new SA (R65)"}
	}
	if s := pr.onlyToken(now); s != nil {
		return espPlan{move: espLate, client: s.client, token: s, nat: p.NAT, why: "only one client can mean it (R66)"}
	}
	return espPlan{reason: reason, why: "no gate for this server is open"}
}

// onlyToken returns the session whose client an unknown inbound SPI must be
// for: the lock is free and nobody else may bind late (R66).
func (p *pair) onlyToken(now int64) *ikeSession {
	if p == nil || len(p.tokens) != 1 || !p.lockFree(now) {
		return nil
	}
	for s := range p.tokens {
		if now <= s.deadline() && s.profile.LateBindingIn {
			return s
		}
	}
	return nil
}

// planOut decides about an outbound packet (section 5, left column). It
// changes nothing. The shard of (NAT, server) is locked; s is what the index
// has for the SPI, or nil.
func planOut(sh *shard, s *espSession, p *ESPPacket, now int64) espPlan {
	if s != nil && !s.gone && now <= s.deadline() {
		return espPlan{move: espKnown, session: s, client: s.client, nat: s.nat}
	}
	switch {
	case p.Profile == nil:
		return espPlan{reason: drop.ESPNoGateOut, why: "the group has no ALG profile (R35)"}
	case p.NAT.IsZero():
		return espPlan{reason: drop.ESPNoNATAddress, why: "the subscriber has no NAT address (R37)"}
	}
	pr := sh.pair(p.NAT, p.Server)
	c := pr.client(p.Inside)
	if pr.admitsOut(c, now) {
		return espPlan{move: espGate, client: c, nat: p.NAT, why: "the outbound gate is open (R54)"}
	}
	if t := c.tokenHolder(now); t != nil && p.Profile.LateBindingOut && t.bindsMore() {
		return espPlan{move: espLate, client: c, token: t, nat: p.NAT, why: "late binding (R66)"}
	}
	return espPlan{reason: drop.ESPNoGateOut, why: "no gate of this subscriber is open"}
}

func (pl *espPlan) result() Result {
	if pl.move == espRefuse {
		return Result{Verdict: alg.Drop, Reason: pl.reason, Why: pl.why}
	}
	if pl.session != nil {
		r := pl.session.result()
		if pl.why != "" {
			r.Why = pl.why
		}
		return r
	}
	return Result{Verdict: alg.Forward, Inside: pl.client.inside, NAT: pl.nat, Why: pl.why}
}
