package netstack

import (
	"time"

	"spigate/alg"
	"spigate/alg/ipsec"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// cache prepares this direction of an established flow for the flow table. It
// runs before the source is rewritten: the key is what comes in, the entry what
// goes out.
func (r *Router) cache(p *packet) outcome {
	if p.Fragment || p.unsealed || r.rewritesID(p) {
		return goOn // the fast path takes neither pieces nor what gets an id; and in clear nobody may come out of a tunnel
	}
	p.epoch = r.flows.Epoch() // before looking, so that what ends meanwhile is not inserted
	p.entry, p.fast = r.flowOf(p)
	return goOn
}

// insert offers it to the table, once its next hop is resolved, and now that it
// is known to leave in clear.
func (r *Router) insert(p *packet) outcome {
	if !p.fast {
		return goOn
	}
	if hop, ok := r.hop(p); ok {
		p.entry.Hop = hop
		r.flows.Insert(p.entry, p.epoch, p.now)
	}
	return goOn
}

// flowOf describes the flow that p belongs to; not ok where p is not
// translated, or its flow is not one for the fast path yet.
func (r *Router) flowOf(p *packet) (flow.Entry, bool) {
	if p.admitted || r.leaving(p) {
		e, ok := r.flowOutward(p)
		group, _ := r.lsn.Client(p.Src)
		e.DFOnly = group != nil && group.RewriteID // whoever translates it (R29)
		return e, ok
	}
	if _, client := r.lsn.Client(p.Dst); !client {
		return flow.Entry{}, false
	}
	if _, client := r.lsn.Client(p.Src); client || r.turned(p) {
		return flow.Entry{}, false
	}
	if p.Proto == frame.ProtoESP {
		return r.espFlowIn(p)
	}
	return r.flowIn(p)
}

// flowOutward is the flow of a packet that leaves a subscriber, or of a
// connection's, which may go either way.
func (r *Router) flowOutward(p *packet) (flow.Entry, bool) {
	if p.admitted {
		return r.flowOfConnection(p)
	}
	if p.Proto == frame.ProtoESP {
		return r.espFlowOut(p)
	}
	return r.flowOut(p)
}

func (r *Router) flowOut(p *packet) (flow.Entry, bool) {
	key, ok := flow.KeyOfPacket(&p.Packet, p.in)
	if !ok {
		return flow.Entry{}, false
	}
	tuple, ok := insideView(p)
	if !ok {
		return flow.Entry{}, false
	}
	b, ok := r.lsn.FindOut(tuple)
	e := flow.Entry{
		Key: key, Side: flow.Source, Addr: b.Outside.Addr, Port: b.Outside.Port,
		Owner: r.owner(flow.OwnerLSN, b.Session), Idle: b.Idle,
	}
	return e, ok && b.Established && !r.watched(&b) && r.bindLSN(&e, tuple, p.now)
}

// flowIn sees p with its inside destination already; the key must have the
// outside one.
func (r *Router) flowIn(p *packet) (flow.Entry, bool) {
	key, ok := flow.KeyOfPacket(&p.Packet, p.in)
	if !ok {
		return flow.Entry{}, false
	}
	t := lsn.Tuple{
		Proto:  p.Proto,
		Inside: frame.Endpoint{Addr: p.Dst, Port: p.DstPort},
		Remote: frame.Endpoint{Addr: p.Src, Port: p.SrcPort},
	}
	if p.Proto == frame.ProtoICMP {
		t.Inside.Port = p.ICMPID
	}
	b, ok := r.lsn.FindOut(t)
	key.Dst, key.ID = b.Outside.Addr, flow.PortsID(p.SrcPort, b.Outside.Port)
	if p.Proto == frame.ProtoICMP {
		key.ID = flow.EchoID(b.Outside.Port, p.ICMPType)
	}
	e := flow.Entry{
		Key: key, Side: flow.Destination, Addr: b.Inside.Addr, Port: b.Inside.Port,
		Owner: r.owner(flow.OwnerLSN, b.Session), Idle: b.Idle,
	}
	return e, ok && b.Established && !r.watched(&b) && r.bindLSN(&e, t, p.now)
}

func (r *Router) espFlowOut(p *packet) (flow.Entry, bool) {
	if nat, own := r.lsn.OneToOne(p.Src, p.Dst); own {
		return r.bindESP(r.staticESP(p, flow.Source, p.Src, p.Dst, nat), p.Src, p.Dst, p.now)
	}
	e, ok := r.espFromInside(p)
	if !ok {
		return flow.Entry{}, false
	}
	group, _ := r.lsn.Client(p.Src)
	e.Profile = r.profile(group)
	res := r.alg.DecideESP(&e, p.now)
	if res.Verdict != alg.Forward || !res.Cache {
		return flow.Entry{}, false
	}
	return r.bindESP(flow.Entry{
		Key:  flow.Key{Src: p.Src, Dst: p.Dst, ID: p.SPI, Proto: p.Proto, In: p.in},
		Side: flow.Source, Addr: e.NAT,
		Owner: r.owner(flow.OwnerESP, res.Session), Idle: res.Idle,
	}, p.Src, p.Dst, p.now)
}

func (r *Router) espFlowIn(p *packet) (flow.Entry, bool) {
	if nat, own := r.lsn.OneToOne(p.Dst, p.Src); own && !r.exemptIn(p) {
		return r.bindESP(r.staticESP(p, flow.Destination, p.Src, nat, p.Dst), p.Dst, p.Src, p.now)
	}
	nat, ok := r.alg.NATOfInbound(p.Dst, p.Src, p.SPI)
	if !ok {
		return flow.Entry{}, false
	}
	res := r.alg.DecideESP(&ipsec.ESPPacket{
		Dir: alg.Out2In, NAT: nat, Server: p.Src, SPI: p.SPI, Seq: p.Seq, Len: len(p.Bytes()),
	}, p.now)
	if res.Verdict != alg.Forward || !res.Cache || res.Inside != p.Dst {
		return flow.Entry{}, false
	}
	return r.bindESP(flow.Entry{
		Key:  flow.Key{Src: p.Src, Dst: nat, ID: p.SPI, Proto: p.Proto, In: p.in},
		Side: flow.Destination, Addr: p.Dst,
		Owner: r.owner(flow.OwnerESP, res.Session), Idle: res.Idle,
	}, p.Dst, p.Src, p.now)
}

// staticESP is a flow of ESP at a 1:1 address: it belongs to no session and
// lives by its own traffic (R27). All such flows end with a reload.
func (r *Router) staticESP(p *packet, side flow.Side, src, dst, addr frame.Addr) flow.Entry {
	return flow.Entry{
		Key:  flow.Key{Src: src, Dst: dst, ID: p.SPI, Proto: p.Proto, In: p.in},
		Side: side, Addr: addr, Owner: r.owner(flow.OwnerStatic, 0), Idle: time.Minute,
	}
}

// hop returns the next-hop row for p's route, if the neighbour is resolved;
// if it is not, the packet itself makes the stack resolve it.
func (r *Router) hop(p *packet) (flow.HopID, bool) {
	next := p.route.NextHop()
	if next.Len() == 0 {
		next = p.route.RemoteAddress()
	}
	mac, ok := r.neighbors.mac(neighbor{p.out, next.As4()})
	if !ok {
		return 0, false
	}
	// The route's own MTU is without the IPv4 header.
	out := r.interfaces[p.out]
	return r.flows.Hop(p.out, next.As4(), mac, out.MAC(), int(out.MTU()))
}

// flowActive passes what the flow table reports on to who owns the flow, so that
// fast-path traffic keeps its session alive (R22).
func (r *Router) flowActive(f flow.Report) {
	_, out := r.lsn.Client(f.Key.Src)
	if f.Packets == 0 && f.Owner.Kind != flow.OwnerConn {
		r.countByLSN(&f) // sequence numbers alone (VR17): no packet that would keep a session alive
		return
	}
	switch f.Owner.Kind {
	case flow.OwnerConn:
		r.conns.Active(f.Owner.ID, vserver.KeyOfFlow(f.Key), f.Packets, f.Bytes, f.End, f.Ack, f.Numbered, f.Now)
		return
	case flow.OwnerLSN:
		r.lsn.FlowActive(f.Owner.ID, out, f.Now, f.Packets, f.Bytes)
	case flow.OwnerESP:
		dir := alg.Out2In
		if out {
			dir = alg.In2Out
		}
		r.alg.FlowActive(f.Owner.ID, dir, f.Now, f.Packets, f.Bytes)
	}
	r.countByLSN(&f)
}

// sweepEvery is the granularity of every idle timer (R22).
const sweepEvery = time.Second
