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
	n := len(c.Servers)
	b := builder{
		l: &Listeners{
			resume: c.ContinueMatching, all: make([]*Listener, 0, n), byName: make(map[objectName]*Listener, n),
			translated: map[frame.Addr]*Listener{}, originated: map[frame.Addr]*Listener{}, selfs: map[frame.Addr]*Listener{},
			answers: map[frame.Addr]bool{},
		},
		profiles: map[string]FastL4{DefaultProfile: FastL4{Name: DefaultProfile}.filled()},
		groups:   map[string]bool{}, served: map[frame.Addr]string{}, tunnels: c.TunnelLocals,
	}
	for i := range c.Profiles {
		b.profile(&c.Profiles[i])
	}
	for _, g := range c.Groups {
		b.groups[g.Name] = true
	}
	for _, n := range c.NATs {
		b.served[addrOf(n.Translation)] = ""
	}
	// In one piece each: 100,000 servers are made three times as fast.
	servers, listeners, places := slices.Clone(c.Servers), make([]Listener, n), make([]placed, 0, n)
	for i := range servers {
		if x := &listeners[i]; b.server(&servers[i], x) {
			places = append(places, place(x, i))
		}
	}
	slices.SortFunc(places, byPlace)
	b.conflicts(places)
	b.selfs(c.Selfs)
	for _, n := range c.NATs {
		b.nat(n)
	}
	b.snats(c.SNATs)
	b.clients(c.Groups)
	if len(b.faults) > 0 {
		return nil, errors.Join(b.faults...)
	}
	b.l.buildServers(places)
	return b.l, nil
}

// builder collects listeners and faults.
type builder struct {
	l        *Listeners
	faults   []error
	profiles map[string]FastL4
	groups   map[string]bool
	served   map[frame.Addr]string // NATs' translation addresses, and the virtual server that has one as its destination
	tunnels  []netip.Addr
}

func (b *builder) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Errorf(format, args...))
}

func (b *builder) warn(format string, args ...any) {
	b.l.warnings = append(b.l.warnings, fmt.Sprintf(format, args...))
}

// add enters a listener and checks its name.
func (b *builder) add(x *Listener) {
	name := objectName{x.Kind, x.Name}
	switch {
	case x.Name == "":
		b.fault("%s: has no name", x.Kind)
	case b.l.byName[name] != nil:
		b.fault("%s %q: the name is used twice", x.Kind, x.Name)
	}
	b.l.byName[name] = x
	b.l.all = append(b.l.all, x)
}

func (b *builder) profile(p *FastL4) {
	if p.Name == "" {
		b.fault("profile fastl4: has no name")
	}
	if p.IdleTimeout < Indefinite || p.HandshakeTimeout < 0 || p.CloseTimeout < 0 || p.ClientTimeout < 0 || p.KeepAliveInterval < 0 {
		b.fault("profile fastl4 %q: a time is negative", p.Name)
	}
	b.refuseProfile(p)
	b.profiles[p.Name] = p.filled()
}

// server fills in the listener of a virtual server. It reports whether that is
// without fault.
func (b *builder) server(s *Server, x *Listener) bool {
	if !s.Source.IsValid() {
		s.Source = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	s.Destination, s.Source = s.Destination.Masked(), s.Source.Masked()
	if s.Profile == "" {
		s.Profile = DefaultProfile
	}
	profile, known := b.profiles[s.Profile]
	before := len(b.faults)
	b.checkServer(s)
	b.refuseServer(s)
	if !known {
		b.fault("virtual server %q: there is no profile fastl4 %q", s.Name, s.Profile)
	}
	*x = Listener{Kind: KindServer, Name: s.Name, Profile: profile, Server: s, vlans: s.VLANs.set(), counters: &Counters{}, rate: newMeter(s.RateLimit)}
	b.add(x)
	if len(b.faults) > before {
		return false
	}
	b.answer(s.Translations)
	if s.VLANs.Enabled && len(s.VLANs.List) == 0 {
		b.warn("virtual server %q: vlans-enabled with an empty list: it never matches", s.Name)
	}
	if s.Destination.IsSingleIP() {
		b.serveHost(s)
	}
	return true
}

// serveHost notes a virtual server of one address.
func (b *builder) serveHost(s *Server) {
	host := s.Destination.Addr()
	if _, nat := b.served[addrOf(host)]; nat {
		b.served[addrOf(host)] = s.Name
	}
	if slices.Contains(b.tunnels, host) {
		b.warn("virtual server %q: its destination %v is a tunnel's local address: IKE and ESP still go to the tunnel", s.Name, host)
	}
}

// answer notes addresses that something translates to.
func (b *builder) answer(addrs []netip.Addr) {
	for _, a := range addrs {
		b.l.answers[addrOf(a)] = true
	}
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
func (b *builder) conflicts(all []placed) {
	runs(all, placed.equal, func(equal span) {
		if equal.to-equal.from > 1 {
			b.conflict(all[equal.from:equal.to])
		}
	})
}

func (b *builder) conflict(equal []placed) {
	var taken vlanSet
	var by []*Listener
	for _, p := range equal {
		x := p.x
		if taken.overlaps(&x.vlans) {
			i := slices.IndexFunc(by, func(o *Listener) bool { return o.vlans.overlaps(&x.vlans) })
			b.fault("virtual server %q: conflicts with virtual server %q: same destination, source, port and protocol, and a VLAN in common", x.Name, by[i].Name)
			continue // others are compared with those that stand
		}
		taken.add(&x.vlans)
		by = append(by, x)
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
		b.l.selfs[addrOf(a)], b.l.answers[addrOf(a)] = x, true
	}
}

func (b *builder) nat(n NAT) {
	// A NAT is stateless in meaning (VR22): it takes connections as they come
	// and resets none.
	p := FastL4{LooseInitialization: true, LooseClose: true, ResetOnTimeout: Off}.filled()
	x := &Listener{Kind: KindNAT, Name: n.Name, Profile: p, NAT: &n, vlans: n.VLANs.set(), counters: &Counters{}}
	b.add(x)
	b.refuse(x, n.AutoLasthop == On, "auto-lasthop", routed)
	if !host(n.Originating) || !host(n.Translation) {
		b.fault("nat %q: originating and translation address must be IPv4 hosts: %v, %v", n.Name, n.Originating, n.Translation)
		return
	}
	inside, outside := addrOf(n.Originating), addrOf(n.Translation)
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
	b.l.originated[inside], b.l.translated[outside], b.l.answers[outside] = x, x, true
}

func (b *builder) snats(all []SNAT) {
	by := map[network][]*Listener{}
	for _, s := range all {
		x := &Listener{Kind: KindSNAT, Name: s.Name, Profile: b.profiles[DefaultProfile], SNAT: &s, vlans: s.VLANs.set(), counters: &Counters{}}
		b.add(x)
		b.refuse(x, s.Mirror, "mirror", single)
		if s.Automap == (len(s.Translations) > 0) {
			b.fault("snat %q: needs one of translation, snatpool and automap", s.Name)
		}
		for _, a := range s.Translations {
			if !host(a) {
				b.fault("snat %q: translation %v is not an IPv4 host", s.Name, a)
			}
		}
		b.answer(s.Translations)
		if len(s.Origins) == 0 {
			b.fault("snat %q: has no origins", s.Name)
		}
		b.sources(x, s.Origins, by)
	}
	b.l.origins = newListenerNest(by)
}

func (b *builder) clients(all []Group) {
	by := map[network][]*Listener{}
	for _, g := range all {
		x := &Listener{Kind: KindGroup, Name: g.Name, Group: &g, vlans: VLANs{}.set()}
		b.add(x)
		b.sources(x, g.Clients, by)
	}
	b.l.clients = newListenerNest(by)
}

// sources enters a listener under its source networks.
func (b *builder) sources(x *Listener, ps []netip.Prefix, by map[network][]*Listener) {
	for _, p := range ps {
		if !four(p) {
			b.fault("%s %q: %v is not an IPv4 network", x.Kind, x.Name, p)
			continue
		}
		p = p.Masked()
		at := networkOf(p)
		for _, o := range by[at] {
			if o.vlans.overlaps(&x.vlans) {
				b.fault("%s %q: %v is already a network of %s %q on a VLAN in common", x.Kind, x.Name, p, o.Kind, o.Name)
			}
		}
		by[at] = append(by[at], x)
	}
}
