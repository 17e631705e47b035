package netstack

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// homeward sends an answer of the stack by the route to whoever asked. The
// stack itself answers on the interface that has the address that was asked:
// a subscriber that pings our outside address would be answered on the
// outside, with its inside address for all to see.
func (r *Router) homeward(p *packet) outcome {
	dst := tcpip.AddrFrom4(p.Dst)
	if p.route.IsOutboundBroadcast() || p.Dst[0] >= 224 {
		return goOn
	}
	route, err := r.stack.FindRoute(0, tcpip.Address{}, dst, ipv4.ProtocolNumber, false)
	if err != nil {
		return goOn // the stack's own route is the better one
	}
	defer route.Release()
	if route.NICID() == p.route.NICID() {
		return goOn
	}
	p.out = frame.Interface(route.NICID())
	if o := r.discreet(p); o.verdict != Continue {
		return o
	}
	r.leave(route, p.Bytes(), p.demands, p.watched)
	return sent
}

// originate sends a packet of our own making by the route to its destination,
// unless that is ourselves. What cannot be sent is not: nobody is there to be
// told.
func (r *Router) originate(b []byte) {
	to := tcpip.AddrFrom4(frame.Addr(b[16:20]))
	route, err := r.stack.FindRoute(0, tcpip.Address{}, to, ipv4.ProtocolNumber, false)
	if err != nil {
		return
	}
	defer route.Release()
	if route.Loop()&stack.PacketLoop == 0 {
		r.leave(route, b, false, 0)
	}
}

// leave lets a packet that is no more the stack's go its last steps: into a
// tunnel, or by a route. demands says that it must not leave in clear; watched is
// what it is known by.
func (r *Router) leave(route *stack.Route, b []byte, demands bool, watched uint32) {
	if demands || r.ends.Load() != nil {
		p, put := r.borrow()
		defer put()
		p.out, p.demands, p.now, p.watched = frame.Interface(route.NICID()), demands, r.now(), watched
		if p.Parse(b) == drop.None {
			o := r.protect(p)
			if o.verdict == Dropped {
				r.drops.CountOf(p.dropped(o.reason, b))
			}
			if o.verdict != Continue {
				return
			}
		}
	}
	leaveBy(route, b, watched)
}

// leaveBy hands a copy of a whole packet to a route.
func leaveBy(route *stack.Route, b []byte, watched uint32) {
	pk := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: int(route.MaxHeaderLength()), Payload: buffer.MakeWithData(b),
	})
	defer pk.DecRef()
	pk.Mark = watched
	// A failure is in the stack's own counters (stack_send_failed).
	_ = route.WriteHeaderIncludedPacket(pk)
}
