package netscaler

import (
	"net/netip"
	"strconv"

	"spigate/configs"
	"spigate/configs/dialect"
)

// network lists VLANs, their addresses, and routes. A VLAN without a tag has no
// number of ours: it gets one that no other has.
func (l *lister) network() {
	numbers := map[*configs.VLAN]int{}
	taken := map[int]bool{1: true} // NetScaler's own
	for _, v := range l.VLANs {
		if v.ID != 0 && !taken[int(v.ID)] && v.Switch == nil {
			numbers[v], taken[int(v.ID)] = int(v.ID), true
		}
	}
	next := 2
	for _, v := range l.VLANs {
		switch {
		case v.Switch != nil:
			l.add("vlan", v.Name, "# [vlan.%s] is on [switch.%s]: NetScaler has no switches", v.Name, v.Switch.Name)
		case v.ID != 0 && numbers[v] == 0:
			l.add("vlan", v.Name, "# [vlan.%s]: NetScaler has one VLAN with id %d", v.Name, v.ID)
		case v.ID == 0:
			for ; taken[next]; next++ {
			}
			numbers[v], taken[next] = next, true
		}
	}
	domains := map[uint16]bool{0: true}
	for _, v := range l.VLANs {
		if n := numbers[v]; n > 0 {
			l.vlan(v, n, domains)
		}
	}
	for i := range l.Routes {
		l.route(&l.Routes[i])
	}
}

func (l *lister) vlan(v *configs.VLAN, n int, domains map[uint16]bool) {
	l.add("vlan", v.Name, "add vlan %d -aliasName %s", n, name(v.Name))
	tagged := ""
	if v.ID != 0 {
		tagged = " -tagged"
	}
	l.add("vlan", v.Name, "bind vlan %d -ifnum %s%s", n, name(v.Port.Name), tagged)
	if !domains[v.Domain] {
		domains[v.Domain] = true
		l.add("ns trafficDomain", strconv.Itoa(int(v.Domain)), "add ns trafficDomain %d", v.Domain)
	}
	if v.Domain != 0 {
		l.add("ns trafficDomain", strconv.Itoa(int(v.Domain)), "bind ns trafficDomain %d -vlan %d", v.Domain, n)
	}
	for _, p := range v.Addresses {
		l.add("ns ip", "", "add ns ip %s %s -vServer DISABLED%s", p.Addr(), mask(p), td(v.Domain))
		l.add("vlan", v.Name, "bind vlan %d -IPAddress %s %s", n, p.Addr(), mask(p))
	}
}

func mask(p netip.Prefix) string { return dialect.Mask(p) }

func (l *lister) route(r *configs.Route) {
	if r.Tunnel != nil {
		l.add("route", r.Name, "# [route.%s] leads into [net.tunnel.%s]: NetScaler's tunnels are others", dialect.Key(r.Name), r.Tunnel.Name)
		return
	}
	l.add("route", r.Name, "add route %s %s %s%s", r.Prefix.Addr(), mask(r.Prefix), r.Via, td(r.Domain()))
}
