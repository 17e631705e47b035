package netstack

import (
	"encoding/binary"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frag"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// Fragments (R29): the first piece of a datagram walks the steps that a whole
// packet walks, and the table gives the others the same translation. IKE is
// gathered instead, because the ALG has to see whole messages (N22); it goes on
// as one packet, and is cut again where it leaves.

// What the first piece of a datagram walks in place of the rest of its hook.
var (
	inward  = []step{{"espIn", (*Router).espIn}, {"out2in", (*Router).out2in}}
	outward = []step{{"espOut", (*Router).espOut}, {"in2out", (*Router).in2out}}
)

// piecesIn translates fragments that come to a NAT address.
func (r *Router) piecesIn(p *packet) outcome {
	if !p.Fragment || !r.lsn.Owns(p.Dst) {
		return goOn
	}
	k := keyOfPiece(p, frag.Out2In)
	res := r.frags.Piece(k, &p.Packet, p.now)
	of, _ := res.Tag.(*passage)
	if res.Verdict == frag.First {
		if inside, ok := r.gathers(p, alg.Out2In); ok {
			res = r.frags.Gather(res.Datagram, inside, &p.Packet, p.now)
		} else {
			var o outcome
			if of, o = r.firstIn(res.Datagram, p); o.verdict != Continue {
				return o
			}
		}
	}
	if o := r.pieceFate(res, p); o.verdict != Continue {
		return o
	}
	if why := r.frags.Carry(k, &p.Packet, p.now); why != drop.None {
		return dropped(why)
	}
	if of != nil {
		r.countPiece(p, of)
	}
	return accept
}

// firstIn decides about a datagram by its first piece, which is rewritten. If it
// belongs to the connection of a virtual server, that is told, too.
func (r *Router) firstIn(d frag.Datagram, p *packet) (*passage, outcome) {
	o := r.walkFirst(inward, d, p)
	if o.verdict != Continue {
		return nil, o
	}
	to := frag.Translation{Addr: p.Dst, Port: p.DstPort}
	if p.Proto == frame.ProtoICMP {
		to.Port = p.ICMPID
	}
	of := r.passageIn(p)
	if of != nil {
		to.Tag = of
	}
	return of, r.decide(d, to, p)
}

// piecesOut decides about fragments from a subscriber. They are rewritten in
// postrouting, as everything is.
func (r *Router) piecesOut(p *packet) outcome {
	if !p.Fragment {
		return goOn
	}
	res := r.frags.Piece(keyOfPiece(p, frag.In2Out), &p.Packet, p.now)
	if res.Verdict == frag.First {
		if _, ok := r.gathers(p, alg.In2Out); ok {
			res = r.frags.Gather(res.Datagram, p.Src, &p.Packet, p.now)
		} else if o := r.firstOut(res.Datagram, p); o.verdict != Continue {
			return o
		}
	}
	if o := r.pieceFate(res, p); o.verdict != Continue {
		return o
	}
	return accept
}

// firstOut is firstIn for the other direction.
func (r *Router) firstOut(d frag.Datagram, p *packet) outcome {
	if tuple, ok := insideView(p); ok && r.lsn.Exempt(tuple) {
		return r.decide(d, frag.Translation{Addr: p.Src, Port: tuple.Inside.Port}, p) // as it is, by its profile (R13)
	}
	o := r.walkFirst(outward, d, p)
	if o.verdict != Continue {
		return o
	}
	outside, reason := r.outside(p)
	if reason != drop.None {
		r.frags.Refuse(d, reason, p.now)
		return dropped(reason)
	}
	return r.decide(d, frag.Translation{Addr: outside.Addr, Port: outside.Port}, p)
}

// walkFirst lets a first piece walk the steps of a whole packet. What they
// refuse is refused for all pieces.
func (r *Router) walkFirst(steps []step, d frag.Datagram, p *packet) outcome {
	o := dropped(drop.Fragment)
	if query, _ := p.ICMPQuery(); query || p.Proto != frame.ProtoICMP { // an error is translated whole or not at all
		o = r.walk(atFirstPiece, steps, p)
	}
	switch o.verdict {
	case Continue, Accept:
		return goOn
	case Dropped:
		r.frags.Refuse(d, o.reason, p.now)
	}
	return o
}

// decide lets a datagram pass, and those of its pieces that are here already
// come in again behind the first one.
func (r *Router) decide(d frag.Datagram, to frag.Translation, p *packet) outcome {
	pieces, why := r.frags.Decide(d, to, p.now)
	for _, b := range pieces {
		r.again(b, p, maxLaterPieces)
	}
	return fate(why)
}

// again lets b come in once more where p came in, later, unless most packets
// wait for that already.
func (r *Router) again(b []byte, p *packet, most int) {
	if !r.later.add(release{b, p.in, p.mark() & unsealedMark}, most) {
		r.drops.Count(drop.FragmentOverflow, b, p.now)
	}
}

// keyOfPiece names the datagram of an untranslated piece. Those in clear and those
// out of a tunnel are two, whatever they claim to be (VR32).
func keyOfPiece(p *packet, side frag.Side) frag.Key {
	k := frag.KeyOf(&p.Packet, p.in, side)
	k.Unsealed = p.unsealed
	return k
}

// pieceFate turns what the table says of a piece into an outcome: Continue if
// it is to be carried.
func (r *Router) pieceFate(res frag.Result, p *packet) outcome {
	switch res.Verdict {
	case frag.Kept:
		return held
	case frag.Dropped:
		return dropped(res.Reason)
	case frag.Joined:
		r.again(res.Whole, p, maxLater)
		return held
	}
	return goOn
}

// gathers reports whether p is the first piece of a datagram that the ALG has
// to see, and of which subscriber: IKE of one with a profile. On port 4500 it
// stands behind the marker; ESP in UDP passes in pieces (R50).
func (r *Router) gathers(p *packet, dir alg.Direction) (inside frame.Addr, ok bool) {
	if p.Proto != frame.ProtoUDP || r.turned(p) {
		return inside, false
	}
	server := p.DstPort
	if dir == alg.Out2In {
		server = p.SrcPort
	}
	if b := p.UDPPayload(); !ikePort(server) || server == 4500 && len(b) >= 4 && binary.BigEndian.Uint32(b) != 0 {
		return inside, false
	}
	if dir == alg.In2Out {
		group, _ := r.lsn.Client(p.Src)
		return p.Src, r.profile(group) != nil
	}
	outside, remote, _ := outsideView(p)
	plan, reason := r.decideIn(p, outside, remote, lsn.Hints{})
	return plan.Inside.Addr, reason == drop.None && r.profile(plan.Group) != nil
}

// cutOf returns the length of the longest piece that an IKE packet was
// gathered from, 0 if it came whole.
func (r *Router) cutOf(p *packet, side frag.Side) int {
	server := p.DstPort
	if side == frag.Out2In {
		server = p.SrcPort
	}
	if p.Proto != frame.ProtoUDP || !ikePort(server) || p.DontFragment() {
		return 0
	}
	return r.frags.Cut(keyOfPiece(p, side), p.now)
}

// rewritesID reports whether a whole packet of a subscriber gets an id of ours
// because somebody may cut it on its way (R29, df-clear).
func (r *Router) rewritesID(p *packet) bool {
	if !r.wholeIDs || p.DontFragment() {
		return false
	}
	group, _ := r.lsn.Client(p.Src)
	return group != nil && group.RewriteID
}

// measure prepares a whole packet, still untranslated: one that will leave in
// pieces, or may be cut later, gets an id that no other subscriber's has (RFC
// 6864), and the cut that it came in, if that is the shorter one.
func (r *Router) measure(p *packet, nat frame.Addr) drop.Reason {
	longest := r.mtu(p.out)
	if p.cut = r.cutOf(p, frag.In2Out); p.cut > 0 {
		longest = min(longest, p.cut)
	}
	if p.DontFragment() {
		return drop.None
	}
	if len(p.Bytes()) <= longest {
		if r.rewritesID(p) {
			p.SetID(r.frags.WholeID(nat, p.Dst, p.Proto))
		}
		return drop.None
	}
	id, ok := r.frags.NextID(nat, p.Dst, p.Proto, p.Src, p.now)
	if !ok {
		return drop.FragmentOverflow
	}
	p.SetID(id)
	return drop.None
}

// pieces lets a packet that measure has cut short leave so. Cutting by the MTU
// is left to the stack.
func (r *Router) pieces(p *packet) outcome {
	if p.cut == 0 || p.cut >= r.mtu(p.out) || len(p.Bytes()) <= p.cut {
		return goOn
	}
	if p.ID() == 0 { // inbound it is the server's, and the stack would give each piece one of its own
		id, ok := r.frags.NextID(p.Src, p.Dst, p.Proto, p.Dst, p.now)
		if !ok {
			return dropped(drop.FragmentOverflow)
		}
		p.SetID(id)
	}
	for _, b := range frag.Split(&p.Packet, p.cut) {
		r.leave(p.route, b, p.demands && !p.unsealed, p.watched)
	}
	return sent
}
