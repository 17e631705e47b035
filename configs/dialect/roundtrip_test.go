package dialect_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"spigate/configs"
	"spigate/configs/dialect"
	"spigate/configs/dialect/tmsh"
)

// draw makes a configuration at random that check passes.
type draw struct {
	*rapid.T
	strings.Builder
	names map[string]bool
	last  string // name
}

func newDraw(t *rapid.T) *draw {
	d := &draw{T: t, names: map[string]bool{}}
	d.WriteString("version = 1\n")
	return d
}

// name is one that nothing has so far (R1).
func (d *draw) name() string {
	n := rapid.StringMatching(`[A-Za-z0-9_][A-Za-z0-9_#. :@=-]{0,6}[A-Za-z0-9_]`).Draw(d.T, "name")
	for d.names[n] {
		n += "x"
	}
	d.names[n], d.last = true, n
	return n
}

func (d *draw) number(least, most int) int { return rapid.IntRange(least, most).Draw(d.T, "number") }
func (d *draw) coin() bool                 { return rapid.Bool().Draw(d.T, "coin") }

func (d *draw) one(words ...string) string { return rapid.SampledFrom(words).Draw(d.T, "word") }

func (d *draw) table(path ...string) {
	for i, p := range path {
		path[i] = dialect.Key(p)
	}
	fmt.Fprintf(d, "[%s]\n", strings.Join(path, "."))
}

func (d *draw) set(key, format string, args ...any) { fmt.Fprintf(d, key+" = "+format+"\n", args...) }

// maybe writes a key, or does not.
func (d *draw) maybe(key, format string, arg any) {
	if d.coin() {
		d.set(key, format, arg)
	}
}

func (d *draw) flags(keys ...string) {
	for _, key := range keys {
		d.maybe(key, "%v", d.coin())
	}
}

func quoted(list []string) string { return strings.ReplaceAll(fmt.Sprintf("%q", list), `" "`, `", "`) }

// net draws VLANs, the first in domain 0, each with a network 10.I.0.0/24, and
// routes. It returns the VLANs' names and domains.
func (d *draw) net() (vlans []string, domains []int) {
	for i := range d.number(1, 4) {
		port, vlan, domain := d.name(), d.name(), 0
		if i > 0 {
			domain = rapid.SampledFrom([]int{0, 7, 4094}).Draw(d.T, "domain")
		}
		d.table("port", port)
		d.set("driver", `"raw"`)
		d.set("device", `"eth%d"`, i)
		d.table("vlan", vlan)
		d.set("port", "%q", port)
		if d.coin() {
			d.set("id", "%d", 2*i+2)
		}
		d.set("traffic_domain", "%d", domain)
		addresses := []string{fmt.Sprintf("10.%d.0.1/24", i), fmt.Sprintf("10.%d.1.%d/25", i, d.number(1, 120))}
		d.set("addresses", "%s", quoted(addresses[:d.number(1, 2)]))
		if !slices.Contains(domains, domain) {
			d.table("route", d.name())
			d.set("to", `"0.0.0.0/0"`)
			d.set("via", `"10.%d.0.254"`, i)
			d.set("traffic_domain", "%d", domain)
		}
		if d.coin() {
			d.table("route", fmt.Sprintf("172.%d.0.0/16", 100+i))
			d.set("via", `"10.%d.0.%d"`, i, d.number(2, 200))
		}
		vlans, domains = append(vlans, vlan), append(domains, domain)
	}
	return vlans, domains
}

// listens draws where something listens, in a domain that has VLANs.
func (d *draw) listens(vlans []string, domains []int) {
	at := d.number(0, len(domains)-1)
	d.set("traffic_domain", "%d", domains[at])
	switch d.number(0, 3) {
	case 0:
		d.set("vlans", "%s", quoted(vlans[at:at+1]))
		d.set("vlans_enabled", "true")
	case 1:
		d.set("vlans", "%s", quoted(vlans[at:at+1]))
		d.set("vlans_disabled", "true")
	case 2:
		d.set("vlans_enabled", "true")
	}
}

func (d *draw) ltm(vlans []string, domains []int) {
	var pools []string
	for i := range d.number(0, 2) {
		pools = append(pools, d.name())
		d.table("ltm", "snatpool", pools[i])
		d.set("members", `["198.51.100.%d", "203.0.113.%d"]`, i+1, i+1)
	}
	profiles := []string{"fastL4"}
	for range d.number(0, 2) {
		profiles = append(profiles, d.fastL4(profiles))
	}
	for i := range d.number(0, 4) {
		d.virtual(i, profiles, pools)
		d.listens(vlans, domains)
	}
	for i := range d.number(0, 2) {
		d.table("ltm", "nat", d.name())
		d.set("originating_address", `"172.20.1.%d"`, i+1)
		d.set("translation_address", `"198.18.1.%d"`, i+1)
		d.flags("arp", "inherited_traffic_group", "require_protection")
		d.maybe("traffic_group", "%q", d.one("traffic-group-1", "local"))
		d.maybe("auto_lasthop", "%q", d.one("default", "disabled"))
		d.listens(vlans, domains)
	}
	for i := range d.number(0, 3) {
		d.table("ltm", "snat", d.name())
		d.set("origins", `["172.21.%d.0/24", "172.22.%d.7/32"]`, i, i)
		switch way := d.number(0, 2); {
		case way == 0 && len(pools) > 0:
			d.set("snatpool", "%q", d.one(pools...))
		case way == 1:
			d.set("translation", `"198.51.100.9"`)
		default:
			d.set("automap", "true")
		}
		d.flags("mirror")
		d.maybe("source_port", "%q", d.one("preserve", "preserve-strict", "change"))
		d.listens(vlans, domains)
	}
	d.table("sys", "db", "tm")
	d.flags("continuematching", "rejectunmatched")
}

func (d *draw) fastL4(parents []string) string {
	name := d.name()
	d.table("ltm", "profile", "fastl4", name)
	d.maybe("defaults_from", "%q", d.one(parents...))
	d.maybe("idle_timeout", "%q", d.one("immediate", "indefinite", "60s", "1h", "1500ms"))
	d.maybe("tcp_handshake_timeout", "%d", d.number(1, 60))
	d.maybe("tcp_close_timeout", "%d", d.number(1, 60))
	d.maybe("ip_ttl_mode", "%q", d.one("decrement", "preserve"))
	d.maybe("mss_override", "%s", d.one("0", "1300"))
	d.flags("loose_initialization", "loose_close", "reset_on_timeout")
	return name
}

func (d *draw) virtual(i int, profiles, pools []string) {
	d.table("ltm", "virtual", d.name())
	d.set("destination", "%q", fmt.Sprintf(d.one("172.16.%d.0/24:any", "172.16.%d.5:any", "172.16.%d.5:443", "172.16.%d.0/25:8999"), i))
	d.maybe("source", "%q", d.one("10.0.0.0/8", "0.0.0.0/0", "192.0.2.1/32"))
	d.set("ip_protocol", "%q", d.one("tcp", "udp"))
	d.set(d.one("ip_forward", "reject"), "true")
	d.maybe("profiles", "[%q]", d.one(profiles...))
	d.flags("translate_address", "translate_port", "mirror", "cmp_enabled", "require_protection", "disabled")
	d.maybe("connection_limit", "%d", d.number(0, 9999))
	d.maybe("rate_limit", "%d", d.number(0, 9999))
	d.maybe("source_port", "%q", d.one("preserve", "preserve-strict", "change"))
	d.maybe("auto_lasthop", "%q", d.one("default", "disabled"))
	switch way := d.number(0, 3); {
	case way == 0 && len(pools) > 0:
		d.set("source_address_translation", `"snat"`)
		d.set("snat_pool", "%q", d.one(pools...))
	case way == 1:
		d.set("source_address_translation", `"snat"`)
		d.set("snat_translation", `"198.51.100.9"`)
	case way == 2:
		d.set("source_address_translation", `"automap"`)
	}
}

// algorithms draws one, or several in an order.
func (d *draw) algorithms(key string, all ...string) {
	if d.coin() {
		some := rapid.Permutation(all).Draw(d.T, "order")
		d.set(key, "%s", quoted(some[:d.number(1, len(some))]))
	}
}

// ipsec draws tunnels. Their ends are addresses of the first VLAN's.
func (d *draw) ipsec() {
	var peers []string
	for i := range d.number(1, 2) {
		peers = append(peers, d.name())
		d.table("net", "ipsec", "peer", peers[i])
		d.set("remote_address", "%q", d.one("10.0.0.77", "10.0.0.78"))
		if d.coin() {
			d.set("psk", `"a secret of some length"`)
			d.maybe("peers_id_value", "%q", d.one("gw.example.net", "CN=gw, O=Example Ltd", "10.0.0.77"))
		} else {
			d.WriteString("my_cert_file = \"file:a.crt\"\nmy_cert_key_file = \"a.key\"\nca_cert_file = \"ca.crt\"\n")
		}
		d.maybe("my_id_value", "%q", d.one("me.example.net", "CN=me, O=Example"))
		d.algorithms("phase1_encrypt_algorithm", "aes-gcm256", "aes256", "aes128")
		d.algorithms("phase1_hash_algorithm", "sha256", "sha512")
		d.algorithms("prf", "sha384", "sha512")
		d.algorithms("phase1_perfect_forward_secrecy", "x25519", "ecp256", "modp2048")
		d.maybe("lifetime", "%q", d.one("15m", "24h", "61m30s"))
		d.maybe("dpd_delay", "%q", d.one("0s", "10s", "1500ms"))
		d.maybe("nat_traversal", "%q", d.one("on", "off", "force"))
		d.maybe("state", "%q", d.one("enabled", "disabled"))
		d.maybe("replay_window_size", "%d", d.number(32, 4096))
		d.flags("passive")
	}
	for i := range d.number(1, 4) {
		d.policy(i, d.one(peers...))
	}
	if d.coin() {
		d.table("net", "ipsec", "selector", d.name())
		d.WriteString("source_address = \"10.50.0.0/16\"\ndestination_address = \"any\"\naction = \"bypass\"\n")
	}
	d.manual()
}

func (d *draw) policy(i int, peer string) {
	policy, mode := d.name(), d.one("tunnel", "interface")
	d.table("net", "ipsec", "policy", policy)
	d.set("mode", "%q", mode)
	d.set("peer", "%q", peer)
	d.set("tunnel_local_address", `"10.0.0.1"`)
	d.algorithms("ike_phase2_encrypt_algorithm", "aes-gcm128", "aes256", "aes192")
	d.algorithms("ike_phase2_perfect_forward_secrecy", "ecp384", "none", "modp3072")
	d.maybe("ike_phase2_lifetime", "%q", d.one("5m", "8h", "7m1s"))
	d.maybe("ike_phase2_lifetime_kilobytes", "%d", d.number(1024, 99999))
	d.flags("extended_sequence_numbers")
	if mode == "interface" {
		d.table("net", "tunnel", d.name())
		d.set("policy", "%q", policy)
		d.maybe("addresses", `["10.200.%d.1/30"]`, i)
		d.maybe("mtu", "%s", d.one("0", "1400"))
		if d.coin() {
			return // without a selector
		}
	}
	for j := range d.number(1, 2) {
		d.table("net", "ipsec", "selector", d.name())
		d.set("source_address", `"10.60.%d.0/24"`, 4*i+j)
		d.set("destination_address", "%q", d.one("10.70.0.0/16", "any", "10.71.1.1/32"))
		d.set("policy", "%q", policy)
		d.maybe("direction", "%q", d.one("both", "out", "in"))
		d.maybe("order", "%d", d.number(0, 99))
		if d.coin() {
			d.set("ip_protocol", `"tcp"`)
			d.set("source_port", "%q", d.one("any", "443", "8999"))
		}
	}
}

func (d *draw) manual() {
	policy := d.name()
	d.table("net", "ipsec", "policy", policy)
	d.WriteString("mode = \"tunnel\"\ntunnel_local_address = \"10.0.0.1\"\ntunnel_remote_address = \"10.0.0.99\"\n")
	for i, ends := range [][2]string{{"10.0.0.1", "10.0.0.99"}, {"10.0.0.99", "10.0.0.1"}} {
		d.table("net", "ipsec", "manual_sa", d.name())
		d.set("policy", "%q", policy)
		d.set("source_address", "%q", ends[0])
		d.set("destination_address", "%q", ends[1])
		d.set("spi", "%d", d.number(256, 1<<31-1-i))
		d.maybe("auth_algorithm", "%q", d.one("sha256", "sha384"))
		d.set("encrypt_algorithm", "%q", d.one("aes128", "aes256"))
		d.WriteString("encrypt_key = \"file:e\"\nauth_key = \"file:a\"\n")
	}
}

// same compares what dialects can say: not devices, places and keys.
func same(want, got *configs.Config) string {
	byName := func(a, b any) bool { return fmt.Sprint(a) < fmt.Sprint(b) }
	for _, c := range []*configs.Config{want, got} {
		c.File, c.Ports, c.LTM.FastL4s = "", nil, c.LTM.Profiles()
		for i := range c.Routes {
			c.Routes[i].Name = ""
		}
		sortAll(c)
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
		cmpopts.IgnoreTypes(configs.Secret{}, configs.PrivateKey{}, configs.Place{}, configs.Places{}),
		cmp.Transformer("port", func(p *configs.Port) string { return p.Name }), cmpopts.SortSlices(func(a, b configs.Route) bool {
			return byName(a.Prefix, b.Prefix) || a.Prefix == b.Prefix && a.Domain() < b.Domain()
		}))
}

// sortAll sorts all objects by their names.
func sortAll(c *configs.Config) {
	sortBy(c.VLANs, func(v *configs.VLAN) string { return v.Name })
	sortBy(c.Tunnels, func(v *configs.Tunnel) string { return v.Name })
	sortBy(c.LTM.Virtuals, func(v *configs.Virtual) string { return v.Name })
	sortBy(c.LTM.FastL4s, func(v *configs.FastL4) string { return v.Name })
	sortBy(c.LTM.NATs, func(v *configs.NAT) string { return v.Name })
	sortBy(c.LTM.SNATs, func(v *configs.SNAT) string { return v.Name })
	sortBy(c.LTM.SNATPools, func(v *configs.SNATPool) string { return v.Name })
	sortBy(c.IPsec.Peers, func(v *configs.IKEPeer) string { return v.Name })
	sortBy(c.IPsec.Policies, func(v *configs.IPsecPolicy) string { return v.Name })
	sortBy(c.IPsec.Selectors, func(v *configs.TrafficSelector) string { return v.Name })
	sortBy(c.IPsec.Manual, func(v *configs.ManualSA) string { return v.Name })
}

func sortBy[T any](list []T, name func(T) string) {
	slices.SortFunc(list, func(a, b T) int { return strings.Compare(name(a), name(b)) })
}

// check parses a configuration.
func check(t *rapid.T, what, text string) *configs.Config {
	c, _, err := configs.Parse("drawn", []byte(text))
	if err != nil {
		t.Fatalf("%s: %v\n%s", what, err, text)
	}
	return c
}

// findings are what an import says, a line each.
func findings(r *dialect.Result) string {
	var b strings.Builder
	for _, f := range r.Findings {
		b.WriteString(f.String() + "\n")
	}
	return b.String()
}

func TestAConfigurationSurvivesTmsh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDraw(t)
		vlans, domains := d.net()
		d.ltm(vlans, domains)
		d.ipsec()
		want := check(t, "drawn", d.String())
		listed := tmsh.List(want)
		r := tmsh.Import([]byte(listed))
		got := check(t, "imported", r.TOML)
		if diff := same(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s\n%s\n%s", diff, listed, findings(r))
		}
		if r.Has(dialect.Unknown, dialect.Left) {
			t.Fatalf("%s\n%s", findings(r), listed)
		}
	})
}
