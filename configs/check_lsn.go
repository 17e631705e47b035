package configs

import (
	"net/netip"
	"slices"
	"sort"
)

// checkLSN resolves the names in groups and compares pools, clients and groups.
func (r *reader) checkLSN(w *raw) {
	for _, g := range w.LSN.Groups {
		r.linkGroup(w, g)
	}
	r.checkDomains(w)
	r.checkPools(w)
	r.checkClients(w)
	bound := map[*Client]string{}
	for _, p := range w.LSN.Apps {
		r.linkAttributes(w, p)
	}
	r.checkAlloc(w)
	applyPresets(w)
	for _, g := range w.LSN.Groups {
		if g.Client != nil {
			if other, twice := bound[g.Client]; twice {
				r.fault(keyAt("lsn", "group", g.Name, "client"), "%s is already bound to %s: a client has one group",
					label("lsn", "client", g.Client.Name), label("lsn", "group", other))
			}
			bound[g.Client] = g.Name
		}
		r.checkApps(g)
		r.checkTransports(g)
		r.checkALG(g, w.refs[g])
	}
}

// checkPools: a NAT address belongs to one pool, once, and is nobody else's.
func (r *reader) checkPools(w *raw) {
	var blocks []block
	for _, p := range w.LSN.Pools {
		for i, g := range p.Ranges {
			if !g.From.IsValid() {
				continue
			}
			at := keyAt("lsn", "pool", p.Name, "addresses").of(i)
			blocks = append(blocks, block{p.Domain, g.From, g.To, at, label("lsn", "pool", p.Name), g.String()})
		}
	}
	for _, v := range w.VLANs {
		for _, a := range v.Addresses {
			r.checkOwn(a.Addr(), v.Domain, label("vlan", v.Name), blocks)
		}
	}
	for _, t := range w.Tunnels {
		for _, a := range t.Addresses {
			r.checkOwn(a.Addr(), t.Domain, label("net", "tunnel", t.Name), blocks)
		}
	}
	clashes(blocks, func(b, earlier block) {
		r.fault(b.at, "%s overlaps %s of %s: a NAT address belongs to one pool, once", b.text, earlier.text, earlier.owner)
	})
}

// checkOwn refuses blocks that hold an address of the router itself.
func (r *reader) checkOwn(a netip.Addr, domain uint16, where string, blocks []block) {
	for _, b := range blocks {
		if a.IsValid() && b.domain == domain && !a.Less(b.from) && !b.to.Less(a) {
			r.fault(b.at, "%s is the router's own address on %s", a, where)
		}
	}
}

// checkClients: one network has one client in a traffic domain. A network
// inside another one is legal, because the longest match decides (R13), but
// rarely meant.
func (r *reader) checkClients(w *raw) {
	type network struct {
		domain uint16
		prefix netip.Prefix
	}
	owners := map[network]string{}
	var blocks []block
	for _, c := range w.LSN.Clients {
		for i, p := range c.Networks {
			if !p.IsValid() {
				continue
			}
			at := keyAt("lsn", "client", c.Name, "networks").of(i)
			if other, twice := owners[network{c.Domain, p}]; twice {
				r.fault(at, "%s is already a network of %s", p, label("lsn", "client", other))
				continue
			}
			owners[network{c.Domain, p}] = c.Name
			from, to := bounds(p)
			blocks = append(blocks, block{c.Domain, from, to, at, label("lsn", "client", c.Name), p.String()})
		}
	}
	// Of two that begin together the longer network comes first, so that the
	// warning stands at the one inside.
	sort.SliceStable(blocks, func(i, j int) bool { return blocks[j].to.Less(blocks[i].to) })
	clashes(blocks, func(b, earlier block) {
		r.warn(b.at, "%s lies inside %s of %s: the longer prefix decides (rule R13)", b.text, earlier.text, earlier.owner)
	})
}

// resolve finds the object that a group names, or reports the missing table.
func resolve[T any](r *reader, at spot, name string, all []*T, nameOf func(*T) string, path ...string) *T {
	if name == "" {
		return nil
	}
	for _, o := range all {
		if nameOf(o) == name {
			return o
		}
	}
	known := make([]string, len(all))
	for i, o := range all {
		known[i] = nameOf(o)
	}
	r.missing(at, name, known, path...)
	return nil
}

// resolveAll is resolve for a list, in which a name may stand once.
func resolveAll[T any](r *reader, at spot, names []string, all []*T, nameOf func(*T) string, path ...string) []*T {
	var out []*T
	for i, name := range names {
		if slices.Contains(names[:i], name) && name != "" {
			r.fault(at.of(i), "%q is in the list twice", name)
			continue
		}
		if o := resolve(r, at.of(i), name, all, nameOf, path...); o != nil {
			out = append(out, o)
		}
	}
	return out
}

// maxPoolsOfGroup is NetScaler's (section 1.1).
const maxPoolsOfGroup = 16

func (r *reader) linkGroup(w *raw, g *Group) {
	at := func(key string) spot { return keyAt("lsn", "group", g.Name, key) }
	refs := w.refs[g]
	g.Client = resolve(r, at("client"), refs.client, w.LSN.Clients,
		func(c *Client) string { return c.Name }, "lsn", "client")
	g.Pools = resolveAll(r, at("pools"), refs.pools, w.LSN.Pools,
		func(p *Pool) string { return p.Name }, "lsn", "pool")
	g.Apps = resolveAll(r, at("apps_profiles"), refs.apps, w.LSN.Apps,
		func(p *AppsProfile) string { return p.Name }, "lsn", "appsprofile")
	refs.unknownApps = len(g.Apps) < len(refs.apps)
	w.refs[g] = refs
	g.Transports = resolveAll(r, at("transport_profiles"), refs.transports, w.LSN.Transports,
		func(p *TransportProfile) string { return p.Name }, "lsn", "transportprofile")
	g.ALG = resolve(r, at("ipsecalg_profile"), refs.alg, w.ALG,
		func(p *ALGProfile) string { return p.Name }, "ipsecalg", "profile")
	if n := len(refs.pools); n > maxPoolsOfGroup {
		r.fault(at("pools"), "%d pools: a group has at most %d", n, maxPoolsOfGroup)
	}
}

// linkAttributes resolves the attributes that a profile names.
func (r *reader) linkAttributes(w *raw, p *AppsProfile) {
	at := keyAt("lsn", "appsprofile", p.Name, "appsattributes")
	p.Attributes = resolveAll(r, at, w.attributes[p], w.LSN.Attributes,
		func(a *Attributes) string { return a.Name }, "lsn", "appsattributes")
	for _, a := range p.Attributes {
		if a.Protocol != p.Protocol && a.Protocol != 0 && p.Protocol != 0 {
			r.fault(at, "%s is for %s, the profile for %s", label("lsn", "appsattributes", a.Name), a.Protocol, p.Protocol)
		}
	}
}

// AppsProfileFor returns the profile that a group applies to a destination
// port: the one with the narrowest range that holds it. nil means that none
// does and that NetScaler's defaults apply: RANDOM, APDM, APDF. port does not
// matter for ICMP.
func (g *Group) AppsProfileFor(proto Protocol, port uint16) *AppsProfile {
	var best *AppsProfile
	least := 1 << 17
	for _, p := range g.Apps {
		if p.Protocol != proto {
			continue
		}
		for _, ports := range p.destinations() {
			if (ports.First <= port && port <= ports.Last || proto == ProtocolICMP) && ports.width() < least {
				best, least = p, ports.width()
			}
		}
	}
	return best
}

// destinations returns the profile's ports; none means every port.
func (p *AppsProfile) destinations() []PortRange {
	if len(p.Ports) == 0 {
		return []PortRange{{0, 65535}}
	}
	return p.Ports
}

// checkApps refuses two profiles of one group that are equally specific for a
// port: nobody could say which applies.
func (r *reader) checkApps(g *Group) {
	for i, p := range g.Apps {
		for _, before := range g.Apps[:i] {
			if p.Protocol == before.Protocol && ambiguous(p, before) {
				r.fault(keyAt("lsn", "group", g.Name, "apps_profiles"), "%q and %q apply to the same %s ports, and neither is more specific",
					before.Name, p.Name, p.Protocol)
			}
		}
	}
}

func ambiguous(p, q *AppsProfile) bool {
	for _, a := range p.destinations() {
		for _, b := range q.destinations() {
			if a.width() == b.width() && a.overlaps(b) {
				return true
			}
		}
	}
	return false
}

func (r *reader) checkTransports(g *Group) {
	for i, p := range g.Transports {
		for _, before := range g.Transports[:i] {
			if p.Protocol == before.Protocol && p.Protocol != 0 {
				r.fault(keyAt("lsn", "group", g.Name, "transport_profiles"), "%q and %q are both for %s: a group has one profile for each protocol",
					before.Name, p.Name, p.Protocol)
			}
		}
	}
}

// checkALG holds R5: without address-paired pooling two IKE sessions of one
// client could leave from two addresses, and its ESP could follow only one. R8
// is the same for clients that float to port 4500, where it may still work.
func (r *reader) checkALG(g *Group, refs groupRefs) {
	if refs.alg == "" || refs.unknownApps {
		return // no ALG, or a profile is missing: its fault says enough
	}
	for _, p := range g.Apps {
		if r.faultBelow(keyAt("lsn", "appsprofile", p.Name).String()) {
			return // what the profile says is not known
		}
	}
	at := keyAt("lsn", "group", g.Name, "ipsecalg_profile")
	if why := notPaired(g, 500); why != "" {
		r.fault(at, "rule R5, code 3520: IP pool pair is not enabled (%s)", why)
	}
	if why := notPaired(g, 4500); why != "" {
		r.warn(at, "clients that float to UDP port 4500 may change their NAT address there (rule R8): %s", why)
	}
}

// notPaired says why a UDP port is not address-paired, or "".
func notPaired(g *Group, port uint16) string {
	if g.Type == NATDeterministic {
		return "" // computed: a subscriber has one address
	}
	p := g.AppsProfileFor(ProtocolUDP, port)
	ports := PortRange{port, port}
	switch {
	case p == nil:
		return "no apps profile is for UDP port " + ports.String() + ", and the default is RANDOM"
	case p.Pooling != PoolingPaired:
		return label("lsn", "appsprofile", p.Name) + " is for UDP port " + ports.String() + " and has ip_pooling RANDOM"
	}
	return ""
}
