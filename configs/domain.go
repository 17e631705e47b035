package configs

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Traffic domains: each has a stack of its own, and nothing leads from one to
// another. So whatever must be unique must be so within its domain only.

// maxDomain is the highest traffic domain.
const maxDomain = 4094

// KeepDomain is the Domain of an apps profile that says nothing of it.
const KeepDomain = 65535

// Domains returns the traffic domains that some VLAN is in, in ascending order.
func (c *Config) Domains() []uint16 {
	set := map[uint16]bool{}
	for _, v := range c.VLANs {
		set[v.Domain] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// trafficDomain reads the domain of a VLAN or a client.
func (t *table) trafficDomain() uint16 {
	return uint16(t.whole("traffic_domain", 0, 0, maxDomain))
}

// keptDomain reads the domain of an apps profile. Unset is 65535 in one edition
// of the model and 4095 in another.
func (t *table) keptDomain() uint16 {
	n, ok := get[int64](t, "traffic_domain")
	switch {
	case !ok || n == KeepDomain || n == maxDomain+1:
		return KeepDomain
	case n < 0 || n > maxDomain:
		t.fault(t.at("traffic_domain"), "must be from 0 to %d, or %d to keep the client's, not %d", maxDomain, KeepDomain, n)
		return KeepDomain
	}
	return uint16(n)
}

// unsaid is a route's traffic domain before checkRoutes, if the file has none.
const unsaid = -1

// routeDomain reads the domain of a route, or unsaid.
func (t *table) routeDomain() int {
	if !t.has("traffic_domain") {
		t.known = append(t.known, "traffic_domain")
		return unsaid
	}
	return int(t.trafficDomain())
}

// destination reads where a route leads: it is the table's name, or stands in
// it, so that two domains may both have a route for it.
func (t *table) destination() netip.Prefix {
	_, err := netip.ParseAddr(t.name())
	named := err != nil && !strings.Contains(t.name(), "/")
	if !named && !t.has("to") {
		t.known = append(t.known, "to")
		p, err := parseNetwork(t.name())
		if err != nil {
			at := t.here()
			at.onKey = true
			t.fault(at, "%v", err)
		}
		return p
	}
	if !named {
		t.fault(t.at("to"), "the table is named by its destination already: leave this out, or choose another name")
	} else if why := badName(t.name(), longName); why != "" {
		t.fault(spot{path: t.path, index: -1, onKey: true}, "%s", why)
	} else if !t.has("to") {
		t.fault(t.at("to"), "is missing: a route is named by its destination, or says it here")
	}
	text := t.text("to", "")
	p, err := parseNetwork(text)
	if err != nil && t.has("to") {
		t.fault(t.at("to"), "%v", err)
	}
	return p
}

// checkDomains says in which traffic domain each pool is, and refuses what
// would have to be in two.
func (r *reader) checkDomains(w *raw) {
	domains := w.Domains()
	for _, c := range w.LSN.Clients {
		// A file without any VLAN routes nothing, whatever its clients say.
		if len(domains) > 0 && !slices.Contains(domains, c.Domain) && !r.faultBelow("vlan") {
			r.fault(keyAt("lsn", "client", c.Name, "traffic_domain"), "no VLAN is in traffic domain %d", c.Domain)
		}
	}
	for _, p := range w.LSN.Pools {
		if len(domains) > 0 { // that of a pool that nobody uses
			p.Domain = domains[0]
		}
	}
	user := map[*Pool]*Group{}
	for _, g := range w.LSN.Groups {
		if g.Client != nil {
			r.checkAppsDomain(g)
			r.placePools(g, user)
		}
	}
}

// checkAppsDomain refuses profiles that send to another domain than the
// subscribers are in.
func (r *reader) checkAppsDomain(g *Group) {
	for _, p := range g.Apps {
		if p.Domain != KeepDomain && p.Domain != g.Client.Domain {
			r.fault(keyAt("lsn", "group", g.Name, "apps_profiles"), "%s is for traffic domain %d, and %s is in %d: nothing is routed between domains",
				label("lsn", "appsprofile", p.Name), p.Domain, label("lsn", "client", g.Client.Name), g.Client.Domain)
		}
	}
}

// placePools puts the group's pools into the domain of its client. user has
// the first group of each pool.
func (r *reader) placePools(g *Group, user map[*Pool]*Group) {
	for _, p := range g.Pools {
		if user[p] == nil {
			user[p], p.Domain = g, g.Client.Domain
		}
		if p.Domain != g.Client.Domain {
			r.fault(keyAt("lsn", "group", g.Name, "pools"), "%s is in traffic domain %d because of %s, and %s is in %d: a NAT address is in one domain",
				label("lsn", "pool", p.Name), p.Domain, label("lsn", "group", user[p].Name), label("lsn", "client", g.Client.Name), g.Client.Domain)
		}
	}
}

// home is a network that holds a next hop.
type home struct {
	vlan   *VLAN   // or
	tunnel *Tunnel // the one whose network it is
	own    bool    // the address is ours
}

// String is what holds it, as messages spell it.
func (h home) String() string {
	if h.tunnel != nil {
		return label("net", "tunnel", h.tunnel.Name)
	}
	return label("vlan", h.vlan.Name)
}

// connected returns the VLAN or the tunnel on whose network a is, in each
// traffic domain that has one.
func (c *Config) connected(a netip.Addr) map[uint16]home {
	out := map[uint16]home{}
	add := func(domain uint16, addresses []netip.Prefix, h home) {
		for _, p := range addresses {
			if p.Contains(a) {
				h.own = h.own || out[domain].own || p.Addr() == a
				out[domain] = h
			}
		}
	}
	for _, v := range c.VLANs {
		add(v.Domain, v.Addresses, home{vlan: v})
	}
	for _, t := range c.Tunnels {
		if t.placed() {
			add(t.Domain, t.Addresses, home{tunnel: t})
		}
	}
	return out
}

// way is a destination in a traffic domain: it has one route.
type way struct {
	to     netip.Prefix
	domain uint16
}

// checkRoutes finds where each route leads, and with it the route's domain.
func (r *reader) checkRoutes(w *raw) {
	taken := map[way]string{}
	for i := range w.Routes {
		route := &w.Routes[i]
		if ref := w.ipsec.tunnel[route.Name]; ref.name != "" {
			r.linkTunnel(w, route, ref, w.domainOf[i])
		} else if route.Via.IsValid() && route.Prefix.IsValid() {
			r.linkVia(w, route, w.domainOf[i])
		}
		if !route.Prefix.IsValid() || route.VLAN == nil && (route.Tunnel == nil || !route.Tunnel.placed()) {
			continue
		}
		k := way{route.Prefix, route.Domain()}
		if other, twice := taken[k]; twice {
			r.fault(spot{path: []string{"route", route.Name}, index: -1, onKey: true},
				"%s has a route already: %s", route.Prefix, label("route", other))
		}
		taken[k] = route.Name
	}
}

// linkVia finds the VLAN of a next hop.
func (r *reader) linkVia(w *raw, route *Route, said int) {
	at, homes := keyAt("route", route.Name, "via"), w.connected(route.Via)
	if said != unsaid {
		maps.DeleteFunc(homes, func(d uint16, _ home) bool { return int(d) != said })
	}
	switch {
	case len(homes) == 0 && !r.faultBelow("vlan"):
		r.fault(at, "%s is on no connected network%s", route.Via, ofDomain(said))
	case len(homes) > 1:
		r.fault(at, "%s is on networks of the traffic domains %s: say with traffic_domain which it is", route.Via,
			inWords(slices.Sorted(maps.Keys(homes))))
	}
	if len(homes) != 1 {
		return
	}
	for _, h := range homes {
		if h.own {
			r.fault(at, "%s is the router's own address", route.Via)
		}
		if h.tunnel != nil {
			r.fault(at, "%s is on the network of %s: there are no neighbours in a tunnel; write tunnel = %q instead", route.Via, h, h.tunnel.Name)
		}
		route.VLAN = h.vlan
	}
}

func ofDomain(said int) string {
	if said == unsaid {
		return ""
	}
	return fmt.Sprintf(" of traffic domain %d", said)
}

// inWords prints "1, 2 and 3".
func inWords(n []uint16) string {
	words := make([]string, len(n))
	for i := range n {
		words[i] = fmt.Sprint(n[i])
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
