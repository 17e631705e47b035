package netstack

import (
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// Traffic between a subscriber and an exempt destination is routed as it is,
// both ways and without any state (R13, RFC 6888 REQ-6).

// exemptOut reports whether a packet from inside is such traffic. An error goes
// where the packet came from that it is about.
func (r *Router) exemptOut(p *packet) bool {
	if p.exempt {
		return true
	}
	if p.ICMPError() {
		q, reason := p.Quote()
		return reason == drop.None && r.exemptQuote(&q)
	}
	if p.Fragment {
		return r.lsn.ExemptNetwork(p.Src, p.Dst) // firstOut looks at the ports
	}
	return r.lsn.Exempt(lsn.Tuple{
		Proto:  p.Proto,
		Inside: frame.Endpoint{Addr: p.Src, Port: p.SrcPort},
		Remote: frame.Endpoint{Addr: p.Dst, Port: p.DstPort},
	})
}

// exemptIn is exemptOut for a packet to a subscriber. Later pieces have no
// ports: where some are exempt they pass, and are worth nothing without their
// first.
func (r *Router) exemptIn(p *packet) bool {
	if p.ICMPError() {
		q, reason := p.Quote()
		return reason == drop.None && q.Src == p.Dst && r.lsn.Exempt(lsn.Tuple{
			Proto:  q.Proto,
			Inside: frame.Endpoint{Addr: q.Src, Port: q.SrcPort},
			Remote: quotedRemote(&q, q.Dst, q.DstPort),
		})
	}
	if p.Fragment && p.FragmentOffset() != 0 {
		return r.lsn.MayExempt(p.Dst, p.Src, p.Proto)
	}
	if p.Fragment && p.OpenFirst() != drop.None {
		return false
	}
	return r.lsn.Exempt(lsn.Tuple{
		Proto:  p.Proto,
		Inside: frame.Endpoint{Addr: p.Dst, Port: p.DstPort},
		Remote: frame.Endpoint{Addr: p.Src, Port: p.SrcPort},
	})
}

// exemptQuote reports whether the quote of an inbound packet is of such
// traffic.
func (r *Router) exemptQuote(q *frame.Quote) bool {
	return r.lsn.Exempt(lsn.Tuple{
		Proto:  q.Proto,
		Inside: frame.Endpoint{Addr: q.Dst, Port: q.DstPort},
		Remote: quotedRemote(q, q.Src, q.SrcPort),
	})
}
