package netstack

import (
	"fmt"

	"spigate/alg"
	"spigate/alg/ipsec"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// The deciding halves of the LSN's steps, and of the ALG's.

func groupObject(g *lsn.Group) Object {
	if g == nil {
		return Object{}
	}
	return Object{vserver.KindGroup.String(), g.Name}
}

// hairpin is that step without making the near subscriber's session.
func (x *explainer) hairpin(step) outcome {
	p := &x.p
	_, from := x.r.lsn.Client(p.Src)
	switch {
	case !x.r.lsn.Owns(p.Dst), !from:
		return goOn
	case p.Proto == frame.ProtoESP:
		return dropped(drop.ESPHairpin)
	case p.Proto != frame.ProtoTCP && p.Proto != frame.ProtoUDP && p.Proto != frame.ProtoICMP:
		return dropped(drop.Hairpin)
	}
	if p.Proto != frame.ProtoICMP {
		_, why := x.r.lsn.DecideIn(p.Proto, frame.Endpoint{Addr: p.Dst, Port: p.DstPort}, frame.Endpoint{}, lsn.Hints{TCPFlags: p.TCPFlags}, p.now)
		if why == drop.NoMapping {
			return dropped(why)
		}
	}
	if o := x.session(0); o.verdict != Continue {
		return o
	}
	g, _ := x.r.lsn.Client(p.Src)
	x.inside, _ = x.ends()
	if p.Proto == frame.ProtoICMP { // its identifier names its own mapping, if that has this address
		x.fate.Depends = x.drawn != nil && len(x.drawn.Addresses) > 1
		x.mirror = x.outside.Addr == p.Dst && !x.fate.Depends
	}
	p.SetSource(x.outside.Addr, x.outside.Port)
	x.fate.Drawn = x.drawn
	x.sayOf(groupObject(g), "a subscriber to a NAT address: the far one sees "+x.leavesAs(), "R26")
	return goOn
}

// leavesAs is a subscriber's packet from outside.
func (x *explainer) leavesAs() string {
	if x.drawn != nil {
		return "one of " + x.drawn.String()
	}
	return endpoint(x.outside)
}

// session decides about the session of a subscriber's packet, and keeps what
// its packets leave from.
func (x *explainer) session(wish uint16) outcome {
	p := &x.p
	tuple, ok := insideView(p)
	if !ok {
		return dropped(drop.ProtocolUnsupported)
	}
	hints := lsn.Hints{TCPFlags: p.TCPFlags, Bytes: len(p.Bytes()), Port: wish, Served: p.course != strange}
	plan, why := x.r.lsn.DecideOut(tuple, hints, p.now)
	if why != drop.None {
		if plan.Group == nil { // it came to none of its rules
			plan.Group, _ = x.r.lsn.Client(p.Src)
		}
		x.fate.Told = x.refusalTold(plan.Group, why)
		x.sayOf(groupObject(plan.Group), withoutStop(why.Info().Means), why.Info().Rule)
		return dropped(why)
	}
	of, rule := groupObject(plan.Group), "R14, R19"
	switch {
	case plan.Session != 0:
		x.outside = plan.Outside
		x.sayOf(of, fmt.Sprintf("session %d", plan.Session), rule)
	case plan.Mapping != 0:
		x.outside = plan.Outside
		x.sayOf(of, fmt.Sprintf("a session would be made on mapping %d", plan.Mapping), rule)
	default:
		x.wouldMap(&plan)
		x.sayOf(of, "a mapping would be made"+x.profiled(&plan), rule)
	}
	return goOn
}

// wouldMap keeps what a new mapping would be drawn from.
func (x *explainer) wouldMap(plan *lsn.OutPlan) {
	x.outside = frame.Endpoint{Addr: plan.Addresses[0], Port: plan.Ports.First}
	if len(plan.Addresses) > 1 || plan.Ports.First != plan.Ports.Last {
		x.drawn = &Drawn{Addresses: plan.Addresses, First: plan.Ports.First, Last: plan.Ports.Last}
	}
}

// profiled names the application profile that decides, if it has a name.
func (x *explainer) profiled(plan *lsn.OutPlan) string {
	if plan.Profile == nil || plan.Profile.Name == "" {
		return ""
	}
	return ", by application profile " + plan.Profile.Name
}

// refusalTold is what refuse tells a subscriber who has come to a limit.
func (x *explainer) refusalTold(g *lsn.Group, why drop.Reason) string {
	if g == nil || !lsn.Refusing(why) || !x.r.answerable(&x.p) {
		return ""
	}
	switch g.OnRefusal {
	case lsn.RefuseProhibited:
		return "ICMP 3/13 (prohibited)"
	case lsn.RefuseSilently:
		return ""
	}
	return "ICMP 3/1 (host unreachable)"
}

// espIn is that step without counting or binding.
func (x *explainer) espIn(step) outcome {
	p := &x.p
	if p.Proto != frame.ProtoESP || !x.r.lsn.Owns(p.Dst) {
		return goOn
	}
	if inside, own := x.r.lsn.OwnerOf(p.Dst, p.Src); own {
		p.SetDestination(inside, 0)
		x.sayOf(Object{}, "the NAT address is one subscriber's alone: its destination becomes "+inside.String(), "R27")
		return accept
	}
	res := x.r.alg.DecideESP(&ipsec.ESPPacket{
		Dir: alg.Out2In, NAT: p.Dst, Server: p.Src, SPI: p.SPI, Seq: p.Seq, Len: len(p.Bytes()),
	}, p.now)
	if o := x.algSays(res, Object{}); o.verdict != Continue {
		return o
	}
	p.SetDestination(res.Inside, 0)
	x.sayOf(x.algProfile(res.Inside), "SPI "+x.spi()+": "+because(res.Why, "its session is known")+"; its destination becomes "+res.Inside.String(), "R62")
	return accept
}

func (x *explainer) spi() string { return fmt.Sprintf("%08x", x.p.SPI) }

// because is a reason, or what is meant without one.
func because(why, otherwise string) string {
	if why == "" {
		return otherwise
	}
	return why
}

// algProfile is the ALG profile of a subscriber's group.
func (x *explainer) algProfile(inside frame.Addr) Object {
	g, _ := x.r.lsn.Client(inside)
	if profile := x.r.profile(g); profile != nil {
		return Object{ObjectALGProfile, profile.Name}
	}
	return Object{}
}

// algSays makes an outcome of what the ALG decides; of what passes it says
// nothing.
func (x *explainer) algSays(res ipsec.Result, of Object) outcome {
	switch res.Verdict {
	case alg.Forward:
		return goOn
	case alg.Hold:
		x.sayOf(of, "the IPsec ALG holds it: "+res.Why, "R58")
		return held
	}
	x.sayOf(of, "the IPsec ALG drops it: "+because(res.Why, withoutStop(res.Reason.Info().Means)), res.Reason.Info().Rule)
	return dropped(res.Reason)
}

// out2in is that step without a session being made or told.
func (x *explainer) out2in(step) outcome {
	p := &x.p
	if !x.r.lsn.Owns(p.Dst) {
		return goOn
	}
	if x.mirror {
		p.SetDestination(x.inside.Addr, x.inside.Port)
		x.fate.Drawn = nil
		x.say("its identifier is that of its own mapping: the ping comes back to its sender", "R26")
		return accept
	}
	outside, remote, ok := outsideView(p)
	if !ok {
		return dropped(drop.ProtocolUnsupported)
	}
	plan, why := x.r.decideIn(p, outside, remote, lsn.Hints{TCPFlags: p.TCPFlags, Bytes: len(p.Bytes())})
	if why != drop.None {
		x.sayOf(groupObject(plan.Group), withoutStop(why.Info().Means), why.Info().Rule)
		return dropped(why)
	}
	nat, own := x.r.lsn.OneToOne(plan.Inside.Addr, remote.Addr)
	c := alg.Conn{Session: plan.Session, Mapping: plan.Mapping, Proto: plan.Proto, Inside: plan.Inside, Outside: plan.Outside, Remote: remote}
	if !x.r.turned(p) {
		if o := x.helped(plan.Group, &c, alg.Out2In, !own || nat != plan.Outside.Addr); o.verdict != Continue {
			return o
		}
	}
	what := fmt.Sprintf("session %d", plan.Session)
	switch {
	case plan.Session != 0:
	case plan.Mapping != 0:
		what = fmt.Sprintf("mapping %d lets this remote in, a session would be made", plan.Mapping)
	default:
		what = "a static mapping lets it in, a session would be made"
	}
	p.SetDestination(plan.Inside.Addr, plan.Inside.Port)
	x.sayOf(groupObject(plan.Group), what+": its destination becomes "+endpoint(plan.Inside), "R19, R27")
	return accept
}

// helped decides what the helper of a connection would do with its packet. IKE's
// says so; those that read texts let pass what has none.
func (x *explainer) helped(g *lsn.Group, c *alg.Conn, dir alg.Direction, ike bool) outcome {
	h := x.r.helpers.watcher(g, c, ike)
	if h != nil && x.p.Proto == frame.ProtoTCP && !x.p.sumValid() {
		x.sayOf(groupObject(g), "a helper of the group's has to read it, and its checksum is wrong", drop.ALGChecksum.Info().Rule)
		return dropped(drop.ALGChecksum)
	}
	switch h {
	case nil:
		return goOn
	case x.r.helpers.ike:
		return x.decideIKE(c, dir)
	case x.r.helpers.ftp:
		x.sayOf(groupObject(g), "the FTP helper reads it", "")
	case x.r.helpers.tftp:
		x.sayOf(groupObject(g), "the TFTP helper reads it", "")
	}
	return goOn
}

func (x *explainer) decideIKE(c *alg.Conn, dir alg.Direction) outcome {
	group, _ := x.r.lsn.Client(c.Inside.Addr)
	profile := x.r.profile(group)
	if profile == nil {
		return goOn
	}
	res := x.r.alg.DecideIKE(&ipsec.IKEPacket{
		Dir: dir, Profile: profile, Inside: c.Inside.Addr, NAT: c.Outside.Addr, Server: c.Remote.Addr,
		InsidePort: c.Inside.Port, NATPort: c.Outside.Port, ServerPort: c.Remote.Port,
		Mapping: c.Mapping, Payload: datagram(x.p.Transport()), Packet: x.p.Bytes(), In: x.p.in,
	}, x.p.now)
	of := Object{ObjectALGProfile, profile.Name}
	if o := x.algSays(res, of); o.verdict != Continue {
		return o
	}
	x.sayOf(of, "the IPsec ALG lets it pass: "+because(res.Why, "it is IKE"), "R36")
	return goOn
}

// espOut is that step without counting or binding.
func (x *explainer) espOut(step) outcome {
	p := &x.p
	if p.Proto != frame.ProtoESP {
		return goOn
	}
	if nat, own := x.r.lsn.OneToOne(p.Src, p.Dst); own {
		x.outside = frame.Endpoint{Addr: nat}
		x.say("the subscriber has a NAT address of its own: no gate is needed", "R27")
		return accept
	}
	group, _ := x.r.lsn.Client(p.Src)
	profile := x.r.profile(group)
	if _, bound := x.r.alg.NATOfOutbound(p.Src, p.Dst, p.SPI); profile == nil && !bound {
		x.sayOf(groupObject(group), "the group has no IPsec ALG", "R35")
		return dropped(drop.ProtocolUnsupported)
	}
	e, ok := x.r.espFromInside(p)
	if !ok {
		return dropped(drop.ESPNoNATAddress)
	}
	e.Profile = profile
	res := x.r.alg.DecideESP(&e, p.now)
	if o := x.algSays(res, x.algProfile(p.Src)); o.verdict != Continue {
		if o.verdict == Dropped {
			x.fate.Told = x.refusalTold(group, o.reason)
		}
		return o
	}
	x.outside = frame.Endpoint{Addr: res.NAT}
	x.sayOf(x.algProfile(p.Src), "SPI "+x.spi()+": "+because(res.Why, "its session is known"), "R37")
	return accept
}

// in2out is that step without a mapping being made.
func (x *explainer) in2out(step) outcome {
	p := &x.p
	if o := x.session(x.r.wishedPort(p)); o.verdict != Continue {
		return o
	}
	tuple, _ := insideView(p)
	group, _ := x.r.lsn.Client(p.Src)
	nat, own := x.r.lsn.OneToOne(p.Src, p.Dst)
	c := alg.Conn{Proto: p.Proto, Inside: tuple.Inside, Outside: x.outside, Remote: tuple.Remote}
	if b, ok := x.r.lsn.FindOut(tuple); ok {
		c.Session, c.Mapping = b.Session, b.Mapping
	}
	return x.helped(group, &c, alg.In2Out, !own || nat != x.outside.Addr)
}

// source is that step for what forward has decided about.
func (x *explainer) source(step) outcome {
	if x.r.turned(&x.p) || !x.r.leaving(&x.p) {
		return goOn
	}
	if x.outside.Addr.IsZero() {
		return dropped(drop.NoMapping)
	}
	group, _ := x.r.lsn.Client(x.p.Src)
	x.leaveFrom(x.outside, groupObject(group), "R14")
	return goOn
}
