package ike

import "net/netip"

// A peer behind a NAT is where its newest authentic packet came from (RFC 7296
// section 2.23): a request of IKE, or ESP, of which the caller tells.

// follow takes a new address of a peer behind a NAT from a message that is
// authentic and new. An end that is itself behind a NAT does not follow: what
// it sees may be its own NAT's doing. Until IKE_AUTH the initiator's float to
// port 4500 comes in this way.
func (sa *ikeSA) follow(m arrival) {
	switch {
	case m.remote == sa.remote && m.local == sa.local || m.h.response():
	case sa.state == stateHalfOpen:
		sa.local, sa.remote, sa.marker = m.local, m.remote, m.marker
	case m.marker && (sa.natThere || !sa.natHere):
		sa.marker = true
		sa.move(m.local, m.remote)
	}
}

// PeerSeen says that ESP in UDP came from remote on the pair with the inbound
// SPI in: authentic, and with the highest sequence number so far, or somebody
// who holds a packet back could move the peer. It is for pairs that Follow;
// others are left alone, as are pairs that are not there.
func (e *Engine) PeerSeen(in uint32, remote netip.AddrPort, now int64) []Action {
	e.begin(now)
	c := e.spis[in]
	if c != nil && c.pub.Follow && c.sa.state == stateUp && remote != c.sa.remote && remote.Port() != 0 && remote.Addr().Is4() {
		c.sa.move(c.sa.local, remote)
	}
	return e.finish()
}

// follows reports whether ESP may move the peer: it is behind a NAT, and we are
// not.
func (sa *ikeSA) follows() bool { return sa.udp() && sa.natThere && !sa.natHere }

// move follows the peer, with all that goes between the same ends: when the IKE
// SA is rekeyed there are two for a while, and the children are with one.
func (sa *ikeSA) move(local, remote netip.AddrPort) {
	here, there := sa.local, sa.remote
	v := sa.event(PeerMoved, "from "+there.String(), "")
	v.Local, v.Remote = local, remote
	sa.e.log(v)
	for _, s := range sa.e.of(sa.peer) {
		if s == sa || s.state >= stateUp && s.local == here && s.remote == there {
			s.readdress(local, remote)
		}
	}
}

// readdress lets all that leaves, answers that are repeated among it, go to
// another address.
func (sa *ikeSA) readdress(local, remote netip.AddrPort) {
	if l := sa.last; l != nil && l.remote == sa.remote && l.local == sa.local {
		l.local, l.remote = local, remote
	}
	sa.local, sa.remote = local, remote
	for _, c := range sa.children {
		c.pub.Local, c.pub.Remote = local, remote
		c.give(Move, false)
	}
}
