package configs

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// ipsecRefs are the names that objects of [net.…] refer to, not yet resolved.
type ipsecRefs struct {
	peer   map[*IPsecPolicy]nameAt
	policy map[any]nameAt // *TrafficSelector, *ManualSA, *Tunnel
	tunnel map[string]nameAt
	domain map[any]int // *IPsecPolicy, *TrafficSelector: as written, or unsaid
	way    map[*ManualSA]manualWay
	id     map[*IKEPeer]peerKeys
}

func newIPsecRefs() ipsecRefs {
	return ipsecRefs{
		map[*IPsecPolicy]nameAt{}, map[any]nameAt{}, map[string]nameAt{}, map[any]int{}, map[*ManualSA]manualWay{}, map[*IKEPeer]peerKeys{},
	}
}

// net reads the interfaces of tunnels and everything about IPsec.
func (r *reader) net(root *table, w *raw) {
	t := root.sub("net")
	s := t.sub("ipsec")
	r.peers(s, w)
	r.policies(s, w)
	r.selectors(s, w)
	r.manualSAs(s, w)
	s.done()
	r.tunnels(t, w)
	t.done()
}

// place is where the table itself begins.
func (t *table) place() Place {
	at := t.here()
	at.onKey = true
	line, col := t.doc.position(t.doc.offset(at))
	return Place{line, col}
}

// maxDays bounds lifetimes: a day for what carries traffic is BIG-IP's own
// default, a month is nobody's.
const maxDays = 30 * 24 * time.Hour

func (r *reader) policies(ipsec *table, w *raw) {
	for _, t := range ipsec.named("policy", longName) {
		q := &IPsecPolicy{Name: t.name(), At: t.place(), Mode: choose(t, "mode", ModeTransport, ipsecModeWords())}
		t.esp()
		t.off("none", "ipcomp")
		w.ipsec.peer[q] = nameAt{t.text("peer", ""), t.at("peer")}
		w.ipsec.domain[q] = t.routeDomain()
		q.Local = t.optional("tunnel_local_address", parseHost)
		q.Remote = t.optional("tunnel_remote_address", parseHostOrAny)
		t.protection(q)
		q.ESN = t.flag("extended_sequence_numbers", true)
		q.Lifetime = t.duration("ike_phase2_lifetime", span{time.Hour, 5 * time.Minute, maxDays, time.Minute})
		q.Kilobytes = int(t.whole("ike_phase2_lifetime_kilobytes", 0, 0, 1<<31-1))
		if q.Kilobytes > 0 && q.Kilobytes < leastKilobytes {
			t.fault(t.at("ike_phase2_lifetime_kilobytes"), "must be 0, or %d or more: new keys would be wanted all the time", leastKilobytes)
		}
		t.done()
		w.IPsec.Policies = append(w.IPsec.Policies, q)
	}
}

const leastKilobytes = 1024

// optional reads a value that may be left out; it is the zero value then.
func (t *table) optional(key string, parse func(string) (netip.Addr, error)) netip.Addr {
	if !t.has(key) {
		t.known = append(t.known, key)
		return netip.Addr{}
	}
	return needOne(t, key, parse)
}

// parseHostOrAny takes the address of a host, or any (0.0.0.0).
func parseHostOrAny(s string) (netip.Addr, error) {
	if strings.EqualFold(s, "any") || s == "0.0.0.0" {
		return netip.IPv4Unspecified(), nil
	}
	return parseHost(s)
}

// esp reads the protocol of a policy or a manual SA: there is one.
func (t *table) esp() {
	const key = "protocol"
	text := t.text(key, "esp")
	switch {
	case strings.EqualFold(text, "ah"):
		t.fault(t.at(key), `"ah" is not supported: it hides nothing, and no NAT lets it through; write "esp", with encryption "null" if nothing is to be hidden`)
	case !strings.EqualFold(text, "esp"):
		t.fault(t.at(key), `%q is not "esp"`, text)
	}
}

func (r *reader) selectors(ipsec *table, w *raw) {
	for _, t := range ipsec.named("selector", longName) {
		s := &TrafficSelector{
			Name: t.name(), At: t.place(), Source: t.side("source_address"), Destination: t.side("destination_address"),
			SourcePort: t.port("source_port"), DestinationPort: t.port("destination_port"), Protocol: t.ipProtocol(),
			Direction: choose(t, "direction", DirectionBoth, directionWords()),
			Action:    choose(t, "action", ActionProtect, actionWords()),
			Order:     int(t.whole("order", 0, 0, 1<<31-1)),
			Up:        t.flag("up", false),
		}
		for key, port := range map[string]uint16{"source_port": s.SourcePort, "destination_port": s.DestinationPort} {
			if port != 0 && s.Protocol != 0 && !s.Protocol.hasPorts() {
				t.fault(t.at(key), "%s has no ports: write any", s.Protocol)
			}
		}
		policy := nameAt{t.text("policy", ""), t.at("policy")}
		switch {
		case s.Action == ActionProtect && policy.name == "":
			t.fault(policy.at, `is missing: a selector that protects names a policy; action = "bypass" or "discard" needs none`)
		case s.Action != ActionProtect && policy.name != "":
			t.fault(policy.at, "only with action = %q, not %q", ActionProtect, s.Action)
			policy.name = ""
		}
		if s.Up && s.Action != ActionProtect {
			t.fault(t.at("up"), "only with action = %q, not %q: there is nothing to negotiate", ActionProtect, s.Action)
		}
		w.ipsec.policy[s] = policy
		w.ipsec.domain[s] = t.routeDomain()
		t.done()
		w.IPsec.Selectors = append(w.IPsec.Selectors, s)
	}
	if n := len(w.IPsec.Selectors); n > maxSelectors {
		r.fault(ipsec.at("selector"), "there are %d selectors: at most %d are supported", n, maxSelectors)
	}
}

// maxSelectors is what the index of selectors has room for.
const maxSelectors = 2048

// hasPorts: of TCP and UDP they are looked at.
func (p IPProtocol) hasPorts() bool { return p == 6 || p == 17 }

// side reads a network of a selector, or any.
func (t *table) side(key string) netip.Prefix {
	text := t.need(key)
	if strings.EqualFold(text, "any") {
		return everywhere()
	}
	if text == "" {
		return netip.Prefix{}
	}
	p, err := parseNetwork(text)
	if err != nil {
		t.fault(t.at(key), "%v", err)
	}
	return p
}

// port reads a port: a number, the name of a service, or any.
func (t *table) port(key string) uint16 {
	if _, number := t.keys[key].(int64); number {
		return uint16(t.whole(key, 0, 0, 65535))
	}
	text := t.text(key, "any")
	p, known := parsePort(text)
	if !known {
		t.fault(t.at(key), "%q is no port: write any, a number up to 65535, or the name of a service%s", text, didYouMean(text, serviceNames()))
	}
	return p
}

func (r *reader) tunnels(net *table, w *raw) {
	for _, t := range net.named("tunnel", longName) {
		u := &Tunnel{
			Name: t.name(), At: t.place(), Addresses: list(t, "addresses", parseInterface), MTU: t.size("mtu", 0, 0, 9216),
		}
		if u.MTU > 0 && u.MTU < 576 {
			t.fault(t.at("mtu"), "must be 0, or from 576 to 9216, not %d", u.MTU)
		}
		w.ipsec.policy[u] = nameAt{t.need("policy"), t.at("policy")}
		t.done()
		w.Tunnels = append(w.Tunnels, u)
	}
	// One byte holds the number of an interface, and 0 is no interface.
	if n := len(w.VLANs) + len(w.Tunnels); n > 255 && len(w.VLANs) <= 255 {
		r.fault(net.at("tunnel"), "there are %d VLANs and tunnels: at most 255 are supported", n)
	}
}

// spi reads a security parameter index: a number, or 0x and hexadecimal digits.
func (t *table) spi() uint32 {
	const key, least = "spi", 256
	n, number := t.keys[key].(int64)
	if number {
		t.known = append(t.known, key)
	} else {
		text := t.need(key)
		if text == "" {
			return 0
		}
		v, err := strconv.ParseUint(text, 0, 64)
		if err != nil || strings.Contains(text, "_") {
			t.fault(t.at(key), `%q is not a number such as 4096 or "0x1000"`, text)
			return 0
		}
		n = int64(min(v, 1<<40))
	}
	if n < least || n > 1<<32-1 {
		t.fault(t.at(key), "must be from %d to 4294967295: those below are reserved (RFC 4303 section 2.1)", least)
		return 0
	}
	return uint32(n)
}
