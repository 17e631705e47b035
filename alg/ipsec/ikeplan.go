package ipsec

import (
	"spigate/alg"
	"spigate/netstack/drop"
)

// portNATT is the server port of NAT-T (RFC 3947, R50).
const portNATT = 4500

// admission is what a phase-2 message does to the lock.
type admission uint8

const (
	admitNothing admission = iota // not phase 2, or no effect on the lock
	admitNote                     // no effect on the lock, but remembered
	admitFinish                   // no effect, and its exchange has its outcome (R52)
	admitHolder                   // its exchange has the lock
	admitFollow                   // it continues the holder's exchange (RFC 9370)
	admitJoin                     // its client has the lock and may run several (R57)
	admitTake                     // the lock is free
	admitWait                     // held (R58)
	admitRefuse                   // dropped
)

// ikePlan is what DecideIKE found: everything that commitIKE will do.
type ikePlan struct {
	verdict alg.Verdict
	reason  drop.Reason
	why     string

	malformed bool
	session   *ikeSession // nil: none, or to be made
	create    bool
	up        bool        // becomes UP, or is made UP
	floats    bool        // becomes FLOATED
	replaces  *ikeSession // the IKE SA that this one rekeys (R45)
	admit     admission
	ex        exchangeKey
	giveWay   []*heldMessage // to make room for a held one (R58)
}

// readIKE classifies a packet. ok is false for what has no effect on the ALG;
// the plan then says why.
func (a *ALG) readIKE(p *IKEPacket) (m message, pl ikePlan, ok bool) {
	if p.Profile == nil {
		return m, ikePlan{why: "the group has no ALG profile (R35)"}, false
	}
	payload := p.Payload
	if p.ServerPort == portNATT {
		if payload, ok = marked(payload); !ok {
			return m, ikePlan{why: "ESP in UDP or a keepalive: plain UDP (R50)"}, false
		}
	}
	h, ok := parseHeader(payload)
	if !ok {
		return m, ikePlan{malformed: true, why: "no IKE header: plain UDP (R42)"}, false
	}
	return classify(h, p.Dir, digest64(a.seed, payload)), ikePlan{}, true
}

// planIKE decides about a classified packet. It changes nothing. The shard is
// locked.
func (a *ALG) planIKE(sh *shard, p *IKEPacket, m *message, now int64) ikePlan {
	pr := sh.pair(p.NAT, p.Server)
	c := pr.client(p.Inside)
	if p.ServerPort == portNATT {
		return planNATT(c, m, now)
	}
	pl := ikePlan{session: c.find(p.Mapping, m, now)}
	if pl.session == nil {
		a.planCreate(&pl, p, c, m, now)
		if !pl.create {
			return pl
		}
	} else if pl.session.echoed(m) {
		pl.up = true
		if pl.session.pickedUp {
			pl.replaces = c.rekeyed(p.Mapping, m, now)
		}
	}
	a.planPhase2(&pl, pr, p, m, now)
	return pl
}

// planNATT looks at IKE on port 4500: it only moves a session (R50). Phase 2
// there never touches gates, because ESP then travels in UDP.
func planNATT(c *client, m *message, now int64) ikePlan {
	s := c.findFloating(m, now)
	if s == nil {
		return ikePlan{why: "IKE on port 4500: plain UDP (R50)"}
	}
	return ikePlan{session: s, floats: s.state != Floated, why: "the IKE session uses NAT-T (R50)"}
}

// planCreate decides whether SPIs that are not known make a session.
func (a *ALG) planCreate(pl *ikePlan, p *IKEPacket, c *client, m *message, now int64) {
	old := c.rekeyed(p.Mapping, m, now)
	switch {
	case p.Dir == alg.In2Out && old != nil:
		// The subscriber itself uses new SPIs after a rekey: adopt (R45).
		pl.create, pl.up, pl.replaces = true, true, old
	case p.Dir == alg.In2Out:
		pl.create = true // new, or in the middle after our restart (R46)
	case old != nil, m.opensSession():
		pl.create = true // the server begins (R44); the client's echo will tell
	default:
		pl.why = "unknown SPIs from the server: plain UDP"
		return
	}
	pl.reason = a.ikeRoom(p, !pl.up)
	if pl.reason != drop.None {
		pl.verdict, pl.create = alg.Drop, false
		pl.why = "no room for another IKE session (R41)"
	}
}

// ikeRoom checks the bounds on IKE sessions. Half-open ones may fill half of
// the table, so that a flood of them leaves room for rekeyed sessions.
func (a *ALG) ikeRoom(p *IKEPacket, half bool) drop.Reason {
	if r := a.subsOf(p.Inside).room(p.Inside, half, p.Dir == alg.Out2In); r != drop.None {
		return r
	}
	if a.count.ikeSessions.Load() >= int64(a.cfg.MaxIKESessions) ||
		half && a.count.ikeHalf.Load() >= int64(a.cfg.MaxIKESessions+1)/2 {
		return drop.ALGTableFull
	}
	return drop.None
}

// planPhase2 decides whether a phase-2 message may pass (R53 to R60).
func (a *ALG) planPhase2(pl *ikePlan, pr *pair, p *IKEPacket, m *message, now int64) {
	s, phase2 := pl.session, m.phase2
	pl.ex = m.exchangeKey()
	var rec *exchange
	if s != nil {
		pl.ex, phase2 = s.phase2(m)
		rec = s.exchange(pl.ex)
	}
	if !phase2 {
		pl.why = "not phase 2 (table 4.3)"
		return
	}
	switch {
	case !pl.up && (s == nil || s.state != Up):
		// A pickup gets the lock with the server's answer (R46, R56, R59): a
		// forged phase 2 with invented cookies has none and blocks nobody.
		pl.admit, pl.why = admitNote, "phase 2 of an IKE session that is not UP opens no gate (R56)"
	case pr != nil && s != nil && pr.lock.holds(s, pl.ex) && pr.lockDue(now) == causeNone:
		pl.admit, pl.why = admitHolder, "its exchange holds the lock"
	case rec != nil && rec.done:
		pl.admit, pl.why = admitNote, "its exchange has had its outcome (R49)"
	case m.failure():
		pl.admit, pl.why = admitFinish, "too short to create an SA (R52)"
	case pr == nil || pr.lockFree(now) || pl.replaces != nil && pr.heldForRekey(pl.replaces) && len(pr.queue.messages) == 0:
		pl.admit, pl.why = admitTake, "phase 2 takes the free lock (R54)"
	case s != nil && pr.lock.continues(s, m):
		pl.admit, pl.why = admitFollow, "it continues the exchange that holds the lock (RFC 9370)"
	case p.Profile.SameClientParallel && pr.lock.session.client == pr.client(p.Inside):
		pl.admit, pl.why = admitJoin, "its client holds the lock (R57)"
	default:
		a.planWait(pl, pr, p, m)
	}
}

// planWait holds a message, or says why that is not possible (R58).
func (a *ALG) planWait(pl *ikePlan, pr *pair, p *IKEPacket, m *message) {
	if p.Profile.BlockMode == BlockDrop {
		pl.verdict, pl.reason, pl.admit = alg.Drop, drop.IKEBlocked, admitRefuse
		pl.why = "another exchange holds the lock, and block_mode is drop (R58)"
		return
	}
	k := heldKey{pl.session, pl.ex, m.dir}
	grow, ok := pr.queue.growth(k, m, len(p.Packet))
	if !ok {
		pl.giveWay, ok = pr.queue.outweighs(k, pr.client(p.Inside), grow)
	}
	if !ok || !a.holdRoom(grow) {
		pl.verdict, pl.reason, pl.admit = alg.Drop, drop.IKEHoldOverflow, admitRefuse
		pl.why = "another exchange holds the lock, and too many wait (R58)"
		return
	}
	pl.verdict, pl.admit = alg.Hold, admitWait
	pl.why = "another exchange holds the lock (R58)"
}
