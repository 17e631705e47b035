package ipsec

import (
	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// badSPI is the answer to a reserved SPI (section 5 step 1).
func badSPI() Result {
	return Result{Verdict: alg.Drop, Reason: drop.ESPBadSPI, Why: "SPIs 0 to 255 are reserved (RFC 4303 section 2.1)"}
}

// DecideESP says what would become of an ESP packet. It changes nothing; see
// DecideIKE.
func (a *ALG) DecideESP(p *ESPPacket, now int64) Result {
	if p.SPI < firstSPI {
		return badSPI()
	}
	s, sh := a.locate(p)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	pl := a.planESP(sh, s, p, now)
	a.unplace(&pl)
	return pl.result()
}

// locate returns the shard of an ESP packet and, for an outbound one, the
// session of its SPI. A known SPI keeps the NAT address it has, whatever the
// pairing says by now (R37).
func (a *ALG) locate(p *ESPPacket) (*espSession, *shard) {
	if p.Dir == alg.Out2In {
		return nil, a.shardOf(p.NAT, p.Server)
	}
	s := a.subsOf(p.Inside).find(outKey{p.Inside, p.Server, p.SPI})
	nat := p.NAT
	if s != nil {
		nat = s.nat
	}
	return s, a.shardOf(nat, p.Server)
}

// StepESP decides about an ESP packet and does it. A packet of an ESTABLISHED
// session costs one or two look-ups and no allocation.
func (a *ALG) StepESP(p *ESPPacket, now int64) Result {
	s, sh := a.locate(p)
	if p.SPI < firstSPI {
		tally := a.tallies.of(p.Profile)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		sh.tally(tally).Dropped++
		return badSPI()
	}
	sh.mu.Lock()
	if p.Dir == alg.Out2In {
		s = sh.inbound[spiKey{p.NAT, p.Server, p.SPI}]
	}
	if s != nil && s.state == ESPEstablished && !s.gone && now <= s.deadline() {
		sh.count(s.tally, p.Dir, 1)
		s.saw(p.Dir, now, 1, uint64(p.Len))
		if p.Dir == alg.Out2In {
			sh.suspect(s, p)
		}
		r := s.result()
		sh.mu.Unlock() // no deadline came nearer
		return r
	}
	defer sh.done()
	return a.stepUnknown(sh, s, p, now)
}

// stepUnknown is StepESP for everything that can change more than a counter.
func (a *ALG) stepUnknown(sh *shard, s *espSession, p *ESPPacket, now int64) Result {
	st := &step{a: a, sh: sh, now: now}
	if s != nil && !s.gone {
		st.endIfOver(s)
	}
	st.expire(sh.pair(p.NAT, p.Server))
	if p.Dir == alg.In2Out {
		st.expireClient(sh.pair(p.NAT, p.Server), p.Inside)
	}
	if p.Dir == alg.In2Out && (s == nil || s.gone) { // another port may have bound it meanwhile
		s = a.subsOf(p.Inside).find(outKey{p.Inside, p.Server, p.SPI})
		if s != nil && s.nat != p.NAT {
			s = nil
		}
	}
	pl := a.planESP(sh, s, p, now)
	st.commitESP(&pl, p)
	a.unplace(&pl)
	st.settle(sh.pair(p.NAT, p.Server))
	r := pl.result()
	r.Actions = st.actions
	return r
}

// commitESP does what the plan says.
func (st *step) commitESP(pl *espPlan, p *ESPPacket) {
	if pl.move == espRefuse {
		st.countDrop(pl.reason, st.blame(p))
		return
	}
	switch pl.move {
	case espKnown:
		st.known(pl, p)
	case espGate:
		st.bindAtGate(pl, p)
	case espLate:
		st.bindLate(pl, p)
	}
	st.sh.count(pl.session.tally, p.Dir, 1)
}

// blame returns to whose profile a refused packet is laid: its sender's, or
// that of who has the gate open at which an inbound one was refused.
func (st *step) blame(p *ESPPacket) uint16 {
	if pr := st.sh.pair(p.NAT, p.Server); p.Dir == alg.Out2In && pr != nil && pr.gate.open {
		return pr.gate.session.tally
	}
	return st.a.tallies.of(p.Profile)
}

// known handles a packet of a HALF session.
func (st *step) known(pl *espPlan, p *ESPPacket) {
	s := pl.session
	s.saw(p.Dir, st.now, 1, uint64(p.Len))
	if p.Dir == alg.Out2In {
		st.outdo(s)
		return
	}
	pr := st.sh.pair(s.nat, s.server) // not of p.NAT, if the pairing has changed
	st.reopen(pr, s)
	st.settle(pr)
}

// outdo pairs the outbound SPI anew: if the inbound SPI that it was paired
// with came only once, and another one of the same gate comes again, then the
// first was stale or forged (R64). Delivery is the same, what is shown and
// what ages together becomes right.
func (st *step) outdo(s *espSession) {
	r := s.rival
	if r == nil || r.gone || r.spiIn == 0 || r.packets(alg.Out2In) > 1 || s.packets(alg.Out2In) < 2 {
		return
	}
	s.rival = nil
	told := r.state == ESPEstablished
	if told {
		st.log(r.event("ESP DELETED", "paired_again")) // what was CREATED is so no more
	}
	mine, theirs := s.spiIn, r.spiIn
	st.clearIn(s)
	st.clearIn(r)
	st.setIn(s, theirs)
	st.setIn(r, mine)
	s.count[alg.Out2In], r.count[alg.Out2In] = r.count[alg.Out2In], s.count[alg.Out2In]
	s.seen[alg.Out2In], r.seen[alg.Out2In] = r.seen[alg.Out2In], s.seen[alg.Out2In]
	st.do(Action{Kind: FlowRemove, Session: r.id})
	if told {
		st.log(r.event("ESP CREATED", "paired_again"))
	}
	st.sh.esps.sooner(s)
	st.sh.esps.sooner(r)
}

// suspect looks for the sign of R71: the SPI of an ESTABLISHED session begins
// to count from the start while somebody else's gate is open. Packets that the
// flow table forwards are not seen here, so it is a hint and no measure.
func (sh *shard) suspect(s *espSession, p *ESPPacket) {
	limit := s.profile.GateSeqMax
	if limit == 0 || p.Seq > limit || s.packets(alg.Out2In) <= uint64(limit) {
		return
	}
	if pr := sh.pair(s.nat, s.server); pr.gate.open && pr.gate.client != s.client {
		pr.gate.suspect = true
	}
}

// FlowActive records what the flow table forwarded for an ESP session since
// its last sweep.
func (a *ALG) FlowActive(session uint64, dir alg.Direction, now int64, packets, bytes uint64) {
	sh := &a.shards[session%shardCount]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.byID[session]
	if s == nil {
		sh.count(0, dir, packets)
		return
	}
	sh.count(s.tally, dir, packets)
	s.saw(dir, now, packets, bytes)
}

// OwnerOfOutbound returns who sends ESP with this SPI from nat to server, for
// an ICMP error about it (R74). Two owners cannot be told apart (N19).
func (a *ALG) OwnerOfOutbound(nat, server frame.Addr, spi uint32) (frame.Addr, drop.Reason) {
	sh := a.shardOf(nat, server)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.outbound[spiKey{nat, server, spi}]
	if s == nil {
		return frame.Addr{}, drop.ICMPNoFlow
	}
	for o := s.next; o != nil; o = o.next {
		if o.client.inside != s.client.inside {
			return frame.Addr{}, drop.ICMPAmbiguous
		}
	}
	return s.client.inside, drop.None
}

// NATOfInbound returns the NAT address at which the subscriber's inbound ESP
// with this SPI comes in, for an ICMP error that the subscriber sends (R74).
func (a *ALG) NATOfInbound(inside, server frame.Addr, spi uint32) (frame.Addr, bool) {
	return a.subsOf(inside).natOf(outKey{inside, server, spi})
}
