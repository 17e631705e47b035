package ipsec

import (
	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// SessionState is the state of an ESP session.
type SessionState uint8

// The states of an ESP session (R67).
const (
	ESPHalf        SessionState = iota // one SPI is bound
	ESPEstablished                     // both are: ESP was seen both ways
)

// String returns the word used in views and logs.
func (s SessionState) String() string { return [...]string{"HALF", "ESTABLISHED"}[s] }

// espSession is a pair of SPIs that belong to one subscriber.
type espSession struct {
	id          uint64
	client      *client
	profile     *Profile
	rival       *espSession // the ESTABLISHED session of the same gate, see outdo
	next        *espSession // another owner of (NAT, server, spiOut) (R74)
	nat, server frame.Addr
	spiIn       uint32 // 0: not bound
	spiOut      uint32 // 0: not bound
	row         int32
	tally       uint16 // number of its profile, for counters
	state       SessionState
	gone        bool

	gateOpened int64 // when the gate that bound it opened (R64a)
	created    int64
	seen       [2]int64 // by direction: last packet, never if none
	count      [2]traffic
}

// traffic counts one direction.
type traffic struct{ packets, bytes uint64 }

func (s *espSession) packets(dir alg.Direction) uint64 { return s.count[dir].packets }

func (s *espSession) last(dir alg.Direction) int64 { return s.seen[dir] }

func (s *espSession) lastSeen() int64 { return max(s.seen[alg.In2Out], s.seen[alg.Out2In]) }

func (s *espSession) place() *int32 { return &s.row }

// deadline is the last moment at which the session lives: idle times of R67
// and R69, and R64a, by which an inbound SPI heals that was bound wrongly.
func (s *espSession) deadline() int64 {
	if s.state == ESPEstablished {
		return s.lastSeen() + int64(s.profile.ESPSessionTimeout)
	}
	idle := s.lastSeen() + s.profile.halfESP()
	if s.unanswered() {
		return min(idle, s.created+s.profile.halfESP())
	}
	return idle
}

// unanswered reports an inbound SPI whose client has sent no ESP at all since
// the gate opened.
func (s *espSession) unanswered() bool {
	return s.spiOut == 0 && s.client.lastOut < s.gateOpened
}

// saw records packets of one direction (R69: either refreshes the pair).
func (s *espSession) saw(dir alg.Direction, now int64, packets, bytes uint64) {
	s.seen[dir] = max(s.seen[dir], now)
	s.count[dir].packets += packets
	s.count[dir].bytes += bytes
	if dir == alg.In2Out {
		s.client.lastOut = max(s.client.lastOut, now)
	}
	if s.profile.IKEKeepWithESP {
		s.client.keepIKE(now)
	}
}

// newSession makes a HALF session for a packet that just bound it. It has the
// plan's place in the quota from now on.
func (st *step) newSession(p *pair, pl *espPlan, profile *Profile) *espSession {
	c := pl.client
	pl.place = false
	s := &espSession{id: st.sh.newID(), client: c, profile: profile, tally: st.a.tallies.of(profile), nat: p.key.NAT, server: p.key.Server,
		gateOpened: p.gate.opened, created: st.now, seen: [2]int64{never, never}}
	c.esp++
	st.sh.byID[s.id] = s
	st.countESP(s, 1)
	return s
}

// setIn binds the inbound SPI.
func (st *step) setIn(s *espSession, spi uint32) {
	s.spiIn = spi
	st.sh.inbound[spiKey{s.nat, s.server, spi}] = s
	st.a.subsOf(s.client.inside).setIn(outKey{s.client.inside, s.server, spi}, s.nat)
}

// setOut binds the outbound SPI.
func (st *step) setOut(s *espSession, spi uint32) {
	s.spiOut = spi
	k := spiKey{s.nat, s.server, spi}
	s.next = st.sh.outbound[k]
	st.sh.outbound[k] = s
	st.a.subsOf(s.client.inside).setOut(outKey{s.client.inside, s.server, spi}, s)
}

// clearIn unbinds the inbound SPI.
func (st *step) clearIn(s *espSession) {
	delete(st.sh.inbound, spiKey{s.nat, s.server, s.spiIn})
	st.a.subsOf(s.client.inside).clearIn(outKey{s.client.inside, s.server, s.spiIn}, s.nat)
	s.spiIn = 0
}

// clearOut unbinds the outbound SPI.
func (st *step) clearOut(s *espSession) {
	k := spiKey{s.nat, s.server, s.spiOut}
	head := st.sh.outbound[k]
	if head == s {
		head = s.next
	} else {
		for o := head; o != nil; o = o.next {
			if o.next == s {
				o.next = s.next
			}
		}
	}
	st.sh.outbound[k] = head
	if head == nil {
		delete(st.sh.outbound, k)
	}
	st.a.subsOf(s.client.inside).clearOut(outKey{s.client.inside, s.server, s.spiOut}, s)
	s.spiOut, s.next = 0, nil
}

// establish makes s a full pair (R67).
func (st *step) establish(s *espSession) {
	s.state = ESPEstablished
	st.sh.tally(s.tally).Total++
	st.sh.tally(s.tally).Active++
	st.log(s.event("ESP CREATED", ""))
}

// halve makes an ESTABLISHED session HALF again, for an SPI that gives way.
func (st *step) halve(s *espSession) {
	if s.state != ESPEstablished {
		return
	}
	s.state = ESPHalf
	st.sh.tally(s.tally).Active--
	st.do(Action{Kind: FlowRemove, Session: s.id})
	st.sh.esps.sooner(s)
}

// end removes a session. stale puts its inbound SPI among the tombstones
// (R69), so that a server which goes on sending cannot bind it anew.
func (st *step) end(s *espSession, reason string, stale bool) {
	st.log(s.event("ESP DELETED", reason))
	st.halve(s)
	if s.spiIn != 0 {
		if stale {
			st.sh.stones.add(spiKey{s.nat, s.server, s.spiIn}, st.now)
		}
		st.clearIn(s)
	}
	if s.spiOut != 0 {
		st.clearOut(s)
	}
	s.gone = true
	delete(st.sh.byID, s.id)
	st.sh.esps.remove(s)
	st.countESP(s, -1)
	p := st.sh.pair(s.nat, s.server)
	p.gate.unbind(s)
	s.client.esp--
	p.forget(s.client)
	st.settle(p)
}

// unbind takes s out of the gate's slots.
func (g *gates) unbind(s *espSession) {
	for dir := range g.bound {
		for i, b := range g.bound[dir] {
			if b == s {
				g.bound[dir][i] = nil
			}
		}
	}
}

// endIfOver removes s if its time has come, and reports it.
func (st *step) endIfOver(s *espSession) bool {
	if st.now <= s.deadline() {
		return false
	}
	if s.stale(st.now) {
		st.end(s, "idle", true)
	} else {
		st.end(s, "unanswered", false)
	}
	return true
}

// stale reports whether a session that is over leaves a tombstone. One that
// ends by R64a does not: the SPI may be somebody else's true one.
func (s *espSession) stale(now int64) bool {
	return !s.unanswered() || now > s.lastSeen()+s.profile.halfESP()
}

// result is the answer for a packet of a bound SPI. Only an ESTABLISHED
// session may be cached: a HALF one must see each packet, because the first
// one of the other side changes it, and R64a and R67 end it soon.
func (s *espSession) result() Result {
	return Result{Verdict: alg.Forward, Reason: drop.None, Inside: s.client.inside, NAT: s.nat, Session: s.id,
		Cache: s.state == ESPEstablished, Idle: s.profile.ESPSessionTimeout, Why: "the SPI is bound (R62)"}
}
