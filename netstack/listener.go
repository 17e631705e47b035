package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// listener asks who admits the first packet of a flow; without one nothing
// passes (VR2, VR3). What is for us, and what an LSN group's subscribers send,
// goes on to the steps that know it.
func (r *Router) listener(p *packet) outcome {
	switch {
	case p.course != strange:
		return goOn // the LSN's part in a connection is behind us
	case p.Fragment, r.toMany(p):
		return goOn // pieceOfConnection has judged; the stack forwards neither group nor broadcast
	case p.ICMPError():
		return r.strayError(p)
	}
	res, asked := r.asked(p)
	if !asked {
		return goOn
	}
	h, why := r.open(p, res)
	if why != drop.None {
		return dropped(why)
	}
	if h == (vserver.Hit{}) {
		p.admitted = true // no way there: the stack says so to the sender (VR14)
		return accept
	}
	return r.along(p, h, opened)
}

// toMany reports whether p is for all hosts of a network, or a group of them.
func (r *Router) toMany(p *packet) bool {
	_, all := r.broadcasts[p.Dst]
	return all || p.Dst[0] >= 224
}

// asked finds the listener of a new flow. Where it is a group, one of our own
// addresses, or the exemption of a group (R13), there is nothing to be asked.
func (r *Router) asked(p *packet) (res vserver.Result, asked bool) {
	if _, from := r.lsn.Client(p.Src); from && !r.listening.Load().served {
		return res, false // nobody but its group could have it
	}
	res = r.conns.Listeners().Match(vserver.AttemptOf(&p.Packet, p.in))
	_, to := r.lsn.Client(p.Dst)
	switch {
	case res.Verdict == vserver.NoListener || res.Verdict == vserver.VLANMiss:
		if to && (res.Verdict == vserver.NoListener || r.exemptIn(p)) {
			return res, false // guard lets the exempt pass, and says more of the others
		}
	case res.Verdict != vserver.Admit, res.Inbound:
	case r.owns(p.Dst) && !r.isLocal(p.Dst) && !serves(res.Listener, p.Dst):
		// A SNAT admits nobody from outside, nor does a NAT on another VLAN (VR23).
		res = vserver.Result{Verdict: vserver.NoListener}
	case res.Listener.Kind == vserver.KindSelf || res.Listener.Kind == vserver.KindGroup:
		return res, false
	case to && everywhere(res.Listener):
		return res, false // it does not open the inside: that takes a server for it by name
	case r.isLocal(p.Dst):
		return res, false // a server in front of our own address: delivered
	case byLSN(res.Listener) && !r.subscriberOf(p.Src, res.Listener.Server.Group):
		res = vserver.Result{Verdict: vserver.NoListener} // nobody would translate it
	}
	return res, true
}

// subscriberOf reports whether an LSN group has a as a subscriber.
func (r *Router) subscriberOf(a frame.Addr, group string) bool {
	g, ok := r.lsn.Client(a)
	return ok && g != nil && g.Name == group
}

// everywhere reports whether a listener's destination is the wildcard.
func everywhere(l *vserver.Listener) bool {
	return l.Kind != vserver.KindServer || l.Server.Destination.Bits() == 0
}

// serves reports whether a is the very destination of a virtual server.
func serves(l *vserver.Listener, a frame.Addr) bool {
	return l.Kind == vserver.KindServer && l.Server.Destination.IsSingleIP() && l.Server.Destination.Addr() == a.Netip()
}

// open makes the connection of a new flow, or refuses it. Without a route there
// is none, and no reason either.
func (r *Router) open(p *packet, res vserver.Result) (vserver.Hit, drop.Reason) {
	s := vserver.SegmentOf(&p.Packet)
	client := vserver.KeyOf(&p.Packet)
	for again := 0; ; again++ {
		v := r.conns.Decide(res, client, s, p.now)
		res.Refused(v)
		var h vserver.Hit
		if v == vserver.Admit {
			w, ok := r.wayOf(p, res)
			if !ok {
				return h, drop.None
			}
			var why drop.Reason
			if h, v, why = r.openTowards(p, res, s, w); why != drop.None {
				return h, why
			}
		}
		switch {
		case v == vserver.Admit:
			return h, drop.None
		case v == vserver.Stale && again == 0: // a reload came between
			var asked bool
			if res, asked = r.asked(p); !asked {
				return h, drop.TupleBusy // whose it is now, the next packet will be told
			}
		default:
			return h, r.turnAway(p, res, v)
		}
	}
}

// way is where a packet will leave.
type way struct {
	out  frame.Interface
	next frame.Addr // the neighbour there
}

// wayOf finds the way of the first packet of a flow. Only a server that takes
// the address of the egress interface needs to know it, but none should have a
// connection that leads nowhere.
func (r *Router) wayOf(p *packet, res vserver.Result) (way, bool) {
	to := p.Dst
	if res.Inbound {
		to = res.Listener.NAT.Originating.As4()
	}
	route, err := r.stack.FindRoute(0, tcpip.Address{}, tcpip.AddrFrom4(to), ipv4.ProtocolNumber, false)
	if err != nil {
		return way{}, false
	}
	defer route.Release()
	next := route.NextHop()
	if next.Len() == 0 {
		next = route.RemoteAddress()
	}
	return way{frame.Interface(route.NICID()), next.As4()}, true
}

// turnAway refuses a new flow, and tells its sender where the rules say so.
func (r *Router) turnAway(p *packet, res vserver.Result, v vserver.Verdict) drop.Reason {
	switch v {
	case vserver.VLANMiss:
		r.noteMiss(res.Listener, p)
	case vserver.NotSYN:
		if !r.listening.Load().nameless {
			r.answerReset(p) // VR15
		}
	case vserver.Rejected, vserver.Limited, vserver.RateLimited:
		r.answerRefusal(p) // VR9
	}
	return reasonOf[v]
}

var reasonOf = [...]drop.Reason{
	vserver.NoListener: drop.NoListener, vserver.VLANMiss: drop.VLANMiss, vserver.Disabled: drop.VSDisabled,
	vserver.Rejected: drop.VSRejected, vserver.NotSYN: drop.NotSYN, vserver.Limited: drop.ConnectionLimit,
	vserver.RateLimited: drop.ConnectionRate, vserver.TableFull: drop.ConnectionTableFull,
	vserver.TupleBusy: drop.TupleBusy, vserver.Stale: drop.TupleBusy,
}

// unwelcome says why a packet that will be answered for its TTL would not have
// been admitted: of a flow that nobody admits, nobody is told anything.
func (r *Router) unwelcome(p *packet) drop.Reason {
	later := p.Fragment && p.FragmentOffset() != 0 // nobody is told of those
	if later || r.toMany(p) || p.ICMPError() || r.lsn.Owns(p.Dst) {
		return drop.None
	}
	k, s := vserver.KeyOf(&p.Packet), vserver.SegmentOf(&p.Packet)
	if _, ok := r.conns.Find(k, s, p.now); ok {
		return drop.None
	}
	res, asked := r.asked(p)
	if !asked {
		return drop.None
	}
	v := r.conns.Decide(res, k, s, p.now)
	if v == vserver.VLANMiss {
		r.noteMiss(res.Listener, p)
	}
	return reasonOf[v]
}
