package lsn

import (
	"net/netip"
	"slices"

	"spigate/netstack/frame"
)

// networks is a set of networks: one probe for each length that is in use.
type networks struct {
	lengths []uint8
	set     map[network]struct{}
}

func newNetworks(list []netip.Prefix) (out networks) {
	out.set = map[network]struct{}{}
	for _, p := range list {
		if !p.IsValid() || !p.Addr().Is4() {
			continue // checkPolicy says so
		}
		out.set[network{p.Masked().Addr().As4(), uint32(p.Bits())}] = struct{}{}
		if bits := uint8(p.Bits()); !slices.Contains(out.lengths, bits) {
			out.lengths = append(out.lengths, bits)
		}
	}
	return out
}

func (p *networks) has(a frame.Addr) bool {
	for _, bits := range p.lengths {
		if _, ok := p.set[network{mask(a, bits), uint32(bits)}]; ok {
			return true
		}
	}
	return false
}

// Exempt reports whether traffic between a subscriber and a remote is routed
// untranslated, in both directions (R13, RFC 6888 REQ-6): because of the
// remote's network, or because of the profile of the protocol and the remote's
// port. No state is kept: whoever sends from such a port, or from such a
// network, reaches the subscriber's own address. For protocols without a
// profile only the network counts.
func (t *Table) Exempt(tup Tuple) bool {
	g := t.cfg().clients.find(tup.Inside.Addr)
	if g == nil {
		return false
	}
	if g.exempt.has(tup.Remote.Addr) {
		return true
	}
	r := g.rules(tup.Proto, tup.Remote.Port)
	return r != nil && r.app.Exempt
}

// ExemptNetwork is Exempt for a packet of which only the addresses are known.
func (t *Table) ExemptNetwork(inside, remote frame.Addr) bool {
	g := t.cfg().clients.find(inside)
	return g != nil && g.exempt.has(remote)
}

// exempts reports whether the group has any exemption at all.
func (g *Group) exempts() bool {
	return len(g.exempt.lengths) > 0 || slices.ContainsFunc(g.Apps, func(a AppProfile) bool { return a.Exempt })
}

// MayExempt is Exempt for a packet whose ports are not known, a later fragment:
// it reports whether some port of the protocol is exempt.
func (t *Table) MayExempt(inside, remote frame.Addr, proto uint8) bool {
	g := t.cfg().clients.find(inside)
	if g == nil {
		return false
	}
	i, ok := protoIndex(proto)
	return g.exempt.has(remote) ||
		ok && slices.ContainsFunc(g.choices[i], func(c choice) bool { return c.rules.app.Exempt })
}
