package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// report tells the sender of a packet that it did not get through, as the stack
// would: with the packet as it stands here, after any rewriting. So the error
// walks the steps of what the stack says. Of codeTooLong mtu is what would have
// fit (VR35, Q18).
func (r *Router) report(code uint8, mtu uint16, about []byte, now int64) {
	p, put := r.borrow()
	defer put()
	if p.Parse(about) != drop.None || !r.answerable(p) || !r.stack.AllowICMPMessage() {
		return
	}
	b := unreachable(code, mtu, p.Src, about, mostQuoted)
	if p.Parse(b) != drop.None {
		return
	}
	p.now = now
	o := r.icmpSelf(p)
	if o.verdict == Continue {
		var from frame.Addr
		if p.out, from = r.facing(p.Dst); p.out == 0 {
			return
		}
		p.SetSource(from, 0)
		o = r.discreet(p)
	}
	if o.verdict == Dropped {
		r.drops.Count(o.reason, b, now)
		return
	}
	r.originate(b)
}

// facing is the interface that leads to a host, and our address there; 0 if there
// is no way.
func (r *Router) facing(to frame.Addr) (frame.Interface, frame.Addr) {
	route, err := r.stack.FindRoute(0, tcpip.Address{}, tcpip.AddrFrom4(to), ipv4.ProtocolNumber, false)
	if err != nil {
		return 0, frame.Addr{}
	}
	defer route.Release()
	return frame.Interface(route.NICID()), route.LocalAddress().As4()
}
