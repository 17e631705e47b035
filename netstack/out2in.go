package netstack

import (
	"spigate/alg"
	"spigate/alg/ipsec"
	"spigate/netstack/drop"
	"spigate/netstack/frag"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// out2in undoes the NAT for a packet to a NAT address: by its mapping, and if
// a helper watches its connection, by that one's leave.
func (r *Router) out2in(p *packet) outcome {
	if !r.lsn.Owns(p.Dst) {
		return goOn
	}
	outside, remote, ok := outsideView(p)
	if !ok {
		return dropped(drop.ProtocolUnsupported)
	}
	hints := lsn.Hints{TCPFlags: p.TCPFlags, Bytes: len(p.Bytes())}
	plan, reason := r.decideIn(p, outside, remote, hints)
	var b lsn.Binding
	if reason == drop.None {
		r.creditReset(p, plan.Session)
		b, reason = r.lsn.CommitIn(&plan, p.now)
	}
	if reason != drop.None {
		return r.repel(p, &plan, reason)
	}
	if o := r.helpIn(p, &b); o.verdict != Continue {
		return o
	}
	cut := r.cutOf(p, frag.Out2In)
	p.SetDestination(b.Inside.Addr, b.Inside.Port)
	if cut > 0 {
		r.frags.Remember(keyOfPiece(p, frag.Out2In), cut, p.now)
	}
	return accept
}

// repel ends a packet from outside for which there was no session. Its sender
// is told nothing, but for R24 and only later.
func (r *Router) repel(p *packet, plan *lsn.InPlan, why drop.Reason) outcome {
	r.lsn.Refused(plan.Group, lsn.Tuple{Proto: plan.Proto, Inside: plan.Inside, Remote: plan.Remote}, why, p.now)
	if !r.turned(p) {
		r.unasked(p, plan.Outside, plan.Remote, why)
	}
	return dropped(why)
}

// decideIn finds the mapping that a packet from outside is for, and changes
// nothing.
func (r *Router) decideIn(p *packet, outside, remote frame.Endpoint, hints lsn.Hints) (lsn.InPlan, drop.Reason) {
	plan, reason := r.lsn.DecideIn(p.Proto, outside, remote, hints, p.now)
	if reason == drop.NoMapping || reason == drop.Filtered {
		if meant, ok := r.byCookie(p); ok {
			return r.lsn.DecideIn(p.Proto, meant, remote, hints, p.now)
		}
	}
	return plan, reason
}

// byCookie finds the outside endpoint that a server meant who answers IKE to
// port 500 of the NAT address, whatever port it was asked from (N40).
func (r *Router) byCookie(p *packet) (frame.Endpoint, bool) {
	if p.Proto != frame.ProtoUDP || p.SrcPort != 500 || p.DstPort != 500 || !r.bindings.Load().cookieDemux() || r.turned(p) {
		return frame.Endpoint{}, false
	}
	_, mapping, ok := r.alg.OwnerOfCookie(p.Dst, p.Src, p.UDPPayload(), p.now)
	if !ok {
		return frame.Endpoint{}, false
	}
	b, ok := r.lsn.FindMapping(mapping)
	return b.Outside, ok
}

// espIn finds the subscriber that an inbound ESP packet is for: the SPI is all
// that tells (section 5, R62).
func (r *Router) espIn(p *packet) outcome {
	if p.Proto != frame.ProtoESP || !r.lsn.Owns(p.Dst) {
		return goOn
	}
	if inside, own := r.lsn.OwnerOf(p.Dst, p.Src); own {
		p.SetDestination(inside, 0)
		return accept // R27
	}
	res := r.alg.StepESP(&ipsec.ESPPacket{
		Dir: alg.Out2In, NAT: p.Dst, Server: p.Src, SPI: p.SPI, Seq: p.Seq, Len: len(p.Bytes()),
	}, p.now)
	if o := r.obey(res); o.verdict != Continue {
		return o
	}
	p.SetDestination(res.Inside, 0)
	return accept
}

// ownAddress reports whether a session is on a 1:1 address, whose ESP needs no
// ALG (R27).
func (r *Router) ownAddress(b *lsn.Binding) bool {
	if !b.Static {
		return false
	}
	_, own := r.lsn.OneToOne(b.Inside.Addr, b.Remote.Addr)
	return own
}

// obey turns an ALG result into an outcome and does what it asks for.
func (r *Router) obey(res ipsec.Result) outcome {
	if len(res.Actions) > 0 { // a known SPI asks for nothing: the common case
		r.act(res.Actions)
		r.armDeadline()
	}
	switch res.Verdict {
	case alg.Forward:
		return goOn
	case alg.Hold:
		return held
	}
	return dropped(res.Reason)
}

func ikePort(port uint16) bool { return port == 500 || port == 4500 }

// outsideView returns the two ends of a packet from outside: for ICMP queries
// the identifier stands in for the port (RFC 5508 section 3).
func outsideView(p *packet) (outside, remote frame.Endpoint, ok bool) {
	outside.Addr, remote.Addr = p.Dst, p.Src
	switch p.Proto {
	case frame.ProtoTCP, frame.ProtoUDP:
		outside.Port, remote.Port = p.DstPort, p.SrcPort
		return outside, remote, true
	case frame.ProtoICMP:
		outside.Port = p.ICMPID
		query, _ := p.ICMPQuery()
		return outside, remote, query
	}
	return outside, remote, false
}
