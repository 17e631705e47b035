package netstack

import (
	"fmt"
	"net/netip"
	"strings"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// The deciding halves of the steps of virtual servers, NATs and SNATs.

// sides are the two keys of a connection as one of its packets meets them: what
// the packet's side shows, and what the other side shows.
type sides struct{ came, goes vserver.Key }

func sidesOf(h vserver.Hit) sides {
	client, remote := h.Keys()
	if h.Side == vserver.Remote {
		client, remote = remote, client
	}
	return sides{client, remote}
}

// expiring is that step without keeping note of a missed VLAN.
func (x *explainer) expiring(step) outcome {
	p := &x.p
	if p.TTL() > 1 || x.r.isLocal(p.Dst) {
		return goOn
	}
	if res, v := x.r.refusal(p); v != vserver.Admit {
		x.refused(res, v)
		x.fate.Told = ""
		return dropped(reasonOf[v])
	}
	p.SetTTL(0)
	x.say("its time to live is over: the stack answers it", "RFC 1812 section 5.3.1")
	return accept
}

// connection is that step without counting or answering.
func (x *explainer) connection(step) outcome {
	p := &x.p
	h, ok := x.r.conns.Find(vserver.KeyOf(&p.Packet), vserver.SegmentOf(&p.Packet), p.now)
	if !ok {
		return x.afterReset()
	}
	l, side := h.Listener(), "the side that began it"
	if h.Side == vserver.Remote {
		side = "the side that answers"
	}
	s := sidesOf(h)
	x.conn, x.l, x.byLSN = &s, l, h.ByLSN()
	o := x.along(known)
	if o.verdict == Dropped {
		x.sayOf(objectOf(l), "the connection of "+nameOf(l)+" is translated: "+withoutStop(o.reason.Info().Means), "VR4")
		return o
	}
	x.sayOf(objectOf(l), fmt.Sprintf("it belongs to connection %d of %s, from %s: no listener is asked%s", h.ID(), nameOf(l), side, x.putBack()), "VR4, VR5")
	return o
}

// putBack tells of a destination that along has rewritten.
func (x *explainer) putBack() string {
	if !x.p.redirected {
		return ""
	}
	_, dst := x.ends()
	return ", and its destination becomes " + endpoint(dst)
}

// afterReset is that step without answering.
func (x *explainer) afterReset() outcome {
	p := &x.p
	if p.Proto != frame.ProtoTCP || p.TCPFlags&frame.TCPSyn != 0 || !x.r.lastResets.has(vserver.KeyOf(&p.Packet), p.now) {
		return goOn
	}
	x.say("its connection was reset a short time ago", "VR17")
	if p.TCPFlags&frame.TCPRst == 0 {
		x.fate.Told = "RST"
	}
	return dropped(drop.NotSYN)
}

// along is that of connection.go for a connection that need not exist yet.
func (x *explainer) along(c course) outcome {
	p, s := &x.p, x.conn
	p.course, p.demands = c, demandedBy(x.l)
	if x.byLSN {
		return goOn
	}
	if s.came.Reversed() != s.goes {
		if why := untranslatable(p); why != drop.None {
			return dropped(why)
		}
	}
	to, port := s.goes.Src, s.goes.SrcPort
	if s.came.Proto == frame.ProtoICMP && s.came.Dst == s.goes.Src {
		to, port = s.came.Dst, s.came.DstPort
	}
	if to != p.Dst || port != portOrID(p, p.DstPort) {
		p.SetDestination(to, port)
		p.redirected = true
		p.expire()
	}
	p.admitted = true
	return accept
}

// listener is that step without opening a connection.
func (x *explainer) listener(step) outcome {
	p, r := &x.p, x.r
	if p.course != strange || r.toMany(p) {
		return goOn
	}
	res, asked := r.asked(p)
	if !asked {
		x.notAsked(res)
		return goOn
	}
	x.passedOver(res)
	s := vserver.SegmentOf(&p.Packet)
	if v := r.conns.Decide(res, vserver.KeyOf(&p.Packet), s, p.now); v != vserver.Admit {
		x.refused(res, v)
		return dropped(reasonOf[v])
	}
	x.l, x.byLSN = res.Listener, byLSN(res.Listener)
	w, ok := r.wayOf(p, res)
	if !ok {
		x.sayOf(objectOf(res.Listener), nameOf(res.Listener)+" admits it, but no route leads there", "VR14")
		p.admitted = true
		return accept
	}
	if why := x.open(res, s, w); why != drop.None {
		return dropped(why)
	}
	o := x.along(opened)
	x.sayOf(objectOf(res.Listener), nameOf(res.Listener)+" admits it, a connection would begin"+x.sourced(res)+x.putBack(), ruleOf(res))
	return o
}

// ruleOf is the rule by which a listener won.
func ruleOf(res vserver.Result) string {
	switch {
	case res.Inbound:
		return "VR22, VR23"
	case res.Listener.Kind == vserver.KindServer:
		return "VR7"
	}
	return "VR2"
}

// notAsked tells why no listener's leave is needed.
func (x *explainer) notAsked(res vserver.Result) {
	l := res.Listener
	g, from := x.r.lsn.Client(x.p.Src)
	switch {
	case from && g != nil && !x.r.listening.Load().served:
		x.sayOf(groupObject(g), "LSN group "+g.Name+" has its sender as a subscriber", "VR3")
	case l == nil:
	case x.r.continues(&x.p, l):
		x.say("the LSN has a session of this flow: no listener is asked", "VR4")
	case l.Kind == vserver.KindGroup:
		x.passedOver(res)
		x.sayOf(objectOf(l), "LSN group "+l.Name+" has its sender as a subscriber", "VR3")
	case x.r.isLocal(x.p.Dst):
		x.sayOf(x.interfaceObject(x.r.home(x.p.Dst)), "it is for our own address", "VR2")
	}
}

// mostPassed is how many of those are told that were passed over.
const mostPassed = 8

// passedOver tells who might have had the flow, and why not.
func (x *explainer) passedOver(res vserver.Result) {
	a := vserver.AttemptOf(&x.p.Packet, x.p.in)
	for _, l := range x.r.conns.Listeners().Passed(a, res, mostPassed) {
		x.sayOf(objectOf(l.Listener), nameOf(l.Listener)+" is passed over: "+x.misfit(l), "VR6")
	}
}

func (x *explainer) misfit(m vserver.Passed) string {
	s := m.Listener.Server
	switch m.Why {
	case vserver.OtherSource:
		return fmt.Sprintf("its source %v has not %v", s.Source, x.p.Src)
	case vserver.OtherPort:
		return fmt.Sprintf("it is for port %d", s.Port)
	case vserver.OtherProtocol:
		return fmt.Sprintf("it is for IP protocol %d", s.Protocol)
	case vserver.SwitchedOff:
		return "it is disabled, and tm.continuematching is on"
	case vserver.LeftToGroup:
		return "it is for everywhere, and an LSN group keeps its subscribers' flows from it"
	}
	return x.missed(m.Listener)
}

// missed tells where a listener listens that was missed by its VLAN.
func (x *explainer) missed(l *vserver.Listener) string {
	var on []string
	for _, i := range l.VLANs() {
		if name := x.r.names[i]; name != "" && x.r.routerOf[i] == x.r {
			on = append(on, name)
		}
	}
	if len(on) == 0 {
		return "it listens on no VLAN"
	}
	return fmt.Sprintf("it listens on %s, not on %s", strings.Join(on, ", "), x.r.names[x.p.in])
}

// refused tells why a listener does not admit the flow, and what its sender is
// told.
func (x *explainer) refused(res vserver.Result, v vserver.Verdict) {
	p, l := &x.p, res.Listener
	of, rule := objectOf(l), reasonOf[v].Info().Rule
	told := "ICMP 3/13 (prohibited)"
	if p.Proto == frame.ProtoTCP {
		if told = "RST"; p.TCPFlags&frame.TCPRst != 0 {
			told = ""
		}
	}
	switch v {
	case vserver.VLANMiss:
		x.sayOf(of, nameOf(l)+" would have it, but "+x.missed(l), rule)
	case vserver.Disabled:
		x.sayOf(of, nameOf(l)+" has it, and is disabled", rule)
	case vserver.Rejected:
		x.sayOf(of, nameOf(l)+" rejects it", rule)
		x.fate.Told = told
	case vserver.NotSYN:
		x.sayOf(of, nameOf(l)+" would have it, but it begins no TCP connection, and its profile has no loose_initialization", "VR15")
		if !x.r.listening.Load().silent {
			x.fate.Told = told
		}
	case vserver.Limited, vserver.RateLimited:
		x.sayOf(of, nameOf(l)+" has come to its limit", rule)
		x.fate.Told = told
	case vserver.NoListener:
		x.say("no virtual server, NAT, SNAT or LSN group admits it", rule)
	default:
		x.sayOf(of, withoutStop(reasonOf[v].Info().Means), rule)
	}
	if !x.r.answerable(p) {
		x.fate.Told = ""
	}
}

// open decides what openTowards would do: the keys of the connection, or the
// set that its source would be drawn from.
func (x *explainer) open(res vserver.Result, s vserver.Segment, w way) drop.Reason {
	p := &x.p
	client := vserver.KeyOf(&p.Packet)
	answer := client.Reversed()
	if res.Inbound {
		answer.Src = res.Listener.NAT.Originating.As4()
	}
	g := x.r.sourceNATOf(res, w, p.Src)
	if g.none {
		x.sayOf(objectOf(res.Listener), "automap has no address of ours on "+x.r.names[w.out], "VR19")
		return drop.NoFreePort
	}
	if len(g.addrs) > 0 || res.Inbound {
		if why := g.cannot(p); why != drop.None {
			return why
		}
	}
	if !x.r.conns.Free(client, s, p.now) {
		return drop.TupleBusy
	}
	if len(g.addrs) > 0 {
		return x.choose(&g, client, answer, s)
	}
	if answer == client || !x.r.conns.Free(answer, s, p.now) {
		return drop.TupleBusy
	}
	x.conn = &sides{client, answer}
	return drop.None
}

// choose finds the source that a flow would get: the first choice, if that is
// free, or what it would be drawn from.
func (x *explainer) choose(g *sourceNAT, client, answer vserver.Key, s vserver.Segment) drop.Reason {
	ported := client.Proto == frame.ProtoTCP || client.Proto == frame.ProtoUDP || client.Proto == frame.ProtoICMP
	for i := range min(len(g.addrs), 1+mostOthers) {
		answer.Dst = g.addrs[(g.first+i)%len(g.addrs)].As4()
		own := g.whole || !ported || g.ports != vserver.ChangePort && x.r.usable(answer.Dst, client.Proto, client.SrcPort)
		if own && answer != client && x.r.conns.Free(answer, s, x.p.now) {
			x.conn = &sides{client, answer}
			return drop.None
		}
		if !g.whole && ported && g.ports != vserver.PreserveStrict {
			x.drawn = &Drawn{Addresses: rotated(g), First: 1024, Last: 65535}
			x.conn = &sides{client, withPort(answer, x.drawn.First)}
			return drop.None
		}
	}
	return drop.NoFreePort
}

// rotated are the addresses of a pool in the order in which they are tried.
func rotated(g *sourceNAT) (out []frame.Addr) {
	for i := range min(len(g.addrs), 1+mostOthers) {
		out = append(out, g.addrs[(g.first+i)%len(g.addrs)].As4())
	}
	return out
}

// sourced tells who translates the source of a new connection.
func (x *explainer) sourced(res vserver.Result) string {
	switch {
	case x.byLSN:
		return ", and LSN group " + res.Listener.Server.Group + " translates its source"
	case x.conn.goes.Dst == x.conn.came.Src && x.drawn == nil:
		return ""
	case res.Source != nil:
		return ", and " + nameOf(res.Source) + " translates its source"
	}
	return ", and it translates its source"
}

// passing is that step without telling the connection.
func (x *explainer) passing(step) outcome {
	if !x.p.admitted {
		return goOn
	}
	return accept
}

// depart is that step.
func (x *explainer) depart(step) outcome {
	p := &x.p
	if !p.admitted {
		return goOn
	}
	if x.conn == nil {
		return accept
	}
	from := frame.Endpoint{Addr: x.conn.goes.Dst, Port: x.conn.goes.DstPort}
	if from.Addr == p.Src && from.Port == portOrID(p, p.SrcPort) {
		return accept
	}
	x.leaveFrom(from, objectOf(x.l), "VR19, VR24")
	return accept
}

// leaveFrom gives the packet its source, or the first of the set that it would
// be drawn from.
func (x *explainer) leaveFrom(from frame.Endpoint, of Object, rule string) {
	x.p.SetSource(from.Addr, from.Port)
	if x.fate.Drawn = x.drawn; x.drawn == nil {
		x.sayOf(of, "its source becomes "+endpoint(from), rule)
		return
	}
	x.sayOf(of, "its source would be drawn from "+x.drawn.String(), rule)
}

// String is for people: addresses, and behind a colon the ports.
func (d *Drawn) String() string {
	var b strings.Builder
	for i, a := range d.Addresses {
		switch {
		case i > 0 && i == mostNamed:
			fmt.Fprintf(&b, " or %d more", len(d.Addresses)-i)
		case i > mostNamed:
		case i > 0:
			b.WriteString(", " + a.String())
		default:
			b.WriteString(a.String())
		}
	}
	if d.First == d.Last {
		return b.String()
	}
	return fmt.Sprintf("%s, ports %d to %d", &b, d.First, d.Last)
}

// mostNamed is how many addresses of a set are named.
const mostNamed = 4

// endpoint is an end with its port, where it has one.
func endpoint(e frame.Endpoint) string {
	if e.Port == 0 {
		return e.Addr.String()
	}
	return netip.AddrPortFrom(e.Addr.Netip(), e.Port).String()
}
