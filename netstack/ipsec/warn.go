package ipsec

import (
	"fmt"
	"net/netip"
	"slices"
)

// Warning is something that is allowed and probably not meant.
type Warning struct {
	Policy, Selector string // what it is about: one of them
	Text             string
}

// String is the text.
func (w Warning) String() string { return w.Text }

// Warnings tells what is allowed and probably not meant: selectors that hide
// others (Q8), policies that nothing uses.
func (p *Policies) Warnings() []Warning { return slices.Clone(p.warnings) }

// overlaps warns of selectors whose packets an earlier one takes (Q8). A narrow
// one before a wide one is how exceptions are written: no warning.
func (b *builder) overlaps() {
	for _, r := range []*rules{&b.p.out, &b.p.in} {
		for i, first := range r.list {
			for _, second := range r.list[i+1:] {
				b.overlap(first, second)
			}
		}
	}
	for i := range b.p.tunnels {
		for j, first := range b.p.tunnels[i].rules.list {
			for _, second := range b.p.tunnels[i].rules.list[j+1:] {
				b.overlap(first, second)
			}
		}
	}
}

// mirrors warns of selectors that are about their own answers, too: what comes
// out of such a tunnel is sealed once more, back to where it came from. In
// interface mode routes say where it goes.
func (b *builder) mirrors() {
	for _, s := range b.p.selectors {
		if s.Protects != nil && s.Protects.Mode == Tunnel && s.Direction != In && s.Source.Masked() == s.Destination.Masked() {
			b.p.warnings = append(b.p.warnings, Warning{Selector: s.Name, Text: fmt.Sprintf(
				"traffic selector %q: its source and its destination are both %v, so what comes out of the tunnel for here is sealed again: put a selector with action bypass before it for the networks that are here, or use mode interface",
				s.Name, s.Source.Masked())})
		}
	}
}

// overlap warns once of each two, though both directions may show them.
func (b *builder) overlap(first, second *Selector) {
	w := Warning{Selector: second.Name}
	switch {
	case second.pair.within(&first.pair):
		w.Text = fmt.Sprintf("traffic selector %q is never reached: %q (order %d) is asked first and covers all of it", second.Name, first.Name, first.Order)
	case first.pair.within(&second.pair) || !first.pair.meets(&second.pair):
		return
	default:
		w.Text = fmt.Sprintf("traffic selectors %q and %q overlap: where both match, %q decides (order %d)", first.Name, second.Name, first.Name, first.Order)
	}
	if !slices.Contains(b.p.warnings, w) {
		b.p.warnings = append(b.p.warnings, w)
	}
}

// unused warns of policies that no packet can reach.
func (b *builder) unused() {
	names := make([]string, 0, len(b.p.policies))
	for name := range b.p.policies {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		q := b.p.policies[name]
		switch {
		case q.Mode == Interface && b.p.Label(name) == 0:
			b.warn(name, "its mode is interface and no tunnel names it: nothing is routed to it")
		case !slices.ContainsFunc(b.p.selectors, func(s *Selector) bool { return s.Protects == q }):
			b.warn(name, "no traffic selector names it: it protects nothing")
		}
	}
}

// Translation is an address translation that runs before selectors are asked:
// an `ltm nat` or `ltm snat`, or an LSN group.
type Translation struct {
	Name         string // as the warning calls it: ltm nat "NAT-1"
	Original     netip.Prefix
	Translated   []netip.Prefix
	Destinations bool // packets to Translated become packets to Original, too: ltm nat (VR22)
}

// WarnTranslations tells which selectors are written with addresses as they are
// before a translation (Q7). Selectors must have those of the packets inside
// the tunnel (VR25): a packet whose address was rewritten misses them, and
// leaves in clear unless protection is required (VR31).
func (p *Policies) WarnTranslations(ts []Translation) []Warning {
	var out []Warning
	for _, s := range p.selectors {
		if s.Action != ActProtect {
			continue
		}
		for i := range ts {
			out = append(out, s.translated(&ts[i])...)
		}
	}
	return out
}

func (s *Selector) translated(t *Translation) (out []Warning) {
	original := []netip.Prefix{t.Original}
	if s.Source.Overlaps(t.Original) && !covered(s.Source, t.Translated) {
		out = append(out, Warning{Selector: s.Name, Text: fmt.Sprintf("traffic selector %q: %s rewrites sources in %v to %v before selectors are asked: source-address %v misses them",
			s.Name, t.Name, t.Original, t.Translated, s.Source)})
	}
	if !t.Destinations || covered(s.Destination, original) {
		return out
	}
	for _, to := range t.Translated {
		if s.Destination.Overlaps(to) {
			out = append(out, Warning{Selector: s.Name, Text: fmt.Sprintf("traffic selector %q: %s rewrites the destination %v to %v before selectors are asked: destination-address %v misses it",
				s.Name, t.Name, to, t.Original, s.Destination)})
		}
	}
	return out
}

// covered reports whether p holds all of the prefixes.
func covered(p netip.Prefix, all []netip.Prefix) bool {
	for _, q := range all {
		if q.Bits() < p.Bits() || !p.Overlaps(q) {
			return false
		}
	}
	return true
}
