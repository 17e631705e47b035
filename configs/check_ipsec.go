package configs

import (
	"fmt"
	"net/netip"
	"slices"
)

// checkIPsec compares what [net.…] says with itself and with the rest. What the
// packages ipsec and ike would refuse must be refused here. Selectors that hide
// each other (Q8) or have addresses from before a NAT (Q7) are theirs to find.
func (r *reader) checkIPsec(w *raw) {
	r.checkManual(w)
	for _, q := range w.IPsec.Policies {
		r.checkPolicy(w, q)
	}
	for _, s := range w.IPsec.Selectors {
		r.checkSelector(s)
	}
	r.checkDuplicates(w)
	r.checkTunnels(w)
	r.checkPeers(w)
	r.checkProtected(w)
}

// nameOf is the place of the name of a table.
func nameOf(path ...string) spot { return spot{path: path, index: -1, onKey: true} }

func (r *reader) checkPolicy(w *raw, q *IPsecPolicy) {
	at := func(key string) spot { return keyAt("net", "ipsec", "policy", q.Name, key) }
	here, manual := nameOf("net", "ipsec", "policy", q.Name), w.manual(q)
	switch {
	case w.ipsec.peer[q].name == "" && len(manual) == 0:
		r.fault(here, "has no peer, and no [net.ipsec.manual_sa.…] names it: nobody would have keys for it")
	case w.ipsec.peer[q].name != "" && len(manual) > 0:
		r.fault(at("peer"), "%s has keys for it: they are negotiated with a peer, or written down, not both", label("net", "ipsec", "manual_sa", manual[0].Name))
	case len(manual) > 0 && !slices.ContainsFunc(manual, func(m *ManualSA) bool { return m.Outbound }):
		r.warn(here, "its manual SAs are all inbound: nothing can be sent")
	case len(manual) > 0 && !slices.ContainsFunc(manual, func(m *ManualSA) bool { return !m.Outbound }):
		r.warn(here, "its manual SAs are all outbound: nothing can be received")
	}
	if q.VLAN == nil || !q.Remote.IsValid() || q.Remote.IsUnspecified() {
		return
	}
	far := at("tunnel_remote_address")
	if h := w.connected(q.Remote)[q.Domain]; h.own {
		r.fault(far, "%s is the router's own address on %s", q.Remote, h)
		return
	}
	next, into := w.nextHop(q.Remote, q.Domain)
	tunnel := slices.IndexFunc(w.Tunnels, func(t *Tunnel) bool { return t.Name == into && t.Policy == q })
	switch {
	case tunnel >= 0:
		r.fault(far, "the route to %s leads into %s, whose end it is: give it a route of its own, via a neighbour", q.Remote, label("net", "tunnel", into))
	case !next.IsValid() && into == "":
		r.warn(far, "there is no route to %s", q.Remote)
	}
}

// checkSelector: in transport mode packets keep their header, so a selector has
// the ends themselves.
func (r *reader) checkSelector(s *TrafficSelector) {
	at := func(key string) spot { return keyAt("net", "ipsec", "selector", s.Name, key) }
	q := s.Policy
	if q == nil {
		return
	}
	if s.Up && q.Peer == nil {
		r.fault(at("up"), "%s has manual SAs: there is nothing to negotiate", label("net", "ipsec", "policy", q.Name))
	}
	if p := q.Peer; s.Up && p != nil && (p.Passive || p.Remote.IsUnspecified()) {
		r.fault(at("up"), "%s is passive, or at any address: only the other end can begin", label("net", "ipsec", "peer", p.Name))
	}
	if q.Mode != ModeTransport || r.faultAt(keyAt("net", "ipsec", "policy", q.Name, "mode")) {
		return
	}
	for _, side := range []struct {
		key    string
		prefix netip.Prefix
		end    netip.Addr
	}{{"source_address", s.Source, q.Local}, {"destination_address", s.Destination, q.Remote}} {
		switch {
		case !side.prefix.IsValid() || side.end.IsValid() && side.end.IsUnspecified():
		case side.end.IsValid() && side.prefix != netip.PrefixFrom(side.end, 32):
			r.fault(at(side.key), `must be %s/32, that end of %s, whose mode is transport; for networks write mode = "tunnel"`, side.end, label("net", "ipsec", "policy", q.Name))
		case !side.prefix.IsSingleIP():
			r.fault(at(side.key), `must be one host (/32), for the mode of %s is transport; for networks write mode = "tunnel"`, label("net", "ipsec", "policy", q.Name))
		}
	}
}

// checkDuplicates: of two selectors for the same packets one is a mistake.
func (r *reader) checkDuplicates(w *raw) {
	type what struct {
		domain   uint16
		src, dst netip.Prefix
		sp, dp   uint16
		protocol IPProtocol
		tunnel   *IPsecPolicy // of interface mode: it has selectors of its own
	}
	all := map[what][]*TrafficSelector{}
	for _, s := range w.IPsec.Selectors {
		if !s.Source.IsValid() || !s.Destination.IsValid() || s.Action == ActionProtect && (s.Policy == nil || s.Policy.VLAN == nil) {
			continue
		}
		k := what{s.Domain, s.Source, s.Destination, s.SourcePort, s.DestinationPort, s.Protocol, nil}
		if s.Policy != nil && s.Policy.Mode == ModeInterface {
			k.tunnel = s.Policy
		}
		i := slices.IndexFunc(all[k], func(o *TrafficSelector) bool {
			return s.Direction == o.Direction || s.Direction == DirectionBoth || o.Direction == DirectionBoth
		})
		if i >= 0 {
			r.fault(nameOf("net", "ipsec", "selector", s.Name), "is for the same packets as %s: addresses, ports, protocol and direction", label("net", "ipsec", "selector", all[k][i].Name))
			continue
		}
		all[k] = append(all[k], s)
	}
}

func (r *reader) checkTunnels(w *raw) {
	users := map[*IPsecPolicy]*Tunnel{}
	for _, t := range w.Tunnels {
		q := t.Policy
		if q == nil {
			continue
		}
		at := keyAt("net", "tunnel", t.Name, "policy")
		if q.Mode != ModeInterface && !r.faultAt(keyAt("net", "ipsec", "policy", q.Name, "mode")) {
			r.fault(at, `the mode of %s is %s: a tunnel's policy says mode = "interface"; with mode %s selectors decide, and no interface is needed`,
				label("net", "ipsec", "policy", q.Name), q.Mode, q.Mode)
		}
		if other := users[q]; other != nil {
			r.fault(at, "%s is already that of %s: a policy has one tunnel", label("net", "ipsec", "policy", q.Name), label("net", "tunnel", other.Name))
			continue
		}
		users[q] = t
		if !slices.ContainsFunc(w.Routes, func(route Route) bool { return route.Tunnel == t }) && !r.faultBelow("route") {
			r.warn(nameOf("net", "tunnel", t.Name), "no route leads into it: write one with tunnel = %q (rule VR30)", t.Name)
		}
		// The tunnel has a selector of its name then, for everything.
		if !w.selected(q) && slices.ContainsFunc(w.IPsec.Selectors, func(s *TrafficSelector) bool { return s.Name == t.Name }) {
			r.fault(nameOf("net", "tunnel", t.Name), "%s has its name, and another policy: choose another name", label("net", "ipsec", "selector", t.Name))
		}
	}
}

// selected reports whether a selector names the policy.
func (w *raw) selected(q *IPsecPolicy) bool {
	return slices.ContainsFunc(w.IPsec.Selectors, func(s *TrafficSelector) bool { return s.Policy == q })
}

// checkManual: a manual SA is between the ends of its policy, and nobody else's
// SPI and destination.
func (r *reader) checkManual(w *raw) {
	type target struct {
		domain uint16
		spi    uint32
		to     netip.Addr
	}
	taken := map[target]string{}
	for _, m := range w.IPsec.Manual {
		if m.Policy == nil || m.Policy.VLAN == nil || !m.Source.IsValid() || !m.Destination.IsValid() {
			continue
		}
		if why := r.direct(w, m); why != "" {
			r.fault(nameOf("net", "ipsec", "manual_sa", m.Name), "%s", why)
			continue
		}
		k := target{m.Policy.Domain, m.SPI, m.Destination}
		if other, twice := taken[k]; twice && m.SPI != 0 {
			r.fault(keyAt("net", "ipsec", "manual_sa", m.Name, "spi"), "%s has this spi and this destination_address already", label("net", "ipsec", "manual_sa", other))
		}
		taken[k] = m.Name
	}
}

// direct finds the direction of a manual SA, and says what is wrong with it.
func (r *reader) direct(w *raw, m *ManualSA) string {
	q, way := m.Policy, w.ipsec.way[m]
	ours := func(a netip.Addr) bool {
		if q.Local.IsValid() {
			return a == q.Local
		}
		return w.connected(a)[q.Domain].own
	}
	theirs := func(a netip.Addr) bool {
		if q.Remote.IsValid() {
			return a == q.Remote
		}
		return !w.connected(a)[q.Domain].own
	}
	out, in := ours(m.Source) && theirs(m.Destination), ours(m.Destination) && theirs(m.Source)
	switch {
	case !out && !in && q.Local.IsValid() && q.Remote.IsValid():
		return fmt.Sprintf("%s and %s are not the ends of %s: these are %s and %s", m.Source, m.Destination, label("net", "ipsec", "policy", q.Name), q.Local, q.Remote)
	case !out && !in:
		return fmt.Sprintf("one of source_address and destination_address must be ours, and the other one not: %s", w.ownAddresses(int(q.Domain)))
	case way.said && out != (way.direction == DirectionOut):
		return fmt.Sprintf("direction is %q, and %s is ours: leave direction out", way.direction, map[bool]string{true: "source_address", false: "destination_address"}[out])
	}
	m.Outbound = out
	return ""
}

// checkPeers warns of peers that nobody uses or that cannot be told apart.
func (r *reader) checkPeers(w *raw) {
	type ends struct {
		local, remote netip.Addr
		domain        uint16
		id            string
	}
	seen := map[ends]*IKEPeer{}
	for _, p := range w.IPsec.Peers {
		used := false
		for _, q := range w.IPsec.Policies {
			if q.Peer != p {
				continue
			}
			used = true
			k := ends{q.Local, p.Remote, q.Domain, p.PeerID}
			if other := seen[k]; other != nil && other != p {
				r.warn(nameOf("net", "ipsec", "peer", p.Name), "has the same remote_address, peers_id_value and local address as %s: when the other end begins, that one is taken",
					label("net", "ipsec", "peer", other.Name))
			}
			seen[k] = p
		}
		if !used {
			r.warn(nameOf("net", "ipsec", "peer", p.Name), "no policy names it: it is not spoken to")
		}
		r.checkChildren(w, p)
	}
}

// maxChildren is how many selectors one IKE conversation may have: its own bound
// is 32 pairs of SAs, and some of them are there twice while they are replaced.
const maxChildren = 28

// checkChildren bounds what is negotiated with a peer at one address of ours.
func (r *reader) checkChildren(w *raw, p *IKEPeer) {
	n := map[netip.Addr]int{}
	for _, s := range w.IPsec.Selectors {
		q := s.Policy
		if q == nil || q.Peer != p || !q.Local.IsValid() {
			continue
		}
		if n[q.Local]++; n[q.Local] == maxChildren+1 {
			r.fault(nameOf("net", "ipsec", "selector", s.Name), "%s has more than %d selectors at %s: write wider ones, or give the policy another tunnel_local_address",
				label("net", "ipsec", "peer", p.Name), maxChildren, q.Local)
		}
	}
}
