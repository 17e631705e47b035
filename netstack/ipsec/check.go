package ipsec

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// NewPolicies checks a configuration and makes it ready to be asked. The error
// tells all faults at once; what is only dubious is in Warnings.
func NewPolicies(c Config) (*Policies, error) {
	b := builder{p: &Policies{policies: map[string]*Policy{}, byName: map[string]*Selector{}}}
	for i := range c.Policies {
		b.policy(c.Policies[i])
	}
	if len(c.Selectors) > MaxSelectors {
		b.fault("%d selectors: there may be %d", len(c.Selectors), MaxSelectors)
	}
	for _, s := range c.Selectors {
		b.selector(s)
	}
	for _, t := range c.Tunnels {
		b.tunnel(t)
	}
	for i := range c.Manual {
		b.manual(&c.Manual[i])
	}
	if len(b.faults) > 0 {
		return nil, errors.Join(b.faults...)
	}
	b.finish()
	return b.p, nil
}

type builder struct {
	p      *Policies
	faults []error
}

func (b *builder) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Errorf(format, args...))
}

// warn tells something about a policy.
func (b *builder) warn(policy, text string) {
	b.p.warnings = append(b.p.warnings, Warning{Policy: policy, Text: fmt.Sprintf("ipsec policy %q: %s", policy, text)})
}

// host reports whether a can be the end of a tunnel.
func host(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func (b *builder) policy(q Policy) {
	switch {
	case q.Name == "":
		b.fault("ipsec policy: has no name")
	case b.p.policies[q.Name] != nil:
		b.fault("ipsec policy %q: the name is used twice", q.Name)
	}
	if q.Mode > Interface {
		b.fault("ipsec policy %q: mode %d is unknown", q.Name, q.Mode)
	}
	for _, end := range []struct {
		what string
		addr netip.Addr
		any  bool // 0.0.0.0: where the peer is, IKE learns
	}{{"tunnel-local-address", q.Local, false}, {"tunnel-remote-address", q.Remote, true}} {
		if end.any && end.addr == netip.IPv4Unspecified() {
			continue
		}
		if end.addr.IsValid() && !host(end.addr) || !end.addr.IsValid() && q.Mode != Transport {
			b.fault("ipsec policy %q: %s must be an IPv4 address of one host, not %v", q.Name, end.what, end.addr)
		}
	}
	if q.Local.IsValid() && q.Local == q.Remote {
		b.fault("ipsec policy %q: both ends are %v", q.Name, q.Local)
	}
	b.p.policies[q.Name] = &q
}

func (b *builder) selector(t TrafficSelector) {
	switch {
	case t.Name == "":
		b.fault("traffic selector: has no name")
	case b.p.byName[t.Name] != nil:
		b.fault("traffic selector %q: the name is used twice", t.Name)
	}
	before := len(b.faults)
	for _, side := range []struct {
		what   string
		prefix netip.Prefix
	}{{"source-address", t.Source}, {"destination-address", t.Destination}} {
		if !side.prefix.IsValid() || !side.prefix.Addr().Is4() {
			b.fault("traffic selector %q: %s must be an IPv4 network, not %v", t.Name, side.what, side.prefix)
		}
	}
	if (t.SourcePort != 0 || t.DestinationPort != 0) && t.Protocol != 0 && !hasPorts(t.Protocol) {
		b.fault("traffic selector %q: protocol %d has no ports", t.Name, t.Protocol)
	}
	if t.Direction > In || t.Action > ActDiscard {
		b.fault("traffic selector %q: direction %d or action %d is unknown", t.Name, t.Direction, t.Action)
	}
	s := &Selector{TrafficSelector: t, tally: &tally{}}
	if t.Action == ActProtect {
		s.Protects = b.p.policies[t.Policy]
		if s.Protects == nil {
			b.fault("traffic selector %q: there is no ipsec policy %q", t.Name, t.Policy)
		}
		s.bundle = &bundle{}
	}
	b.p.byName[t.Name] = s
	if len(b.faults) > before {
		return
	}
	s.Source, s.Destination = t.Source.Masked(), t.Destination.Masked()
	s.pair = s.TrafficSelector.pair()
	b.p.selectors = append(b.p.selectors, s)
}

func (b *builder) tunnel(t TunnelInterface) {
	if t.Name == "" || t.ID == 0 {
		b.fault("tunnel %q: has no name or no interface", t.Name)
	}
	for i := range b.p.tunnels {
		o := &b.p.tunnels[i]
		if o.Name == t.Name || o.ID == t.ID || o.Policy == t.Policy {
			b.fault("tunnels %q and %q have the same name, interface or policy", o.Name, t.Name)
		}
	}
	q := b.p.policies[t.Policy]
	switch {
	case q == nil:
		b.fault("tunnel %q: there is no ipsec policy %q", t.Name, t.Policy)
	case q.Mode != Interface:
		b.fault("tunnel %q: the mode of ipsec policy %q is %v: it must be interface", t.Name, t.Policy, q.Mode)
	}
	b.p.tunnels = append(b.p.tunnels, tunnel{TunnelInterface: t})
	if q == nil || slices.ContainsFunc(b.p.selectors, func(s *Selector) bool { return s.Protects == q }) {
		return
	}
	everything := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	b.selector(TrafficSelector{Name: t.Name, Source: everything, Destination: everything, Policy: t.Policy})
}

func (b *builder) manual(m *ManualSA) {
	if m.Name == "" {
		b.fault("manual security association: has no name")
	}
	for i := range b.p.manual {
		o := &b.p.manual[i]
		if o.Name == m.Name || o.SPI == m.SPI && o.Destination == m.Destination {
			b.fault("manual security associations %q and %q have the same name, or the same SPI and destination", o.Name, m.Name)
		}
	}
	q := b.p.policies[m.Policy]
	if q == nil {
		b.fault("manual security association %q: there is no ipsec policy %q", m.Name, m.Policy)
		return
	}
	if !host(m.Source) || !host(m.Destination) {
		b.fault("manual security association %q: source %v and destination %v must be IPv4 addresses", m.Name, m.Source, m.Destination)
		return
	}
	out, in := m.Source == q.Local && m.Destination == q.Remote, m.Source == q.Remote && m.Destination == q.Local
	if q.Local.IsValid() && q.Remote.IsValid() && !out && !in {
		b.fault("manual security association %q: %v and %v are not the ends of ipsec policy %q", m.Name, m.Source, m.Destination, q.Name)
	}
	c := m.config(q, nil)
	if err := c.check(); err != nil {
		b.fault("manual security association %q: %w", m.Name, err)
	}
	b.p.manual = append(b.p.manual, *m)
}

// config is the SA that a manual one asks for: no lifetime (VR36), and no
// window, because after a restart its numbers begin anew (RFC 4303 section
// 3.3.3).
func (m *ManualSA) config(q *Policy, scope []Pair) SAConfig {
	c := SAConfig{
		SPI: m.SPI, Mode: q.Mode, Suite: m.Suite, Keys: m.Keys, Manual: true, Scope: scope,
		Local: m.Source.As4(), Remote: m.Destination.As4(), Outbound: m.Outbound,
	}
	if q.Local.IsValid() {
		c.Outbound = m.Source == q.Local
	}
	if !c.Outbound {
		c.Local, c.Remote = c.Remote, c.Local
	}
	return c
}

// finish sorts the selectors (VR29) and builds what is asked.
func (b *builder) finish() {
	slices.SortFunc(b.p.selectors, func(x, y *Selector) int {
		return cmp.Or(cmp.Compare(x.Order, y.Order), cmp.Compare(x.Name, y.Name))
	})
	var out, in []*Selector
	for _, s := range b.p.selectors {
		if s.Protects != nil && s.Protects.Mode == Interface {
			continue // routes decide (VR30)
		}
		if s.Direction != In {
			out = append(out, s)
		}
		if s.Direction != Out {
			in = append(in, s)
		}
	}
	b.p.out, b.p.in = newRules(out), newRules(in)
	for i := range b.p.tunnels {
		t := &b.p.tunnels[i]
		var own []*Selector
		for _, s := range b.p.selectors {
			if s.Protects == b.p.policies[t.Policy] {
				own = append(own, s)
			}
		}
		t.rules = newRules(own)
	}
	b.overlaps()
	b.mirrors()
	b.unused()
}
