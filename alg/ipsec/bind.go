package ipsec

import (
	"slices"

	"spigate/alg"
)

// bindAtGate binds an unknown SPI to the client whose gate is open (section 5
// step 3).
func (st *step) bindAtGate(pl *espPlan, p *ESPPacket) {
	pr := st.sh.pair(pl.nat, p.Server)
	g := &pr.gate
	i := st.makeRoom(&g.bound[p.Dir], p.Dir)
	s := g.partner(p.Dir)
	if s == nil {
		s = st.newSession(pr, pl, g.session.profile)
		s.rival = g.established()
	}
	g.bound[p.Dir][i] = s
	st.bind(s, p)
	pl.session = s
	st.match(pr, p.Dir, s)
}

// makeRoom returns the place of a new session. The plan has seen that there
// is one.
func (st *step) makeRoom(b *slots, dir alg.Direction) int {
	i, _ := b.place(dir)
	if victim := b[i]; victim != nil && !victim.gone {
		st.giveWay(victim, dir)
	}
	return i
}

// bind gives the packet's SPI to s and completes the pair if it was the other
// half.
func (st *step) bind(s *espSession, p *ESPPacket) {
	if p.Dir == alg.In2Out {
		st.setOut(s, p.SPI)
	} else {
		st.setIn(s, p.SPI)
	}
	s.saw(p.Dir, st.now, 1, uint64(p.Len))
	if s.spiIn != 0 && s.spiOut != 0 {
		st.establish(s)
	}
	st.sh.esps.sooner(s)
}

// partner returns the HALF session of the gate that lacks an SPI of this
// direction, the busiest one, or nil.
func (g *gates) partner(dir alg.Direction) *espSession {
	var best *espSession
	for _, s := range g.bound[dir.Reverse()] {
		if s == nil || s.state != ESPHalf {
			continue
		}
		if best == nil || s.packets(dir.Reverse()) > best.packets(dir.Reverse()) {
			best = s
		}
	}
	return best
}

// established returns an ESTABLISHED session that this gate made, or nil.
func (g *gates) established() *espSession {
	for _, s := range g.bound[alg.Out2In] {
		if s != nil && s.state == ESPEstablished {
			return s
		}
	}
	return nil
}

// giveWay unbinds the SPI of one direction of a session that carried a single
// packet (R64). It leaves no tombstone: it may have been the true one.
func (st *step) giveWay(s *espSession, dir alg.Direction) {
	if s.state == ESPHalf {
		st.end(s, "gave_way", false)
		return
	}
	st.log(s.event("ESP DELETED", "gave_way"))
	st.halve(s)
	if dir == alg.Out2In {
		st.clearIn(s)
	} else {
		st.clearOut(s)
	}
	s.count[dir], s.seen[dir] = traffic{}, never
	pr := st.sh.pair(s.nat, s.server)
	for i, b := range pr.gate.bound[dir] {
		if b == s {
			pr.gate.bound[dir][i] = nil
		}
	}
	st.sh.esps.sooner(s)
}

// bindLate binds an SPI with the token that a timed-out gate has left (R66).
// If somebody else has the lock, an outbound packet still goes: it is not
// ambiguous. The token then stays for when the lock is free, and binds no more
// SPIs until then than a gate would (N16).
func (st *step) bindLate(pl *espPlan, p *ESPPacket) {
	pr := st.sh.pair(pl.nat, p.Server)
	if !pr.lockFree(st.now) {
		i := st.makeRoom(&pl.token.unpaired, p.Dir)
		s := st.newSession(pr, pl, pl.token.profile)
		pl.token.unpaired[i] = s
		st.bind(s, p)
		st.sh.tally(pl.token.tally).LateBind++
		pl.session = s
		return
	}
	st.takeLate(pr, pl.token)
	st.sh.tally(pl.token.tally).LateBind++
	st.bindAtGate(pl, p)
}

// reopen opens the gates again for a session whose outbound SPI is bound and
// whose inbound one never came before the gate timed out (N9): the client's
// next packet repairs it, once, when nobody else has the lock.
func (st *step) reopen(pr *pair, s *espSession) {
	t := s.client.tokenHolder(st.now)
	if s.spiIn != 0 || t == nil || !s.profile.LateBindingOut {
		return
	}
	st.expire(pr)
	if pr.lock.state != Free {
		return
	}
	st.takeLate(pr, t)
	st.sh.tally(t.tally).LateBind++
	if b := &pr.gate.bound[alg.In2Out]; !slices.Contains(b[:], s) {
		if i, ok := b.place(alg.In2Out); ok && b[i] == nil { // with no place it stays HALF
			b[i] = s
		}
	}
	pr.gate.matches[alg.In2Out] = true
}
