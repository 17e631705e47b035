package vserver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"spigate/netstack/frame"
)

// DefaultProfile is the profile of servers that name none.
const DefaultProfile = "fastL4"

// New checks a configuration and makes it ready to match. The error tells all
// faults at once; what is only dubious is in Warnings.
func New(c Config) (*Listeners, error) {
	b := builder{
		l: &Listeners{
			resume:     c.ContinueMatching,
			translated: map[frame.Addr]*Listener{}, originated: map[frame.Addr]*Listener{}, selfs: map[frame.Addr]*Listener{},
		},
		profiles: map[string]FastL4{DefaultProfile: FastL4{Name: DefaultProfile}.filled()},
		names:    map[string]bool{}, groups: map[string]bool{}, served: map[frame.Addr]string{},
	}
	for _, p := range c.Profiles {
		b.profile(p)
	}
	for _, g := range c.Groups {
		b.groups[g.Name] = true
	}
	var servers []*Listener
	for i := range c.Servers {
		if x := b.server(c.Servers[i], c.TunnelLocals); x != nil {
			servers = append(servers, x)
		}
	}
	b.conflicts(servers)
	b.selfs(c.Selfs)
	for _, n := range c.NATs {
		b.nat(n)
	}
	b.snats(c.SNATs)
	b.clients(c.Groups)
	if len(b.faults) > 0 {
		return nil, errors.Join(b.faults...)
	}
	b.l.buildServers(servers)
	return b.l, nil
}

// builder collects listeners and faults.
type builder struct {
	l        *Listeners
	faults   []error
	profiles map[string]FastL4
	names    map[string]bool // kind and name
	groups   map[string]bool
	served   map[frame.Addr]string // host destinations of virtual servers
}

func (b *builder) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Errorf(format, args...))
}

func (b *builder) warn(format string, args ...any) {
	b.l.warnings = append(b.l.warnings, fmt.Sprintf(format, args...))
}

// add enters a listener and checks its name.
func (b *builder) add(x *Listener) {
	key := fmt.Sprint(x.Kind, " ", x.Name)
	switch {
	case x.Name == "":
		b.fault("%s: has no name", x.Kind)
	case b.names[key]:
		b.fault("%s %q: the name is used twice", x.Kind, x.Name)
	}
	b.names[key] = true
	b.l.all = append(b.l.all, x)
}

func (b *builder) profile(p FastL4) {
	if p.Name == "" {
		b.fault("profile fastl4: has no name")
	}
	if p.IdleTimeout < Indefinite || p.HandshakeTimeout < 0 || p.CloseTimeout < 0 || p.ClientTimeout < 0 || p.KeepAliveInterval < 0 {
		b.fault("profile fastl4 %q: a time is negative", p.Name)
	}
	b.profiles[p.Name] = p.filled()
}

func (b *builder) server(s Server, tunnels []netip.Addr) *Listener {
	if !s.Source.IsValid() {
		s.Source = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	s.Destination, s.Source = s.Destination.Masked(), s.Source.Masked()
	if s.Profile == "" {
		s.Profile = DefaultProfile
	}
	profile, known := b.profiles[s.Profile]
	before := len(b.faults)
	b.checkServer(&s)
	if !known {
		b.fault("virtual server %q: there is no profile fastl4 %q", s.Name, s.Profile)
	}
	x := &Listener{Kind: KindServer, Name: s.Name, Profile: profile, Server: &s, vlans: s.VLANs.set(), counters: &Counters{}, rate: newMeter(s.RateLimit)}
	b.add(x)
	if len(b.faults) > before {
		return nil
	}
	if s.VLANs.Enabled && len(s.VLANs.List) == 0 {
		b.warn("virtual server %q: vlans-enabled with an empty list: it never matches", s.Name)
	}
	if s.Destination.IsSingleIP() {
		b.served[frame.Addr(s.Destination.Addr().As4())] = s.Name
		if slices.Contains(tunnels, s.Destination.Addr()) {
			b.warn("virtual server %q: its destination %v is a tunnel's local address: IKE and ESP still go to the tunnel", s.Name, s.Destination.Addr())
		}
	}
	return x
}

func (b *builder) checkServer(s *Server) {
	bad := func(format string, args ...any) {
		b.fault("virtual server %q: "+format, append([]any{s.Name}, args...)...)
	}
	if !four(s.Destination) {
		bad("destination %v is not an IPv4 network", s.Destination)
	}
	if !four(s.Source) {
		bad("source %v is not an IPv4 network", s.Source)
	}
	if s.Role != Forward && s.Role != Reject {
		bad("needs one of ip-forward and reject")
	}
	if s.Port != 0 && s.Protocol != 0 && s.Protocol != frame.ProtoTCP && s.Protocol != frame.ProtoUDP {
		bad("IP protocol %d has no port %d", s.Protocol, s.Port)
	}
	if s.ConnectionLimit < 0 || s.RateLimit < 0 {
		bad("a limit is negative")
	}
	if s.SourceTranslation == TranslateSNAT && len(s.Translations) == 0 {
		bad("source address translation snat needs an address")
	}
	for _, a := range s.Translations {
		if !host(a) {
			bad("translation %v is not an IPv4 host", a)
		}
	}
	if s.SourceTranslation == TranslateLSN && !b.groups[s.Group] {
		bad("there is no LSN group %q", s.Group)
	}
}

// conflicts finds servers equal in all that VR7 compares, on a common VLAN
// (VR10).
func (b *builder) conflicts(servers []*Listener) {
	type rank struct {
		dst, src netip.Prefix
		port     uint16
		proto    uint8
		listed   bool
	}
	type taken struct {
		vlans vlanSet
		by    []*Listener
	}
	all := map[rank]*taken{}
	for _, x := range servers {
		s := x.Server
		r := rank{s.Destination, s.Source, s.Port, s.Protocol, s.VLANs.listed()}
		t := all[r]
		if t == nil {
			t = &taken{}
			all[r] = t
		}
		if t.vlans.overlaps(&x.vlans) {
			i := slices.IndexFunc(t.by, func(o *Listener) bool { return o.vlans.overlaps(&x.vlans) })
			b.fault("virtual server %q: conflicts with virtual server %q: same destination, source, port and protocol, and a VLAN in common", s.Name, t.by[i].Name)
			continue // others are compared with those that stand
		}
		t.vlans.add(&x.vlans)
		t.by = append(t.by, x)
	}
}

func (b *builder) selfs(addrs []netip.Addr) {
	for _, a := range addrs {
		if !host(a) {
			b.fault("self address %v is not an IPv4 host", a)
			continue
		}
		x := &Listener{Kind: KindSelf, Name: a.String(), vlans: VLANs{}.set()}
		b.add(x)
		b.l.selfs[frame.Addr(a.As4())] = x
	}
}

func (b *builder) nat(n NAT) {
	// A NAT is stateless in meaning (VR22): it takes connections as they come
	// and resets none.
	p := FastL4{LooseInitialization: true, LooseClose: true, ResetOnTimeout: Off}.filled()
	x := &Listener{Kind: KindNAT, Name: n.Name, Profile: p, NAT: &n, vlans: n.VLANs.set(), counters: &Counters{}}
	b.add(x)
	if !host(n.Originating) || !host(n.Translation) {
		b.fault("nat %q: originating and translation address must be IPv4 hosts: %v, %v", n.Name, n.Originating, n.Translation)
		return
	}
	inside, outside := frame.Addr(n.Originating.As4()), frame.Addr(n.Translation.As4())
	if o := b.l.originated[inside]; o != nil {
		b.fault("nat %q: originating address %v is that of nat %q", n.Name, inside, o.Name)
	}
	if o := b.l.translated[outside]; o != nil {
		b.fault("nat %q: translation address %v is that of nat %q", n.Name, outside, o.Name)
	}
	if b.l.selfs[outside] != nil {
		b.fault("nat %q: translation address %v is an own address", n.Name, outside)
	}
	if s := b.served[outside]; s != "" {
		b.warn("nat %q: translation address %v is the destination of virtual server %q, which goes first (VR2)", n.Name, outside, s)
	}
	b.l.originated[inside], b.l.translated[outside] = x, x
}

func (b *builder) snats(all []SNAT) {
	by := map[netip.Prefix][]*Listener{}
	for _, s := range all {
		x := &Listener{Kind: KindSNAT, Name: s.Name, Profile: b.profiles[DefaultProfile], SNAT: &s, vlans: s.VLANs.set(), counters: &Counters{}}
		b.add(x)
		if s.Automap == (len(s.Translations) > 0) {
			b.fault("snat %q: needs one of translation, snatpool and automap", s.Name)
		}
		for _, a := range s.Translations {
			if !host(a) {
				b.fault("snat %q: translation %v is not an IPv4 host", s.Name, a)
			}
		}
		if len(s.Origins) == 0 {
			b.fault("snat %q: has no origins", s.Name)
		}
		b.sources(x, s.Origins, by)
	}
	b.l.origins = newListenerNest(by)
}

func (b *builder) clients(all []Group) {
	by := map[netip.Prefix][]*Listener{}
	for _, g := range all {
		x := &Listener{Kind: KindGroup, Name: g.Name, Group: &g, vlans: VLANs{}.set()}
		b.add(x)
		b.sources(x, g.Clients, by)
	}
	b.l.clients = newListenerNest(by)
}

// sources enters a listener under its source networks.
func (b *builder) sources(x *Listener, ps []netip.Prefix, by map[netip.Prefix][]*Listener) {
	for _, p := range ps {
		if !four(p) {
			b.fault("%s %q: %v is not an IPv4 network", x.Kind, x.Name, p)
			continue
		}
		p = p.Masked()
		for _, o := range by[p] {
			if o.vlans.overlaps(&x.vlans) {
				b.fault("%s %q: %v is already a network of %s %q on a VLAN in common", x.Kind, x.Name, p, o.Kind, o.Name)
			}
		}
		by[p] = append(by[p], x)
	}
}

func four(p netip.Prefix) bool { return p.IsValid() && p.Addr().Is4() }

func host(a netip.Addr) bool { return a.Is4() && !a.IsUnspecified() && !a.IsMulticast() }
