package netstack

import (
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/frame"
)

// Where packets go next: the routing table and the neighbours, as an operator
// looks at them. All of it is safe for concurrent use.

// RouteInfo is a row of the routing table.
type RouteInfo struct {
	To   netip.Prefix
	Via  netip.Addr      // the next hop; not valid: whoever it is for is there, or a tunnel is
	Out  frame.Interface // a VLAN or a tunnel
	Kind string          // one of the words below
}

// Kinds of routes.
const (
	RouteConnected = "connected" // a network that one of our addresses is in
	RouteStatic    = "static"    // of the configuration, by a next hop
	RouteTunnel    = "tunnel"    // of the configuration, into a tunnel
)

// RouteTable returns the routes, the longest prefix first: of those that hold an
// address, the first one counts.
func (r *Router) RouteTable() []RouteInfo {
	var out []RouteInfo
	for _, route := range r.stack.GetRouteTable() {
		id := route.Destination.ID()
		row := RouteInfo{
			To:  netip.PrefixFrom(netip.AddrFrom4(id.As4()), route.Destination.Prefix()),
			Out: frame.Interface(route.NIC), Kind: RouteConnected,
		}
		switch {
		case route.Gateway.Len() == 4:
			row.Via, row.Kind = netip.AddrFrom4(route.Gateway.As4()), RouteStatic
		case r.tunnelNIC(row.Out) != nil && !r.isConnected(row.To, row.Out):
			row.Kind = RouteTunnel
		}
		out = append(out, row)
	}
	return out
}

// isConnected reports whether one of an interface's addresses is in this network.
func (r *Router) isConnected(to netip.Prefix, nic frame.Interface) bool {
	for _, n := range r.connected {
		if n.subnet == to && n.nic == nic {
			return true
		}
	}
	return false
}

// NeighborInfo is a host on a VLAN, as ARP knows it.
type NeighborInfo struct {
	Addr  netip.Addr
	MAC   frame.MAC // zero: it has not answered
	In    frame.Interface
	State string        // RFC 4861 section 7.3.2, in lower case
	Since time.Duration // how long it has been in that state
}

// Neighbors returns the hosts that ARP has asked or heard of. The stack keeps no
// more than 512 for each interface.
func (r *Router) Neighbors() []NeighborInfo {
	var out []NeighborInfo
	now := r.clock.NowMonotonic()
	for _, i := range r.links {
		entries, err := r.stack.Neighbors(tcpip.NICID(i.ID()), ipv4.ProtocolNumber)
		if err != nil {
			continue // an interface without ARP has no neighbours
		}
		for _, e := range entries {
			if e.Addr.Len() != 4 {
				continue
			}
			row := NeighborInfo{Addr: netip.AddrFrom4(e.Addr.As4()), In: i.ID(), State: neighborState(e.State), Since: max(0, now.Sub(e.UpdatedAt))}
			if len(e.LinkAddr) == len(row.MAC) {
				row.MAC = frame.MAC([]byte(e.LinkAddr))
			}
			out = append(out, row)
		}
	}
	return out
}

func neighborState(s stack.NeighborState) string {
	return map[stack.NeighborState]string{
		stack.Unknown: "unknown", stack.Incomplete: "incomplete", stack.Reachable: "reachable", stack.Stale: "stale",
		stack.Delay: "delay", stack.Probe: "probe", stack.Static: "static", stack.Unreachable: "unreachable",
	}[s]
}
