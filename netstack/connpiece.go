package netstack

import (
	"sync/atomic"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frag"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// Fragments of connections: the first piece of a datagram finds or opens the
// connection, the others follow it (VR13). Both ends of a piece are rewritten
// in prerouting, since later pieces name no connection that postrouting could
// look up.

// passage is what the first piece of a datagram tells the others.
type passage struct {
	hit     vserver.Hit // none: the datagram is a subscriber's or for us
	counted atomic.Bool // Open has counted the first piece
	lsn     bool        // the LSN translates: the piece walks its steps
	joined  bool        // the ALG sees the datagram whole, and so it is counted
	id      uint16      // a translated source's own IPv4 id; 0: it keeps the sender's
}

// pieceOfConnection judges a fragment as its datagram's first piece.
func (r *Router) pieceOfConnection(p *packet) outcome {
	if r.lsn.Owns(p.Dst) || r.toMany(p) || r.plain(p) {
		return goOn
	}
	k := keyOfPiece(p, frag.Out2In)
	res := r.frags.Piece(k, &p.Packet, p.now)
	if res.Verdict == frag.First {
		if why := r.firstOfConnection(res.Datagram, p); why != drop.None {
			r.frags.Refuse(res.Datagram, why, p.now)
			return dropped(why)
		}
		res = r.frags.Piece(k, &p.Packet, p.now) // as one that follows: with the tag
	}
	if o := r.pieceFate(res, p); o.verdict != Continue {
		return o
	}
	t, _ := res.Tag.(*passage)
	none := t == nil || t.hit == (vserver.Hit{})
	if !none && !t.lsn {
		if why := carries(t.hit, p); why != drop.None {
			return dropped(why)
		}
	}
	if why := r.frags.Carry(k, &p.Packet, p.now); why != drop.None {
		return dropped(why)
	}
	if none {
		return goOn
	}
	return r.pieceAlong(p, t)
}

// plain reports whether a fragment can belong to nobody but subscribers or
// ourselves: then their own steps suffice, and the stack.
func (r *Router) plain(p *packet) bool {
	l := r.listening.Load()
	if r.isLocal(p.Dst) {
		return !l.automap
	}
	if l.served || r.conns.Len() > 0 {
		return false
	}
	_, from := r.lsn.Client(p.Src)
	_, to := r.lsn.Client(p.Dst)
	return from || to
}

// firstOfConnection decides about a datagram.
func (r *Router) firstOfConnection(d frag.Datagram, p *packet) drop.Reason {
	if query, _ := p.ICMPQuery(); p.Proto == frame.ProtoICMP && !query {
		return drop.Fragment // an error is translated whole or not at all
	}
	t := &passage{}
	to := frag.Translation{Addr: p.Dst, Port: portOrID(p, p.DstPort), Tag: t}
	if e := r.ends.Load(); e != nil && e.locals[p.Dst] && p.Proto == frame.ProtoUDP && ikePort(p.DstPort) {
		return r.decide(d, to, p).reason // no server is asked (VR1)
	}
	h, ok := r.conns.Find(vserver.KeyOf(&p.Packet), vserver.SegmentOf(&p.Packet), p.now)
	if res, asked := r.askedUnless(ok, p); asked {
		var why drop.Reason
		if h, why = r.open(p, res); why != drop.None {
			return why
		}
		t.counted.Store(true)
	}
	if t.hit = h; h == (vserver.Hit{}) {
		return r.decide(d, to, p).reason
	}
	if t.lsn = h.ByLSN(); t.lsn {
		_, t.joined = r.gathers(p, alg.In2Out)
	} else {
		to.Addr, to.Port = destination(h)
		if from := departure(h); from.Addr != p.Src {
			if t.id, ok = r.frags.NextID(from.Addr, to.Addr, p.Proto, p.Src, p.now); !ok {
				return drop.FragmentOverflow
			}
		}
	}
	return r.decide(d, to, p).reason
}

// askedUnless is asked for a packet whose connection was not found.
func (r *Router) askedUnless(found bool, p *packet) (res vserver.Result, asked bool) {
	if found {
		return res, false
	}
	return r.asked(p)
}

// pieceAlong rewrites and counts a piece of a connection.
func (r *Router) pieceAlong(p *packet, t *passage) outcome {
	r.countPiece(p, t)
	p.demands = demands(t.hit)
	if t.lsn {
		p.course = known
		return goOn
	}
	if from := departure(t.hit); from.Addr != p.Src || p.SrcPort != 0 && from.Port != p.SrcPort {
		p.SetSource(from.Addr, from.Port)
	}
	if t.id != 0 {
		p.SetID(t.id)
	}
	if t.hit.Listener().Profile.PreserveTTL && p.TTL() < 255 {
		p.SetTTL(p.TTL() + 1) // the stack takes one
	}
	p.expire()
	p.admitted = true
	return accept
}

// countPiece tells a connection of a piece that has not been counted: another
// lane may come with those that were held before the first is through. One that
// ended while its last datagram passes counts the rest of it all the same.
func (r *Router) countPiece(p *packet, t *passage) {
	if t.joined || p.FragmentOffset() == 0 && t.counted.CompareAndSwap(true, false) {
		return
	}
	s := vserver.SegmentOf(&p.Packet)
	if _, ok := r.conns.Touch(t.hit, s, p.in, p.now); !ok {
		t.hit.Count(s.Length)
	}
}

// passageIn is what the first piece of an answer through the LSN, translated
// by it, tells the others: the connection on the inside that it belongs to.
func (r *Router) passageIn(p *packet) *passage {
	if !r.listening.Load().byLSN {
		return nil
	}
	h, ok := r.conns.Find(vserver.KeyOf(&p.Packet), vserver.Segment{}, p.now)
	if !ok || !h.ByLSN() {
		return nil
	}
	return &passage{hit: h, lsn: true}
}
