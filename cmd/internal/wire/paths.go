package wire

import (
	"cmp"
	"net"
	"slices"

	"spigate/cmd/internal/control"
	"spigate/netstack"
	"spigate/netstack/frame"
)

// Routes implements control.Paths.
func (v *views) Routes() (out []control.Route) {
	for _, r := range v.chassis.Routers() {
		for _, route := range r.RouteTable() {
			row := control.Route{Destination: route.To.String(), Type: route.Kind, Out: v.chassis.InterfaceName(route.Out), TD: r.Domain()}
			if route.Via.IsValid() {
				via := route.Via.String()
				row.Via = &via
			}
			out = append(out, row)
		}
	}
	return out
}

// ARP implements control.Paths.
func (v *views) ARP() (out []control.Neighbor) {
	for _, r := range v.chassis.Routers() {
		near := r.Neighbors()
		slices.SortFunc(near, func(a, b netstack.NeighborInfo) int {
			return cmp.Or(cmp.Compare(a.In, b.In), a.Addr.Compare(b.Addr))
		})
		for _, n := range near {
			row := control.Neighbor{Address: n.Addr.String(), VLAN: v.chassis.InterfaceName(n.In), State: n.State,
				Since: control.Seconds(n.Since.Seconds()), TD: r.Domain()}
			if n.MAC != (frame.MAC{}) {
				mac := net.HardwareAddr(n.MAC[:]).String()
				row.MAC = &mac
			}
			out = append(out, row)
		}
	}
	return out
}
