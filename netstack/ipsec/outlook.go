package ipsec

import (
	"slices"

	"spigate/netstack/frame"
)

// What would become of packets, for whoever explains them. Nothing here counts,
// keeps or asks for anything.

// WouldSend tells what Send would do with a packet of n bytes of these beginning,
// the IPv4 header in full, that Out or Via found s for with the flow f: the
// verdict, the SA, where to and for TooBig the MTU. Acquire says that nobody has
// an SA, and that one would be negotiated.
func (db *Database) WouldSend(s *Selector, f Flow, head []byte, n, mtu int, now int64) Sent {
	if s.bundle == nil {
		return Sent{Verdict: SelectorDiscard}
	}
	sa := s.bundle.pick(f)
	if sa == nil {
		return db.wouldMiss(s, n)
	}
	r := Sent{SA: sa, To: sa.Remote(), Verdict: sa.ready(now)}
	if r.Verdict == Pass {
		r.Verdict = sa.wouldSeal(head, n, mtu, now)
	}
	if r.Verdict == TooBig {
		r.MTU = sa.InnerMTU(sa.narrow(mtu, now), headerLen(head))
	}
	return r
}

// wouldMiss is WouldSend without an SA.
func (db *Database) wouldMiss(s *Selector, n int) Sent {
	if db.policies.Load().isManual(s.Policy) {
		return Sent{Verdict: NoSA}
	}
	s.bundle.mu.Lock()
	waits := s.bundle.held != nil || s.bundle.over
	s.bundle.mu.Unlock()
	if waits || db.held.Load()+int64(n) > maxHeld {
		return Sent{Verdict: NoSA, Acquire: true}
	}
	return Sent{Verdict: Held, Acquire: true}
}

// wouldSeal is plan for a packet of which only the beginning is there.
func (sa *SA) wouldSeal(head []byte, n, mtu int, now int64) Verdict {
	hlen := headerLen(head)
	length := sa.SealedLen(n, hlen)
	switch {
	case sa.Mode == Transport && fragment(head):
		return Fragment
	case length > maxIPv4, dontFragment(head) && length > sa.narrow(mtu, now):
		return TooBig
	}
	return Pass
}

// Arrival is what is known of an ESP packet before it is opened.
type Arrival struct {
	SA        *SA // nil: an SPI of nobody
	Verdict   Verdict
	Selectors []string        // what its SA was made for
	Interface frame.Interface // the label of what is inside, 0: the one on which it came (VR34)
}

// WouldReceive tells what awaits an ESP packet with an SPI for one of our
// addresses, if it is authentic: Pass, Expired or NoSA. What is inside must be
// what the SA's Scope says, mirrored.
func (db *Database) WouldReceive(spi uint32, local frame.Addr, now int64) Arrival {
	sa := db.Find(spi, local)
	if sa == nil {
		return Arrival{Verdict: NoSA}
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	return Arrival{SA: sa, Verdict: sa.ready(now), Selectors: slices.Clone(sa.selectors), Interface: frame.Interface(sa.label.Load())}
}
