package configs

import (
	"net/netip"
	"slices"
)

// checkLTM resolves the names in [ltm.…] and compares its objects with each
// other and with the rest. What vserver would refuse must be refused here.
func (r *reader) checkLTM(w *raw) {
	for _, v := range w.LTM.Virtuals {
		r.linkVirtual(w, v)
	}
	for _, n := range w.LTM.NATs {
		r.checkHome(w, "nat", n.Name, n.Domain, &n.VLANs)
	}
	for _, s := range w.LTM.SNATs {
		r.checkHome(w, "snat", s.Name, s.Domain, &s.VLANs)
		s.Pool = r.snatPool(w, s)
	}
	r.checkRanks(w)
	r.checkDestinations(w)
	r.checkNATs(w)
	r.checkTranslations(w)
	r.checkOrigins(w)
	r.warnGroups(w)
}

func (r *reader) linkVirtual(w *raw, v *Virtual) {
	r.checkHome(w, "virtual", v.Name, v.Domain, &v.VLANs)
	v.Profile = r.profileOf(w, v)
	v.SNATPool = r.snatPool(w, v)
	ref := w.ltm.group[v]
	v.LSNGroup = resolve(r, ref.at, ref.name, w.LSN.Groups, func(g *Group) string { return g.Name }, "lsn", "group")
	if g := v.LSNGroup; g != nil && g.Client != nil && g.Client.Domain != v.Domain {
		r.fault(ref.at, "%s is in traffic domain %d, the server in %d: nothing is routed between domains",
			label("lsn", "group", g.Name), g.Client.Domain, v.Domain)
	}
}

// profileOf finds a server's profile: the file's, or that of table 2.2.
func (r *reader) profileOf(w *raw, v *Virtual) *FastL4 {
	ref, names := w.ltm.profile[v], []string{DefaultFastL4}
	for _, p := range w.LTM.FastL4s {
		if p.Name == ref.name {
			return p
		}
		names = append(names, p.Name)
	}
	if ref.name != DefaultFastL4 && ref.name != "" {
		r.missing(ref.at, ref.name, names, "ltm", "profile", "fastl4")
	}
	p := builtinFastL4()
	return &p
}

func (r *reader) snatPool(w *raw, user any) *SNATPool {
	ref := w.ltm.pool[user]
	return resolve(r, ref.at, ref.name, w.LTM.SNATPools, func(p *SNATPool) string { return p.Name }, "ltm", "snatpool")
}

// checkHome finds the VLANs of an object, which are in its traffic domain.
func (r *reader) checkHome(w *raw, kind, name string, domain uint16, v *VLANList) {
	// A file without any VLAN routes nothing, whatever its objects say.
	if domains := w.Domains(); len(domains) > 0 && !slices.Contains(domains, domain) && !r.faultBelow("vlan") {
		r.fault(keyAt("ltm", kind, name, "traffic_domain"), "no VLAN is in traffic domain %d", domain)
	}
	r.linkList(w, v)
	at := w.ltm.vlans[v]
	for _, one := range v.List {
		if one.Domain != domain {
			r.fault(at, "%s is in traffic domain %d, and this in %d: nothing is routed between domains", label("vlan", one.Name), one.Domain, domain)
		}
	}
	for _, one := range v.Tunnels {
		if one.placed() && one.Domain != domain {
			r.fault(at, "%s is in traffic domain %d, and this in %d: nothing is routed between domains", label("net", "tunnel", one.Name), one.Domain, domain)
		}
	}
}

// linkList finds what a list names: VLANs and tunnels.
func (r *reader) linkList(w *raw, v *VLANList) {
	at, names := w.ltm.vlans[v], w.ltm.lists[v]
	for i, name := range names {
		if slices.Contains(names[:i], name) && name != "" {
			r.fault(at.of(i), "%q is in the list twice", name)
			continue
		}
		if n := slices.IndexFunc(w.Tunnels, func(t *Tunnel) bool { return t.Name == name }); n >= 0 {
			v.Tunnels = append(v.Tunnels, w.Tunnels[n])
			continue
		}
		n := slices.IndexFunc(w.VLANs, func(v *VLAN) bool { return v.Name == name })
		if n < 0 && name != "" {
			r.missing(at.of(i), name, w.interfaces(), "vlan")
		} else if n >= 0 {
			v.List = append(v.List, w.VLANs[n])
		}
	}
}

// interfaces are the names that a list of VLANs may have.
func (w *raw) interfaces() (out []string) {
	for _, v := range w.VLANs {
		out = append(out, v.Name)
	}
	for _, t := range w.Tunnels {
		out = append(out, t.Name)
	}
	return out
}

// overlaps reports whether there is a VLAN on which both listen. Two that name
// what they leave out always have one: other VLANs may come.
func (v *VLANList) overlaps(o *VLANList) bool {
	switch {
	case v.Enabled:
		return slices.ContainsFunc(v.Names(), o.admits)
	case o.Enabled:
		return slices.ContainsFunc(o.Names(), v.admits)
	}
	return true
}

// admits reports whether attempts that come by a VLAN or out of a tunnel are heard.
func (v *VLANList) admits(name string) bool { return slices.Contains(v.Names(), name) == v.Enabled }

// listed tells a listener on named VLANs from one on all (VR7, step 5).
func (v *VLANList) listed() bool { return v.Enabled || len(v.Names()) > 0 }

// checkRanks refuses two servers that are equal in all that VR7 compares, on a
// common VLAN (VR10).
func (r *reader) checkRanks(w *raw) {
	type rank struct {
		domain   uint16
		dst, src netip.Prefix
		port     uint16
		protocol IPProtocol
		listed   bool
	}
	all := map[rank][]*Virtual{}
	for _, v := range w.LTM.Virtuals {
		if !v.Destination.IsValid() || len(v.VLANs.Names()) < len(w.ltm.lists[&v.VLANs]) {
			continue // it has faults enough
		}
		if v.VLANs.Enabled && len(v.VLANs.Names()) == 0 {
			continue // it never matches (Q6)
		}
		k := rank{v.Domain, v.Destination, v.Source, v.Port, v.Protocol, v.VLANs.listed()}
		i := slices.IndexFunc(all[k], func(o *Virtual) bool { return o.VLANs.overlaps(&v.VLANs) })
		if i >= 0 {
			at := keyAt("ltm", "virtual", v.Name)
			at.onKey = true
			r.fault(at, "conflicts with %s: the same destination, source, port and protocol, and a VLAN in common (rule VR10)",
				label("ltm", "virtual", all[k][i].Name))
			continue // others are compared with those that stand
		}
		all[k] = append(all[k], v)
	}
}

// checkDestinations: what is for a NAT address of the LSN never comes to a
// server, and what is for an own address no longer to the router itself.
func (r *reader) checkDestinations(w *raw) {
	for _, v := range w.LTM.Virtuals {
		if !v.Destination.IsValid() || !v.Destination.IsSingleIP() {
			continue
		}
		a, at := v.Destination.Addr(), keyAt("ltm", "virtual", v.Name, "destination")
		if owner := w.translated(a, v.Domain); owner != "" {
			r.fault(at, "%s is a NAT address of %s, which is asked first: this server would never match", a, owner)
		}
		if h := w.connected(a)[v.Domain]; h.own {
			r.warn(at, "%s is the router's own address on %s: what is for the router itself goes to this server, but IKE and ESP%s", a, h, w.endOf(a, v.Domain))
		}
	}
}

// translated says which object of the LSN has an address as its outside, or "".
func (w *raw) translated(a netip.Addr, domain uint16) string {
	for _, p := range w.LSN.Pools {
		if p.Domain == domain && p.holds(a) {
			return label("lsn", "pool", p.Name)
		}
	}
	for _, s := range w.LSN.Statics {
		if s.Domain == domain && s.Outside.Addr == a {
			return label("lsn", "static", s.Name)
		}
	}
	return ""
}

// warnGroups tells of servers that take the flows of subscribers away from
// their group and translate nothing: at the destination of everything a server
// goes first if its source is at least as long as the subscribers' network.
func (r *reader) warnGroups(w *raw) {
	for _, v := range w.LTM.Virtuals {
		if v.Role != RoleForward || v.SourceTranslation != SourceNone || v.Destination != everywhere() || w.natted(v) {
			continue
		}
		for _, g := range w.LSN.Groups {
			if g.Client != nil && g.Client.Domain == v.Domain && slices.ContainsFunc(g.Client.Networks, v.outranks) {
				r.warn(keyAt("ltm", "virtual", v.Name, "source"), "the flows of %s in %s go by this server and leave untranslated: "+
					`say source_address_translation = "lsn" unless that is meant (rule VR3)`, label("lsn", "group", g.Name), v.Source)
			}
		}
	}
}

// outranks reports whether the server has flows of a client's network.
func (v *Virtual) outranks(network netip.Prefix) bool {
	return network.IsValid() && v.Source.Overlaps(network) && v.Source.Bits() >= network.Bits()
}

// natted reports whether all that a server admits is translated by a SNAT or a
// NAT (VR19).
func (w *raw) natted(v *Virtual) bool {
	for _, s := range w.LTM.SNATs {
		for _, p := range s.Origins {
			if s.Domain == v.Domain && p.IsValid() && p.Bits() <= v.Source.Bits() && p.Overlaps(v.Source) {
				return true
			}
		}
	}
	return slices.ContainsFunc(w.LTM.NATs, func(n *NAT) bool {
		return n.Domain == v.Domain && v.Source.IsSingleIP() && v.Source.Addr() == n.Originating
	})
}
