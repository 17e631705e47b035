package netstack

import (
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// ESP of connections whose source the LSN translates. All SPIs between two
// addresses are one connection; its flows in the fast path are owned by sessions
// of the IPsec ALG, which each pair of SPIs has one of, or by a 1:1 mapping. The
// connection remembers which, so that they go with it, and no others.

// bindESP ties a flow of ESP to the connection that it belongs to, as bindLSN
// does for sessions. ok is false where the fast path may not have it.
func (r *Router) bindESP(e flow.Entry, inside, remote frame.Addr, now int64) (_ flow.Entry, ok bool) {
	if !r.listening.Load().byLSN {
		return e, true
	}
	k := vserver.Key{Src: inside, Dst: remote, Proto: frame.ProtoESP}
	if e.Side == flow.Destination {
		k = k.Reversed()
	}
	h, ok := r.conns.Find(k, vserver.Segment{}, now)
	if !ok {
		return e, true // the group's own: what began while no server let it translate
	}
	if p := &h.Listener().Profile; p.PreserveTTL || p.IdleTimeout == vserver.Immediate {
		return e, false // its server wants to see every packet
	}
	if e.Owner.Kind == flow.OwnerStatic {
		e.Owner.ID = h.ID()
		return e, true
	}
	return e, h.BindAlso(e.Owner.ID, func(session uint64) bool { return r.flows.Vacant(r.owner(flow.OwnerESP, session)) })
}

// removeESP takes the flows of sessions of the IPsec ALG off the fast path. The
// sessions live on: whoever may, comes back with the next packet.
func (r *Router) removeESP(sessions []uint64, now int64) {
	for _, s := range sessions {
		r.flows.RemoveOwner(r.owner(flow.OwnerESP, s), now)
	}
}
