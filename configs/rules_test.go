package configs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sound is a small configuration without a fault, to be spoiled by tests.
const sound = `version = 1
[port.lan]
driver = "raw"
device = "eth0"
[port.wan]
driver = "tap"
device = "tap0"
[vlan.inside]
port = "lan"
addresses = ["192.0.2.1/24"]
[vlan.outside]
port = "wan"
addresses = ["203.0.113.1/24"]
[route."0.0.0.0/0"]
via = "203.0.113.254"
[lsn.client.C]
networks = ["192.0.2.0/24"]
[lsn.pool.P]
addresses = ["203.0.113.3-203.0.113.9"]
[lsn.appsprofile.A]
protocol = "UDP"
ip_pooling = "PAIRED"
[lsn.transportprofile.T]
protocol = "TCP"
[ipsecalg.profile.V]
[lsn.appsprofile.A2] # the rest is bound to nothing
protocol = "UDP"
ip_pooling = "PAIRED"
[lsn.appsprofile.B]
protocol = "UDP"
ports = ["500"]
[lsn.transportprofile.T2]
protocol = "TCP"
[lsn.group.G]
client = "C"
pools = ["P"]
apps_profiles = ["A"]
transport_profiles = ["T"]
ipsecalg_profile = "V"
`

// spoiled replaces old by new in the sound configuration, and returns the
// messages without their positions.
func spoiled(t *testing.T, old, new string) []string {
	t.Helper()
	if !strings.Contains(sound, old) {
		t.Fatalf("the sound configuration has no %q", old)
	}
	_, messages := parse(strings.Replace(sound, old, new, 1))
	for i, m := range messages {
		messages[i] = strings.SplitN(m, ":", 4)[3][1:]
	}
	return messages
}

type spoil struct{ name, old, new, want string }

func runSpoils(t *testing.T, table []spoil) {
	t.Helper()
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			want := strings.Split(c.want, "\n")
			if c.want == "" {
				want = nil
			}
			if diff := cmp.Diff(want, spoiled(t, c.old, c.new)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPortsVLANsAndRoutes(t *testing.T) {
	runSpoils(t, []spoil{
		{"nothing wrong", "", "", ""},
		{"no version", "version = 1\n", "", "version: is missing: write version = 1 in the first line"},
		{"XDP", `"raw"`, `"XDP"`, ""},
		{"XDP where we have the other end of the cable", `"tap0"`, `"tap0"` + "\nxdp = true", `port.wan.xdp: unknown key`},
		{"XDP with all that it can be told", `"raw"`, "\"xdp\"\n[offload]\nflows = 100\nafter = 1\nmode = \"skb\"\n[port.lan2]\ndriver = \"raw\"", "port.lan.device: is missing"},
		{"offload without a port for it", "[port.lan]", "[offload]\nflows = 100\n[port.lan]", `offload: warning: has no effect: no port has driver = "xdp"`},
		{"offload of everything", `"raw"`, "\"xdp\"\n[offload]\nafter = 0\nmode = \"hard\"\n[port.lan2]\ndriver = \"raw\"",
			"port.lan.device: is missing\noffload.after: must be from 1 to 1000000000, not 0\noffload.mode: \"hard\" is not one of auto, native, generic"},
		{"several threads on a TAP port", `"tap0"`, `"tap0"` + "\nthreads = 2", "port.wan.threads: only a port with driver raw or xdp has several: the frames of others come one after the other"},
		{"an MTU of an XDP port", `"raw"`, "\"xdp\"\nmtu = 1400", "port.lan.mtu: an xdp port has its device's MTU: set it there, with ip link"},
		{"a driver nobody has", `"raw"`, `"rwa"`, `port.lan.driver: "rwa" is not one of raw, tap, pcap, switch, xdp; did you mean "raw"?`},
		{"no driver", `driver = "raw"`, "", `port.lan.driver: is missing: "raw", "xdp", "tap", "pcap" or "switch"`},
		{"a device twice", `"tap0"`, `"eth0"`, `port.wan.device: "eth0" is already the device of [port.lan]`},
		{"a device name that is too long", `"tap0"`, `"tap0123456789abc"`, `port.wan.device: "tap0123456789abc": a device name has at most 15 characters`},
		{"a MAC address that is none", `"tap0"`, `"tap0"` + "\nmac = \"02:00:5e\"", `port.wan.mac: "02:00:5e" is not a MAC address such as 02:00:5e:00:00:01`},
		{"a sink on a TAP port", `"tap0"`, `"tap0"` + "\nsink = \"x\"", "port.wan.sink: only a port with driver pcap has a sink"},
		{"a ring on a TAP port", `"tap0"`, `"tap0"` + "\nring_blocks = 4", "port.wan.ring_blocks: only a port with driver raw or xdp has a ring"},
		{"a retire time that is too long", `"eth0"`, `"eth0"` + "\nring_retire = \"1s\"", `port.lan.ring_retire: must be from 10us to 100ms, not "1s"`},
		{"a retire time of less than a millisecond", `"eth0"`, `"eth0"` + "\nring_retire = \"50us\"", ""},
		{"an MTU of a raw port", `"eth0"`, `"eth0"` + "\nmtu = 1400", "port.lan.mtu: a raw port has its device's MTU: set it there, with ip link"},
		{"an MTU that is too small", `"tap0"`, `"tap0"` + "\nmtu = 500", "port.wan.mtu: must be from 576 to 9216, not 500"},
		{"a VLAN on an unknown port", `port = "lan"`, `port = "lna"`, `vlan.inside.port: there is no [port.lna]; did you mean "lan"?`},
		{"a VLAN id that is too high", `port = "lan"`, "port = \"lan\"\nid = 4095", "vlan.inside.id: must be from 0 to 4094, not 4095"},
		{"a VLAN id twice on a port", `port = "wan"`, `port = "lan"`, "vlan.outside.id: id 0 is already that of [vlan.inside] on [port.lan]"},
		{"a VLAN on a switch", `port = "lan"`, "switch = \"sw0\"\nuntagged = [\"lan1\"]",
			"vlan.inside.id: is missing: a VLAN on a switch has one from 1 to 4094, for its frames come to the router tagged\nvlan.inside.switch: there is no [switch.sw0]"},
		{"traffic domain 0", `port = "lan"`, "port = \"lan\"\ntraffic_domain = 0", ""},
		{"networks that overlap", "203.0.113.1/24", "192.0.2.129/25",
			"vlan.outside.addresses[0]: network 192.0.2.128/25 overlaps 192.0.2.0/24 of [vlan.inside]"},
		{"a second address in the same network", `["192.0.2.1/24"]`, `["192.0.2.1/24", "192.0.2.2/24"]`, ""},
		{"an address twice", `["192.0.2.1/24"]`, `["192.0.2.1/24", "192.0.2.1/24"]`, "vlan.inside.addresses[1]: 192.0.2.1 is already an address of [vlan.inside]"},
		{"a broadcast address as our own", "192.0.2.1/24", "192.0.2.255/24", `vlan.inside.addresses[0]: "192.0.2.255/24" is the network's broadcast address`},
		{"a point-to-point network", "192.0.2.1/24", "192.0.2.255/31", ""},
		{"an address without its length", "192.0.2.1/24", "192.0.2.1", `vlan.inside.addresses[0]: "192.0.2.1" has no prefix length: write 192.0.2.1/32 or the network's`},
		{"a next hop that is far away", `"203.0.113.254"`, `"198.51.100.1"`, `route."0.0.0.0/0".via: 198.51.100.1 is on no connected network`},
		{"a next hop that is ourselves", `"203.0.113.254"`, `"203.0.113.1"`, `route."0.0.0.0/0".via: 203.0.113.1 is the router's own address`},
		{"a route with host bits", `"0.0.0.0/0"`, `"10.0.0.1/8"`, `route."10.0.0.1/8": "10.0.0.1/8" has host bits: write 10.0.0.0/8`},
		{"a relative socket", "[port.lan]", "[control]\nsocket = \"spigate.sock\"\n[port.lan]", `control.socket: "spigate.sock" must be an absolute path`},
		{"pages at a name", "[port.lan]", "[control]\nhttp = \"router:8080\"\n[port.lan]", `control.http: "router:8080" is not an address with a port such as "127.0.0.1:8080", or ":8443" for every address`},
		{"a table that is too small", "[port.lan]", "[limits]\nflows = 1\n[port.lan]", "limits.flows: must be from 64 to 16777216, not 1"},
		{"a table for later", "[port.lan]", "[ha.peer]\n[port.lan]", "ha: not supported yet"},
	})
}

func TestClientsPoolsAndGroups(t *testing.T) {
	runSpoils(t, []spoil{
		{"a name that R1 forbids", "[ipsecalg.profile.V]", "[ipsecalg.profile.V]\n[lsn.pool.\"-x\"]\naddresses=[\"198.51.100.1\"]",
			`lsn.pool.-x: "-x" is no name: it starts with a letter, a digit or _, and goes on with these or # . space : @ = - (rule R1)`},
		{"a name that is too long for an ALG profile", "[ipsecalg.profile.V]", "[ipsecalg.profile.V]\n[ipsecalg.profile." + strings.Repeat("v", 33) + "]",
			"ipsecalg.profile." + strings.Repeat("v", 33) + ": a name has at most 32 characters, this one has 33 (rule R1)"},
		{"a pool range backwards", "203.0.113.3-203.0.113.9", "203.0.113.9-203.0.113.3", `lsn.pool.P.addresses[0]: "203.0.113.9-203.0.113.3": the range ends before it begins`},
		{"a pool that is too big", "203.0.113.3-203.0.113.9", "198.18.0.0-198.18.16.0", "lsn.pool.P.addresses: 4097 addresses: a pool has at most 4096"},
		{"a pool that overlaps itself", `"203.0.113.3-203.0.113.9"`, `"203.0.113.3-203.0.113.9", "203.0.113.9"`,
			"lsn.pool.P.addresses[1]: 203.0.113.9 overlaps 203.0.113.3-203.0.113.9 of [lsn.pool.P]: a NAT address belongs to one pool, once"},
		{"a pool with the router's address", "203.0.113.3-203.0.113.9", "203.0.113.1-203.0.113.9", "lsn.pool.P.addresses[0]: 203.0.113.1 is the router's own address on [vlan.outside]"},
		{"no pool", `pools = ["P"]`, "pools = []", "lsn.group.G.pools: must not be empty"},
		{"a pool's name alone", `pools = ["P"]`, `pools = "P"`, `lsn.group.G.pools: must be an array of strings: write ["P"]`},
		{"a pool twice", `pools = ["P"]`, `pools = ["P", "P"]`, `lsn.group.G.pools[1]: "P" is in the list twice`},
		{"a client that is not there", `client = "C"`, `client = "homes"`, "lsn.group.G.client: there is no [lsn.client.homes]"},
		{"a client in two groups", "[lsn.group.G]", "[lsn.group.F]\nclient=\"C\"\npools=[\"P\"]\n[lsn.group.G]",
			"lsn.group.G.client: [lsn.client.C] is already bound to [lsn.group.F]: a client has one group"},
		{"a network of two clients", "[lsn.pool.P]", "[lsn.client.D]\nnetworks=[\"192.0.2.0/24\"]\n[lsn.pool.P]", "lsn.client.D.networks[0]: 192.0.2.0/24 is already a network of [lsn.client.C]"},
		{"a network inside another client's", "[lsn.pool.P]", "[lsn.client.D]\nnetworks=[\"192.0.2.0/25\"]\n[lsn.pool.P]",
			"lsn.client.D.networks[0]: warning: 192.0.2.0/25 lies inside 192.0.2.0/24 of [lsn.client.C]: the longer prefix decides (rule R13)"},
		{"an option at its off value", `client = "C"`, "client = \"C\"\npptp = false\npcpserver = \"\"", ""},
		{"an option that is not there yet", `client = "C"`, "client = \"C\"\npptp = true", "lsn.group.G.pptp: not supported yet: leave it out, or write false"},
		{"ports of ICMP", `protocol = "UDP"`, "protocol = \"ICMP\"\nports = [\"1\"]", "lsn.appsprofile.A.ports: ICMP has no ports"},
		{"a port that is none", `protocol = "UDP"`, "protocol = \"UDP\"\nports = [\"0\", \"9-70000\"]",
			"lsn.appsprofile.A.ports[0]: \"0\" is not a port or a range of ports from 1 to 65535\nlsn.appsprofile.A.ports[1]: \"9-70000\" is not a port or a range of ports from 1 to 65535"},
		{"ports that overlap", `protocol = "UDP"`, "protocol = \"UDP\"\nports = [\"400-600\", \"500\"]", "lsn.appsprofile.A.ports[1]: 500 overlaps 400-600 of the same profile"},
		{"a UDP profile with a TCP timer", `protocol = "TCP"`, "protocol = \"UDP\"\nfin_rst_timeout = \"30s\"", "lsn.transportprofile.T.fin_rst_timeout: only a profile with protocol TCP has it, not UDP"},
		{"UDP below the RFC's floor", `protocol = "TCP"`, "protocol = \"UDP\"\nsession_timeout = \"60s\"", "lsn.transportprofile.T.session_timeout: warning: RFC 4787 REQ-5 asks for at least 120s with UDP"},
		{"two profiles for one protocol", `transport_profiles = ["T"]`, `transport_profiles = ["T", "T2"]`,
			`lsn.group.G.transport_profiles: "T" and "T2" are both for TCP: a group has one profile for each protocol`},
		{"two profiles for one port", `apps_profiles = ["A"]`, `apps_profiles = ["A", "A2"]`,
			`lsn.group.G.apps_profiles: "A" and "A2" apply to the same UDP ports, and neither is more specific`},
	})
}

func TestTheALGNeedsPairedPooling(t *testing.T) {
	const r5 = "lsn.group.G.ipsecalg_profile: rule R5, code 3520: IP pool pair is not enabled "
	const r8 = "lsn.group.G.ipsecalg_profile: warning: clients that float to UDP port 4500 may change their NAT address there (rule R8): "
	runSpoils(t, []spoil{
		{"RANDOM for all ports", `ip_pooling = "PAIRED"`, "",
			r5 + "([lsn.appsprofile.A] is for UDP port 500 and has ip_pooling RANDOM)\n" + r8 + "[lsn.appsprofile.A] is for UDP port 4500 and has ip_pooling RANDOM"},
		{"no profile at all", `apps_profiles = ["A"]`, "",
			r5 + "(no apps profile is for UDP port 500, and the default is RANDOM)\n" + r8 + "no apps profile is for UDP port 4500, and the default is RANDOM"},
		{"PAIRED for port 500 alone", `protocol = "UDP"`, "protocol = \"UDP\"\nports = [\"500\"]", r8 + "no apps profile is for UDP port 4500, and the default is RANDOM"},
		{"RANDOM for a narrower range", `apps_profiles = ["A"]`, `apps_profiles = ["A", "B"]`,
			r5 + "([lsn.appsprofile.B] is for UDP port 500 and has ip_pooling RANDOM)"},
		{"PAIRED for TCP only", `protocol = "UDP"`, `protocol = "ICMP"`,
			r5 + "(no apps profile is for UDP port 500, and the default is RANDOM)\n" + r8 + "no apps profile is for UDP port 4500, and the default is RANDOM"},
		{"no ALG", `ipsecalg_profile = "V"`, "", ""},
		{"two ALG profiles", `ipsecalg_profile = "V"`, `ipsecalg_profile = ["V", "W"]`,
			"lsn.group.G.ipsecalg_profile: a group has one IPsec ALG profile (rule R9): write its name without brackets"},
		{"a profile that is not there", `ipsecalg_profile = "V"`, `ipsecalg_profile = "W"`, `lsn.group.G.ipsecalg_profile: there is no [ipsecalg.profile.W]`},
	})
}

func TestPort500GoesEitherToTheFirstClientOrToWhomTheCookieTells(t *testing.T) {
	got := spoiled(t, "[ipsecalg.profile.V]", "[ipsecalg.profile.V]\nike_port_preserve = true\nike_cookie_demux = true")
	want := []string{"ipsecalg.profile.V.ike_cookie_demux: cannot be combined with ike_port_preserve: an answer to port 500 is for the client that kept it"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTimersHaveUnitsAndRanges(t *testing.T) {
	for _, c := range []struct{ key, write, want string }{
		{"ike_session_timeout", `"1m"`, ""},
		{"ike_session_timeout", `"1440m"`, ""},
		{"ike_session_timeout", `"24h1s"`, `must be from 1m to 1440m, not "24h1s"`},
		{"esp_session_timeout", `"59s"`, `must be from 1m to 1440m, not "59s"`},
		{"esp_gate_timeout", `"3s"`, ""},
		{"esp_gate_timeout", `"1200s"`, ""},
		{"esp_gate_timeout", `"2999ms"`, `must be from 3s to 1200s, not "2999ms"`},
		{"esp_gate_timeout", `30`, `a duration is a string with a unit: write "30s" or "30m", not 30`},
		{"esp_gate_timeout", `"30"`, `"30" is not a duration: write a number with a unit, such as "90s", "60m" or "2h"`},
		{"esp_gate_timeout", `"0"`, `"0" is not a duration: write a number with a unit, such as "90s", "60m" or "2h"`},
		{"esp_gate_timeout", `30.5`, `must be a string, not a float`},
		{"ike_half_open_timeout", `"-5s"`, `must be from 3s to 600s, not "-5s"`},
		{"gate_seq_max", `0`, ""},
		{"gate_seq_max", `4294967296`, `must be from 0 to 4294967295, not 4294967296`},
		{"block_mode", `"drop"`, ""},
		{"late_binding_in", `"yes"`, `must be a boolean, not a string`},
	} {
		var want []string
		if c.want != "" {
			want = []string{"ipsecalg.profile.V." + c.key + ": " + c.want}
		}
		got := spoiled(t, "[ipsecalg.profile.V]", fmt.Sprintf("[ipsecalg.profile.V]\n%s = %s", c.key, c.write))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s = %s (-want +got):\n%s", c.key, c.write, diff)
		}
	}
}
