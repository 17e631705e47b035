package netstack

import (
	"fmt"
	"strings"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
	"spigate/netstack/vserver"
)

// The deciding halves of the steps of tunnels: what should have come sealed, what
// is opened, what is sealed on its way out.

// internal is that step.
func (x *explainer) internal(s step) outcome {
	o := s.run(x.r, &x.p)
	if o.verdict == Accept {
		x.say(fmt.Sprintf("%s for the end of a tunnel at %v: no listener is asked", kindOf(&x.p), x.p.Dst), "VR1")
	}
	return o
}

func kindOf(p *packet) string {
	switch {
	case p.Proto == frame.ProtoESP:
		return "ESP"
	case p.DstPort == tunnels.PortNATT && tunnels.ClassifyUDP(p.UDPPayload()) == tunnels.UDPESP:
		return "ESP in UDP"
	}
	return "IKE"
}

func selectorObject(s *tunnels.Selector) Object {
	if s == nil {
		return Object{}
	}
	return Object{ObjectSelector, s.Name}
}

// inClear is that step without counting.
func (x *explainer) inClear(step) outcome {
	e := x.r.ends.Load()
	if e == nil || !e.selective {
		return goOn
	}
	if x.p.unsealed {
		return goOn
	}
	policies, f := x.r.esp.Policies(), tunnels.FlowOf(&x.p.Packet)
	l := policies.In(f)
	if q, ok := tunnels.QuotedFlow(&x.p.Packet); ok && l.Verdict != tunnels.SelectorReject && !e.said(&q) {
		if of := policies.In(q.Reversed()); of.Verdict == tunnels.SelectorReject {
			l, f = of, q.Reversed()
		}
	}
	switch l.Verdict {
	case tunnels.SelectorReject:
		if policies.Out(f).Verdict == tunnels.Protect {
			x.sayOf(selectorObject(l.Selector), "it came in clear, and would be sealed on its way on: selector "+l.Selector.Name+" does not mean it", "VR32")
			return goOn
		}
		x.sayOf(selectorObject(l.Selector), "it came in clear, and selector "+l.Selector.Name+" says that it should have come out of its tunnel", "VR32")
		return dropped(drop.SelectorReject)
	case tunnels.SelectorDiscard:
		x.sayOf(selectorObject(l.Selector), "selector "+l.Selector.Name+" discards it", "VR29")
		return dropped(drop.SelectorDiscard)
	}
	return goOn
}

// espInUDP is that step without opening anything.
func (x *explainer) espInUDP(step) outcome {
	p, e := &x.p, x.r.ends.Load()
	if e == nil || !e.locals[p.Dst] {
		return goOn
	}
	if p.Proto == frame.ProtoESP {
		return x.opened(p.SPI)
	}
	if p.Proto != frame.ProtoUDP || p.DstPort != tunnels.PortNATT {
		return goOn
	}
	switch tunnels.ClassifyUDP(p.UDPPayload()) {
	case tunnels.UDPESP:
		spi, _ := tunnels.SPIOf(p.Bytes())
		return x.opened(spi)
	case tunnels.UDPKeepalive:
		x.say("a keepalive, which has done its work on the way", "RFC 3948 section 2.3")
		return sent
	case tunnels.UDPShort:
		return dropped(drop.ESPMalformed)
	}
	return goOn
}

// opened tells what awaits an ESP packet for an end here.
func (x *explainer) opened(spi uint32) outcome {
	a := x.r.esp.WouldReceive(spi, x.p.Dst, x.p.now)
	x.fate.SPI = spi
	if a.SA == nil {
		x.say(fmt.Sprintf("no security association here has the SPI %08x", spi), "VR46")
		return dropped(drop.NoSA)
	}
	of := Object{}
	if len(a.Selectors) > 0 {
		of, x.fate.Selector = Object{ObjectSelector, a.Selectors[0]}, a.Selectors[0]
	}
	if a.Verdict != tunnels.Pass {
		x.sayOf(of, fmt.Sprintf("the security association %08x is over", spi), "VR36")
		return dropped(reasonOfESP[a.Verdict])
	}
	x.fate.Label = a.Interface
	if x.fate.Label == 0 {
		x.fate.Label = x.p.in
	}
	x.fate.Admits = scopeOf(a.SA)
	x.fate.To = a.SA.Remote()
	x.sayOf(of, fmt.Sprintf("security association %08x of selector %s opens it, if it is authentic and new", spi, strings.Join(a.Selectors, ", ")), "VR33")
	x.sayOf(of, fmt.Sprintf("what is inside must be %s; it comes in by %s", strings.Join(x.fate.Admits, " or "), x.r.names[x.fate.Label]), "VR32, VR34")
	return sent
}

// scopeOf is what an inbound SA lets in, as its packets look.
func scopeOf(sa *tunnels.SA) (out []string) {
	for _, p := range sa.Scope() {
		words := fmt.Sprintf("%s > %s", rangeOf(p.Remote), rangeOf(p.Local))
		if p.Proto != 0 {
			words += fmt.Sprintf(" of IP protocol %d", p.Proto)
		}
		out = append(out, words)
	}
	return out
}

func rangeOf(r tunnels.Range) string {
	words := r.First.String()
	if r.Last != r.First {
		words += "-" + r.Last.String()
	}
	switch {
	case r.FirstPort == 0 && r.LastPort == 0xffff:
	case r.FirstPort == r.LastPort:
		words += fmt.Sprintf(" port %d", r.FirstPort)
	default:
		words += fmt.Sprintf(" ports %d-%d", r.FirstPort, r.LastPort)
	}
	return words
}

// protect is that step without sealing or counting.
func (x *explainer) protect(step) outcome {
	p, r := &x.p, x.r
	if r.tunnelNIC(p.out) != nil {
		return goOn
	}
	l, f := tunnels.Lookup{Verdict: tunnels.SelectorMiss}, tunnels.Flow{}
	if e := r.ends.Load(); e != nil && e.selective && !r.ofTunnels(p) {
		l, f = x.selects(r.esp.Policies().Out)
		x.sameForAll(l, r.esp.Policies().Out)
	}
	switch {
	case l.Verdict == tunnels.Protect:
		return x.seal(l.Selector, f)
	case l.Verdict == tunnels.SelectorDiscard:
		x.sayOf(selectorObject(l.Selector), "selector "+l.Selector.Name+" discards it", "VR29")
		return dropped(drop.SelectorDiscard)
	case p.demands && !p.unsealed:
		x.sayOf(objectOf(x.l), nameOf(x.l)+" requires protection, and no selector is about "+x.asSealed(), "VR31")
		return dropped(drop.SelectorMiss)
	case l.Verdict == tunnels.Clear:
		x.sayOf(selectorObject(l.Selector), "selector "+l.Selector.Name+" lets it bypass the tunnels", "VR29")
	}
	return goOn
}

// selects is that of the router: an ICMP error may go the way of the packet that
// it quotes (Q16).
func (x *explainer) selects(find func(tunnels.Flow) tunnels.Lookup) (tunnels.Lookup, tunnels.Flow) {
	f := tunnels.FlowOf(&x.p.Packet)
	l := find(f)
	if q, _, ok := tunnels.QuotedHosts(&x.p.Packet); ok && inTheClear(l) {
		if of := find(q.Reversed()); of.Verdict == tunnels.Protect {
			return of, q.Reversed()
		}
	}
	return l, f
}

// sameForAll notes whether selectors would decide otherwise about others of the
// set that the packet's source would be drawn from.
func (x *explainer) sameForAll(l tunnels.Lookup, find func(tunnels.Flow) tunnels.Lookup) {
	if x.fate.Drawn == nil {
		return
	}
	f := tunnels.FlowOf(&x.p.Packet)
	for _, a := range x.fate.Drawn.Addresses {
		for _, port := range [...]uint16{x.fate.Drawn.First, x.fate.Drawn.Last} {
			f.Src, f.SrcPort = a, port
			if find(f) != l && !x.fate.Depends {
				x.say("it depends on which source is drawn: selectors do not decide alike about all", "VR25")
				x.fate.Depends = true
			}
		}
	}
}

// asSealed is the packet as selectors see it.
func (x *explainer) asSealed() string {
	src, dst := x.ends()
	return endpoint(src) + " > " + endpoint(dst)
}

// seal decides what the ciphers would do with a packet that a selector protects.
func (x *explainer) seal(s *tunnels.Selector, f tunnels.Flow) outcome {
	p, r, mtu := &x.p, x.r, 0
	x.fate.Selector = s.Name
	of := selectorObject(s)
	if sa := s.Choice(f); sa != nil {
		w := r.wayTo(sa.Remote().Addr)
		if w == nil {
			x.sayOf(of, fmt.Sprintf("selector %s protects it, but no route leads to the other end %v", s.Name, sa.Remote().Addr), "VR29")
			return dropped(drop.TunnelNoRoute)
		}
		next := w.NextHop()
		if next.Len() == 0 {
			next = w.RemoteAddress()
		}
		x.fate.Out, x.fate.Next = frame.Interface(w.NICID()), next.As4()
		w.Release()
		_, x.fate.Known = r.neighbors.mac(neighbor{x.fate.Out, x.fate.Next})
		mtu = r.mtu(x.fate.Out)
	}
	would := r.esp.WouldSend(s, f, p.Bytes()[:p.HeaderLength()], len(p.Bytes()), mtu, p.now)
	if would.SA != nil {
		x.fate.SPI, x.fate.To = would.SA.SPI, would.To
	}
	switch would.Verdict {
	case tunnels.Pass:
		if i := r.interfaces[x.fate.Out]; i != nil && !i.Up() {
			x.sayOf(x.interfaceObject(x.fate.Out), fmt.Sprintf("port %s, which it would leave by once it is sealed, has no carrier or is down", i.PortName()), "")
			return dropped(drop.PortDown)
		}
		x.sayOf(of, fmt.Sprintf("selector %s protects it: sealed with the security association %08x and sent to %s", s.Name, x.fate.SPI, endpoint(x.fate.To)), "VR29")
		x.fate.End = EndSealed
		return sent
	case tunnels.Held:
		x.sayOf(of, fmt.Sprintf("selector %s protects it, and there is no security association yet: one would be negotiated, and this first packet waits for it", s.Name), "VR29")
		return held
	case tunnels.NoSA:
		x.sayOf(of, fmt.Sprintf("selector %s protects it, and there is no security association%s", s.Name, x.whyNoSA(would)), "VR29")
	case tunnels.TooBig:
		x.sayOf(of, fmt.Sprintf("selector %s protects it, and it is too long once it is sealed: %d bytes would fit", s.Name, would.MTU), "VR35")
		if r.answerable(p) {
			x.fate.Told = fmt.Sprintf("ICMP 3/4 with the MTU %d", would.MTU)
		}
	default:
		x.sayOf(of, fmt.Sprintf("selector %s protects it, but its security association cannot: %s", s.Name, withoutStop(reasonOfESP[would.Verdict].Info().Means)), "VR29")
	}
	return dropped(reasonOfESP[would.Verdict])
}

func (x *explainer) whyNoSA(would tunnels.Sent) string {
	if would.Acquire {
		return ": another packet waits for the one that is being negotiated"
	}
	return ", and with manual ones nobody negotiates any"
}

// via decides about a packet that a route leads into a tunnel.
func (x *explainer) via() {
	p, r := &x.p, x.r
	if r.ofTunnels(p) {
		x.end(Object{}, "the way to the other end leads into the tunnel to it", "", dropped(drop.TunnelLoop))
		return
	}
	find := func(f tunnels.Flow) tunnels.Lookup { return r.esp.Policies().Via(p.out, f) }
	l, f := x.selects(find)
	x.sameForAll(l, find)
	switch l.Verdict {
	case tunnels.Protect:
		o := x.seal(l.Selector, f)
		x.found[len(x.found)-1].Verdict, x.found[len(x.found)-1].Reason = o.verdict, o.reason
		x.fateOf(o)
	case tunnels.SelectorDiscard:
		x.end(selectorObject(l.Selector), "selector "+l.Selector.Name+" discards it", "VR29", dropped(drop.SelectorDiscard))
	default:
		x.end(Object{ObjectTunnel, r.names[p.out]}, "no selector of tunnel "+r.names[p.out]+" is about "+x.asSealed(), "VR30", dropped(drop.SelectorMiss))
	}
}

// end adds a finding with its verdict, which is the last one.
func (x *explainer) end(of Object, says, rule string, o outcome) {
	x.sayOf(of, says, rule)
	x.found[len(x.found)-1].Verdict, x.found[len(x.found)-1].Reason = o.verdict, o.reason
	x.fateOf(o)
}

// demandedBy reports whether a listener requires protection (VR31).
func demandedBy(l *vserver.Listener) bool {
	return l != nil && l.RequiresProtection()
}
