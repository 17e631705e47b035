package netstack

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/frame"
)

// hooks is the Router as the stack sees it (stack.NFTablesInterface). Each
// method returns false to take the packet out of the stack's hands.
type hooks struct{ r *Router }

var _ stack.NFTablesInterface = hooks{}

// CheckPrerouting implements stack.NFTablesInterface.
func (h hooks) CheckPrerouting(pk *stack.PacketBuffer, _ *stack.Route, af stack.AddressFamily) bool {
	return h.r.hook(atPrerouting, pk, nil, af)
}

// CheckInput implements stack.NFTablesInterface. Without an end of a tunnel
// there is nothing to look for.
func (h hooks) CheckInput(pk *stack.PacketBuffer, _ *stack.Route, af stack.AddressFamily) bool {
	return h.r.ends.Load() == nil || h.r.hook(atInput, pk, nil, af)
}

// CheckForward implements stack.NFTablesInterface. route is nil where the
// packet is for an address of another interface of ours: nothing leaves.
func (h hooks) CheckForward(pk *stack.PacketBuffer, route *stack.Route, af stack.AddressFamily) bool {
	if route == nil {
		return true
	}
	return h.r.hook(atForward, pk, route, af)
}

// CheckOutput implements stack.NFTablesInterface. The link claims checksum
// offload so that the stack leaves the checksums of forwarded packets alone
// (it would overwrite payload in fragments); so those of local packets are
// finished here, before IP fragmentation.
func (h hooks) CheckOutput(pk *stack.PacketBuffer, route *stack.Route, af stack.AddressFamily) bool {
	pk.CalculateTransportChecksum()
	return h.r.hook(atOutput, pk, route, af)
}

// CheckPostrouting implements stack.NFTablesInterface. Local packets have
// passed CheckOutput.
func (h hooks) CheckPostrouting(pk *stack.PacketBuffer, route *stack.Route, af stack.AddressFamily) bool {
	if pk.InputNICID == 0 {
		return true
	}
	return h.r.hook(atPostrouting, pk, route, af)
}

// CheckIngress implements stack.NFTablesInterface; the stack never calls it.
func (hooks) CheckIngress(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool { return true }

// CheckEgress implements stack.NFTablesInterface; the stack never calls it.
func (hooks) CheckEgress(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool { return true }

// place is a hook.
type place uint8

const (
	atPrerouting place = iota
	atInput
	atForward
	atPostrouting
	atOutput
)

// The names of walks that are no hooks: behind two of them, and inside of one.
const (
	atEgress     = "egress"
	atFirstPiece = "first piece" // inside of piecesOut: as the whole datagram
)

// String is the name of a hook, as explanations have it.
func (at place) String() string {
	return [...]string{"prerouting", "input", "forward", "postrouting", "output"}[at]
}

func (at place) steps() []step {
	return [...][]step{prerouting, input, forward, postrouting, output}[at]
}

// hook walks one packet through steps and reports whether the stack keeps it.
func (r *Router) hook(at place, pk *stack.PacketBuffer, route *stack.Route, af stack.AddressFamily) bool {
	if af != stack.IP {
		return true
	}
	p, put := r.borrow()
	defer put()
	switch at {
	case atPrerouting, atForward:
		p.recall(pk.Mark)
	case atPostrouting:
		r.kept.leave(pk, p)
	case atInput:
		p.watched = pk.Mark & frame.MarkBits
	}
	on := r.look(at, p, pk, route)
	switch {
	case on && at == atPrerouting:
		pk.Mark = p.mark()
	case on && at == atForward:
		r.kept.keep(pk, p)
	case on && at == atPostrouting:
		pk.Mark = p.watched
	}
	return on
}

// borrow takes a packet out of the pool; put gives it back.
func (r *Router) borrow() (p *packet, put func()) {
	p, _ = r.packets.Get().(*packet)
	if p == nil {
		p = &packet{}
		p.put = func() {
			p.release()
			r.packets.Put(p)
		}
	}
	return p, p.put
}

// look lets a packet walk the steps of a hook.
func (r *Router) look(at place, p *packet, pk *stack.PacketBuffer, route *stack.Route) bool {
	b := p.view(pk)
	behind := 0
	if at == atPrerouting {
		b, behind = p.whole(b)
	}
	p.in, p.route, p.now = frame.Interface(pk.InputNICID), route, r.now()
	p.group = pk.PktType == tcpip.PacketBroadcast || pk.PktType == tcpip.PacketMulticast
	if route != nil {
		p.out = frame.Interface(route.NICID())
	}
	o := fate(p.Parse(b))
	w := r.watching.Load()
	if w != nil {
		w.enters(r, at, p, b)
	}
	if o.verdict == Continue {
		o = r.walk(at.String(), at.steps(), p)
		if w != nil {
			w.walked(at, p, o)
		}
		switch {
		case at == atForward:
			r.passed(p, o)
		case at >= atPostrouting && (o.verdict == Continue || o.verdict == Accept):
			o = r.walk(atEgress, egress, p)
		}
		p.writeBack()
	}
	if w != nil {
		w.leaves(r, at, p, o)
	}
	if behind > 0 && !r.isLocal(p.Dst) { // a socket of ours is not shown it
		pk.Data().AppendView(buffer.NewViewWithData(b[len(b)-behind:]))
	}
	if o.verdict == Dropped {
		r.drops.CountOf(p.dropped(o.reason, b))
	}
	return o.verdict == Continue || o.verdict == Accept
}
