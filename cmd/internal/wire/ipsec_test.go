package wire

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"spigate/configs"
	"spigate/netstack"
	tunnels "spigate/netstack/ipsec"
	"spigate/netstack/ipsec/ike"
	"spigate/netstack/keying"
)

// manyTunnels has a policy of each mode, of both ways to get keys, and two
// traffic domains.
const manyTunnels = `version = 1
[port.p]
driver = "tap"
device = "tap0"
[vlan.inside]
port = "p"
id = 1
addresses = ["10.2.1.254/24"]
[vlan.external]
port = "p"
id = 2
addresses = ["198.51.100.1/24", "198.51.100.2/24"]
[vlan.red]
port = "p"
id = 3
addresses = ["198.51.100.1/24"]
traffic_domain = 7
[route.default]
to = "0.0.0.0/0"
via = "198.51.100.254"
traffic_domain = 0
[route."10.8.0.0/16"]
tunnel = "t"

[net.ipsec.peer.gw2]
remote_address = "198.51.100.200"
psk = "correct horse battery staple"
my_id_value = "gw1.example.net"
phase1_encrypt_algorithm = ["aes-gcm256", "aes256", "aes128", "aes-gcm128"]
phase1_hash_algorithm = ["sha512", "sha256"]
prf = "sha384"
phase1_perfect_forward_secrecy = ["ecp384", "modp4096"]
lifetime = "2h"
dpd_delay = "0s"
nat_traversal = "off"
replay_window_size = 256
[net.ipsec.peer.anywhere]
remote_address = "any"
peers_id_value = "nomad@example.net"
psk = "correct horse battery staple"
passive = true
nat_traversal = "force"
phase1_encrypt_algorithm = "aes-gcm128"
phase1_perfect_forward_secrecy = "x25519"
prf = "sha256"
[net.ipsec.peer.off]
remote_address = "198.51.100.203"
psk = "correct horse battery staple"
state = "disabled"

[net.ipsec.policy.Rio]
mode = "tunnel"
peer = "gw2"
tunnel_local_address = "198.51.100.1"
traffic_domain = 0
ike_phase2_encrypt_algorithm = ["aes-gcm256", "aes192"]
ike_phase2_auth_algorithm = ["aes-gcm256", "sha384"]
ike_phase2_perfect_forward_secrecy = ["modp3072", "none"]
ike_phase2_lifetime = "30m"
ike_phase2_lifetime_kilobytes = 2048
extended_sequence_numbers = false
[net.ipsec.policy.Rio-2]
mode = "transport"
peer = "gw2"
tunnel_local_address = "198.51.100.2"
ike_phase2_perfect_forward_secrecy = "x25519"
[net.ipsec.policy.if]
mode = "interface"
peer = "anywhere"
tunnel_local_address = "198.51.100.2"
ike_phase2_perfect_forward_secrecy = "x25519"
[net.ipsec.policy.off]
mode = "tunnel"
peer = "off"
tunnel_local_address = "198.51.100.2"
[net.ipsec.policy.hand]
mode = "tunnel"
tunnel_local_address = "198.51.100.1"
tunnel_remote_address = "198.51.100.202"
traffic_domain = 7

[net.ipsec.selector.s1]
source_address = "10.2.1.0/24"
destination_address = "10.1.1.0/24"
destination_port = "https"
ip_protocol = "tcp"
policy = "Rio"
order = 5
up = true
[net.ipsec.selector.s2]
source_address = "198.51.100.2/32"
destination_address = "198.51.100.200/32"
policy = "Rio-2"
[net.ipsec.selector.s3]
source_address = "any"
destination_address = "10.7.0.0/16"
policy = "hand"
direction = "out"
[net.ipsec.selector.s4]
source_address = "10.2.1.0/24"
destination_address = "10.6.0.0/16"
action = "discard"
[net.ipsec.selector.s5]
source_address = "10.2.1.0/24"
destination_address = "10.5.0.0/16"
policy = "off"

[net.tunnel.t]
policy = "if"
addresses = ["10.9.0.1/30"]
mtu = 1400

[net.ipsec.manual_sa.out]
policy = "hand"
source_address = "198.51.100.1"
destination_address = "198.51.100.202"
spi = 4096
encrypt_algorithm = "aes128"
encrypt_key = "0x000102030405060708090a0b0c0d0e0f"
auth_algorithm = "sha384"
auth_key = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
[net.ipsec.manual_sa.in]
policy = "hand"
source_address = "198.51.100.202"
destination_address = "198.51.100.1"
spi = "0x1001"
encrypt_algorithm = "null"
auth_key = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

[ltm.virtual.v]
destination = "any:any"
ip_forward = true
vlans = ["t", "inside"]
vlans_enabled = true
require_protection = true
`

func same() cmp.Options {
	return cmp.Options{cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}), cmpopts.EquateEmpty()}
}

func count(n int) (out []byte) {
	for i := range n {
		out = append(out, byte(i))
	}
	return out
}

func TestATunnelOfTheFileIsOneOfTheRouter(t *testing.T) {
	c := parsed(t, manyTunnels)
	pfx, addr := netip.MustParsePrefix, netip.MustParseAddr
	us, us2, gw2 := addr("198.51.100.1"), addr("198.51.100.2"), addr("198.51.100.200")
	want := tunnels.Config{
		Policies: []tunnels.Policy{
			{Name: "Rio", Mode: tunnels.Tunnel, Local: us, Remote: gw2}, {Name: "Rio-2", Mode: tunnels.Transport, Local: us2, Remote: gw2},
			{Name: "if", Mode: tunnels.Interface, Local: us2, Remote: netip.IPv4Unspecified()}, {Name: "off", Mode: tunnels.Tunnel, Local: us2, Remote: addr("198.51.100.203")},
		},
		Selectors: []tunnels.TrafficSelector{
			{Name: "s1", Source: pfx("10.2.1.0/24"), Destination: pfx("10.1.1.0/24"), DestinationPort: 443, Protocol: 6, Policy: "Rio", Order: 5},
			{Name: "s2", Source: pfx("198.51.100.2/32"), Destination: pfx("198.51.100.200/32"), Policy: "Rio-2"},
			{Name: "s4", Source: pfx("10.2.1.0/24"), Destination: pfx("10.6.0.0/16"), Action: tunnels.ActDiscard},
			{Name: "s5", Source: pfx("10.2.1.0/24"), Destination: pfx("10.5.0.0/16"), Policy: "off"},
		},
		Tunnels: []tunnels.TunnelInterface{{Name: "t", ID: 4, Policy: "if"}},
	}
	if diff := cmp.Diff(want, ipsecConfig(c, 0), same()); diff != "" {
		t.Errorf("domain 0 (-want +got):\n%s", diff)
	}
	red := tunnels.Config{
		Policies:  []tunnels.Policy{{Name: "hand", Mode: tunnels.Tunnel, Local: us, Remote: addr("198.51.100.202")}},
		Selectors: []tunnels.TrafficSelector{{Name: "s3", Source: pfx("0.0.0.0/0"), Destination: pfx("10.7.0.0/16"), Policy: "hand", Direction: tunnels.Out}},
		Manual: []tunnels.ManualSA{
			{Name: "out", Policy: "hand", Source: us, Destination: addr("198.51.100.202"), Outbound: true, SPI: 4096,
				Suite: tunnels.Suite{Cipher: tunnels.AESCBC, Bits: 128, Auth: tunnels.HMACSHA384}, Keys: tunnels.Keys{Encrypt: count(16), Auth: count(48)}},
			{Name: "in", Policy: "hand", Source: addr("198.51.100.202"), Destination: us, SPI: 4097,
				Suite: tunnels.Suite{Cipher: tunnels.Null, Auth: tunnels.HMACSHA256}, Keys: tunnels.Keys{Auth: count(32)}},
		},
	}
	if diff := cmp.Diff(red, ipsecConfig(c, 7), same()); diff != "" {
		t.Errorf("domain 7 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]netstack.Tunnel{{ID: 4, Name: "t", Addresses: []netip.Prefix{pfx("10.9.0.1/30")}, MTU: 1400}}, tunnelInterfaces(c, 0), same()); diff != "" {
		t.Errorf("interfaces (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]netstack.Route{{To: pfx("0.0.0.0/0"), Via: addr("198.51.100.254")}, {To: pfx("10.8.0.0/16"), Tunnel: 4}}, routes(c, 0), same()); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	if v := ltmConfig(c, 0).Servers[0]; !v.RequireProtection || len(v.VLANs.List) != 2 || v.VLANs.List[0] != 1 || v.VLANs.List[1] != 4 {
		t.Errorf("the server is %+v", v)
	}
}

func TestAPeerOfTheFileIsOneOfIKE(t *testing.T) {
	c := parsed(t, manyTunnels)
	addr := netip.MustParseAddr
	us, us2, gw2 := addr("198.51.100.1"), addr("198.51.100.2"), addr("198.51.100.200")
	prefix := func(s string) ike.Selector { return ike.PrefixSelector(netip.MustParsePrefix(s)) }
	all := []ike.Selector{prefix("0.0.0.0/0")}
	web, lan := prefix("10.1.1.0/24"), prefix("10.2.1.0/24")
	web.Protocol, web.PortFrom, web.PortTo, lan.Protocol = 6, 443, 443, 6
	id := func(s string) ike.Identity {
		out, err := ike.ParseIdentity(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	prf, dh := []ike.PRF{ike.PRFSHA384}, []ike.Group{ike.ECP384, ike.MODP4096}
	x := []ike.Group{ike.X25519}
	gcm := func(esn bool) []ike.Proposal {
		return []ike.Proposal{{Ciphers: []ike.Cipher{ike.AESGCM128, ike.AESGCM256}, Groups: x, ESN: esn}}
	}
	first := ike.Peer{
		Name: "gw2/198.51.100.1", Local: us, Remote: gw2, LocalID: id("gw1.example.net"), RemoteID: id("198.51.100.200"),
		LocalAuth: ike.PSK, RemoteAuth: ike.PSK, Secret: ike.Secret("correct horse battery staple"),
		Proposals: []ike.Proposal{
			{Ciphers: []ike.Cipher{ike.AESGCM256}, PRFs: prf, Groups: dh},
			{Ciphers: []ike.Cipher{ike.AESCBC256, ike.AESCBC128}, Integrity: []ike.Integrity{ike.HMACSHA512, ike.HMACSHA256}, PRFs: prf, Groups: dh},
			{Ciphers: []ike.Cipher{ike.AESGCM128}, PRFs: prf, Groups: dh},
		},
		NATTraversal: ike.NATOff, DPDDelay: -1, Lifetime: 2 * time.Hour,
		Children: []ike.Child{{
			Name: "s1", Local: []ike.Selector{lan}, Remote: []ike.Selector{web}, Lifetime: 30 * time.Minute, Up: true,
			Proposals: []ike.Proposal{
				{Ciphers: []ike.Cipher{ike.AESGCM256}, Groups: []ike.Group{ike.MODP3072, ike.NoGroup}},
				{Ciphers: []ike.Cipher{ike.AESCBC192}, Integrity: []ike.Integrity{ike.HMACSHA384}, Groups: []ike.Group{ike.MODP3072, ike.NoGroup}},
			},
		}},
	}
	second := first
	second.Name, second.Local = "gw2/198.51.100.2", us2
	second.Children = []ike.Child{{
		Name: "s2", Mode: ike.Transport, Local: []ike.Selector{prefix("198.51.100.2/32")}, Remote: []ike.Selector{prefix("198.51.100.200/32")},
		Lifetime: time.Hour, Proposals: gcm(true),
	}}
	nomad := ike.Peer{
		Name: "anywhere", Local: us2, Remote: netip.IPv4Unspecified(), LocalID: id("198.51.100.2"), RemoteID: id("nomad@example.net"),
		LocalAuth: ike.PSK, RemoteAuth: ike.PSK, Secret: ike.Secret("correct horse battery staple"),
		Proposals:    []ike.Proposal{{Ciphers: []ike.Cipher{ike.AESGCM128}, PRFs: []ike.PRF{ike.PRFSHA256}, Groups: x}},
		NATTraversal: ike.NATForce, Passive: true, DPDDelay: 30 * time.Second, Lifetime: 4 * time.Hour,
		Children: []ike.Child{{Name: "t", Local: all, Remote: all, Lifetime: time.Hour, Proposals: gcm(true)}},
	}
	want := keying.Config{
		Peers:  []ike.Peer{first, second, nomad},
		Limits: map[string]keying.Limits{"s1": {Window: 256, Bytes: 2 << 20}, "s2": {Window: 256}, "t": {Window: 64}},
	}
	got := keyingConfig(c, 0)
	if diff := cmp.Diff(want, got, same()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if string(got.Peers[0].Secret) != "correct horse battery staple" {
		t.Error("the secret is another one")
	}
	if k := keyingConfig(c, 7); len(k.Peers) != 0 {
		t.Errorf("domain 7 has %d peers", len(k.Peers))
	}
	if _, faults := Check(c, time.Unix(1<<30, 0)); len(faults) > 0 {
		t.Errorf("they are refused: %v", faults)
	}
}

func TestTheRouterTakesTheTunnelsOfTheFile(t *testing.T) {
	o := operatedBy(t, manyTunnels)
	if n := len(o.router.Keying().Peers()); n != 3 {
		t.Errorf("%d peers, want 3", n)
	}
	if name := o.router.InterfaceName(4); name != "t" {
		t.Errorf("interface 4 is %q", name)
	}
	if n := len(o.router.Chassis.Routers()[1].IPsec().List(0)); n != 2 {
		t.Errorf("%d manual SAs in domain 7, want 2", n)
	}
}

// secretly is an example with its secret in the text.
func secretly(text string) string {
	return strings.ReplaceAll(text, `"file:gw2.psk"`, `"correct horse battery staple"`)
}

func TestTheExampleOfATunnelAdmitsWhatItSays(t *testing.T) {
	attempts{
		{"vlan-internal-2-0 tcp 10.2.1.1 10.1.1.1:22", "admit virtual server ipsec-0"},
		{"external tcp 10.1.1.1 10.2.1.1:22", "admit virtual server ipsec-2"},
		{"external icmp 10.1.1.1 10.2.1.1:0", "admit virtual server ping-in"},
		{"vlan-internal-2-0 udp 10.2.1.1 10.1.1.1:53", "no_listener"},
	}.run(t, secretly(configs.IPsecTunnel()))
	attempts{
		{"vlan-internal-2-0 tcp 10.2.1.1 10.3.1.1:22", "admit virtual server ipsec-0"},
		{"ipsec-tunnel tcp 10.3.1.1 10.2.1.1:22", "admit virtual server ipsec-0"},
		{"external tcp 10.3.1.1 10.2.1.1:22", "vlan_miss virtual server ipsec-0"},
		{"vlan-users udp 10.1.1.9 172.17.1.1:53", "admit nat NAT-1"},
		{"vlan-users udp 10.1.1.9 10.3.1.1:53", "vlan_miss virtual server ipsec-0"},
	}.run(t, secretly(configs.IPsecInterface()))
}

func TestTheExamplesOfTunnelsAreNotWarnedOf(t *testing.T) {
	for _, text := range []string{configs.IPsecTunnel(), configs.IPsecInterface()} {
		if warnings, faults := Check(parsed(t, secretly(text)), time.Unix(1<<30, 0)); len(warnings)+len(faults) > 0 {
			t.Errorf("%v %v", warnings, faults)
		}
	}
}

func TestSelectorsThatDoNotMeetTheirPacketsAreWarnedOf(t *testing.T) {
	const selector = "[net.ipsec.selector.my-nat-selector]"
	text := secretly(configs.IPsecInterface())
	subscribers := "[lsn.client.C]\nnetworks = [\"10.1.1.0/24\"]\n[lsn.pool.P]\naddresses = [\"203.0.113.3\"]\n[lsn.group.G]\nclient = \"C\"\npools = [\"P\"]\n"
	server := "[ltm.virtual.far]\ndestination = \"192.168.15.2:any\"\nsource = \"10.1.1.0/24\"\nip_forward = true\n"
	for _, c := range []struct{ name, from, to, want string }{
		{"after the NAT (Q7)", selector, selector, ""},
		{"before the NAT (Q7)", `"192.168.15.2/32"`, `"172.17.1.1/32"`, `my-nat-selector: warning: traffic selector "my-nat-selector": ltm nat "NAT-1" rewrites the destination 172.17.1.1/32 to 192.168.15.2/32 before selectors are asked: ` +
			"destination-address 172.17.1.1/32 misses it"},
		{"before a NAT of this side (VR27)", selector, "[ltm.nat.mine]\noriginating_address = \"10.1.1.7\"\ntranslation_address = \"172.17.1.7\"\n" + selector,
			`my-nat-selector: warning: traffic selector "my-nat-selector": ltm nat "mine" rewrites sources in 10.1.1.7/32 to [172.17.1.7/32] before selectors are asked: source-address 10.1.1.0/24 misses them`},
		{"before a SNAT", selector, "[ltm.snat.S]\norigins = [\"10.0.0.0/8\"]\ntranslation = \"172.17.1.8\"\n" + selector,
			`my-nat-selector: warning: traffic selector "my-nat-selector": ltm snat "S" rewrites sources in 10.0.0.0/8 to [172.17.1.8/32] before selectors are asked: source-address 10.1.1.0/24 misses them` + "\n" +
				`networks: warning: traffic selector "networks": ltm snat "S" rewrites sources in 10.0.0.0/8 to [172.17.1.8/32] before selectors are asked: source-address 10.2.1.0/24 misses them`},
		{"before a server's automap", selector, server + "source_address_translation = \"automap\"\n" + selector,
			`my-nat-selector: warning: traffic selector "my-nat-selector": ltm virtual "far" rewrites sources in 10.1.1.0/24 to [198.51.100.1/32] before selectors are asked: source-address 10.1.1.0/24 misses them`},
		{"a server's automap for others", selector, strings.Replace(server, "192.168.15.2", "192.168.15.3", 1) + "source_address_translation = \"automap\"\n" + selector, ""},
		{"before an LSN group", selector, subscribers + selector,
			`my-nat-selector: warning: traffic selector "my-nat-selector": lsn group "G" rewrites sources in 10.1.1.0/24 to [203.0.113.3/32] before selectors are asked: source-address 10.1.1.0/24 misses them`},
		{"an LSN group behind a server", selector, subscribers + server + selector, ""},
		{"an LSN group that exempts it", selector, subscribers + "exempt = [\"192.168.15.0/24\"]\n" + selector, ""},
		{"behind a wider one (Q8)", selector, "[net.ipsec.selector.all]\nsource_address = \"10.1.1.0/24\"\ndestination_address = \"any\"\npolicy = \"Rio\"\n" + selector,
			`my-nat-selector: warning: traffic selector "my-nat-selector" is never reached: "all" (order 0) is asked first and covers all of it`},
		{"an interface without a tunnel", "[net.ipsec.policy.Rio]\n", "[net.ipsec.policy.idle]\nmode = \"interface\"\npeer = \"gw2\"\n[net.ipsec.policy.Rio]\n",
			`idle: warning: ipsec policy "idle": its mode is interface and no tunnel names it: nothing is routed to it`},
		{"a policy that protects nothing", "[net.ipsec.policy.Rio]\n", "[net.ipsec.policy.idle]\nmode = \"tunnel\"\npeer = \"gw2\"\n[net.ipsec.policy.Rio]\n",
			`idle: warning: ipsec policy "idle": no traffic selector names it: it protects nothing`},
	} {
		warnings, faults := Check(parsed(t, strings.Replace(text, c.from, c.to, 1)), time.Unix(1<<30, 0))
		var got []string
		for _, w := range warnings {
			if w.Line < 2 {
				t.Errorf("%s: no place: %v", c.name, w)
			}
			got = append(got, w.Path[strings.LastIndex(w.Path, ".")+1:]+": warning: "+w.Text)
		}
		slices.Sort(got)
		if strings.Join(got, "\n") != c.want || len(faults) > 0 {
			t.Errorf("%s:\n got %s %v\nwant %s", c.name, strings.Join(got, "\n"), faults, c.want)
		}
	}
}
