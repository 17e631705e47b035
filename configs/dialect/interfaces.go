package dialect

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// What a text says about the outside world needs interfaces: own addresses of
// policies, networks of next hops, VLANs of traffic domains.

// policies completes policies, and gives each keys: a peer, or manual SAs.
func (c *completer) policies() {
	keyed, faced := map[string]bool{}, map[string]bool{}
	for _, t := range c.Below("net", "ipsec", "manual_sa") {
		keyed[t.Text("policy")] = true
	}
	for _, t := range c.Below("net", "tunnel") {
		faced[t.Text("policy")] = true
	}
	for _, t := range c.Below("net", "ipsec", "policy") {
		if !t.Defined && !t.Has("tunnel_local_address") {
			c.invent(t, map[bool]string{true: "interface", false: "tunnel"}[faced[t.Name()]])
		}
		if !keyed[t.Name()] && !t.Has("peer") {
			t.Set(t.Line, "peer", t.Name())
			c.Table(t.Line, "net", "ipsec", "peer", t.Name())
		}
		if p := c.Find("net", "ipsec", "peer", t.Text("peer")); p != nil {
			c.peer(p, t.Text("tunnel_remote_address"))
		}
	}
}

// invent makes up the ends of a policy, on a VLAN of its own.
func (c *completer) invent(t *Table, mode string) {
	p := c.space.network()
	t.Set(t.Line, "mode", mode)
	t.Set(t.Line, "tunnel_local_address", at(p, 1).String())
	if !t.Has("tunnel_remote_address") {
		t.Set(t.Line, "tunnel_remote_address", at(p, 14).String())
	}
	c.missing(t, "made up: mode %s, from %s to %s", mode, at(p, 1), t.Text("tunnel_remote_address"))
}

// inventedKey is worth nothing, which a peer with it shows by being disabled.
const inventedKey = "made up: write one of 20 random characters"

// peer makes up a peer, which nobody speaks to before somebody says so.
func (c *completer) peer(t *Table, remote string) {
	if t.Defined || t.Has("psk") {
		return
	}
	if remote == "" || remote == "any" {
		remote = c.space.host()
	}
	if !t.Has("remote_address") {
		t.Set(t.Line, "remote_address", remote)
	}
	t.Set(t.Line, "psk", inventedKey)
	t.Set(t.Line, "state", "disabled")
	c.missing(t, "made up: at %s, with a key that is none; it is disabled, so that nobody uses that", remote)
}

// own is the networks of our own, by traffic domain.
type own map[int64][]netip.Prefix

func (o own) holds(domain int64, a netip.Addr) bool {
	return slices.ContainsFunc(o[domain], func(p netip.Prefix) bool { return p.Contains(a) })
}

// add takes up the addresses of a VLAN or a tunnel.
func (o own) add(t *Table) {
	for _, text := range t.List("addresses") {
		if p, err := netip.ParsePrefix(text); err == nil && p.Addr().Is4() {
			o[t.Number("traffic_domain")] = append(o[t.Number("traffic_domain")], p)
		}
	}
}

// room is the widest network from /24 on that has a as a host and meets no other.
func (o own) room(domain int64, a netip.Addr) netip.Prefix {
	for bits := 24; bits < 31; bits++ {
		p := netip.PrefixFrom(a, bits)
		free := !slices.ContainsFunc(o[domain], p.Overlaps)
		if free && a != p.Masked().Addr() && a != last(p) {
			return p
		}
	}
	return netip.PrefixFrom(a, 32)
}

// last is the broadcast address of a network of at most 256 addresses.
func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	b[3] |= byte(0xff >> (p.Bits() - 24))
	return netip.AddrFrom4(b)
}

// interfaces makes up the VLANs that addresses need.
func (c *completer) interfaces() {
	nets := own{}
	for _, t := range append(c.Below("vlan"), c.Below("net", "tunnel")...) {
		nets.add(t)
	}
	for _, t := range c.Below("net", "ipsec", "policy") {
		a, err := netip.ParseAddr(t.Text("tunnel_local_address"))
		if d := t.Number("traffic_domain"); err == nil && a.Is4() && !nets.holds(d, a) {
			c.vlan(t.LineOf("tunnel_local_address"), d, nets, nets.room(d, a))
		}
	}
	for _, t := range c.Below("route") {
		a, err := netip.ParseAddr(t.Text("via"))
		if d := t.Number("traffic_domain"); err == nil && a.Is4() && !nets.holds(d, a) {
			c.vlan(t.LineOf("via"), d, nets, neighbour(nets.room(d, a)))
		}
	}
	c.domains(nets)
	for _, t := range c.Below("vlan") {
		if !t.Defined && t.Command == "" {
			c.missing(t, "made up: without a tag, on a port for itself")
		}
		if !t.Has("port") && !t.Has("switch") {
			t.Set(t.Line, "port", t.Name())
		}
	}
}

// neighbour is another host's address on a network.
func neighbour(p netip.Prefix) netip.Prefix {
	a := p.Masked().Addr().Next()
	if a == p.Addr() {
		a = a.Next()
	}
	return netip.PrefixFrom(a, p.Bits())
}

// vlan makes up a VLAN with an address.
func (c *completer) vlan(line int, domain int64, nets own, p netip.Prefix) {
	name := "net-" + p.Masked().Addr().String()
	for c.Find("vlan", name) != nil || c.Find("net", "tunnel", name) != nil {
		name += "_"
	}
	t := c.Table(line, "vlan", name)
	t.Set(line, "addresses", []string{p.String()})
	if domain != 0 {
		t.Set(line, "traffic_domain", domain)
	}
	nets[domain] = append(nets[domain], p)
	c.add(Finding{Line: line, Kind: Missing, Command: c.command(t, "addresses"),
		Text: fmt.Sprintf("no VLAN is on the network of %s: made up, with the address %s", address(p), p)})
	t.Command = c.command(t, "")
}

func address(p netip.Prefix) netip.Addr { return p.Masked().Addr() }

// domains sees to it that each traffic domain that is used has a VLAN, once
// there are any.
func (c *completer) domains(nets own) {
	vlans := c.Below("vlan")
	if len(vlans) == 0 {
		return
	}
	there := map[int64]bool{}
	for _, t := range vlans {
		there[t.Number("traffic_domain")] = true
	}
	for _, kind := range []string{"lsn.client", "ltm.virtual", "ltm.nat", "ltm.snat"} {
		for _, t := range c.Below(strings.Split(kind, ".")...) {
			d := t.Number("traffic_domain")
			if there[d] {
				continue
			}
			there[d] = true
			v := c.Table(t.Line, "vlan", "domain-"+strconv.FormatInt(d, 10))
			if d != 0 {
				v.Set(t.Line, "traffic_domain", d)
			}
			c.missing(v, "made up: no VLAN is in traffic domain %d", d)
		}
	}
}
