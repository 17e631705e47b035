package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
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
	switch l := res.Listener; {
	case r.continues(p, l), to && res.Verdict == vserver.NoListener:
		return res, false // guard says more of who is kept from the inside
	case res.Verdict == vserver.VLANMiss:
		return res, !to || !r.exemptIn(p)
	case res.Verdict == vserver.NoListener, res.Verdict == vserver.Rejected, res.Inbound:
	case res.Verdict == vserver.Admit && r.owns(p.Dst) && !r.isLocal(p.Dst) && !serves(l, p.Dst):
		// A SNAT admits nobody from outside, nor does a NAT on another VLAN (VR23).
		x := res.Missed
		return instead(x, x != nil && (x.Kind == vserver.KindNAT && p.Dst == x.NAT.Translation.As4() || serves(x, p.Dst))), true
	case l.Kind == vserver.KindSelf, l.Kind == vserver.KindGroup:
		return res, false
	case to && everywhere(l): // it does not open the inside: that takes a server for it by name
		x := res.Missed
		return instead(x, x != nil), x != nil && !everywhere(x) && !r.exemptIn(p)
	case res.Verdict == vserver.Disabled:
	case r.isLocal(p.Dst):
		return res, false // a server in front of our own address: delivered
	case byLSN(l) && !r.subscriberOf(p.Src, l.Server.Group):
		res = vserver.Result{Verdict: vserver.NoListener} // nobody would translate it
	}
	return res, true
}

// instead is the result of a flow that its listener may not have: that another
// one was missed by its VLAN, or nobody.
func instead(x *vserver.Listener, missed bool) vserver.Result {
	if !missed {
		return vserver.Result{Verdict: vserver.NoListener}
	}
	return vserver.Result{Verdict: vserver.VLANMiss, Listener: x}
}

// continues reports whether the LSN has the session of a subscriber's packet: it
// goes before a new flow (VR2, VR4), and an answer to what a mapping has let in
// asks nobody (VR5). So a server that came later does not take it. What a server
// had a part in is that one's, and what begins anew is for the listeners.
func (r *Router) continues(p *packet, l *vserver.Listener) bool {
	_, from := r.lsn.Client(p.Src)
	switch {
	case !from, l == nil, l.Kind == vserver.KindGroup, p.Proto == frame.ProtoTCP && p.TCPFlags&(frame.TCPSyn|tcpACK) == frame.TCPSyn:
		return false
	case p.Proto == frame.ProtoESP:
		return !byLSN(l) && r.continuesESP(p)
	}
	t, ok := insideView(p)
	if !ok {
		return false
	}
	b, ok := r.lsn.FindOut(t)
	return ok && !b.Served
}

// continuesESP is continues for ESP, which is whose its IKE is.
func (r *Router) continuesESP(p *packet) bool {
	ike := lsn.Tuple{Proto: frame.ProtoUDP, Inside: frame.Endpoint{Addr: p.Src, Port: 500}, Remote: frame.Endpoint{Addr: p.Dst, Port: 500}}
	if b, ok := r.lsn.FindOut(ike); ok && b.Served {
		return false
	}
	e, ok := r.espFromInside(p)
	group, _ := r.lsn.Client(p.Src)
	e.Profile = r.profile(group)
	return ok && r.alg.DecideESP(&e, p.now).Verdict == alg.Forward
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
		if !r.listening.Load().silent {
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
	res, v := r.refusal(p)
	if v == vserver.VLANMiss {
		r.noteMiss(res.Listener, p)
	}
	return reasonOf[v]
}

// refusal finds who refuses a packet, and changes nothing; Admit: nobody.
func (r *Router) refusal(p *packet) (res vserver.Result, v vserver.Verdict) {
	later := p.Fragment && p.FragmentOffset() != 0 // nobody is told of those
	if later || r.toMany(p) || p.ICMPError() || r.lsn.Owns(p.Dst) {
		return res, vserver.Admit
	}
	k, s := vserver.KeyOf(&p.Packet), vserver.SegmentOf(&p.Packet)
	if _, ok := r.conns.Find(k, s, p.now); ok {
		return res, vserver.Admit
	}
	res, asked := r.asked(p)
	if !asked {
		return res, vserver.Admit
	}
	return res, r.conns.Decide(res, k, s, p.now)
}
