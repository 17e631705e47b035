package ipsec

import (
	"spigate/alg"
	"spigate/netstack/frame"
)

// IKEState is the state of an IKE session (R44).
type IKEState uint8

// The states of an IKE session.
const (
	Half    IKEState = iota // one side has not proven that it hears the other
	Up                      // both sides use the same pair of SPIs
	Floated                 // moved to port 4500: NAT-T, no gates (R50)
)

// String returns the word used in views and logs.
func (s IKEState) String() string { return [...]string{"HALF", "UP", "FLOATED"}[s] }

// ikeSession is one IKE SA as seen from the middle. Its key is (inside, NAT,
// server, mapping, initiator SPI) (R43): the first three stand in the pair and
// client that it belongs to.
type ikeSession struct {
	client  *client
	profile *Profile

	mapping   uint64
	initiator uint64    // SPI of whoever initiated, client or server (R44)
	responder uint64    // latched when UP, 0 before
	heard     [2]uint64 // by direction: the last non-zero responder SPI in packets of that direction
	version   uint8
	state     IKEState
	row       int32
	tally     uint16 // number of its profile, for counters
	pickedUp  bool   // began with two non-zero SPIs: after our restart, or a rekey (R45, R46)
	token     bool   // may bind late, once (R66)

	created, lastSeen int64
	lastCreateChild   int64 // last exchange 36, for R45; never if none
	exchanges         []exchange
	unpaired          slots // outbound: when the token was given, and bound with it since

	before, after *ikeSession // others with the same cookieKey
}

// client is one subscriber on a pair: its IKE sessions and what fairness has
// to know of it. It lives as long as it has a session of either kind.
type client struct {
	inside   frame.Addr
	pair     *pair
	sessions []*ikeSession
	esp      int   // ESP sessions that refer to it
	timeouts uint8 // locks in a row that ended by timeout (R60)
	lastOut  int64 // last outbound ESP of any SPI, never if none (R64a)
}

// never is a time before all others.
const never = -1 << 62

// idle is how long the session may be silent (R40, R47, R50).
func (s *ikeSession) idle() int64 {
	switch s.state {
	case Up:
		return int64(s.profile.IKESessionTimeout)
	case Floated:
		return int64(floatLinger)
	default:
		return int64(s.profile.IKEHalfOpenTimeout)
	}
}

func (s *ikeSession) place() *int32 { return &s.row }

// deadline is the last moment at which the session lives (R22).
func (s *ikeSession) deadline() int64 { return s.lastSeen + s.idle() }

// matches reports whether the SPIs of m are those of the session. Before the
// responder's SPI is latched any value may come: COOKIE and INVALID_KE replies
// carry 0 or throw-away values (RFC 7296 section 2.6, N35). Afterwards 0 is a
// retransmission from the beginning.
func (s *ikeSession) matches(m *message) bool {
	if s.initiator != m.initiator || s.version != m.version {
		return false
	}
	return s.responder == 0 || m.responder == 0 || s.responder == m.responder
}

// echoed reports whether m proves that both sides use the same responder SPI
// (R43, R46). A reply alone does not: anybody can send one. The value must
// have been seen in both directions, and an off-path forger sees neither.
func (s *ikeSession) echoed(m *message) bool {
	return s.state == Half && m.responder != 0 && s.heard[m.dir.Reverse()] == m.responder
}

// find returns the live session that m belongs to, or nil. On port 4500 the
// mapping is another one, so only the SPIs count there (R50).
func (c *client) find(mapping uint64, m *message, now int64) *ikeSession {
	if c == nil {
		return nil
	}
	for _, s := range c.sessions {
		if s.mapping == mapping && s.matches(m) && now <= s.deadline() {
			return s
		}
	}
	return nil
}

// findFloating returns the live session that m continues on port 4500.
func (c *client) findFloating(m *message, now int64) *ikeSession {
	if c == nil || m.responder == 0 {
		return nil
	}
	for _, s := range c.sessions {
		known := s.responder == m.responder || s.state == Half && s.heard[alg.Out2In] == m.responder
		if s.initiator == m.initiator && s.version == m.version && known && now <= s.deadline() {
			return s
		}
	}
	return nil
}

// rekeyed returns the IKE session that an unknown pair of SPIs may replace: UP
// on the same mapping, with a CREATE_CHILD_SA in the last minute (R45).
func (c *client) rekeyed(mapping uint64, m *message, now int64) *ikeSession {
	if c == nil || m.version != 2 || m.exchange == exSAInit || m.responder == 0 {
		return nil
	}
	for _, s := range c.sessions {
		if s.mapping == mapping && s.state == Up && s.version == 2 && now <= s.deadline() &&
			s.initiator != m.initiator && now-s.lastCreateChild <= int64(rekeyWindow) {
			return s
		}
	}
	return nil
}

// tokenHolder returns the client's session that may bind late, or nil (R66).
func (c *client) tokenHolder(now int64) *ikeSession {
	if c == nil {
		return nil
	}
	for _, s := range c.sessions {
		if s.token && now <= s.deadline() {
			return s
		}
	}
	return nil
}

// bindsMore reports whether the token has room for another outbound SPI (R64).
func (s *ikeSession) bindsMore() bool {
	_, ok := s.unpaired.place(alg.In2Out)
	return ok
}

// keepIKE refreshes the client's IKE sessions, because its ESP keeps them (R48).
func (c *client) keepIKE(now int64) {
	for _, s := range c.sessions {
		if s.state == Up {
			s.lastSeen = now
		}
	}
}

// mappingIdle is the idle timer that the session wants for its mapping (R40).
// Where ESP keeps the session the NAT cannot know that it lives, so the
// session's end removes the mapping instead.
func (s *ikeSession) mappingIdle() int64 {
	if s.state == Up && s.profile.IKEKeepWithESP {
		return int64(mappingForever)
	}
	return s.idle()
}
