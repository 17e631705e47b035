package configs

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const deterministic = "nat_type = \"DETERMINISTIC\"\n"

func TestPoolsAndGroupsAgreeOnHowPortsAreAllocated(t *testing.T) {
	pool := func(keys string) string { return "[lsn.pool.P]\n" + keys }
	const mustAgree = ": they must be the same"
	runSpoils(t, []spoil{
		{"a deterministic pool of a dynamic group", "[lsn.pool.P]", pool(deterministic),
			"lsn.group.G.pools[0]: [lsn.pool.P] has nat_type DETERMINISTIC, the group has DYNAMIC" + mustAgree},
		{"a dynamic pool of a deterministic group", "[lsn.group.G]", "[lsn.group.G]\n" + deterministic,
			"lsn.group.G.pools[0]: [lsn.pool.P] has nat_type DYNAMIC, the group has DETERMINISTIC" + mustAgree},
		{"blocks without a size", "[lsn.pool.P]", pool("port_block_allocation = true"),
			"lsn.group.G.pools[0]: [lsn.pool.P] has port_block_allocation: the group needs a port_block_size, from 256 on"},
		{"a block size without blocks", "[lsn.group.G]", "[lsn.group.G]\nport_block_size = 256",
			"lsn.group.G.pools[0]: [lsn.pool.P] has no port_block_allocation, but the group has a port_block_size"},
		{"a block that is too small", "[lsn.group.G]", "[lsn.group.G]\nport_block_size = 255", "lsn.group.G.port_block_size: must be from 256 to 65536, not 255"},
		{"a block that no address has", "[lsn.group.G]", "[lsn.group.G]\nport_block_size = 65536",
			"lsn.group.G.port_block_size: 65536 ports: an address has 64512 of them\n" +
				"lsn.group.G.pools[0]: [lsn.pool.P] has no port_block_allocation, but the group has a port_block_size"},
		{"an allocation policy for drawn ports", "[lsn.group.G]", "[lsn.group.G]\nalloc_policy = \"IPADDRS\"", "lsn.group.G.alloc_policy: only a DETERMINISTIC group has one (rule R18)"},
		{"a deterministic pool without blocks", "[lsn.pool.P]", "[lsn.pool.Q]\naddresses = [\"198.51.100.9\"]\n" + deterministic + "port_block_allocation = false\n[lsn.pool.P]",
			"lsn.pool.Q.port_block_allocation: a DETERMINISTIC pool always has port blocks: leave it out"},
		{"ports that rest longer than NetScaler lets them", "[lsn.pool.P]", pool("port_realloc_timeout = \"601s\""), `lsn.pool.P.port_realloc_timeout: must be from 0s to 600s, not "601s"`},
		{"two block sizes in one pool", "[lsn.pool.P]", "[lsn.client.D]\nnetworks = [\"198.18.0.0/24\"]\n[lsn.group.F]\nclient = \"D\"\npools = [\"P\"]\nport_block_size = 512\n" + pool("port_block_allocation = true"),
			"lsn.group.G.port_block_size: [lsn.pool.P] is cut into blocks of 512 by [lsn.group.F]: a pool is cut up once\n" +
				"lsn.group.G.pools[0]: [lsn.pool.P] has port_block_allocation: the group needs a port_block_size, from 256 on"},
		{"ports that do not rest", "[lsn.pool.P]", pool("port_realloc_timeout = \"0s\""), ""},
	})
}

func TestEverySubscriberOfADeterministicGroupNeedsABlock(t *testing.T) {
	text := func(addresses, keys, more string) string {
		return "version = 1\n[lsn.client.C]\nnetworks = [\"192.0.2.0/24\"]\n[lsn.pool.P]\naddresses = [\"" + addresses + "\"]\n" + deterministic +
			"[lsn.group.G]\nclient = \"C\"\npools = [\"P\"]\n" + deterministic + keys + more
	}
	const ipsec = "ipsecalg_profile = \"V\"\n[ipsecalg.profile.V]\nconnfailover = false\n"
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"a network inside another one", strings.Replace(text("203.0.113.3-203.0.113.6", "", ""), `/24"`, `/24", "192.0.2.128/25"`, 1), []string{
			"f:3:29: lsn.client.C.networks[1]: 192.0.2.128/25 overlaps another network of this client: in [lsn.group.G], which is DETERMINISTIC, a subscriber is counted once (rule R18)",
			"f:3:29: lsn.client.C.networks[1]: warning: 192.0.2.128/25 lies inside 192.0.2.0/24 of [lsn.client.C]: the longer prefix decides (rule R13)",
		}},
		{"252 blocks for 256", text("203.0.113.3", "", ""),
			[]string{"f:9:9: lsn.group.G.pools: 256 subscribers need a block of 256 ports each, and the pools have 252: 252 on each address (rule R18)"}},
		{"504 blocks for 256", text("203.0.113.3-203.0.113.4", "", ""), nil},
		{"two addresses with big blocks", text("203.0.113.3-203.0.113.4", "port_block_size = 512\n", ""),
			[]string{"f:9:9: lsn.group.G.pools: 256 subscribers need a block of 512 ports each, and the pools have 252: 126 on each address (rule R18)"}},
		{"a second group", text("203.0.113.3-203.0.113.4", "", "[lsn.client.D]\nnetworks = [\"198.18.0.0/25\"]\n[lsn.group.H]\nclient = \"D\"\npools = [\"P\"]\n"+deterministic),
			[]string{"f:15:10: lsn.group.H.pools[0]: [lsn.pool.P] is DETERMINISTIC and belongs to [lsn.group.G] already: such a pool has one group"}},
		{"the ALG needs no PAIRED here", text("203.0.113.3-203.0.113.4", ipsec, ""), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, got := parse(c.text)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestStaticMappings(t *testing.T) {
	static := func(keys string) string { return "[lsn.static.web]\n" + keys + "\n[lsn.pool.P]" }
	const web = "protocol = \"TCP\"\nsubscriber = \"192.0.2.10:80\"\nnat = \"203.0.113.3:8080\""
	runSpoils(t, []spoil{
		{"one port", "[lsn.pool.P]", static(web), ""},
		{"every port", "[lsn.pool.P]", static("protocol = \"UDP\"\nsubscriber = \"192.0.2.10:*\"\nnat = \"203.0.113.3\""), ""},
		{"a whole address", "[lsn.pool.P]", static("protocol = \"all\"\nsubscriber = \"192.0.2.10\"\nnat = \"198.51.100.7\"\ndest_ip = \"198.51.100.99\""), ""},
		{"every port to one", "[lsn.pool.P]", static("protocol = \"TCP\"\nsubscriber = \"192.0.2.10:*\"\nnat = \"203.0.113.3:80\""),
			"lsn.static.web.nat: either both ports are given, or both are *: with * every port maps to itself"},
		{"a port of ICMP", "[lsn.pool.P]", static("protocol = \"ICMP\"\nsubscriber = \"192.0.2.10:7\"\nnat = \"203.0.113.3\""),
			"lsn.static.web.subscriber: protocol ICMP has no ports: write the address alone"},
		{"a second NAT endpoint of one subscriber's", "[lsn.pool.P]", static(web + "\n[lsn.static.web2]\nprotocol = \"ALL\"\nsubscriber = \"192.0.2.10\"\nnat = \"203.0.113.4\"\n" +
			"[lsn.static.web3]\nprotocol = \"UDP\"\nsubscriber = \"192.0.2.10\"\nnat = \"203.0.113.5\""),
			"lsn.static.web3.subscriber: has [lsn.static.web2] already: a subscriber's endpoint has one NAT endpoint"},
		{"a subscriber's address as NAT address", "[lsn.pool.P]", static("protocol = \"TCP\"\nsubscriber = \"192.0.2.10:80\"\nnat = \"192.0.2.11:80\""),
			"lsn.static.web.nat: 192.0.2.11 is a subscriber's: it is in a network of a client that a group is bound to"},
		{"no remote at all", "[lsn.pool.P]", static(web + "\ndest_ip = \"0.0.0.0\""), `lsn.static.web.dest_ip: "0.0.0.0" is an address of "this network"`},
		{"a stranger", "[lsn.pool.P]", static("protocol = \"TCP\"\nsubscriber = \"198.18.0.1:80\"\nnat = \"203.0.113.3:80\""),
			"lsn.static.web.subscriber: 198.18.0.1 is in no network of a client that a group is bound to"},
		{"the router's own address", "[lsn.pool.P]", static("protocol = \"TCP\"\nsubscriber = \"192.0.2.10:80\"\nnat = \"203.0.113.1:80\""),
			"lsn.static.web.nat: 203.0.113.1 is the router's own address on [vlan.outside]"},
		{"no endpoint", "[lsn.pool.P]", static("protocol = \"TCP\"\nsubscriber = \"192.0.2.10:0\"\nnat = \"203.0.113.3:99999\""),
			"lsn.static.web.subscriber: \"192.0.2.10:0\" is not an endpoint such as 192.0.2.10:80 or 192.0.2.10:*\n" +
				"lsn.static.web.nat: \"203.0.113.3:99999\" is not an endpoint such as 192.0.2.10:80 or 192.0.2.10:*"},
		{"nothing", "[lsn.pool.P]", static(""), "lsn.static.web.nat: is missing\nlsn.static.web.protocol: is missing\nlsn.static.web.subscriber: is missing"},
		{"two for one endpoint", "[lsn.pool.P]", "[lsn.static.other]\n" + web + "\n" + static("protocol = \"ALL\"\nsubscriber = \"192.0.2.11\"\nnat = \"203.0.113.3\""),
			"lsn.static.web.nat: overlaps [lsn.static.other]: an outside endpoint has one subscriber"},
	})
}

func TestQuotasAndAttributes(t *testing.T) {
	runSpoils(t, []spoil{
		{"quotas", `protocol = "TCP"`, "protocol = \"TCP\"\nport_quota = 65535\nsession_quota = 1\ngroup_session_limit = 1000000", ""},
		{"a quota that is too high", `protocol = "TCP"`, "protocol = \"TCP\"\nport_quota = 65536", "lsn.transportprofile.T.port_quota: must be from 0 to 65535, not 65536"},
		{"STUN over TCP", `protocol = "TCP"`, "protocol = \"TCP\"\nstun_timeout = \"300s\"", "lsn.transportprofile.T.stun_timeout: only a profile with protocol UDP has it, not TCP"},
		{"attributes of another protocol", `ip_pooling = "PAIRED"` + "\n[lsn.transportprofile.T]", "appsattributes = [\"S\"]\nip_pooling = \"PAIRED\"\n[lsn.appsattributes.S]\nprotocol = \"TCP\"\n[lsn.transportprofile.T]",
			"lsn.appsprofile.A.appsattributes: [lsn.appsattributes.S] is for TCP, the profile for UDP"},
		{"attributes that are not there", `ip_pooling = "PAIRED"` + "\n[lsn.transportprofile.T]", "appsattributes = [\"S\"]\nip_pooling = \"PAIRED\"\n[lsn.transportprofile.T]",
			"lsn.appsprofile.A.appsattributes[0]: there is no [lsn.appsattributes.S]"},
	})
}

// What the file says stays, also where it says the default.
func TestWhatIsNotTranslatedAndWhatIsTold(t *testing.T) {
	runSpoils(t, []spoil{
		{"a network that is none", "[lsn.group.G]", "[lsn.group.G]\nexempt = [\"10.0.0.0/33\"]", `lsn.group.G.exempt[0]: "10.0.0.0/33" is not an IPv4 prefix such as 192.0.2.0/24`},
		{"an answer that there is not", "[lsn.group.G]", "[lsn.group.G]\nicmp_on_exhaustion = \"PROHIBIT\"",
			`lsn.group.G.icmp_on_exhaustion: "PROHIBIT" is not one of HOST-UNREACHABLE, PROHIBITED, NONE; did you mean "PROHIBITED"?`},
		{"all of it", "[lsn.group.G]", "[lsn.group.G]\nexempt = [\"10.0.0.0/8\"]\nicmp_on_exhaustion = \"none\"\nicmp_on_unasked_syn = false", ""},
	})
}

func TestAPresetFillsInWhatIsNotWritten(t *testing.T) {
	c, messages := parse(`version = 1
[lsn.client.C]
networks = ["192.0.2.0/24"]
[lsn.client.D]
networks = ["192.0.3.0/24"]
[lsn.pool.P]
addresses = ["203.0.113.3"]
[lsn.pool.Q]
addresses = ["203.0.113.4"]
port_realloc_timeout = "0s"
[lsn.appsprofile.A]
protocol = "TCP"
mapping = "APDM"
[lsn.transportprofile.T]
protocol = "TCP"
syn_idle_timeout = "60s"
[ipsecalg.profile.V]
connfailover = false
[lsn.group.G]
client = "C"
pools = ["P", "Q"]
apps_profiles = ["A"]
transport_profiles = ["T"]
preset = "RFC6888"
ipsecalg_profile = "V"
[lsn.group.H]
client = "D"
pools = ["P"]
apps_profiles = ["A"]
transport_profiles = ["T"]
`)
	if len(messages) > 0 {
		t.Fatal(messages)
	}
	g, h := c.LSN.Groups[0], c.LSN.Groups[1]
	if a := g.AppsProfileFor(ProtocolTCP, 80); a.Mapping != MappingAPDM || a.Filtering != FilteringEIF || a.Pooling != PoolingPaired {
		t.Errorf("TCP of the group with the preset: %+v", a)
	}
	for _, proto := range []Protocol{ProtocolUDP, ProtocolICMP} {
		if a := g.AppsProfileFor(proto, 53); a == nil || a.Mapping != MappingEIM || a.Filtering != FilteringEIF || a.Pooling != PoolingPaired {
			t.Errorf("%s of the group with the preset: %+v", proto, a)
		}
	}
	if p := g.Transports[0]; p.SessionTimeout != 7440*time.Second || p.SynIdleTimeout != time.Minute || p.FinRstTimeout != 4*time.Minute {
		t.Errorf("TCP timers of the group with the preset: %+v", p)
	}
	if p := g.Transports[1]; p.Protocol != ProtocolUDP || p.SessionTimeout != 5*time.Minute {
		t.Errorf("UDP timers of the group with the preset: %+v", p)
	}
	if g.Pools[0].ReallocTimeout != 2*time.Minute || g.Pools[1].ReallocTimeout != 0 {
		t.Errorf("ports rest %s and %s, want 2m0s and, as written, 0s", g.Pools[0].ReallocTimeout, g.Pools[1].ReallocTimeout)
	}
	if a, p := h.AppsProfileFor(ProtocolTCP, 80), h.Transports[0]; a.Filtering != FilteringAPDF || a.Pooling != PoolingRandom || p.SessionTimeout != 2*time.Minute || len(h.Apps) != 1 {
		t.Errorf("the group without the preset has changed: %+v, %+v", a, p)
	}
}

func TestThePresetOfRFC5382IsAboutTCPTimersOnly(t *testing.T) {
	c, messages := parse("version = 1\n[lsn.client.C]\nnetworks = [\"192.0.2.0/24\"]\n[lsn.pool.P]\naddresses = [\"203.0.113.3\"]\n" +
		"[lsn.group.G]\nclient = \"C\"\npools = [\"P\"]\npreset = \"rfc5382\"\n")
	if len(messages) > 0 {
		t.Fatal(messages)
	}
	g := c.LSN.Groups[0]
	if len(g.Apps) != 0 || len(g.Transports) != 1 || g.Transports[0].SessionTimeout != 7440*time.Second || !g.Transports[0].SynCheck || g.Pools[0].ReallocTimeout != 0 {
		t.Errorf("%+v, transport %+v", g, g.Transports[0])
	}
}

func TestTheCarrierExampleHasNoFault(t *testing.T) {
	c, messages := parse(CarrierNAT())
	if len(messages) > 0 {
		t.Fatal(messages)
	}
	if g := c.LSN.Groups[0]; g.Preset != PresetRFC6888 || g.BlockSize == 0 || g.ALG == nil {
		t.Errorf("%+v", g)
	}
}
