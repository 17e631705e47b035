package configs

import (
	"fmt"
	"net/netip"
	"strings"
)

// statics reads NetScaler's lsn static: mappings that are always there (R27).
func (r *reader) statics(lsn *table, w *raw) {
	for _, t := range lsn.named("static", longName) {
		s := &Static{Name: t.name()}
		if t.need("protocol") != "" {
			s.Protocol = choose(t, "protocol", Protocol(0), staticWords())
		}
		s.Inside = needOne(t, "subscriber", parseEndpoint)
		s.Outside = needOne(t, "nat", parseEndpoint)
		if t.has("dest_ip") {
			s.Remote = needOne(t, "dest_ip", parseHost)
		}
		s.Domain = t.trafficDomain()
		t.done()
		t.checkStatic(s)
		w.LSN.Statics = append(w.LSN.Statics, s)
	}
}

// checkStatic: only TCP and UDP have ports, and every port maps to itself.
func (t *table) checkStatic(s *Static) {
	portless := s.Protocol == ProtocolICMP || s.Protocol == ProtocolAll
	for _, e := range []struct {
		key string
		Endpoint
	}{{"subscriber", s.Inside}, {"nat", s.Outside}} {
		if portless && e.Port != 0 {
			t.fault(t.at(e.key), "protocol %s has no ports: write the address alone", s.Protocol)
		}
	}
	if !portless && (s.Inside.Port == 0) != (s.Outside.Port == 0) {
		t.fault(t.at("nat"), "either both ports are given, or both are *: with * every port maps to itself")
	}
}

// needOne parses a string that must be there.
func needOne[T any](t *table, key string, parse func(string) (T, error)) (v T) {
	text := t.need(key)
	if text == "" {
		return v
	}
	v, err := parse(text)
	if err != nil {
		t.fault(t.at(key), "%v", err)
	}
	return v
}

// parseEndpoint takes ADDRESS:PORT, ADDRESS:* or ADDRESS, which is the same.
func parseEndpoint(s string) (Endpoint, error) {
	text := strings.TrimSuffix(s, ":*")
	if !strings.Contains(text, ":") {
		a, err := parseAddr(text)
		return hostEndpoint(s, netip.AddrPortFrom(a, 0), err)
	}
	e, err := netip.ParseAddrPort(text)
	if err != nil || !e.Addr().Is4() || e.Port() == 0 {
		return Endpoint{}, fmt.Errorf("%q is not an endpoint such as 192.0.2.10:80 or 192.0.2.10:*", s)
	}
	return hostEndpoint(s, e, nil)
}

// parseHost takes the address of one host: 0.0.0.0 would stand for all of them.
func parseHost(s string) (netip.Addr, error) {
	a, err := parseAddr(s)
	e, err := hostEndpoint(s, netip.AddrPortFrom(a, 0), err)
	return e.Addr, err
}

func hostEndpoint(s string, e netip.AddrPort, err error) (Endpoint, error) {
	if err != nil {
		return Endpoint{}, err
	}
	if why := notUnicast(e.Addr()); why != "" {
		return Endpoint{}, fmt.Errorf("%q is %s", s, why)
	}
	return Endpoint{e.Addr(), e.Port()}, nil
}

// overlaps reports whether two static mappings want the same outside endpoint
// for the same remote.
func (s *Static) overlaps(o *Static) bool {
	protocols := s.Protocol == o.Protocol || s.Protocol == ProtocolAll || o.Protocol == ProtocolAll
	ports := s.Outside.Port == o.Outside.Port || s.Outside.Port == 0 || o.Outside.Port == 0
	remotes := s.Remote == o.Remote || !s.Remote.IsValid() || !o.Remote.IsValid()
	return protocols && ports && remotes && s.Domain == o.Domain && s.Outside.Addr == o.Outside.Addr
}

// sameInside reports whether two static mappings want the same subscriber's
// endpoint for the same remote. A narrower one beside a wider one is legal: a
// packet from inside takes the narrowest.
func (s *Static) sameInside(o *Static) bool {
	protocols := s.Protocol == o.Protocol || s.Protocol == ProtocolAll || o.Protocol == ProtocolAll
	return protocols && s.Inside == o.Inside && s.Remote == o.Remote && s.Domain == o.Domain
}

// checkStatics: each belongs to a subscriber, and no two share an endpoint.
func (r *reader) checkStatics(w *raw) {
	for i, s := range w.LSN.Statics {
		at := func(key string) spot { return keyAt("lsn", "static", s.Name, key) }
		if s.Inside.Addr.IsValid() && !w.isSubscriber(s.Inside.Addr, s.Domain) {
			r.fault(at("subscriber"), "%s is in no network of a client that a group is bound to", s.Inside.Addr)
		}
		if h, ok := w.connected(s.Outside.Addr)[s.Domain]; ok && h.own {
			r.fault(at("nat"), "%s is the router's own address on %s", s.Outside.Addr, h)
		}
		if s.Outside.Addr.IsValid() && w.isSubscriber(s.Outside.Addr, s.Domain) {
			r.fault(at("nat"), "%s is a subscriber's: it is in a network of a client that a group is bound to", s.Outside.Addr)
		}
		for _, before := range w.LSN.Statics[:i] {
			if s.Outside.Addr.IsValid() && s.overlaps(before) {
				r.fault(at("nat"), "overlaps %s: an outside endpoint has one subscriber", label("lsn", "static", before.Name))
			}
			if s.Inside.Addr.IsValid() && s.sameInside(before) {
				r.fault(at("subscriber"), "has %s already: a subscriber's endpoint has one NAT endpoint", label("lsn", "static", before.Name))
			}
		}
		r.checkStaticPool(s, w)
	}
}

// checkStaticPool refuses an outside endpoint that arithmetic has given to
// somebody already (R18).
func (r *reader) checkStaticPool(s *Static, w *raw) {
	if !s.Outside.Addr.IsValid() || s.Outside.Port > 0 && s.Outside.Port < firstDynamicPort {
		return
	}
	for _, p := range w.LSN.Pools {
		if p.Type == NATDeterministic && p.Domain == s.Domain && p.holds(s.Outside.Addr) {
			r.fault(keyAt("lsn", "static", s.Name, "nat"), "%s is in %s, whose ports from %d on are all given away by rule R18",
				s.Outside.Addr, label("lsn", "pool", p.Name), firstDynamicPort)
		}
	}
}

func (w *raw) isSubscriber(a netip.Addr, domain uint16) bool {
	for _, g := range w.LSN.Groups {
		if g.Client == nil || g.Client.Domain != domain {
			continue
		}
		for _, p := range g.Client.Networks {
			if p.IsValid() && p.Contains(a) {
				return true
			}
		}
	}
	return false
}

func (p *Pool) holds(a netip.Addr) bool {
	for _, r := range p.Ranges {
		if r.From.IsValid() && !a.Less(r.From) && !r.To.Less(a) {
			return true
		}
	}
	return false
}
