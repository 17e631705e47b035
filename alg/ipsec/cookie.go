package ipsec

import (
	"encoding/binary"

	"spigate/netstack/frame"
)

// cookieKey names the IKE sessions that an answer could be for which comes to
// a port that nobody has (N40).
type cookieKey struct {
	NAT, Server frame.Addr
	Initiator   uint64
}

// cookies finds IKE sessions by what a server's answer shows. There is one
// entry for each session, so that its bound is theirs; those with an equal key
// are linked, and it is the shard's lock that guards it.
type cookies map[cookieKey]*ikeSession

func (s *ikeSession) cookie() cookieKey {
	k := s.client.pair.key
	return cookieKey{k.NAT, k.Server, s.initiator}
}

// enter adds a session that was made.
func (c cookies) enter(s *ikeSession) {
	k := s.cookie()
	if head := c[k]; head != nil {
		s.after, head.before = head, s
	}
	c[k] = s
}

// leave takes out a session that ended.
func (c cookies) leave(s *ikeSession) {
	switch k := s.cookie(); {
	case s.before != nil:
		s.before.after = s.after
	case s.after != nil:
		c[k] = s.after
	default:
		delete(c, k)
	}
	if s.after != nil {
		s.after.before = s.before
	}
	s.before, s.after = nil, nil
}

// maxTwins bounds how many sessions with one key are looked at: those that are
// over go within a second, and of those that live two are too many.
const maxTwins = 8

// only returns the one live session with a key, or nil.
func (c cookies) only(k cookieKey, now int64) (found *ikeSession) {
	s := c[k]
	for n := 0; s != nil; s, n = s.after, n+1 {
		live := now <= s.deadline()
		if n == maxTwins || live && found != nil {
			return nil
		}
		if live {
			found = s
		}
	}
	return found
}

// OwnerOfCookie finds whom an inbound datagram is for that came to port 500 of
// the NAT address although no mapping is there: a server answered to the port
// it listens on itself (N40). It needs ikeCookieDemux and exactly one session
// with that initiator SPI between the two addresses; the datagram then goes
// the way of the session's mapping. It changes nothing, and costs the same
// however many clients the two addresses have (BenchmarkOwnerOfCookie).
//
// The header is enough: of a message in IP fragments payload is the first
// piece. What else is wrong with a message is StepIKE's to say.
func (a *ALG) OwnerOfCookie(nat, server frame.Addr, payload []byte, now int64) (inside frame.Addr, mapping uint64, ok bool) {
	if len(payload) < headerLen {
		return inside, 0, false
	}
	sh := a.shardOf(nat, server)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.cookies.only(cookieKey{nat, server, binary.BigEndian.Uint64(payload)}, now)
	if s == nil || !s.profile.IKECookieDemux {
		return inside, 0, false
	}
	return s.client.inside, s.mapping, true
}
