package tmsh

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"spigate/configs"
	"spigate/configs/dialect"
)

// net lists objects of [vlan.…], [route.…], [net.…] and [sys.…].
func (l *lister) net() {
	switch l.kind {
	case "net vlan":
		for _, v := range l.VLANs {
			l.add(v.Name, &v.Domain, vlan(v))
		}
	case "net self":
		l.selfs()
	case "net route-domain":
		l.routeDomains()
	case "net route":
		for i := range l.Routes {
			l.route(&l.Routes[i])
		}
	case "net ipsec ike-peer":
		for _, p := range l.IPsec.Peers {
			l.add(p.Name, nil, l.peer(p))
		}
	case "net ipsec ipsec-policy":
		for _, q := range l.IPsec.Policies {
			l.add(q.Name, &q.Domain, l.policy(q))
		}
	case "net ipsec traffic-selector":
		for _, s := range l.IPsec.Selectors {
			l.add(s.Name, &s.Domain, selectorProperties(s))
		}
	case "net ipsec manual-security-association":
		for _, m := range l.IPsec.Manual {
			l.add(m.Name, nil, manual(m))
		}
	case "net tunnels ipsec":
		for _, t := range l.Tunnels {
			l.add(t.Name, &t.Domain, []Property{l.tunnelPolicy(t)})
		}
	case "net tunnels tunnel":
		for _, t := range l.Tunnels {
			l.add(t.Name, &t.Domain, tunnel(t))
		}
	case "sys db":
		l.add("tm.continuematching", nil, []Property{always("value", l.DB.ContinueMatching)})
		l.add("tm.rejectunmatched", nil, []Property{always("value", l.DB.RejectUnmatched)})
	}
}

// vlan: without a switch a VLAN has one interface, its port.
func vlan(v *configs.VLAN) []Property {
	interfaces := Property{Name: "interfaces"}
	one := func(name string, tagged bool) {
		p := Property{Name: name, Braces: !tagged}
		if tagged {
			p.Block = []Property{{Name: "tagged"}}
		}
		interfaces.Block = append(interfaces.Block, p)
	}
	if v.Switch == nil {
		one(v.Port.Name, v.ID != 0)
	}
	for _, name := range v.Tagged {
		one(name, true)
	}
	for _, name := range v.Untagged {
		one(name, false)
	}
	interfaces.Default = len(interfaces.Block) == 0
	return []Property{interfaces, unless("tag", v.ID, 0)}
}

// selfs are our addresses, each named as it is.
func (l *lister) selfs() {
	all := func(owner string, domain uint16, addresses []netip.Prefix) {
		for _, p := range addresses {
			l.add(inDomain(p.Addr(), domain), &domain, []Property{always("address", networkIn(p, domain)), always("vlan", owner)})
		}
	}
	for _, v := range l.VLANs {
		all(v.Name, v.Domain, v.Addresses)
	}
	for _, t := range l.Tunnels {
		all(t.Name, t.Domain, t.Addresses)
	}
}

func (l *lister) routeDomains() {
	for _, domain := range l.Domains() {
		var in []string
		for _, v := range l.VLANs {
			if v.Domain == domain && domain != 0 {
				in = append(in, v.Name)
			}
		}
		if len(in) > 0 {
			l.add(strconv.Itoa(int(domain)), &domain, []Property{always("id", domain), block("vlans", in, false)})
		}
	}
}

// route is named by where it leads.
func (l *lister) route(r *configs.Route) {
	domain := r.Domain()
	to := networkIn(r.Prefix, domain)
	if r.Prefix.Bits() == 0 {
		to = strings.Replace(inDomain(r.Prefix.Addr(), domain), "0.0.0.0", "default", 1)
	}
	properties := []Property{always("network", to)}
	if r.Tunnel != nil {
		properties = append(properties, always("interface", r.Tunnel.Name))
	} else {
		properties = append(properties, always("gw", inDomain(r.Via, domain)))
	}
	l.add(strings.ReplaceAll(to, "/", "_"), &domain, properties)
}

// several is one word, or a block of words.
func several[T interface{ String() string }](name string, list []T) Property {
	if len(list) == 1 {
		return always(name, list[0].String())
	}
	p := Property{Name: name, Default: len(list) == 0}
	for _, one := range list {
		p.Block = append(p.Block, Property{Name: one.String()})
	}
	return p
}

// secret is a key, which is never printed.
func secret(name string, there bool) Property {
	return Property{Name: name, Value: dialect.Concealed, Default: !there}
}

func minutes(d time.Duration) string { return dialect.Units(d, time.Minute) }

func any32(a netip.Addr, domain uint16) string {
	if a.IsUnspecified() {
		return "any"
	}
	return inDomain(a, domain)
}

func (l *lister) peer(p *configs.IKEPeer) []Property {
	var named []string
	for _, s := range l.IPsec.Selectors {
		if s.Policy != nil && s.Policy.Peer == p {
			named = append(named, s.Name)
		}
	}
	return []Property{
		always("remote-address", any32(p.Remote, 0)), {Name: "version", Block: []Property{{Name: "v2"}}}, always("phase1-auth-method", p.Auth),
		secret("preshared-key", p.Auth == configs.AuthPSK), unless("my-id-value", p.MyID, ""), unless("peers-id-value", p.PeerID, ""),
		several("phase1-encrypt-algorithm", p.Encrypt), several("phase1-hash-algorithm", p.Hash), several("prf", p.PRF),
		several("phase1-perfect-forward-secrecy", p.Groups), always("lifetime", minutes(p.Lifetime)), always("dpd-delay", seconds(p.DPDDelay)),
		always("nat-traversal", p.NAT), always("passive", p.Passive), always("state", enabled(!p.Disabled)),
		unless("replay-window-size", p.Window, 64), block("traffic-selector", named, false),
	}
}

func (l *lister) policy(q *configs.IPsecPolicy) []Property {
	out := []Property{
		always("mode", q.Mode), several("ike-phase2-encrypt-algorithm", q.Encrypt), several("ike-phase2-auth-algorithm", q.Auth),
		several("ike-phase2-perfect-forward-secrecy", q.PFS), always("ike-phase2-lifetime", minutes(q.Lifetime)),
		unless("ike-phase2-lifetime-kilobytes", q.Kilobytes, 0), unless("extended-sequence-numbers", enabled(q.ESN), "enabled"),
	}
	if q.Local.IsValid() {
		out = append(out, always("tunnel-local-address", inDomain(q.Local, q.Domain)))
	}
	if q.Remote.IsValid() {
		out = append(out, always("tunnel-remote-address", any32(q.Remote, 0)))
	}
	if q.Peer == nil {
		return out
	}
	// Others find the peer by its address, which may be that of several.
	alike := 0
	for _, p := range l.IPsec.Peers {
		if p.Remote == q.Peer.Remote {
			alike++
		}
	}
	p := always("ike-peer", q.Peer.Name)
	p.Default = alike == 1
	return append(out, p)
}

func selectorProperties(s *configs.TrafficSelector) []Property {
	domain := s.Domain
	if s.Policy != nil {
		domain = 0 // the policy's
	}
	out := []Property{
		always("source-address", networkIn(s.Source, domain)), always("destination-address", networkIn(s.Destination, domain)),
		unless("source-port", configs.PortText(s.SourcePort), "any"), unless("destination-port", configs.PortText(s.DestinationPort), "any"),
		unless("ip-protocol", s.Protocol, 0), unless("direction", s.Direction, configs.DirectionBoth), unless("action", s.Action, configs.ActionProtect),
		unless("order", s.Order, 0), unless("up", enabled(s.Up), "disabled"),
	}
	if s.Policy != nil {
		out = append(out, always("ipsec-policy", s.Policy.Name))
	}
	return out
}

func manual(m *configs.ManualSA) []Property {
	return []Property{
		always("ipsec-policy", m.Policy.Name), always("source-address", m.Source), always("destination-address", m.Destination), always("spi", m.SPI),
		always("encrypt-algorithm", m.Encrypt), always("auth-algorithm", m.Auth), secret("encrypt-key", m.Encrypt != configs.CipherNull), secret("auth-key", true),
	}
}

// tunnelPolicy: a profile names a selector of the policy; where there is none,
// the policy itself.
func (l *lister) tunnelPolicy(t *configs.Tunnel) Property {
	i := slices.IndexFunc(l.IPsec.Selectors, func(s *configs.TrafficSelector) bool { return s.Policy == t.Policy })
	if i < 0 {
		return always("ipsec-policy", t.Policy.Name)
	}
	return always("traffic-selector", l.IPsec.Selectors[i].Name)
}

func tunnel(t *configs.Tunnel) []Property {
	return []Property{
		always("profile", t.Name), always("local-address", any32(t.Policy.Local, t.Domain)), always("remote-address", any32(t.Policy.Remote, 0)),
		unless("mtu", t.MTU, 0),
	}
}
