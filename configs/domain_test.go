package configs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// red is a second traffic domain with the addresses of the first one, to stand
// before the rest of the sound configuration.
const red = `[vlan.inside-red]
port = "lan"
id = 7
addresses = ["192.0.2.1/24"]
traffic_domain = 7
[vlan.outside-red]
port = "wan"
id = 7
addresses = ["203.0.113.1/24"]
traffic_domain = 7
[route.default-red]
to = "0.0.0.0/0"
via = "203.0.113.254"
traffic_domain = 7
[lsn.client.C-red]
networks = ["192.0.2.0/24"]
traffic_domain = 7
[lsn.pool.P-red]
addresses = ["203.0.113.3-203.0.113.9"]
[lsn.group.G-red]
client = "C-red"
pools = ["P-red"]
apps_profiles = ["A"]
`

// twoDomains is sound with red; its first route says its domain.
func twoDomains() string {
	text := strings.Replace(sound, "[route.\"0.0.0.0/0\"]\n", "[route.\"0.0.0.0/0\"]\ntraffic_domain = 0\n", 1)
	return text + red
}

func TestTwoDomainsMayHaveTheSameAddressesEverywhere(t *testing.T) {
	c, messages := parse(twoDomains())
	if len(messages) > 0 {
		t.Fatalf("faults: %s", strings.Join(messages, "\n"))
	}
	if diff := cmp.Diff([]uint16{0, 7}, c.Domains()); diff != "" {
		t.Errorf("domains (-want +got):\n%s", diff)
	}
	for i, want := range []uint16{0, 7} {
		if r := c.Routes[i]; r.VLAN.Domain != want || r.Prefix.String() != "0.0.0.0/0" {
			t.Errorf("route %s to %s is in domain %d, want %d", r.Name, r.Prefix, r.VLAN.Domain, want)
		}
		if p := c.LSN.Pools[i]; p.Domain != want {
			t.Errorf("pool %s is in domain %d, want %d", p.Name, p.Domain, want)
		}
	}
}

func TestWhatIsWrongWithDomains(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"a next hop in two domains", "traffic_domain = 0\nvia", "via",
			`route."0.0.0.0/0".via: 203.0.113.254 is on networks of the traffic domains 0 and 7: say with traffic_domain which it is`},
		{"a route in a domain that does not know its next hop", "via = \"203.0.113.254\"\ntraffic_domain = 7", "via = \"203.0.113.254\"\ntraffic_domain = 8",
			"route.default-red.via: 203.0.113.254 is on no connected network of traffic domain 8"},
		{"two routes of one domain to the same place", "[lsn.client.C-red]", "[route.again]\nto = \"0.0.0.0/0\"\nvia = \"203.0.113.253\"\ntraffic_domain = 7\n[lsn.client.C-red]",
			"route.again: 0.0.0.0/0 has a route already: [route.default-red]"},
		{"a next hop that is the router's own in that domain", "via = \"203.0.113.254\"\ntraffic_domain = 7", "via = \"203.0.113.1\"\ntraffic_domain = 7",
			"route.default-red.via: 203.0.113.1 is the router's own address"},
		{"a named route without a destination", "to = \"0.0.0.0/0\"\n", "", "route.default-red.to: is missing: a route is named by its destination, or says it here"},
		{"a destination twice", "[route.\"0.0.0.0/0\"]\n", "[route.\"0.0.0.0/0\"]\nto = \"0.0.0.0/0\"\n",
			`route."0.0.0.0/0".to: the table is named by its destination already: leave this out, or choose another name`},
		{"a destination with host bits", `to = "0.0.0.0/0"`, `to = "10.0.0.1/8"`, `route.default-red.to: "10.0.0.1/8" has host bits: write 10.0.0.0/8`},
		{"a client in a domain without a VLAN", "[lsn.pool.P-red]", "[lsn.client.lost]\nnetworks = [\"192.0.2.0/24\"]\ntraffic_domain = 8\n[lsn.pool.P-red]",
			"lsn.client.lost.traffic_domain: no VLAN is in traffic domain 8"},
		{"a pool in two domains", `pools = ["P-red"]`, `pools = ["P"]`,
			"lsn.pool.P-red.addresses[0]: 203.0.113.3-203.0.113.9 overlaps 203.0.113.3-203.0.113.9 of [lsn.pool.P]: a NAT address belongs to one pool, once\n" +
				"lsn.group.G-red.pools: [lsn.pool.P] is in traffic domain 0 because of [lsn.group.G], and [lsn.client.C-red] is in 7: a NAT address is in one domain"},
		{"pools that overlap in one domain", "[lsn.group.G-red]", "[lsn.pool.Q]\naddresses = [\"203.0.113.9\"]\n[lsn.group.G-red]",
			"lsn.pool.Q.addresses[0]: 203.0.113.9 overlaps 203.0.113.3-203.0.113.9 of [lsn.pool.P]: a NAT address belongs to one pool, once"},
		{"an apps profile for another domain", "protocol = \"UDP\"\nip_pooling", "protocol = \"UDP\"\ntraffic_domain = 7\nip_pooling",
			"lsn.group.G.apps_profiles: [lsn.appsprofile.A] is for traffic domain 7, and [lsn.client.C] is in 0: nothing is routed between domains"},
		{"an apps profile that keeps the domain, as 4095", "protocol = \"UDP\"\nip_pooling", "protocol = \"UDP\"\ntraffic_domain = 4095\nip_pooling", ""},
		{"an apps profile for a domain that cannot be", "protocol = \"UDP\"\nip_pooling", "protocol = \"UDP\"\ntraffic_domain = 5000\nip_pooling",
			"lsn.appsprofile.A.traffic_domain: must be from 0 to 4094, or 65535 to keep the client's, not 5000"},
		{"an address twice in one domain", "id = 7\naddresses = [\"203.0.113.1/24\"]", "id = 7\naddresses = [\"192.0.2.1/24\"]",
			"vlan.outside-red.addresses[0]: 192.0.2.1 is already an address of [vlan.inside-red]"},
		{"a network of two clients in one domain", "[lsn.pool.P-red]", "[lsn.client.D]\nnetworks = [\"192.0.2.0/24\"]\ntraffic_domain = 7\n[lsn.pool.P-red]",
			"lsn.client.D.networks[0]: 192.0.2.0/24 is already a network of [lsn.client.C-red]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(twoDomains(), c.old) {
				t.Fatalf("the configuration has no %q", c.old)
			}
			_, messages := parse(strings.Replace(twoDomains(), c.old, c.new, 1))
			for i, m := range messages {
				messages[i] = strings.SplitN(m, ":", 4)[3][1:]
			}
			var want []string
			if c.want != "" {
				want = strings.Split(c.want, "\n")
			}
			if diff := cmp.Diff(want, messages); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
