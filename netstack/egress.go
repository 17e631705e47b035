package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
	"spigate/netstack/vserver"
)

// The last look at a packet that leaves, after every rewriting (VR25): is it to
// be sealed? What goes into a tunnel's interface is asked there (tunnelnic.go).

// protect hands a packet that a selector of tunnel or transport mode protects to
// the ciphers; in its place the sealed one leaves, by the route to the other end
// (VR29). What no selector is about leaves in clear, unless its virtual server
// requires protection (VR31).
func (r *Router) protect(p *packet) outcome {
	if r.tunnelNIC(p.out) != nil {
		return goOn
	}
	l := tunnels.Lookup{Verdict: tunnels.SelectorMiss}
	if e := r.ends.Load(); e != nil && e.selective && !r.ofTunnels(p) {
		var f tunnels.Flow
		if l, f = r.selects(p, outOf(r.esp.Policies())); l.Verdict == tunnels.Protect {
			r.sealLater(p, l.Selector, f)
			return sent
		}
		if e.next != nil && inTheClear(l) {
			if l, _ = r.selects(p, outOf(e.next)); l.Verdict == tunnels.Protect {
				return r.unprotected(p, drop.NoSA) // it will have one in a moment
			}
		}
	}
	switch {
	case l.Verdict == tunnels.Undecided:
		return r.unprotected(p, drop.Fragment)
	case l.Verdict == tunnels.SelectorDiscard:
		r.esp.Count(l)
		return r.unprotected(p, drop.SelectorDiscard)
	case p.demands && !p.unsealed:
		r.esp.Count(tunnels.Lookup{Verdict: tunnels.SelectorMiss})
		return r.unprotected(p, drop.SelectorMiss)
	case l.Verdict == tunnels.Clear:
		r.esp.Count(l)
	}
	return goOn
}

// unprotected drops a packet that must not leave in clear. A connection that
// begins with it does not begin.
func (r *Router) unprotected(p *packet, why drop.Reason) outcome {
	if p.course == opened && p.hit != (vserver.Hit{}) {
		r.conns.Abandon(p.hit, p.now)
	}
	return dropped(why)
}

// rules are the selectors to be asked: about a packet, and about one whose ports
// nobody knows.
type rules struct {
	whole, piece func(tunnels.Flow) tunnels.Lookup
}

func outOf(p *tunnels.Policies) rules { return rules{p.Out, p.OutPiece} }

func (s rules) find(f tunnels.Flow, known bool) tunnels.Lookup {
	if known {
		return s.whole(f)
	}
	return s.piece(f)
}

// selects finds the selector of a packet that leaves, and the flow to ask for an
// SA with. An ICMP error holds some of the packet that it reports on: it goes that
// one's way if no selector, or only one that lets it bypass, is about itself (Q16,
// RFC 4301 section 6).
func (r *Router) selects(p *packet, s rules) (tunnels.Lookup, tunnels.Flow) {
	f, known := r.ports.out.of(p)
	l := s.find(f, known)
	if !inTheClear(l) {
		return l, f
	}
	if q, known, ok := tunnels.QuotedHosts(&p.Packet); ok {
		if of := s.find(q.Reversed(), known); of.Verdict == tunnels.Protect || of.Verdict == tunnels.Undecided {
			return of, q.Reversed()
		}
	}
	return l, f
}

// ofTunnels reports whether a packet is what tunnels themselves consist of: IKE
// or ESP from an end here. It is never sealed.
func (r *Router) ofTunnels(p *packet) bool {
	e := r.ends.Load()
	return e != nil && e.locals[p.Src] && (p.Proto == frame.ProtoESP || p.Proto == frame.ProtoUDP && !p.Fragment && ikePort(p.SrcPort))
}

// sealLater puts a packet into the lane of its policy.
func (r *Router) sealLater(p *packet, s *tunnels.Selector, f tunnels.Flow) {
	j := newJob(r, p.Bytes(), tunnels.Headroom, tunnels.Tailroom)
	j.sel, j.flow, j.watched = s, f, p.watched
	r.crypto.add(j, laneOf(s.Policy), p.now)
}

// laneOf is the FNV-1a hash of a name.
func laneOf(name string) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return h
}

// encrypt seals a packet and sends it to the other end.
func (r *Router) encrypt(j *job, now int64) {
	var route *stack.Route
	mtu := 0
	if sa := j.sel.Choice(j.flow); sa != nil {
		if route = r.wayTo(sa.Remote().Addr); route == nil {
			r.drops.CountOf(j.dropped(drop.TunnelNoRoute, j.packet(), now))
			return
		}
		defer route.Release()
		mtu = r.mtu(frame.Interface(route.NICID()))
	}
	got := r.esp.Send(j.sel, j.flow, j.buf, j.off, j.n, mtu, j.watched, now)
	if got.Acquire {
		r.keyer.Acquire(j.sel.Name)
	}
	switch got.Verdict {
	case tunnels.Pass:
		if route == nil { // its SA came this very moment
			if route = r.wayTo(got.To.Addr); route == nil {
				r.drops.CountOf(j.dropped(drop.TunnelNoRoute, nil, now))
				return
			}
			defer route.Release()
		}
		r.sealed(j, got.To, route, now)
		leaveBy(route, j.buf[got.Start:got.End], j.watched)
	case tunnels.Held:
		r.waitsForSA(j, now)
	case tunnels.TooBig:
		r.drops.CountOf(j.dropped(drop.FrameTooBig, j.packet(), now))
		r.report(codeTooLong, uint16(got.MTU), j.packet(), now)
	default:
		r.drops.CountOf(j.dropped(reasonOfESP[got.Verdict], j.packet(), now))
	}
}

// packet is the one that the job is about, unless the ciphers have had it.
func (j *job) packet() []byte { return j.buf[j.off : j.off+j.n] }

// wayTo finds the route to the other end of a tunnel, nil if there is none, or
// if it leads into a tunnel.
func (r *Router) wayTo(a frame.Addr) *stack.Route {
	route, err := r.stack.FindRoute(0, tcpip.Address{}, tcpip.AddrFrom4(a), ipv4.ProtocolNumber, false)
	if err != nil {
		return nil
	}
	if r.tunnelNIC(frame.Interface(route.NICID())) != nil || route.Loop()&stack.PacketLoop != 0 {
		route.Release()
		return nil
	}
	return route
}

// mtu is how long a packet may be that leaves by an interface.
func (r *Router) mtu(out frame.Interface) int {
	if i := r.interfaces[out]; i != nil {
		return int(i.MTU())
	}
	if t := r.tunnelNIC(out); t != nil {
		return int(t.MTU())
	}
	return noMTU
}

// waited sends the packet that has waited for an SA of a selector, now that
// there is one (VR29, Q17).
func (r *Router) waited(selector string) {
	s, ok := r.esp.Policies().Selector(selector)
	if !ok {
		return
	}
	now := r.now()
	b, mark, ok := r.esp.Release(s, now)
	if !ok {
		return
	}
	p, put := r.borrow()
	defer put()
	if p.Parse(b) != drop.None {
		return
	}
	p.now, p.watched = now, mark
	f, _ := r.ports.out.of(p)
	if q, ok := tunnels.QuotedFlow(&p.Packet); ok && s.Choice(f) == nil {
		f = q.Reversed()
	}
	r.sealLater(p, s, f)
}

// reasonOfESP is the drop reason of a verdict (VR46).
var reasonOfESP = [tunnels.NumVerdicts]drop.Reason{
	tunnels.SelectorMiss: drop.SelectorMiss, tunnels.SelectorDiscard: drop.SelectorDiscard,
	tunnels.SelectorReject: drop.SelectorReject, tunnels.Undecided: drop.SelectorReject,
	tunnels.NoSA: drop.NoSA, tunnels.TooBig: drop.FrameTooBig, tunnels.Fragment: drop.Fragment, tunnels.NoRoom: drop.StackPanic,
	tunnels.Malformed: drop.ESPMalformed, tunnels.Replay: drop.Replay, tunnels.ICV: drop.ICV, tunnels.Padding: drop.ESPPadding,
	tunnels.NextHeader: drop.ESPNextHeader, tunnels.InnerMalformed: drop.InnerMalformed, tunnels.ECNInvalid: drop.ECNInvalid,
	tunnels.Expired: drop.SAExpired, tunnels.Exhausted: drop.SAExpired,
}
