package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// ICMP errors name a flow by quoting one of its packets, so both the error's
// own addresses and the quoted ones change sides at the NAT (R74, RFC 5508
// section 4). No error creates, refreshes or ends anything (R21).
//
// A quote of a packet that we sent out is called outbound: its source is a NAT
// address as seen outside, a subscriber's as seen inside. A quote of a packet
// that came in is inbound.

// icmpIn translates an error from outside about a subscriber's packet.
func (r *Router) icmpIn(p *packet) outcome {
	if !p.ICMPError() || !r.lsn.Owns(p.Dst) {
		return goOn
	}
	inside, reason := r.quoteInward(p)
	if reason != drop.None {
		return dropped(reason)
	}
	p.SetDestination(inside, 0)
	return accept
}

// icmpOut lets an error from inside about a packet that we let in go on;
// source translates it behind the routing.
func (r *Router) icmpOut(p *packet) outcome {
	about, reason := r.aboutInbound(p)
	if reason != drop.None {
		return dropped(reason)
	}
	if !about {
		return goOn
	}
	return accept
}

// aboutInbound reports whether p is an error on its way out, whose quote names
// a subscriber: from that subscriber, or from a router between it and us.
func (r *Router) aboutInbound(p *packet) (bool, drop.Reason) {
	if !p.ICMPError() {
		return false, drop.None
	}
	if _, inward := r.lsn.Client(p.Dst); inward {
		return false, drop.None
	}
	_, from := r.lsn.Client(p.Src)
	q, reason := p.Quote()
	if reason != drop.None {
		if from {
			return false, reason
		}
		return false, drop.None // two outsiders: not ours to judge
	}
	if _, about := r.lsn.Client(q.Dst); !from && (!about || r.home(q.Dst) != p.in) {
		return false, drop.None // an outsider who guesses must not be told the NAT's side
	}
	if r.exemptQuote(&q) {
		return false, drop.None // it was never translated
	}
	if q.Src != p.Dst {
		return false, drop.ICMPNoFlow // it goes to somebody who sent no such packet: forged
	}
	if _, ok := r.quotedNAT(&q); !ok {
		return false, drop.ICMPNoFlow
	}
	return true, drop.None
}

// icmpSource translates an error from inside about an inbound packet. Its
// sender becomes the NAT address: the outside knows no other.
func (r *Router) icmpSource(p *packet) outcome {
	nat, reason := r.quoteOutward(p)
	if reason != drop.None {
		return dropped(reason)
	}
	p.SetSource(nat, 0)
	return goOn
}

// icmpSelf translates the errors that the stack makes itself. It quotes the
// packet as it stood when it died: an outbound one that could not be delivered
// already has its NAT address, and the error is addressed to that; an inbound
// one already has the subscriber's address, which the outside must not see.
func (r *Router) icmpSelf(p *packet) outcome {
	if !p.ICMPError() {
		return goOn
	}
	if quotesLaterPiece(p) {
		return dropped(drop.ICMPMalformed)
	}
	if r.lsn.Owns(p.Dst) {
		inside, reason := r.quoteBoth(p)
		if reason != drop.None {
			return dropped(reason)
		}
		p.SetDestination(inside, 0)
		return goOn
	}
	q, reason := p.Quote()
	if reason != drop.None {
		return goOn // about a packet that was never translated
	}
	if r.ownError(p, &q) {
		p.admitted = true
		return goOn
	}
	if _, inbound := r.lsn.Client(q.Dst); !inbound {
		return fate(r.unheardOf(p, &q))
	}
	if _, client := r.lsn.Client(p.Dst); client || r.exemptQuote(&q) {
		return goOn // between two subscribers, or exempt: untranslated on both sides
	}
	_, reason = r.quoteOutward(p)
	return fate(reason)
}

// quoteBoth is quoteInward for an error of the stack: its quote may be of a
// packet that was turned round, and is translated on both sides then.
func (r *Router) quoteBoth(p *packet) (frame.Addr, drop.Reason) {
	if q, reason := p.Quote(); reason == drop.None {
		if _, turned := r.lsn.Client(q.Dst); turned {
			if _, reason = r.quoteOutward(p); reason != drop.None {
				return frame.Addr{}, reason
			}
		}
	}
	return r.quoteInward(p)
}

// quotesLaterPiece reports whether p quotes a fragment that is not the first
// one. It names no flow, so its addresses cannot be put right; and of such a
// piece nobody is to be told (RFC 1812 section 4.3.2.7), which the stack leaves
// to us.
func quotesLaterPiece(p *packet) bool {
	t := p.Transport()
	return len(t) >= header.ICMPv4MinimumSize+header.IPv4MinimumSize &&
		header.IPv4(t[header.ICMPv4MinimumSize:]).FragmentOffset() != 0
}

// quoteInward rewrites the quote of an outbound packet to what the subscriber
// sent, and returns the subscriber.
func (r *Router) quoteInward(p *packet) (frame.Addr, drop.Reason) {
	q, reason := p.Quote()
	if reason != drop.None {
		return frame.Addr{}, reason
	}
	if q.Src != p.Dst {
		return frame.Addr{}, drop.ICMPNoFlow // about somebody else's packet: forged
	}
	if q.Proto == frame.ProtoESP {
		inside, reason := r.ownerOfESP(&q)
		if reason == drop.None {
			r.aboutESP(p)
			p.RewriteQuoteSource(&q, inside, 0)
		}
		return inside, reason
	}
	outside := frame.Endpoint{Addr: q.Src, Port: q.SrcPort}
	b, ok := r.lsn.FindIn(q.Proto, outside, quotedRemote(&q, q.Dst, q.DstPort))
	if !ok {
		return frame.Addr{}, drop.ICMPNoFlow
	}
	p.RewriteQuoteSource(&q, b.Inside.Addr, b.Inside.Port)
	return b.Inside.Addr, drop.None
}

// ownerOfESP returns who sent a quoted outbound ESP packet.
func (r *Router) ownerOfESP(q *frame.Quote) (frame.Addr, drop.Reason) {
	if inside, own := r.lsn.OwnerOf(q.Src, q.Dst); own {
		return inside, drop.None
	}
	return r.alg.OwnerOfOutbound(q.Src, q.Dst, q.SPI)
}

// quoteOutward rewrites the quote of an inbound packet to what the remote
// sent, and returns the NAT address.
func (r *Router) quoteOutward(p *packet) (frame.Addr, drop.Reason) {
	q, reason := p.Quote()
	if reason != drop.None {
		return frame.Addr{}, reason
	}
	outside, ok := r.quotedNAT(&q)
	if !ok {
		return frame.Addr{}, drop.ICMPNoFlow
	}
	p.RewriteQuoteDestination(&q, outside.Addr, outside.Port)
	if q.Proto == frame.ProtoESP {
		r.aboutESP(p)
	}
	return outside.Addr, drop.None
}

// quotedNAT returns the NAT side of a quoted inbound packet.
func (r *Router) quotedNAT(q *frame.Quote) (frame.Endpoint, bool) {
	if nat, own := r.lsn.OneToOne(q.Dst, q.Src); own && q.Proto == frame.ProtoESP {
		return frame.Endpoint{Addr: nat}, true
	}
	if q.Proto == frame.ProtoESP {
		nat, ok := r.alg.NATOfInbound(q.Dst, q.Src, q.SPI)
		return frame.Endpoint{Addr: nat}, ok
	}
	b, ok := r.lsn.FindOut(lsn.Tuple{
		Proto:  q.Proto,
		Inside: frame.Endpoint{Addr: q.Dst, Port: q.DstPort},
		Remote: quotedRemote(q, q.Src, q.SrcPort),
	})
	return b.Outside, ok
}

// quotedRemote is the remote end of a quote: without a port for ICMP, whose
// identifier belongs to the inside.
func quotedRemote(q *frame.Quote, a frame.Addr, port uint16) frame.Endpoint {
	if q.Proto == frame.ProtoICMP {
		port = 0
	}
	return frame.Endpoint{Addr: a, Port: port}
}

// aboutESP counts an error about ESP that was translated, unless explain asks.
func (r *Router) aboutESP(p *packet) {
	if !p.asked {
		r.icmpESP.Add(1)
	}
}
