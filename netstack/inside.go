package netstack

import (
	"encoding/binary"
	"net/netip"
	"sort"

	"gvisor.dev/gvisor/pkg/tcpip"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Where an address lives decides what may be believed of a packet, and what it
// may show. The ports have no inside and outside of their own: a subscriber is
// at home on the interface to which the routes lead, and nowhere else.

// path is a row of the routing table in a form that is read without a lock.
type path struct {
	net, mask uint32
	out       frame.Interface
}

// paths returns the stack's routing table without its default routes, the
// longest prefix first.
func paths(table []tcpip.Route) (out []path) {
	for _, route := range table {
		if route.Destination.Prefix() == 0 {
			continue
		}
		mask := ^uint32(0) << (32 - route.Destination.Prefix())
		id := route.Destination.ID()
		out = append(out, path{binary.BigEndian.Uint32(id.AsSlice()) & mask, mask, frame.Interface(route.NIC)})
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].mask > out[j].mask })
	return out
}

// home returns the interface behind which a lives, or 0 if only a default
// route leads there: that way is the outside.
func (r *Router) home(a frame.Addr) frame.Interface {
	n := binary.BigEndian.Uint32(a[:])
	for i := range r.paths {
		if p := &r.paths[i]; n&p.mask == p.net {
			return p.out
		}
	}
	return 0
}

// broadcast returns the subnet's broadcast address; not ok where it has none
// (RFC 3021).
func broadcast(subnet netip.Prefix) (frame.Addr, bool) {
	a := frame.Addr(subnet.Masked().Addr().As4())
	if subnet.Bits() >= 31 {
		return a, false
	}
	n := binary.BigEndian.Uint32(a[:]) | ^uint32(0)>>subnet.Bits()
	binary.BigEndian.PutUint32(a[:], n)
	return a, true
}

// discreet is the last look at a packet that leaves: no interface may show the
// address of a subscriber who does not live there, unless it is exempt. A packet between two
// subscribers shows both, and goes where the second one lives.
func (r *Router) discreet(p *packet) outcome {
	if p.admitted {
		return goOn // its server, NAT or SNAT wants it so
	}
	_, from := r.lsn.Client(p.Src)
	_, to := r.lsn.Client(p.Dst)
	if to && r.home(p.Dst) != p.out || from && !to && r.home(p.Src) != p.out && !r.exemptOut(p) {
		return dropped(drop.InsideAddress)
	}
	return goOn
}
