package netstack

import (
	"spigate/alg"
	"spigate/alg/ipsec"
	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frag"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// exempt passes what needs no translation: packets that come from no
// subscriber, those from one subscriber network to another, and those to
// destinations that the configuration exempts (R13).
func (r *Router) exempt(p *packet) outcome {
	if r.leaving(p) {
		return goOn
	}
	return accept
}

// leaving reports whether p is a subscriber's packet to somewhere else, for
// which it is translated.
func (r *Router) leaving(p *packet) bool {
	if _, from := r.lsn.Client(p.Src); !from {
		return false
	}
	_, to := r.lsn.Client(p.Dst)
	return !to && !r.exemptOut(p)
}

// carry refuses what cannot be translated.
func (*Router) carry(p *packet) outcome {
	return fate(untranslatable(p))
}

// espOut lets a subscriber's ESP out by its SPI (section 5). It always uses
// the address of the subscriber's IKE (R37).
func (r *Router) espOut(p *packet) outcome {
	if p.Proto != frame.ProtoESP {
		return goOn
	}
	if _, own := r.lsn.OneToOne(p.Src, p.Dst); own {
		return accept // R27: no gate where nobody else has the address
	}
	group, _ := r.lsn.Client(p.Src)
	profile := r.profile(group)
	if _, bound := r.alg.NATOfOutbound(p.Src, p.Dst, p.SPI); profile == nil && !bound {
		return dropped(drop.ProtocolUnsupported) // R35; what is bound outlives the binding (R11)
	}
	e, ok := r.espFromInside(p)
	if !ok {
		return dropped(drop.ESPNoNATAddress)
	}
	e.Profile = profile
	o := r.obey(r.alg.StepESP(&e, p.now))
	if o.verdict == Dropped && lsn.Refusing(o.reason) { // it counts as UDP (R37)
		return r.refuse(p, group, lsn.Tuple{Proto: frame.ProtoUDP, Inside: frame.Endpoint{Addr: p.Src}, Remote: frame.Endpoint{Addr: p.Dst}}, o.reason)
	}
	if o.verdict != Continue {
		return o
	}
	return accept
}

// espAddress is the NAT address of a subscriber's ESP packet: a 1:1 address is
// always the one (R27), a bound SPI keeps its own, an unknown one gets that of
// the subscriber's IKE (R37).
func (r *Router) espAddress(p *packet) (frame.Addr, bool) {
	if nat, ok := r.lsn.OneToOne(p.Src, p.Dst); ok {
		return nat, true
	}
	if nat, ok := r.alg.NATOfOutbound(p.Src, p.Dst, p.SPI); ok {
		return nat, true
	}
	return r.lsn.IKEAddress(p.Src, p.Dst)
}

// espFromInside describes a subscriber's ESP packet to the ALG.
func (r *Router) espFromInside(p *packet) (ipsec.ESPPacket, bool) {
	nat, ok := r.espAddress(p)
	return ipsec.ESPPacket{
		Dir: alg.In2Out, Inside: p.Src, NAT: nat, Server: p.Dst, SPI: p.SPI, Seq: p.Seq, Len: len(p.Bytes()),
	}, ok
}

// in2out makes or refreshes the mapping of a subscriber's packet and asks the
// ALG about IKE. The rewrite itself is done in postrouting, so that an ICMP
// error about this packet quotes what the subscriber sent.
func (r *Router) in2out(p *packet) outcome {
	b, o := r.session(p, r.wishedPort(p))
	if o.verdict != Continue {
		return o
	}
	return r.helpFirst(p, &b)
}

// session makes or refreshes the session of a subscriber's packet.
func (r *Router) session(p *packet, wish uint16) (lsn.Binding, outcome) {
	tuple, ok := insideView(p)
	if !ok {
		return lsn.Binding{}, dropped(drop.ProtocolUnsupported)
	}
	hints := lsn.Hints{TCPFlags: p.TCPFlags, Bytes: len(p.Bytes()), Port: wish, Served: p.course != strange}
	plan, reason := r.lsn.DecideOut(tuple, hints, p.now)
	if reason != drop.None {
		return lsn.Binding{}, r.refuse(p, plan.Group, tuple, reason)
	}
	r.creditReset(p, plan.Session)
	b, reason := r.lsn.CommitOut(&plan, p.now)
	if reason != drop.None {
		return b, r.refuse(p, plan.Group, tuple, reason)
	}
	if p.TCPFlags&frame.TCPSyn != 0 {
		r.syns.cancel(synKey{b.Outside, b.Remote}) // a simultaneous open (R24)
	}
	return b, goOn
}

// creditReset tells a session what the fast path carried before a RST comes to
// it: what is told later, of the RST's own direction, belies the RST.
func (r *Router) creditReset(p *packet, session uint64) {
	if session != 0 && p.Proto == frame.ProtoTCP && p.TCPFlags&frame.TCPRst != 0 {
		r.flows.Credit(r.owner(flow.OwnerLSN, session), p.now)
	}
}

// wishedPort is 500 for the IKE of a client that sends from there, if its
// profile wants the port kept: some old servers answer nobody else. Towards one
// server only one client behind an address can have it, the first (R19, R39).
func (r *Router) wishedPort(p *packet) uint16 {
	if p.Proto != frame.ProtoUDP || p.SrcPort != 500 || p.DstPort != 500 {
		return 0
	}
	group, _ := r.lsn.Client(p.Src)
	if profile := r.profile(group); profile == nil || !profile.IKEPortPreserve {
		return 0
	}
	return 500
}

// insideView returns p as the inside sees it, for a packet that a subscriber
// sent.
func insideView(p *packet) (lsn.Tuple, bool) {
	t := lsn.Tuple{
		Proto:  p.Proto,
		Inside: frame.Endpoint{Addr: p.Src, Port: p.SrcPort},
		Remote: frame.Endpoint{Addr: p.Dst, Port: p.DstPort},
	}
	switch p.Proto {
	case frame.ProtoTCP, frame.ProtoUDP:
		return t, true
	case frame.ProtoICMP:
		t.Inside.Port = p.ICMPID // in place of a port (RFC 5508 section 3)
		query, _ := p.ICMPQuery()
		return t, query
	}
	return t, false
}

// source gives a leaving packet its NAT address. forward has made the mapping;
// one that is gone in between (flushed by another goroutine) must not let the
// packet out as it is.
func (r *Router) source(p *packet) outcome {
	if about, reason := r.aboutInbound(p); about || reason != drop.None {
		return r.icmpSource(p)
	}
	if r.turned(p) && !p.Fragment && !p.ICMPError() {
		return fate(r.measure(p, p.Src))
	}
	if !r.leaving(p) {
		p.cut = r.cutOf(p, frag.Out2In)
		return goOn
	}
	if p.Fragment {
		why := r.frags.Carry(keyOfPiece(p, frag.In2Out), &p.Packet, p.now)
		_, p.exempt = r.lsn.Client(p.Src) // firstOut let it keep its address
		return fate(why)
	}
	outside, reason := r.outside(p)
	if reason == drop.None {
		reason = r.measure(p, outside.Addr)
	}
	if reason == drop.None {
		p.SetSource(outside.Addr, outside.Port)
	}
	return fate(reason)
}

// outside returns what a subscriber's packet that forward has let pass has to
// leave from.
func (r *Router) outside(p *packet) (frame.Endpoint, drop.Reason) {
	if p.Proto == frame.ProtoESP {
		nat, ok := r.espAddress(p)
		if !ok {
			return frame.Endpoint{}, drop.ESPNoNATAddress
		}
		return frame.Endpoint{Addr: nat}, drop.None
	}
	tuple, ok := insideView(p)
	if !ok {
		return frame.Endpoint{}, drop.ProtocolUnsupported
	}
	b, ok := r.lsn.FindOut(tuple)
	if !ok {
		return frame.Endpoint{}, drop.NoMapping
	}
	return b.Outside, drop.None
}
