package netstack

import (
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// ICMP errors belong to the connection whose packet they quote and need no
// listener of their own (VR12, VR28). Of the two sides of a connection, one has
// sent the packet; the error comes from the other one, or from the way there,
// and quotes the packet as it looks on that side.

// errorOfConnection translates an error about a packet of a connection, all of
// it at once: nobody is told of an error that cannot be delivered.
func (r *Router) errorOfConnection(p *packet) outcome {
	q, why := p.Quote()
	if why != drop.None {
		return goOn // the steps behind judge it
	}
	far, ok := r.conns.Find(vserver.KeyOfQuote(&q).Reversed(), vserver.Segment{}, p.now)
	if !ok || far.ByLSN() {
		return goOn // the LSN's own steps know what its sides show
	}
	if q.Src != p.Dst {
		return dropped(drop.ICMPNoFlow) // it goes to somebody who sent no such packet: forged
	}
	sent := r.sentBy(far)
	hidden := sent.Dst != q.Dst // the far side has an address of ours: so has its error
	r.requote(p, &q, sent)
	p.SetDestination(sent.Src, 0)
	if hidden {
		p.SetSource(sent.Dst, 0)
	}
	p.expire()
	p.admitted, p.demands = true, demands(far)
	return accept
}

// sentBy is the key of the packets that come to h's side: what the other side
// sent.
func (r *Router) sentBy(h vserver.Hit) vserver.Key {
	client, remote := h.Keys()
	if h.Side == vserver.Client {
		return remote
	}
	return client
}

// requote makes a quote show a packet as its sender knows it.
func (r *Router) requote(p *packet, q *frame.Quote, sent vserver.Key) {
	if q.Src != sent.Src || q.SrcPort != sent.SrcPort {
		p.RewriteQuoteSource(q, sent.Src, sent.SrcPort)
	}
	if q.Dst != sent.Dst || q.DstPort != sent.DstPort {
		p.RewriteQuoteDestination(q, sent.Dst, sent.DstPort)
	}
}

// ownError puts right what the stack says about a packet of a connection: it
// quotes it as it stood when it died, translated on one side or on both.
func (r *Router) ownError(p *packet, q *frame.Quote) bool {
	if r.conns.Len() == 0 {
		return false
	}
	k := vserver.KeyOfQuote(q)
	if h, ok := r.conns.Find(k, vserver.Segment{}, p.now); ok {
		return !h.ByLSN() // it came in like this
	}
	far, ok := r.conns.Find(k.Reversed(), vserver.Segment{}, p.now)
	if !ok || far.ByLSN() {
		return false
	}
	sent := r.sentBy(far)
	r.requote(p, q, sent)
	p.SetDestination(sent.Src, 0)
	return true
}

// strayError judges an error about no connection. What may be about a
// subscriber's flow, and what is for us, goes on.
func (r *Router) strayError(p *packet) outcome {
	_, from := r.lsn.Client(p.Src)
	_, to := r.lsn.Client(p.Dst)
	if from || to || r.isLocal(p.Dst) {
		return goOn
	}
	if q, why := p.Quote(); why == drop.None {
		if _, about := r.lsn.Client(q.Dst); about {
			return goOn // from a router between us and the subscriber
		}
	}
	return dropped(drop.ICMPNoFlow)
}

// unheardOf says why the stack must not speak of a packet of no connection: one
// that nobody would admit as it is quoted has been translated, for a connection
// that ended meanwhile, and shows what its sender never knew.
func (r *Router) unheardOf(p *packet, q *frame.Quote) drop.Reason {
	if _, from := r.lsn.Client(q.Src); from || r.isLocal(q.Dst) || r.lsn.Owns(q.Dst) {
		return drop.None
	}
	a := vserver.Attempt{In: p.out, Proto: q.Proto, Src: q.Src, Dst: q.Dst}
	if q.Proto != frame.ProtoICMP {
		a.Port = q.DstPort
	}
	if v := r.conns.Listeners().Match(a).Verdict; v == vserver.NoListener || v == vserver.VLANMiss {
		return drop.NoListener
	}
	return drop.None
}
