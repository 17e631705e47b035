package lsn

import (
	"errors"
	"fmt"

	"spigate/netstack/frame"
)

// Static is a mapping that the configuration makes (R27). It lives for ever;
// the sessions on it idle out as all do. Whoever sends to it is let in.
//
// With Proto 0 and both ports 0 it is a 1:1 address: everything that has one
// of the translated protocols passes, and ESP both ways without a gate.
type Static struct {
	Name string
	// Group is the group whose limits and timers hold, that of the client to
	// which the subscriber belongs; "" need not say it.
	Group string
	Proto uint8 // frame.ProtoTCP, ProtoUDP or ProtoICMP; 0 is ALL
	// Inside is the subscriber and Outside the NAT address, which need not be
	// in a pool. Port 0 is every port, and stays the same in translation: both
	// are 0 or none is. For ICMP the port is the query identifier.
	Inside, Outside frame.Endpoint
	Remote          frame.Addr // the one remote it holds for; zero: any
}

// statics finds static mappings from both sides. Proto 0 stands for the ESP of
// a 1:1 address.
type statics struct {
	list    []*static
	inside  map[staticKey]*static
	outside map[staticKey]*static
	ports   map[staticPort]bool // outside ports
	addrs   map[staticPort]bool // the same with port 0: the addresses that they are of
}

// staticPort is an outside port of static mappings for every remote (open), or
// of those for one remote each.
type staticPort struct {
	portKey
	open bool
}

type static struct {
	Static
	group *Group
}

// staticKey names one end of a static mapping for one remote.
type staticKey struct {
	addr   frame.Addr
	remote frame.Addr // zero: any
	port   uint16     // 0: any
	proto  uint16
}

// addStatics checks the static mappings and makes them.
func (set *settings) addStatics(all []Static) error {
	set.statics = statics{
		inside: map[staticKey]*static{}, outside: map[staticKey]*static{},
		ports: map[staticPort]bool{}, addrs: map[staticPort]bool{},
	}
	var faults []error
	names := map[string]bool{}
	for i := range all {
		s := &static{Static: all[i]}
		err := set.addStatic(s)
		if names[s.Name] {
			err = errors.New("defined twice")
		}
		names[s.Name] = true
		if err != nil {
			faults = append(faults, fmt.Errorf("static %q: %w", s.Name, err))
		}
	}
	return errors.Join(faults...)
}

func (set *settings) addStatic(s *static) error {
	if err := s.check(); err != nil {
		return err
	}
	s.group = set.clients.find(s.Inside.Addr)
	switch {
	case s.group == nil:
		return fmt.Errorf("subscriber %v is in no client's networks", s.Inside.Addr)
	case s.Group != "" && s.Group != s.group.Name:
		return fmt.Errorf("subscriber %v is in group %q, not %q", s.Inside.Addr, s.group.Name, s.Group)
	case set.clients.find(s.Outside.Addr) != nil:
		return fmt.Errorf("NAT address %v is a subscriber's", s.Outside.Addr)
	}
	if err := set.claimStatic(s); err != nil {
		return err
	}
	set.statics.list = append(set.statics.list, s)
	set.staticRules(s.group)
	n := set.natAddressOf(s.Outside.Addr)
	for _, proto := range s.protocols() {
		i, _ := protoIndex(proto)
		n.keepFor(i, s.Outside.Port)
	}
	return nil
}

// claimStatic enters a static mapping on both sides, where nobody else may
// stand.
func (set *settings) claimStatic(s *static) error {
	keys := s.protocols()
	if s.oneToOne() {
		keys = append(keys, 0)
	}
	for _, proto := range keys {
		in := staticKey{s.Inside.Addr, s.Remote, s.Inside.Port, uint16(proto)}
		out := staticKey{s.Outside.Addr, s.Remote, s.Outside.Port, uint16(proto)}
		port := staticPort{portKey{s.Outside.Addr, s.Outside.Port, uint16(proto)}, s.Remote.IsZero()}
		if other := set.statics.inside[in]; other != nil {
			return fmt.Errorf("%v already belongs to static %q", s.Inside, other.Name)
		}
		if other := set.statics.outside[out]; other != nil {
			return fmt.Errorf("%v already belongs to static %q", s.Outside, other.Name)
		}
		if set.statics.mixed(port) {
			return fmt.Errorf("%v has a static mapping for every remote and one for a single remote", s.Outside)
		}
		set.statics.ports[port], set.statics.addrs[port.address()] = true, true
		set.statics.inside[in], set.statics.outside[out] = s, s
	}
	return nil
}

func (p staticPort) address() staticPort {
	p.port = 0
	return p
}

// mixed reports whether a port meets one of the other kind, all ports included.
// Claims of different widths never share a port, so that either static mapping
// could shut the other out.
func (s *statics) mixed(p staticPort) bool {
	p.open = !p.open
	return s.ports[p] || s.ports[p.address()] || p.port == 0 && s.addrs[p]
}

func (s *Static) protocols() []uint8 {
	if s.Proto == 0 {
		return append([]uint8(nil), protocols[:]...)
	}
	return []uint8{s.Proto}
}

func (s *Static) check() error {
	if _, ok := protoIndex(s.Proto); !ok && s.Proto != 0 {
		return fmt.Errorf("protocol %d is not translated", s.Proto)
	}
	switch {
	case s.Inside.Addr.IsZero() || s.Outside.Addr.IsZero():
		return errors.New("the subscriber's or the NAT address is missing")
	case (s.Inside.Port == 0) != (s.Outside.Port == 0):
		return errors.New("either both ports are * or none is")
	}
	return nil
}

// staticRules makes the rules of a group's static mappings: open to everybody
// or to one remote, and never paired, because their address is given.
func (set *settings) staticRules(g *Group) {
	for i, proto := range protocols {
		if g.staticAny[i] != nil {
			continue
		}
		app := AppProfile{Name: "STATIC", Proto: proto, Mapping: EIM, Filtering: EIF, InboundRefresh: Enabled}
		g.staticAny[i] = set.newRules(g, app, g.transports[i])
		app.Mapping, app.Filtering = ADM, ADF
		g.staticOne[i] = set.newRules(g, app, g.transports[i])
		g.staticAny[i].static, g.staticOne[i].static = true, true
	}
}

// StaticInfo is one static mapping for display.
type StaticInfo struct {
	Static        // Group is filled in
	Domain uint16 // traffic domain
	Active bool   // false: its port is another mapping's, from before
}

// WalkStatic calls fn for every static mapping, in the order of the
// configuration, until it returns false.
func (t *Table) WalkStatic(fn func(StaticInfo) bool) {
	for _, s := range t.cfg().statics.list {
		in := StaticInfo{Static: s.Static, Domain: t.domain, Active: t.active(s)}
		in.Group = s.group.Name
		if !fn(in) {
			return
		}
	}
}

// active reports whether nobody else has the static mapping's port. Of one
// with all ports that is asked anew for each packet.
func (t *Table) active(s *static) bool {
	if s.Outside.Port == 0 {
		return true
	}
	remote := frame.Endpoint{Addr: s.Remote}
	for _, proto := range s.protocols() {
		i, _ := protoIndex(proto)
		r := s.rules(i)
		o := &t.outsides[outsideShard(s.Outside.Addr, s.Outside.Port)]
		o.mu.Lock()
		free := o.fits(s.Outside.Addr, s.Outside.Port, newClaim(proto, r.width, remote))
		o.mu.Unlock()
		if free {
			continue
		}
		sh, mslot, _ := t.lookup(proto, s.Outside, remote)
		if sh == nil {
			return false // in use by a mapping of another width
		}
		mine := sh.mappings.at(mslot).rules == r.index
		sh.mu.Unlock()
		if !mine {
			return false
		}
	}
	return true
}
