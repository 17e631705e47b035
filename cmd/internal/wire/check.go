package wire

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"time"

	"spigate/configs"
	tunnels "spigate/netstack/ipsec"
)

// Check asks those who would run a checked configuration what they think of it:
// what they would refuse, and what of tunnels is probably not meant (Q7, Q8).
// now is for certificates. "spigate check" and the daemon, at its start and at
// each reload, say the same.
func Check(c *configs.Config, now time.Time) (warnings []configs.Warning, faults []error) {
	a := adviser{c: c}
	for _, domain := range c.Domains() {
		p, err := tunnels.NewPolicies(ipsecConfig(c, domain))
		if err != nil {
			faults = append(faults, configs.Fault{File: c.File, Line: 1, Col: 1, Path: "net.ipsec", Text: err.Error()})
			continue
		}
		faults = append(faults, checkPeers(c, domain)...)
		a.take(p.Warnings())
		a.translations(p, domain)
	}
	faults = append(faults, checkSwitches(c)...)
	a.certificates(now)
	sort.Slice(a.out, func(i, j int) bool {
		x, y := &a.out[i], &a.out[j]
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Text, y.Text)) < 0
	})
	return a.out, faults
}

// adviser collects warnings with their places.
type adviser struct {
	c   *configs.Config
	out []configs.Warning
}

func (a *adviser) warn(at configs.Place, path, text string) {
	a.out = append(a.out, configs.Warning{File: a.c.File, Line: at.Line, Col: at.Col, Path: path, Text: text})
}

// take finds the places of what package ipsec warns of.
func (a *adviser) take(all []tunnels.Warning) {
	for _, w := range all {
		for _, s := range a.c.IPsec.Selectors {
			if s.Name == w.Selector {
				a.warn(s.At, "net.ipsec.selector."+s.Name, w.Text)
			}
		}
		for _, q := range a.c.IPsec.Policies {
			if q.Name == w.Policy {
				a.warn(q.At, "net.ipsec.policy."+q.Name, w.Text)
			}
		}
	}
}

// rewriting is a translation of addresses, and for which destinations it runs.
type rewriting struct {
	tunnels.Translation
	to func(destination netip.Prefix) bool // nil: for all
}

// translations warns of selectors with addresses from before one (Q7).
func (a *adviser) translations(p *tunnels.Policies, domain uint16) {
	for _, r := range a.rewritings(domain) {
		for _, w := range p.WarnTranslations([]tunnels.Translation{r.Translation}) {
			s, ok := p.Selector(w.Selector)
			if ok && (r.to == nil || r.to(s.Destination)) {
				a.take([]tunnels.Warning{w})
			}
		}
	}
}

// rewritings are all that rewrites addresses in a traffic domain.
func (a *adviser) rewritings(domain uint16) (out []rewriting) {
	for _, n := range a.c.LTM.NATs {
		if n.Domain == domain {
			out = append(out, rewriting{tunnels.Translation{
				Name: fmt.Sprintf("ltm nat %q", n.Name), Original: single(n.Originating), Translated: []netip.Prefix{single(n.Translation)}, Destinations: true,
			}, nil})
		}
	}
	for _, s := range a.c.LTM.SNATs {
		for _, origin := range s.Origins {
			if s.Domain == domain {
				name := fmt.Sprintf("ltm snat %q", s.Name)
				out = append(out, rewriting{a.translation(name, origin, s.Addresses(), domain), nil})
			}
		}
	}
	for _, v := range a.c.LTM.Virtuals {
		if v.Domain == domain && !v.Disabled && (v.SourceTranslation == configs.SourceAutomap || v.SourceTranslation == configs.SourceSNAT) {
			name := fmt.Sprintf("ltm virtual %q", v.Name)
			out = append(out, rewriting{a.translation(name, v.Source, v.Addresses(), domain), v.Destination.Overlaps})
		}
	}
	return append(out, a.groups(domain)...)
}

// translation is one of sources; without addresses of its own it takes ours.
func (a *adviser) translation(name string, original netip.Prefix, addresses []netip.Addr, domain uint16) tunnels.Translation {
	out := tunnels.Translation{Name: name, Original: original}
	for _, one := range addresses {
		out.Translated = append(out.Translated, single(one))
	}
	if len(addresses) == 0 { // automap
		for _, q := range a.c.IPsec.Policies {
			if q.Domain == domain && q.Local.IsValid() && !slices.Contains(out.Translated, single(q.Local)) {
				out.Translated = append(out.Translated, single(q.Local))
			}
		}
	}
	return out
}

// groups are the LSN groups. One is asked last of all: what a virtual server
// admits it does not translate (VR3), so destinations with a server of their own
// are not its.
func (a *adviser) groups(domain uint16) (out []rewriting) {
	for _, g := range a.c.LSN.Groups {
		if g.Client.Domain != domain {
			continue
		}
		translated := outside(g)
		for _, network := range g.Client.Networks {
			out = append(out, rewriting{
				tunnels.Translation{Name: fmt.Sprintf("lsn group %q", g.Name), Original: network, Translated: translated},
				func(destination netip.Prefix) bool {
					return !a.served(domain, network, destination) && !exempt(g, destination)
				},
			})
		}
	}
	return out
}

// outside are the ends of the ranges that a group has its NAT addresses from.
func outside(g *configs.Group) (out []netip.Prefix) {
	for _, p := range g.Pools {
		for _, r := range p.Ranges {
			out = append(out, single(r.From))
			if r.To != r.From {
				out = append(out, single(r.To))
			}
		}
	}
	return out
}

// served reports whether a virtual server that does not use the group admits
// what begins in a network and goes to a destination.
func (a *adviser) served(domain uint16, network, destination netip.Prefix) bool {
	return slices.ContainsFunc(a.c.LTM.Virtuals, func(v *configs.Virtual) bool {
		return v.Domain == domain && v.SourceTranslation != configs.SourceLSN && v.Destination.Bits() > 0 &&
			v.Destination.Overlaps(destination) && v.Source.Overlaps(network)
	})
}

// exempt reports whether the group translates nothing to a destination.
func exempt(g *configs.Group, destination netip.Prefix) bool {
	return slices.ContainsFunc(g.Exempt, func(p netip.Prefix) bool { return p.Bits() <= destination.Bits() && p.Overlaps(destination) })
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// soon is how long before the end of a certificate a warning begins.
const soon = 30 * 24 * time.Hour

// certificates warns of those that are not valid, or will not be soon.
func (a *adviser) certificates(now time.Time) {
	for _, p := range a.c.IPsec.Peers {
		for _, one := range slices.Concat(p.Chain, p.Authorities) {
			if why := validity(one, now); why != "" {
				a.warn(p.At, "net.ipsec.peer."+p.Name, fmt.Sprintf("the certificate of %q %s", one.Subject, why))
			}
		}
	}
}

func validity(c *x509.Certificate, now time.Time) string {
	const day = "2006-01-02"
	switch {
	case now.After(c.NotAfter):
		return "ended on " + c.NotAfter.Format(day) + ": nobody will take it; renew it, or set the clock"
	case now.Before(c.NotBefore):
		return "begins on " + c.NotBefore.Format(day) + " only: is the clock right?"
	case now.Add(soon).After(c.NotAfter):
		return "ends on " + c.NotAfter.Format(day) + ": renew it"
	}
	return ""
}
