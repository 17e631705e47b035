package configs

import (
	"net/netip"
	"slices"
)

// inDomain is an address in a traffic domain.
type inDomain struct {
	domain uint16
	addr   netip.Addr
}

// checkNATs: a NAT's translation address is its own and nobody else's, and an
// originating address has one NAT (table 2.3).
func (r *reader) checkNATs(w *raw) {
	inside, outside := map[inDomain]string{}, map[inDomain]string{}
	snats, hosts := w.snatAddresses(), map[inDomain]string{}
	for _, v := range w.LTM.Virtuals {
		if v.Destination.IsValid() && v.Destination.IsSingleIP() {
			hosts[inDomain{v.Domain, v.Destination.Addr()}] = label("ltm", "virtual", v.Name)
		}
	}
	for _, n := range w.LTM.NATs {
		at := func(key string) spot { return keyAt("ltm", "nat", n.Name, key) }
		if n.Originating.IsValid() {
			k := inDomain{n.Domain, n.Originating}
			if other, twice := inside[k]; twice {
				r.fault(at("originating_address"), "%s has a NAT already: %s", n.Originating, label("ltm", "nat", other))
			}
			inside[k] = n.Name
		}
		if !n.Translation.IsValid() {
			continue
		}
		k, here := inDomain{n.Domain, n.Translation}, at("translation_address")
		if other, twice := outside[k]; twice {
			r.fault(here, "%s is already the translation address of %s", n.Translation, label("ltm", "nat", other))
		}
		outside[k] = n.Name
		if h := w.connected(n.Translation)[n.Domain]; h.own {
			r.fault(here, "%s is the router's own address on %s", n.Translation, h)
		}
		if owner := w.translated(n.Translation, n.Domain); owner != "" {
			r.fault(here, "%s is a NAT address of %s", n.Translation, owner)
		}
		if c, taken := snats[k]; taken {
			r.fault(here, "%s is already an address of %s", n.Translation, c.owner)
		}
		if server, served := hosts[k]; served {
			r.warn(here, "%s is the destination of %s, which goes first (rule VR2)", n.Translation, server)
		}
	}
}

// claim is an address to which sources are translated, with its place.
type claim struct {
	inDomain
	at    spot
	owner string
}

// claims lists what SNATs and virtual servers translate to. A pool's members
// are listed once for each traffic domain.
func (w *raw) claims() (out []claim) {
	type use struct {
		pool   *SNATPool
		domain uint16
	}
	listed := map[use]bool{}
	add := func(domain uint16, pool *SNATPool, one netip.Addr, at spot, owner string) {
		if pool != nil {
			if listed[use{pool, domain}] {
				return
			}
			listed[use{pool, domain}] = true
			for i, a := range pool.Members {
				out = append(out, claim{inDomain{domain, a}, keyAt("ltm", "snatpool", pool.Name, "members").of(i), label("ltm", "snatpool", pool.Name)})
			}
		} else if one.IsValid() {
			out = append(out, claim{inDomain{domain, one}, at, owner})
		}
	}
	for _, s := range w.LTM.SNATs {
		add(s.Domain, s.Pool, s.Translation, keyAt("ltm", "snat", s.Name, "translation"), label("ltm", "snat", s.Name))
	}
	for _, v := range w.LTM.Virtuals {
		add(v.Domain, v.SNATPool, v.SNATAddress, keyAt("ltm", "virtual", v.Name, "snat_translation"), label("ltm", "virtual", v.Name))
	}
	return out
}

// snatAddresses is claims by address; of several the first counts.
func (w *raw) snatAddresses() map[inDomain]claim {
	out := map[inDomain]claim{}
	for _, c := range w.claims() {
		if _, taken := out[c.inDomain]; !taken && c.addr.IsValid() {
			out[c.inDomain] = c
		}
	}
	return out
}

// checkTranslations: an address of the LSN has mappings, and answers to a SNAT
// would be taken for theirs. Several SNATs may share an address.
func (r *reader) checkTranslations(w *raw) {
	for _, c := range w.claims() {
		if owner := w.translated(c.addr, c.domain); owner != "" && c.addr.IsValid() {
			r.fault(c.at, "%s is a NAT address of %s", c.addr, owner)
		}
	}
}

// checkOrigins: a network has one SNAT on a VLAN. Of networks inside each other
// the longest decides.
func (r *reader) checkOrigins(w *raw) {
	type network struct {
		domain uint16
		prefix netip.Prefix
	}
	taken := map[network][]*SNAT{}
	for _, s := range w.LTM.SNATs {
		for i, p := range s.Origins {
			if !p.IsValid() {
				continue
			}
			k, at := network{s.Domain, p}, keyAt("ltm", "snat", s.Name, "origins").of(i)
			j := slices.IndexFunc(taken[k], func(o *SNAT) bool { return o == s || o.VLANs.overlaps(&s.VLANs) })
			switch {
			case j < 0:
				taken[k] = append(taken[k], s)
			case taken[k][j] == s:
				r.fault(at, "%s is in the list twice", p)
			default:
				r.fault(at, "%s is already an origin of %s, on a VLAN in common", p, label("ltm", "snat", taken[k][j].Name))
			}
		}
	}
}
