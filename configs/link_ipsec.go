package configs

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// linkIPsec resolves the names in [net.…], and finds where each policy is: the
// VLAN that has its tunnel_local_address. That VLAN's traffic domain is the one
// of the policy, its selectors and its tunnel.
func (r *reader) linkIPsec(w *raw) {
	for _, q := range w.IPsec.Policies {
		ref := w.ipsec.peer[q]
		q.Peer = resolve(r, ref.at, ref.name, w.IPsec.Peers, func(p *IKEPeer) string { return p.Name }, "net", "ipsec", "peer")
	}
	for _, m := range w.IPsec.Manual {
		m.Policy = r.policyOf(w, m)
	}
	for _, q := range w.IPsec.Policies {
		r.placePolicy(w, q)
	}
	for _, s := range w.IPsec.Selectors {
		s.Policy = r.policyOf(w, s)
		r.placeSelector(w, s)
	}
	for _, t := range w.Tunnels {
		at := keyAt("net", "tunnel", t.Name)
		at.onKey = true
		if t.Policy = r.policyOf(w, t); t.placed() {
			t.Domain = t.Policy.Domain
		}
		if slices.ContainsFunc(w.VLANs, func(v *VLAN) bool { return v.Name == t.Name }) {
			r.fault(at, "%s has the same name: a list of VLANs would mean both", label("vlan", t.Name))
		}
	}
}

func (r *reader) policyOf(w *raw, user any) *IPsecPolicy {
	ref := w.ipsec.policy[user]
	return resolve(r, ref.at, ref.name, w.IPsec.Policies, func(q *IPsecPolicy) string { return q.Name }, "net", "ipsec", "policy")
}

// placed reports whether the traffic domain of the tunnel is known.
func (t *Tunnel) placed() bool { return t.Policy != nil && t.Policy.VLAN != nil }

// manual lists the SAs of a policy that keys are written for.
func (w *raw) manual(q *IPsecPolicy) (out []*ManualSA) {
	for _, m := range w.IPsec.Manual {
		if m.Policy == q {
			out = append(out, m)
		}
	}
	return out
}

// placePolicy fills in the ends that are not written, and finds the VLAN.
func (r *reader) placePolicy(w *raw, q *IPsecPolicy) {
	at := func(key string) spot { return keyAt("net", "ipsec", "policy", q.Name, key) }
	r.placeRemote(w, q)
	said := w.ipsec.domain[q]
	unsure := r.faultBelow("vlan") || r.faultAt(at("tunnel_local_address"))
	switch {
	case q.Local.IsValid() || unsure:
	case q.Mode == ModeTransport && q.Peer == nil:
		r.placeByManual(w, q, said)
		return
	case !q.Remote.IsValid() || q.Remote.IsUnspecified():
		if w.ipsec.peer[q].name == "" || q.Peer != nil && q.Peer.Remote.IsValid() {
			r.fault(at("tunnel_local_address"), "is missing: %s", w.ownAddresses(said))
		}
		return
	default:
		homes := w.reach(q.Remote, said)
		if len(homes) != 1 {
			r.fault(at("tunnel_local_address"), "is missing, and no route to %s says which one is meant: %s", q.Remote, w.ownAddresses(said))
			return
		}
		q.Local = homes[0]
	}
	r.placeAt(w, q, q.Local, said, unsure)
}

// placeRemote checks the far end: a peer has it, or the policy, or both alike.
func (r *reader) placeRemote(w *raw, q *IPsecPolicy) {
	at := keyAt("net", "ipsec", "policy", q.Name, "tunnel_remote_address")
	switch {
	case q.Peer != nil && !q.Remote.IsValid():
		q.Remote = q.Peer.Remote
	case q.Peer != nil && q.Peer.Remote.IsValid() && q.Peer.Remote != q.Remote:
		r.fault(at, "%s is at %s: leave this out, or write the same in both", label("net", "ipsec", "peer", q.Peer.Name), anyOr(q.Peer.Remote))
	case q.Peer == nil && q.Remote.IsValid() && q.Remote.IsUnspecified():
		r.fault(at, "any needs a peer: with manual keys nobody says where the other end is")
	case q.Peer == nil && !q.Remote.IsValid() && q.Mode != ModeTransport && w.ipsec.peer[q].name == "" && !r.faultAt(at):
		r.fault(at, "is missing: mode %s needs the address of the other end", q.Mode)
	}
}

func anyOr(a netip.Addr) string {
	if a.IsUnspecified() {
		return "any address"
	}
	return a.String()
}

// placeAt finds the VLAN with an address.
func (r *reader) placeAt(w *raw, q *IPsecPolicy, a netip.Addr, said int, unsure bool) {
	at := keyAt("net", "ipsec", "policy", q.Name, "tunnel_local_address")
	homes := w.owners(a, said)
	switch {
	case len(homes) == 0 && !unsure:
		why := ""
		if owner := w.standsFor(a); owner != "" {
			why = ", but one that " + owner + " translates to: the router itself has no use of it"
		}
		r.fault(at, "%s is not an address of ours%s: %s", a, why, w.ownAddresses(said))
	case len(homes) > 1:
		r.fault(at, "%s is an address in the traffic domains %s: say with traffic_domain which it is", a, inWords(slices.Sorted(maps.Keys(homes))))
	}
	if len(homes) == 1 {
		for domain, v := range homes {
			q.VLAN, q.Domain = v, domain
		}
	}
}

// standsFor says which object translates to an address, or "".
func (w *raw) standsFor(a netip.Addr) string {
	for _, n := range w.LTM.NATs {
		if n.Translation == a {
			return label("ltm", "nat", n.Name)
		}
	}
	for _, s := range w.LTM.SNATs {
		if s.Translation == a {
			return label("ltm", "snat", s.Name)
		}
	}
	for _, p := range w.LTM.SNATPools {
		if slices.Contains(p.Members, a) {
			return label("ltm", "snatpool", p.Name)
		}
	}
	for _, p := range w.LSN.Pools {
		if p.holds(a) {
			return label("lsn", "pool", p.Name)
		}
	}
	return ""
}

// placeByManual places a policy of transport mode that names no end: its manual
// SAs do.
func (r *reader) placeByManual(w *raw, q *IPsecPolicy, said int) {
	for _, m := range w.manual(q) {
		for _, a := range []netip.Addr{m.Source, m.Destination} {
			if len(w.owners(a, said)) > 0 && q.VLAN == nil {
				r.placeAt(w, q, a, said, false)
			}
		}
	}
}

// owners are the VLANs that have an address of their own, by traffic domain.
func (c *Config) owners(a netip.Addr, said int) map[uint16]*VLAN {
	out := map[uint16]*VLAN{}
	for _, v := range c.VLANs {
		for _, p := range v.Addresses {
			if a.IsValid() && p.Addr() == a && (said == unsaid || int(v.Domain) == said) {
				out[v.Domain] = v
			}
		}
	}
	return out
}

// shownAddresses bounds how many addresses a message lists.
const shownAddresses = 8

// ownAddresses says which VLAN has which address.
func (c *Config) ownAddresses(said int) string {
	var out []string
	for _, v := range c.VLANs {
		for _, p := range v.Addresses {
			if p.IsValid() && (said == unsaid || int(v.Domain) == said) {
				out = append(out, label("vlan", v.Name)+" has "+p.Addr().String())
			}
		}
	}
	switch {
	case len(out) == 0:
		return "no VLAN has an address" + ofDomain(said)
	case len(out) > shownAddresses:
		out = append(out[:shownAddresses], "…")
	}
	return strings.Join(out, ", ")
}

// reach lists our addresses from which packets to a would be sent, one for each
// traffic domain that has a way there: that on the network of the next hop.
func (w *raw) reach(a netip.Addr, said int) (out []netip.Addr) {
	for _, domain := range w.Domains() {
		if said != unsaid && int(domain) != said {
			continue
		}
		if next, _ := w.nextHop(a, domain); next.IsValid() {
			out = append(out, w.facing(next, domain))
		}
	}
	return out
}

// nextHop is where packets to a go: to itself if it is on a connected network,
// to the neighbour of the longest route, or into a tunnel; none, if there is no
// way. Routes need not be linked yet.
func (w *raw) nextHop(a netip.Addr, domain uint16) (next netip.Addr, tunnel string) {
	if _, connected := w.connected(a)[domain]; connected {
		return a, ""
	}
	longest := -1
	for i := range w.Routes {
		route := &w.Routes[i]
		if said := w.domainOf[i]; !route.Prefix.Contains(a) || route.Prefix.Bits() <= longest || said != unsaid && said != int(domain) {
			continue
		}
		into := w.ipsec.tunnel[route.Name].name
		if _, connected := w.connected(route.Via)[domain]; into == "" && !connected {
			continue
		}
		longest, next, tunnel = route.Prefix.Bits(), route.Via, into
	}
	return next, tunnel
}

// facing is our address on the network of a neighbour.
func (w *raw) facing(next netip.Addr, domain uint16) netip.Addr {
	for _, v := range w.VLANs {
		for _, p := range v.Addresses {
			if v.Domain == domain && p.Contains(next) {
				return p.Addr()
			}
		}
	}
	return netip.Addr{}
}

// placeSelector: a selector is where its policy is; one that protects nothing
// says its domain itself.
func (r *reader) placeSelector(w *raw, s *TrafficSelector) {
	said := w.ipsec.domain[s]
	at := keyAt("net", "ipsec", "selector", s.Name, "traffic_domain")
	switch {
	case s.Policy != nil && s.Policy.VLAN != nil:
		if s.Domain = s.Policy.Domain; said != unsaid && said != int(s.Domain) {
			r.fault(at, "%s is in traffic domain %d because of its tunnel_local_address: leave this out", label("net", "ipsec", "policy", s.Policy.Name), s.Domain)
		}
	case s.Action != ActionProtect:
		if said != unsaid {
			s.Domain = uint16(said)
		}
		if domains := w.Domains(); len(domains) > 0 && !slices.Contains(domains, s.Domain) && !r.faultBelow("vlan") {
			r.fault(at, "no VLAN is in traffic domain %d", s.Domain)
		}
	}
}

// linkTunnel finds the tunnel that a route leads into.
func (r *reader) linkTunnel(w *raw, route *Route, ref nameAt, said int) {
	route.Tunnel = resolve(r, ref.at, ref.name, w.Tunnels, func(t *Tunnel) string { return t.Name }, "net", "tunnel")
	if t := route.Tunnel; t != nil && t.placed() && said != unsaid && said != int(t.Domain) {
		r.fault(keyAt("route", route.Name, "traffic_domain"), "%s is in traffic domain %d: leave this out", label("net", "tunnel", t.Name), t.Domain)
	}
}

// faultAt reports whether something was wrong with a value.
func (r *reader) faultAt(at spot) bool {
	return slices.ContainsFunc(r.faults, func(f Fault) bool { return f.Path == at.String() })
}
