package netstack

import (
	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// Connections are what virtual servers, NATs and SNATs have admitted. A packet
// of one is known in prerouting, where its destination is put back; forward
// counts it, once it has a route; its source is rewritten in postrouting.
//
//	prerouting   Find: mark it, undo the destination       (connection)
//	             no: Match, Decide, Open                   (listener)
//	forward      Touch: timer, TCP state, counters         (passing, passed)
//	postrouting  the source; the fast path, if established (cache, source)
//
// The mark that it carries keeps the steps of the LSN from it. A connection
// whose source the LSN translates carries none: it is counted on the inside of
// the LSN, whose steps the packet walks as without a virtual server (VR19).

// course is what prerouting tells forward about a packet.
type course uint8

const (
	strange course = iota // of no connection
	known                 // of one that has not been told of it yet
	opened                // the first of one
)

// connection finds the connection of a packet, from either side and on any
// VLAN (VR4, VR5, Q10).
func (r *Router) connection(p *packet) outcome {
	switch {
	case p.Fragment:
		return r.pieceOfConnection(p)
	case r.conns.Len() == 0:
		return r.afterReset(p)
	case p.ICMPError():
		return r.errorOfConnection(p)
	}
	h, ok := r.conns.Find(vserver.KeyOf(&p.Packet), vserver.SegmentOf(&p.Packet), p.now)
	if !ok {
		return r.afterReset(p)
	}
	return r.along(p, h, known)
}

// along sets a packet of a connection on its way.
func (r *Router) along(p *packet, h vserver.Hit, c course) outcome {
	p.course, p.demands = c, demands(h)
	if h.ByLSN() {
		return goOn
	}
	if why := carries(h, p); why != drop.None {
		return dropped(why)
	}
	if to, port := destination(h); to != p.Dst || port != portOrID(p, p.DstPort) {
		p.SetDestination(to, port)
		p.redirected = true
		p.expire()
	}
	p.admitted = true
	return accept
}

// demands reports whether the packets of a connection must be protected (VR31).
func demands(h vserver.Hit) bool {
	return h.Listener().RequiresProtection()
}

// carries says why a connection cannot have a packet: one that cannot be
// translated, if that is what is done there.
func carries(h vserver.Hit, p *packet) drop.Reason {
	if client, remote := h.Keys(); client.Reversed() == remote {
		return drop.None
	}
	return untranslatable(p)
}

// destination is what packets of h's side get in place of theirs. The
// identifier of an ICMP query stands for both sides' ports: it is rewritten
// with the address.
func destination(h vserver.Hit) (frame.Addr, uint16) {
	came, goes := h.Keys()
	if h.Side == vserver.Remote {
		came, goes = goes, came
	}
	if came.Proto == frame.ProtoICMP && came.Dst == goes.Src {
		return came.Dst, came.DstPort
	}
	return goes.Src, goes.SrcPort
}

// departure is what packets of h's side leave from.
func departure(h vserver.Hit) frame.Endpoint {
	client, remote := h.Keys()
	if h.Side == vserver.Client {
		return frame.Endpoint{Addr: remote.Dst, Port: remote.DstPort}
	}
	return frame.Endpoint{Addr: client.Dst, Port: client.DstPort}
}

// portOrID is a packet's port as keys have it: of an ICMP query the identifier.
func portOrID(p *packet, port uint16) uint16 {
	if query, _ := p.ICMPQuery(); query {
		return p.ICMPID
	}
	return port
}

// passing tells a connection of a packet that is about to leave.
func (r *Router) passing(p *packet) outcome {
	switch {
	case !p.admitted:
		return goOn // what the LSN translates is told by passed
	case p.course == strange: // a piece or an error: told in prerouting
		return accept
	}
	switch h, ok := r.tell(p); {
	case ok:
		p.hit = h
	case p.Proto == frame.ProtoTCP: // it ended meanwhile: a little later the segment would have been a stranger
		return dropped(drop.NotSYN)
	default:
		return dropped(drop.TupleBusy)
	}
	clampMSS(p, p.hit.Listener().Profile.MSSOverride)
	return accept
}

// passed tells a connection whose source the LSN translates of a packet, after
// the LSN and its helpers have judged it. What they refused begins none.
func (r *Router) passed(p *packet, o outcome) {
	switch {
	case p.admitted || p.Fragment || p.ICMPError() || !r.listening.Load().byLSN:
	case o.verdict == Continue || o.verdict == Accept:
		if h, ok := r.tell(p); ok {
			p.hit = h
			clampMSS(p, h.Listener().Profile.MSSOverride)
		}
	case p.course != opened:
	case o.verdict == Dropped || o.verdict == Held:
		h, ok := r.between(p, &vserver.Segment{})
		if ok && o.verdict == Held {
			r.conns.Uncount(h, len(p.Bytes())) // it comes in once more
		} else if ok {
			r.conns.Abandon(h, p.now)
		}
	}
}

// tell finds the connection of a packet and tells it, unless it began with it.
func (r *Router) tell(p *packet) (vserver.Hit, bool) {
	s := vserver.SegmentOf(&p.Packet)
	h, ok := r.between(p, &s)
	if !ok || p.course == opened {
		return h, ok
	}
	if p.Proto == frame.ProtoTCP {
		r.flows.Credit(r.ownerOf(h), p.now) // its numbers and counts as of now (VR17)
	}
	_, ok = r.conns.Touch(h, s, p.in, p.now)
	return h, ok
}

// between finds the connection of a packet whose source is not rewritten yet:
// by its own side's key, or if its destination was put back by the other one's.
// At most one of the two is translated.
func (r *Router) between(p *packet, s *vserver.Segment) (vserver.Hit, bool) {
	k := vserver.KeyOf(&p.Packet)
	if p.admitted && !p.redirected || !p.admitted && p.course != strange {
		return r.conns.Find(k, *s, p.now)
	}
	h, ok := r.conns.Find(k.Reversed(), vserver.Segment{}, p.now)
	h.Side = 1 - h.Side
	return h, ok && (p.admitted || h.ByLSN())
}

// ownerOf names whose the connection's flows are.
func (r *Router) ownerOf(h vserver.Hit) flow.Owner {
	if h.ByLSN() {
		return r.owner(flow.OwnerLSN, h.Session())
	}
	return r.owner(flow.OwnerConn, h.ID())
}

// depart gives a packet of a connection its source. With that it is done.
func (r *Router) depart(p *packet) outcome {
	if p.hit != (vserver.Hit{}) && p.hit.Listener().Profile.PreserveTTL {
		p.SetTTL(p.TTL() + 1) // the stack has taken one
	}
	switch {
	case !p.admitted:
		return goOn // the LSN gives it one, if anybody
	case p.hit == (vserver.Hit{}):
		return accept // a piece or an error: done in prerouting
	}
	from := departure(p.hit)
	if from.Addr == p.Src && from.Port == portOrID(p, p.SrcPort) {
		return accept
	}
	if why := r.measure(p, from.Addr); why != drop.None {
		return dropped(why)
	}
	p.SetSource(from.Addr, from.Port)
	return accept
}

// flowOfConnection describes one direction of a connection to the flow table,
// in postrouting, before the source is rewritten.
func (r *Router) flowOfConnection(p *packet) (flow.Entry, bool) {
	if p.hit == (vserver.Hit{}) || !p.hit.Cacheable() {
		return flow.Entry{}, false
	}
	key, ok := flow.KeyOfPacket(&p.Packet, p.in)
	if !ok {
		return flow.Entry{}, false
	}
	client, remote := p.hit.Keys()
	came, goes := client, remote.Reversed()
	if p.hit.Side == vserver.Remote {
		came, goes = remote, client.Reversed()
	}
	key.Src, key.Dst = came.Src, came.Dst
	switch p.Proto {
	case frame.ProtoTCP, frame.ProtoUDP:
		key.ID = flow.PortsID(came.SrcPort, came.DstPort)
	case frame.ProtoICMP:
		key.ID = flow.EchoID(came.SrcPort, p.ICMPType)
	}
	e := flow.Entry{Key: key, Side: flow.Source, Addr: goes.Src, Port: goes.SrcPort, Owner: r.ownerOf(p.hit), Idle: p.hit.Idle()}
	if came.Dst != goes.Dst || came.DstPort != goes.DstPort && p.Proto != frame.ProtoICMP {
		e.Side, e.Addr, e.Port = flow.Destination, goes.Dst, goes.DstPort
	}
	e.End, e.Ack, e.Numbered = p.hit.Numbers()
	return e, true
}

// countByLSN tells a connection whose source the LSN translates what the fast
// path carried for it: the flows are the LSN's or the ALG's.
func (r *Router) countByLSN(f *flow.Report) {
	if !r.listening.Load().byLSN {
		return
	}
	k := vserver.KeyOfFlow(f.Key)
	if f.Side == flow.Destination {
		k.Dst = f.Addr
		switch k.Proto {
		case frame.ProtoTCP, frame.ProtoUDP:
			k.DstPort = f.Port
		case frame.ProtoICMP:
			k.SrcPort, k.DstPort = f.Port, f.Port
		}
	}
	r.conns.Active(0, k, f.Packets, f.Bytes, f.End, f.Ack, f.Numbered, f.Now)
}

// bindLSN ties the session of the LSN to the connection on its inside: with the
// connection, the session's flows leave the fast path. It reports whether the
// flow may be there at all, and whether its sequence numbers are to be followed.
func (r *Router) bindLSN(e *flow.Entry, t lsn.Tuple, now int64) bool {
	if !r.listening.Load().byLSN {
		return true
	}
	k := vserver.Key{Src: t.Inside.Addr, Dst: t.Remote.Addr, SrcPort: t.Inside.Port, DstPort: t.Remote.Port, Proto: t.Proto}
	if e.Side == flow.Destination {
		k = k.Reversed()
	}
	if t.Proto == frame.ProtoICMP {
		k.SrcPort, k.DstPort = t.Inside.Port, t.Inside.Port
		k.Query = vserver.KeyOfFlow(e.Key).Query
	}
	h, ok := r.conns.Find(k, vserver.Segment{}, now)
	if !ok {
		if e.Side == flow.Destination {
			k = k.Reversed()
		}
		return !r.lastResets.has(k, now) // it was reset while this packet passed
	}
	if !h.Cacheable() || !h.Bind(e.Owner.ID) {
		return false
	}
	e.End, e.Ack, e.Numbered = h.Numbers()
	return true
}
