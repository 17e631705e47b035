package netstack

import (
	"spigate/netstack/drop"
	"spigate/netstack/frag"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// A packet of one subscriber to the NAT address of another turns round here
// (R26, RFC 4787 REQ-9a): the far one sees the NAT address of the near one, as
// if the packet had gone out and come back. So it is translated twice before
// routing: this step does the first half and puts the near one's NAT address
// in as the source, and the steps behind it do the second half as for every
// packet from outside, with the far one's filter.
//
// A source that is a NAT address marks such a packet from here on: what comes
// in with one is dropped as spoofed.
//
// The IPsec ALG has no part in it: IKE passes as plain UDP, and ESP is dropped
// with a reason of its own. The fast path has none either: its entries rewrite
// one side.
func (r *Router) hairpin(p *packet) outcome {
	if !r.lsn.Owns(p.Dst) {
		return goOn
	}
	_, from := r.lsn.Client(p.Src)
	switch {
	case p.ICMPError():
		return r.hairpinError(p, from)
	case !from:
		return goOn
	case p.Proto == frame.ProtoESP:
		return dropped(drop.ESPHairpin)
	case p.Proto != frame.ProtoTCP && p.Proto != frame.ProtoUDP && p.Proto != frame.ProtoICMP:
		return dropped(drop.Hairpin)
	case p.Fragment:
		return r.hairpinPiece(p)
	}
	outside, o := r.hairpinOut(p)
	if o.verdict == Continue {
		p.SetSource(outside.Addr, outside.Port)
	}
	return o
}

// turned reports whether p is a packet that hairpin has let pass.
func (r *Router) turned(p *packet) bool { return r.lsn.Owns(p.Src) }

// hairpinOut makes or refreshes the session of the near subscriber. It makes
// none towards a port that nobody has.
func (r *Router) hairpinOut(p *packet) (frame.Endpoint, outcome) {
	if p.Proto != frame.ProtoICMP {
		_, why := r.lsn.DecideIn(p.Proto, frame.Endpoint{Addr: p.Dst, Port: p.DstPort}, frame.Endpoint{}, lsn.Hints{TCPFlags: p.TCPFlags}, p.now)
		if why == drop.NoMapping {
			return frame.Endpoint{}, dropped(why)
		}
	}
	b, o := r.session(p, 0)
	return b.Outside, o
}

// hairpinPiece is hairpin for a fragment: the first piece of a datagram
// decides about its source, and then, behind this step, about its destination.
func (r *Router) hairpinPiece(p *packet) outcome {
	k := keyOfPiece(p, frag.In2Out)
	res := r.frags.Piece(k, &p.Packet, p.now)
	if res.Verdict == frag.First {
		outside, o := r.hairpinOut(p)
		if o.verdict == Dropped {
			r.frags.Refuse(res.Datagram, o.reason, p.now)
			return o
		}
		if o = r.decide(res.Datagram, frag.Translation{Addr: outside.Addr, Port: outside.Port}, p); o.verdict != Continue {
			return o
		}
	}
	if o := r.pieceFate(res, p); o.verdict != Continue {
		return o
	}
	return fate(r.frags.Carry(k, &p.Packet, p.now))
}

// hairpinError does the first half for an error about a packet that was turned
// round: from the far subscriber, or from a router on the way to it. Its quote
// gets the destination that the near one sent to, and the error itself the far
// one's NAT address (RFC 5508 REQ-7). What a subscriber says of anything else
// behind a NAT address is forged.
func (r *Router) hairpinError(p *packet, from bool) outcome {
	q, reason := p.Quote()
	_, about := r.lsn.Client(q.Dst)
	if reason != drop.None || !about || r.home(q.Dst) != p.in || q.Src != p.Dst {
		if from {
			return dropped(drop.ICMPNoFlow)
		}
		return goOn
	}
	nat, reason := r.quoteOutward(p)
	if reason != drop.None {
		return dropped(reason)
	}
	p.SetSource(nat, 0)
	return goOn
}
