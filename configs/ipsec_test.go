package configs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tunnelled has a tunnel of each kind, to be spoiled by tests.
const tunnelled = `version = 1
[port.lan]
driver = "raw"
device = "eth0"
[port.wan]
driver = "tap"
device = "tap0"
[vlan.inside]
port = "lan"
addresses = ["10.2.1.254/24"]
[vlan.external]
port = "wan"
addresses = ["198.51.100.1/24"]
[route."0.0.0.0/0"]
via = "198.51.100.254"
[route."10.8.0.0/16"]
tunnel = "ipsec-tunnel"

[net.ipsec.peer.gw2]
remote_address = "198.51.100.200"
psk = "correct horse battery staple"
[net.ipsec.peer.gw3]
remote_address = "198.51.100.201"
psk = "correct horse battery staple"

[net.ipsec.policy.Rio]
mode = "tunnel"
peer = "gw2"
tunnel_local_address = "198.51.100.1"
[net.ipsec.policy.Rio-if]
mode = "interface"
peer = "gw3"
[net.ipsec.policy.hand]
mode = "tunnel"
tunnel_local_address = "198.51.100.1"
tunnel_remote_address = "198.51.100.202"

[net.ipsec.selector.s1]
source_address = "10.2.1.0/24"
destination_address = "10.1.1.0/24"
policy = "Rio"
[net.ipsec.selector.s2]
source_address = "10.2.1.0/24"
destination_address = "10.3.0.0/16"
policy = "hand"

[net.tunnel.ipsec-tunnel]
policy = "Rio-if"
addresses = ["10.9.0.1/30"]

[net.ipsec.manual_sa.out1]
policy = "hand"
source_address = "198.51.100.1"
destination_address = "198.51.100.202"
spi = 4096
encrypt_key = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
auth_key = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
[net.ipsec.manual_sa.in1]
policy = "hand"
source_address = "198.51.100.202"
destination_address = "198.51.100.1"
spi = "0x1001"
encrypt_key = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
auth_key = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

[ltm.virtual.out]
destination = "10.1.1.0/24:any"
source = "10.2.1.0/24"
ip_forward = true
vlans = ["inside"]
vlans_enabled = true
require_protection = true
[ltm.virtual.in]
destination = "10.2.1.0/24:any"
source = "10.1.1.0/24"
ip_forward = true
vlans = ["external"]
vlans_enabled = true
[ltm.virtual.in-if]
destination = "10.2.1.0/24:any"
source = "10.8.0.0/16"
ip_forward = true
vlans = ["ipsec-tunnel", "inside"]
vlans_enabled = true
`

// runTunnelled spoils tunnelled: a want of several lines stands for several
// messages.
func runTunnelled(t *testing.T, table []spoil) {
	t.Helper()
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(tunnelled, c.old) {
				t.Fatalf("the configuration has no %q", c.old)
			}
			var want []string
			if c.want != "" {
				want = strings.Split(c.want, "\n")
			}
			_, got := messagesOf(strings.Replace(tunnelled, c.old, c.new, 1))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheTunnelledConfigurationIsSound(t *testing.T) {
	runTunnelled(t, []spoil{{"nothing wrong", "", "", ""}})
}

const (
	rio   = "net.ipsec.policy.Rio"
	names = "[vlan.inside] has 10.2.1.254, [vlan.external] has 198.51.100.1"
)

func TestTheEndsOfATunnel(t *testing.T) {
	const local, remote = rio + ".tunnel_local_address: ", rio + ".tunnel_remote_address: "
	const old = `tunnel_local_address = "198.51.100.1"` + "\n[net.ipsec.policy.Rio-if]"
	const next = "[net.ipsec.policy.Rio-if]"
	at := func(line string) string { return line + "\n" + next }
	runTunnelled(t, []spoil{
		{"nobody's address", old, at(`tunnel_local_address = "198.51.100.9"`), local + "198.51.100.9 is not an address of ours: " + names},
		{"an address of a NAT", old, at("tunnel_local_address = \"172.17.1.1\"\n[ltm.nat.N]\noriginating_address = \"10.2.1.5\"\ntranslation_address = \"172.17.1.1\""),
			"net.ipsec.policy.Rio.tunnel_local_address: 172.17.1.1 is not an address of ours, but one that [ltm.nat.N] translates to: the router itself has no use of it: " + names},
		{"no local address: that on the way to the other end", old, at(""), ""},
		{"the address on another way", old, at(`tunnel_local_address = "10.2.1.254"`),
			"ltm.virtual.in.vlans: warning: what begins in 10.1.1.0/24 comes by [vlan.inside], for it is in [net.ipsec.selector.s1] of a policy whose mode is tunnel: list \"inside\" (rule VR34)"},
		{"the peer's own address", old, at("tunnel_local_address = \"198.51.100.1\"\ntunnel_remote_address = \"198.51.100.200\""), ""},
		{"another address than the peer's", old, at("tunnel_local_address = \"198.51.100.1\"\ntunnel_remote_address = \"198.51.100.7\""),
			remote + "[net.ipsec.peer.gw2] is at 198.51.100.200: leave this out, or write the same in both"},
		{"our own address", `remote_address = "198.51.100.200"`, `remote_address = "10.2.1.254"`, remote + "10.2.1.254 is the router's own address on [vlan.inside]"},
		{"a peer that may be anywhere", `remote_address = "198.51.100.200"`, "remote_address = \"any\"\npeers_id_value = \"gw2\"", ""},
		{"a peer that may be anywhere, and nothing local", "tunnel_local_address = \"198.51.100.1\"\n[net.ipsec.policy.Rio-if]\nmode = \"interface\"\npeer = \"gw3\"",
			"[net.ipsec.policy.Rio-if]\nmode = \"interface\"\npeer = \"anywhere\"\n[net.ipsec.peer.anywhere]\nremote_address = \"0.0.0.0\"\npeers_id_value = \"x\"\npsk = \"correct horse battery\"",
			"net.ipsec.policy.Rio-if.tunnel_local_address: is missing: " + names + "\nnet.ipsec.peer.gw3: warning: no policy names it: it is not spoken to"},
		{"a route into the tunnel itself", `[route."10.8.0.0/16"]`, "[route.\"198.51.101.0/24\"]\ntunnel = \"ipsec-tunnel\"\n[route.\"10.8.0.0/16\"]", ""},
		{"an end that is behind the tunnel itself", "[net.ipsec.peer.gw3]\nremote_address = \"198.51.100.201\"", "[net.ipsec.peer.gw3]\nremote_address = \"10.8.0.1\"",
			"net.ipsec.policy.Rio-if.tunnel_local_address: is missing, and no route to 10.8.0.1 says which one is meant: " + names},
		{"the same, with a local address", "[net.ipsec.peer.gw3]\nremote_address = \"198.51.100.201\"\npsk = \"correct horse battery staple\"\n\n[net.ipsec.policy.Rio]\nmode = \"tunnel\"\npeer = \"gw2\"\ntunnel_local_address = \"198.51.100.1\"\n[net.ipsec.policy.Rio-if]",
			"[net.ipsec.peer.gw3]\nremote_address = \"10.8.0.1\"\npsk = \"correct horse battery staple\"\n\n[net.ipsec.policy.Rio]\nmode = \"tunnel\"\npeer = \"gw2\"\n[net.ipsec.policy.Rio-if]\ntunnel_local_address = \"198.51.100.1\"",
			"net.ipsec.policy.Rio-if.tunnel_remote_address: the route to 10.8.0.1 leads into [net.tunnel.ipsec-tunnel], whose end it is: give it a route of its own, via a neighbour"},
		{"a policy without keys", `peer = "gw2"`, "tunnel_remote_address = \"198.51.100.200\"",
			rio + ": has no peer, and no [net.ipsec.manual_sa.…] names it: nobody would have keys for it\nnet.ipsec.peer.gw2: warning: no policy names it: it is not spoken to"},
		{"a policy with both", "[net.ipsec.policy.hand]", "[net.ipsec.policy.hand]\npeer = \"gw4\"\n[net.ipsec.peer.gw4]\nremote_address = \"198.51.100.202\"\npsk = \"correct horse battery\"\n[net.ipsec.policy.hand2]",
			"net.ipsec.policy.hand.peer: [net.ipsec.manual_sa.out1] has keys for it: they are negotiated with a peer, or written down, not both\n" +
				"net.ipsec.policy.hand2: has no peer, and no [net.ipsec.manual_sa.…] names it: nobody would have keys for it\n" +
				`net.ipsec.selector.s2.source_address: must be 198.51.100.1/32, that end of [net.ipsec.policy.hand], whose mode is transport; for networks write mode = "tunnel"` + "\n" +
				`net.ipsec.selector.s2.destination_address: must be 198.51.100.202/32, that end of [net.ipsec.policy.hand], whose mode is transport; for networks write mode = "tunnel"`},
		{"a peer that is not there", `peer = "gw2"`, `peer = "gw"`,
			rio + ".peer: there is no [net.ipsec.peer.gw]; did you mean \"gw2\"?\nnet.ipsec.peer.gw2: warning: no policy names it: it is not spoken to"},
		{"no way to the other end", "[route.\"0.0.0.0/0\"]\nvia = \"198.51.100.254\"\n", "", ""},
		{"no way to a far end", "[route.\"0.0.0.0/0\"]\nvia = \"198.51.100.254\"\n[route.\"10.8.0.0/16\"]\ntunnel = \"ipsec-tunnel\"\n\n[net.ipsec.peer.gw2]\nremote_address = \"198.51.100.200\"",
			"[route.\"10.8.0.0/16\"]\ntunnel = \"ipsec-tunnel\"\n[net.ipsec.peer.gw2]\nremote_address = \"192.0.2.7\"", remote + "warning: there is no route to 192.0.2.7"},
	})
}

func TestWhatASelectorSays(t *testing.T) {
	const old, at = "policy = \"Rio\"\n", "net.ipsec.selector.s1"
	plus := func(lines string) string { return old + lines + "\n" }
	runTunnelled(t, []spoil{
		{"everything that may be said", old, plus("source_port = 443\ndestination_port = \"https\"\nip_protocol = \"tcp\"\ndirection = \"out\"\norder = 7\nup = true"), ""},
		{"any", `destination_address = "10.1.1.0/24"`, `destination_address = "any"`, ""},
		{"no destination", "destination_address = \"10.1.1.0/24\"\n", "", at + ".destination_address: is missing"},
		{"host bits", `"10.1.1.0/24"` + "\npolicy", `"10.1.1.1/24"` + "\npolicy", at + `.destination_address: "10.1.1.1/24" has host bits: write 10.1.1.0/24`},
		{"a protocol without ports", old, plus("ip_protocol = \"icmp\"\nsource_port = 8"), at + ".source_port: icmp has no ports: write any"},
		{"a port that is none", old, plus(`source_port = "htps"`), at + `.source_port: "htps" is no port: write any, a number up to 65535, or the name of a service; did you mean "https"?`},
		{"no policy", old, "", at + `.policy: is missing: a selector that protects names a policy; action = "bypass" or "discard" needs none`},
		{"a policy that is not there", old, "policy = \"Roi\"\n", at + `.policy: there is no [net.ipsec.policy.Roi]; did you mean "Rio"?`},
		{"bypass", old, "action = \"bypass\"\n", ""},
		{"bypass with a policy", old, plus(`action = "bypass"`), at + `.policy: only with action = "protect", not "bypass"`},
		{"discard in a domain without a VLAN", old, "action = \"discard\"\ntraffic_domain = 3\n", at + ".traffic_domain: no VLAN is in traffic domain 3"},
		{"discard that is up", old, "action = \"discard\"\nup = true\n", at + `.up: only with action = "protect", not "discard": there is nothing to negotiate`},
		{"another domain than its policy's", old, plus("traffic_domain = 3"), at + ".traffic_domain: [net.ipsec.policy.Rio] is in traffic domain 0 because of its tunnel_local_address: leave this out"},
		{"manual keys that are up", "policy = \"hand\"\n", "policy = \"hand\"\nup = true\n", "net.ipsec.selector.s2.up: [net.ipsec.policy.hand] has manual SAs: there is nothing to negotiate"},
		{"up with a passive peer", "psk = \"correct horse battery staple\"\n[net.ipsec.peer.gw3]", "psk = \"correct horse battery staple\"\npassive = true\n[net.ipsec.selector.s3]\nsource_address = \"any\"\n" +
			"destination_address = \"10.6.0.0/16\"\npolicy = \"Rio\"\nup = true\n[net.ipsec.peer.gw3]", "net.ipsec.selector.s3.up: [net.ipsec.peer.gw2] is passive, or at any address: only the other end can begin"},
		{"the same as another one", `"10.3.0.0/16"`, `"10.1.1.0/24"`, "net.ipsec.selector.s2: is for the same packets as [net.ipsec.selector.s1]: addresses, ports, protocol and direction"},
		{"the same in one direction each", "[net.ipsec.selector.s1]\n", "[net.ipsec.selector.s0]\naction = \"discard\"\nsource_address = \"10.2.1.0/24\"\ndestination_address = \"10.1.1.0/24\"\ndirection = \"in\"\n[net.ipsec.selector.s1]\ndirection = \"out\"\n", ""},
		{"transport between networks", "[net.ipsec.policy.Rio]\nmode = \"tunnel\"", "[net.ipsec.policy.Rio]\nmode = \"transport\"",
			at + `.source_address: must be 198.51.100.1/32, that end of [net.ipsec.policy.Rio], whose mode is transport; for networks write mode = "tunnel"` + "\n" +
				at + `.destination_address: must be 198.51.100.200/32, that end of [net.ipsec.policy.Rio], whose mode is transport; for networks write mode = "tunnel"`},
		{"an order below zero", old, plus("order = -1"), at + ".order: must be from 0 to 2147483647, not -1"},
	})
}

func TestAlgorithms(t *testing.T) {
	const old, at = "[net.ipsec.policy.Rio]\n", rio + ".ike_phase2_"
	phase2 := func(lines string) string { return old + lines + "\n" }
	const peer = "[net.ipsec.peer.gw2]\n"
	phase1 := func(lines string) string { return peer + lines + "\n" }
	const gw2 = "net.ipsec.peer.gw2."
	runTunnelled(t, []spoil{
		{"BIG-IP's way to say GCM", old, phase2("ike_phase2_encrypt_algorithm = \"aes-gcm256\"\nike_phase2_auth_algorithm = \"aes-gcm256\""), ""},
		{"CBC alone", old, phase2(`ike_phase2_encrypt_algorithm = "aes256"`), ""},
		{"both kinds", old, phase2("ike_phase2_encrypt_algorithm = [\"aes-gcm256\", \"aes256\"]\nike_phase2_auth_algorithm = [\"aes-gcm256\", \"sha512\"]"), ""},
		{"3des", old, phase2(`ike_phase2_encrypt_algorithm = "3des"`),
			at + `encrypt_algorithm: "3des" has blocks of 64 bits, which long-lived tunnels give away (RFC 8221, RFC 8247): write "aes-gcm256", or "aes256"`},
		{"sha1", old, phase2("ike_phase2_encrypt_algorithm = \"aes128\"\nike_phase2_auth_algorithm = \"sha1\""),
			at + `auth_algorithm: "sha1" must not be used any more (RFC 8221, RFC 8247): write "sha256"`},
		{"md5 in a list", old, phase2("ike_phase2_encrypt_algorithm = \"aes128\"\nike_phase2_auth_algorithm = [\"sha256\", \"md5\"]"),
			at + `auth_algorithm[1]: "md5" is broken (RFC 8221, RFC 8247): write "sha256"`},
		{"a typo", old, phase2(`ike_phase2_encrypt_algorithm = "aes-gcm265"`),
			at + `encrypt_algorithm: "aes-gcm265" is not one of aes-gcm128, aes-gcm192, aes-gcm256, aes128, aes192, aes256, null; did you mean "aes-gcm256"?`},
		{"another GCM", old, phase2("ike_phase2_encrypt_algorithm = \"aes-gcm256\"\nike_phase2_auth_algorithm = \"aes-gcm128\""),
			at + "auth_algorithm: aes-gcm128 authenticates what it encrypts itself, and is not in ike_phase2_encrypt_algorithm: write it there, too"},
		{"a hash for GCM", old, phase2("ike_phase2_auth_algorithm = \"sha256\""),
			at + "auth_algorithm: aes-gcm128 needs no sha256, for it authenticates by itself: leave this out, or name aes128, aes192 or aes256 in ike_phase2_encrypt_algorithm"},
		{"GCM for CBC", old, phase2("ike_phase2_encrypt_algorithm = [\"aes-gcm256\", \"aes256\"]\nike_phase2_auth_algorithm = \"aes-gcm256\""),
			at + "auth_algorithm: aes256 does not authenticate: name sha256, sha384 or sha512 as well"},
		{"null (it hides nothing)", old, phase2(`ike_phase2_encrypt_algorithm = "null"`),
			at + "encrypt_algorithm: warning: with null nothing is encrypted: whoever is on the way can read what this policy protects"},
		{"a group of old", old, phase2(`ike_phase2_perfect_forward_secrecy = "modp1024"`),
			at + `perfect_forward_secrecy: "modp1024" is within reach of those who can afford it (RFC 8247): write "x25519", "ecp256" or "modp2048"`},
		{"no forward secrecy", old, phase2(`ike_phase2_perfect_forward_secrecy = "none"`), ""},
		{"a group twice", old, phase2(`ike_phase2_perfect_forward_secrecy = ["ecp256", "ecp256"]`), at + `perfect_forward_secrecy[1]: "ecp256" is in the list twice`},
		{"no group", old, phase2(`ike_phase2_perfect_forward_secrecy = []`), at + "perfect_forward_secrecy: must not be empty"},
		{"lifetimes", old, phase2("ike_phase2_lifetime = \"8h\"\nike_phase2_lifetime_kilobytes = 1048576"), ""},
		{"a lifetime without a unit", old, phase2("ike_phase2_lifetime = 1440"), at + `lifetime: a duration is a string with a unit: write "1440s" or "1440m", not 1440`},
		{"a lifetime of few bytes", old, phase2("ike_phase2_lifetime_kilobytes = 5"), at + "lifetime_kilobytes: must be 0, or 1024 or more: new keys would be wanted all the time"},
		{"AH", old, phase2(`protocol = "ah"`),
			rio + `.protocol: "ah" is not supported: it hides nothing, and no NAT lets it through; write "esp", with encryption "null" if nothing is to be hidden`},
		{"compression", old, phase2(`ipcomp = "deflate"`), rio + `.ipcomp: not supported yet: leave it out, or write "none"`},

		{"IKE's own", peer, phase1("phase1_encrypt_algorithm = \"aes256\"\nphase1_hash_algorithm = [\"sha512\", \"sha256\"]\nprf = \"sha384\"\nphase1_perfect_forward_secrecy = \"modp4096\"\nlifetime = \"24h\""), ""},
		{"IKE without encryption", peer, phase1(`phase1_encrypt_algorithm = "null"`), gw2 + `phase1_encrypt_algorithm: "null" is for ESP alone: IKE is always encrypted`},
		{"IKE without a group", peer, phase1(`phase1_perfect_forward_secrecy = "none"`), gw2 + `phase1_perfect_forward_secrecy: "none" is for phase 2 alone: IKE needs a group`},
		{"IKE with 3des", peer, phase1(`phase1_encrypt_algorithm = "3des"`),
			gw2 + `phase1_encrypt_algorithm: "3des" has blocks of 64 bits, which long-lived tunnels give away (RFC 8221, RFC 8247): write "aes-gcm256", or "aes256"`},
	})
}

func TestPeers(t *testing.T) {
	const old, at = "[net.ipsec.peer.gw2]\nremote_address = \"198.51.100.200\"\npsk = \"correct horse battery staple\"\n", "net.ipsec.peer.gw2."
	const head = "[net.ipsec.peer.gw2]\nremote_address = \"198.51.100.200\"\n"
	plus := func(lines string) string { return old + lines + "\n" }
	runTunnelled(t, []spoil{
		{"IKEv1", old, plus(`version = "v1"`), at + `version: IKEv1 is not spoken: it is deprecated, and nobody mends it (RFC 9395); write "v2", and let the other end do so`},
		{"BIG-IP's list of versions", old, plus(`version = ["v2"]`), ""},
		{"both versions", old, plus(`version = ["v1", "v2"]`), at + `version: IKEv1 is not spoken: it is deprecated, and nobody mends it (RFC 9395); write "v2", and let the other end do so`},
		{"a version of its own", old, plus(`version = "v3"`), at + `version: "v3" is not "v2"`},
		{"no key", old, head, at + `psk: is missing: write "file:PATH" of a file with it, or a certificate: my_cert_file, my_cert_key_file and ca_cert_file`},
		{"an empty key", old, head + "psk = \"\"\n", at + "psk: must not be empty"},
		{"a short key", old, head + "psk = \"secret\"\n", at + "psk: warning: is short, and can be found by trying: write 20 random characters or more"},
		{"a key and a certificate", old, plus(`ca_cert_file = "ca.crt"`), at + `ca_cert_file: only with phase1_auth_method = "certificate": both ends prove who they are in the same way`},
		{"half a certificate", old, head + "my_cert_file = \"gw1.crt\"\n",
			at + "ca_cert_file: is missing: certificates need my_cert_file, my_cert_key_file and ca_cert_file\n" + at + "my_cert_key_file: is missing: certificates need my_cert_file, my_cert_key_file and ca_cert_file"},
		{"a certificate in BIG-IP's words", old, head + "phase1_auth_method = \"rsa-signature\"\nmy_cert_file = \"a\"\nmy_cert_key_file = \"b\"\nca_cert_file = \"c\"\npeers_id_value = \"CN=gw2, O=Example\"\n", ""},
		{"DSA", old, plus(`phase1_auth_method = "dss"`), at + `phase1_auth_method: "dss" is not one of pre-shared-key, certificate`},
		{"anybody by a key", old, plus(`peers_id_value = "any"`), at + "peers_id_value: any needs certificates: with a pre-shared key the other end's identity must be known"},
		{"anywhere without an identity", old, "[net.ipsec.peer.gw2]\nremote_address = \"any\"\npsk = \"correct horse battery staple\"\n",
			at + "peers_id_value: is missing: remote_address is any, so the other end's identity must be known"},
		{"a name that is none", old, plus(`my_id_value = "CN=gw1, XY=z"`), at + `my_id_value: "XY=z" is no attribute of a distinguished name: these have the form CN=gw, O=Example, and are CN, C, L, ST, O, OU`},
		{"an identity of IPv6", old, plus(`my_id_value = "2001:db8::1"`), at + `my_id_value: "2001:db8::1": only IPv4 is supported`},
		{"the rest", old, plus("my_id_value = \"@gw1\"\ndpd_delay = \"0s\"\nnat_traversal = \"force\"\npassive = true\nstate = \"disabled\"\nreplay_window_size = 1024\ngenerate_policy = \"off\"\nverify_cert = true"), ""},
		{"certificates that nobody verifies", old, plus("verify_cert = false"), at + "verify_cert: not supported yet: leave it out, or write true"},
		{"a window that is none", old, plus("replay_window_size = 0"), at + "replay_window_size: must be from 32 to 4096, not 0"},
		{"two that cannot be told apart", "remote_address = \"198.51.100.201\"", "remote_address = \"198.51.100.200\"",
			"net.ipsec.peer.gw3: warning: has the same remote_address, peers_id_value and local address as [net.ipsec.peer.gw2]: when the other end begins, that one is taken"},
	})
}

func TestManualSAs(t *testing.T) {
	const key = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	const old, at = "spi = 4096\nencrypt_key = \"" + key + "\"\n", "net.ipsec.manual_sa.out1."
	const in = "[net.ipsec.manual_sa.in1]\npolicy = \"hand\"\nsource_address = \"198.51.100.202\"\ndestination_address = \"198.51.100.1\"\nspi = \"0x1001\"\nencrypt_key = \"" + key + "\"\nauth_key = \"" + key + "\"\n"
	keys := func(spi, lines string) string { return "spi = " + spi + "\n" + lines + "\n" }
	runTunnelled(t, []spoil{
		{"a reserved spi", old, keys("255", "encrypt_key = \""+key+"\""), at + "spi: must be from 256 to 4294967295: those below are reserved (RFC 4303 section 2.1)"},
		{"an spi that is none", old, keys(`"0x10g"`, "encrypt_key = \""+key+"\""), at + `spi: "0x10g" is not a number such as 4096 or "0x1000"`},
		{"no key", old, keys("4096", ""), at + "encrypt_key: is missing: aes256 needs a key of 32 bytes: 0x and 64 hexadecimal digits, here or in a file (file:PATH)"},
		{"a short key", old, keys("4096", `encrypt_key = "0x0001"`), at + "encrypt_key: has 2 bytes: aes256 needs a key of 32 bytes: 0x and 64 hexadecimal digits, here or in a file (file:PATH)"},
		{"a key of letters", old, keys("4096", `encrypt_key = "swordfish"`), at + "encrypt_key: is not hexadecimal: aes256 needs a key of 32 bytes: 0x and 64 hexadecimal digits, here or in a file (file:PATH)"},
		{"a shorter cipher", old, keys("4096", "encrypt_algorithm = \"aes128\"\nencrypt_key = \"0x000102030405060708090a0b0c0d0e0f\""), ""},
		{"null", old, keys("4096", `encrypt_algorithm = "null"`), at + "encrypt_algorithm: warning: with null nothing is encrypted: whoever is on the way can read what this protects"},
		{"null with a key", old, keys("4096", "encrypt_algorithm = \"null\"\nencrypt_key = \"0x00\""), at + "encrypt_key: null has no key: leave this out\n" +
			at + "encrypt_algorithm: warning: with null nothing is encrypted: whoever is on the way can read what this protects"},
		{"GCM", old, keys("4096", "encrypt_algorithm = \"aes-gcm128\"\nencrypt_key = \""+key+"\""),
			at + `encrypt_algorithm: "aes-gcm128" must not be used with keys that do not change: after a restart its numbers would come again, and give the key away (RFC 8221 section 4); write "aes256" and an auth_key, or use IKE`},
		{"several ciphers", old, keys("4096", "encrypt_algorithm = [\"aes128\"]\nencrypt_key = \""+key+"\""), at + "encrypt_algorithm: must be a string, not an array"},
		{"other ends than the policy's", "source_address = \"198.51.100.1\"\ndestination_address = \"198.51.100.202\"", "source_address = \"198.51.100.1\"\ndestination_address = \"198.51.100.203\"",
			"net.ipsec.manual_sa.out1: 198.51.100.1 and 198.51.100.203 are not the ends of [net.ipsec.policy.hand]: these are 198.51.100.1 and 198.51.100.202\n" +
				"net.ipsec.policy.hand: warning: its manual SAs are all inbound: nothing can be sent"},
		{"one direction", in, "", "net.ipsec.policy.hand: warning: its manual SAs are all outbound: nothing can be received"},
		{"a direction that is wrong", old, "direction = \"in\"\n" + old, `net.ipsec.manual_sa.out1: direction is "in", and source_address is ours: leave direction out` + "\n" +
			"net.ipsec.policy.hand: warning: its manual SAs are all inbound: nothing can be sent"},
		{"the same spi twice", in, in + strings.Replace(in, "in1", "in2", 1), "net.ipsec.manual_sa.in2.spi: [net.ipsec.manual_sa.in1] has this spi and this destination_address already"},
		{"a policy that is not there", "[net.ipsec.manual_sa.out1]\npolicy = \"hand\"", "[net.ipsec.manual_sa.out1]\npolicy = \"hnd\"",
			`net.ipsec.manual_sa.out1.policy: there is no [net.ipsec.policy.hnd]; did you mean "hand"?` + "\nnet.ipsec.policy.hand: warning: its manual SAs are all inbound: nothing can be sent"},
	})
}

func TestTunnelInterfaces(t *testing.T) {
	const old, at = "[net.tunnel.ipsec-tunnel]\npolicy = \"Rio-if\"\naddresses = [\"10.9.0.1/30\"]\n", "net.tunnel.ipsec-tunnel"
	runTunnelled(t, []spoil{
		{"a policy of another mode", old, strings.Replace(old, "Rio-if", "Rio", 1),
			at + `.policy: the mode of [net.ipsec.policy.Rio] is tunnel: a tunnel's policy says mode = "interface"; with mode tunnel selectors decide, and no interface is needed`},
		{"two of one policy", old, old + "[net.tunnel.other]\npolicy = \"Rio-if\"\n", "net.tunnel.other.policy: [net.ipsec.policy.Rio-if] is already that of [net.tunnel.ipsec-tunnel]: a policy has one tunnel"},
		{"no policy", old, "[net.tunnel.ipsec-tunnel]\n", at + ".policy: is missing"},
		{"no way into it", "[route.\"10.8.0.0/16\"]\ntunnel = \"ipsec-tunnel\"\n", "", at + ": warning: no route leads into it: write one with tunnel = \"ipsec-tunnel\" (rule VR30)"},
		{"an MTU", old, old + "mtu = 1400\n", ""},
		{"an MTU that is too small", old, old + "mtu = 100\n", at + ".mtu: must be 0, or from 576 to 9216, not 100"},
		{"the network of a VLAN", old, strings.Replace(old, "10.9.0.1/30", "10.2.1.1/24", 1), at + ".addresses[0]: network 10.2.1.0/24 overlaps 10.2.1.0/24 of [vlan.inside]"},
		{"an address of a VLAN", old, strings.Replace(old, "10.9.0.1/30", "10.2.1.254/24", 1), at + ".addresses[0]: 10.2.1.254 is already an address of [vlan.inside]"},
		{"the name of a VLAN", "[net.tunnel.ipsec-tunnel]", "[net.tunnel.inside]\npolicy = \"Rio-if\"\n[net.tunnel.ipsec-tunnel]",
			"net.tunnel.inside: [vlan.inside] has the same name: a list of VLANs would mean both\nnet.tunnel.ipsec-tunnel.policy: [net.ipsec.policy.Rio-if] is already that of [net.tunnel.inside]: a policy has one tunnel\n" +
				"net.tunnel.inside: warning: no route leads into it: write one with tunnel = \"inside\" (rule VR30)"},
		{"the name of another's selector", "[net.ipsec.selector.s2]", "[net.ipsec.selector.ipsec-tunnel]", at + ": [net.ipsec.selector.ipsec-tunnel] has its name, and another policy: choose another name"},
		{"a route into one that is not there", `tunnel = "ipsec-tunnel"`, `tunnel = "ipsec-tunel"`, `route."10.8.0.0/16".tunnel: there is no [net.tunnel.ipsec-tunel]; did you mean "ipsec-tunnel"?`},
		{"a route both ways", `tunnel = "ipsec-tunnel"`, "tunnel = \"ipsec-tunnel\"\nvia = \"198.51.100.254\"", `route."10.8.0.0/16".tunnel: a route leads to a neighbour or into a tunnel, and via is there as well`},
		{"a neighbour in a tunnel", `tunnel = "ipsec-tunnel"`, `via = "10.9.0.2"`, `route."10.8.0.0/16".via: 10.9.0.2 is on the network of [net.tunnel.ipsec-tunnel]: there are no neighbours in a tunnel; write tunnel = "ipsec-tunnel" instead`},
		{"a route in another domain", `tunnel = "ipsec-tunnel"`, "tunnel = \"ipsec-tunnel\"\ntraffic_domain = 3", `route."10.8.0.0/16".traffic_domain: [net.tunnel.ipsec-tunnel] is in traffic domain 0: leave this out`},
		{"two routes for one place", "[route.\"10.8.0.0/16\"]", "[route.again]\nto = \"10.8.0.0/16\"\nvia = \"198.51.100.254\"\n[route.\"10.8.0.0/16\"]", `route."10.8.0.0/16": 10.8.0.0/16 has a route already: [route.again]`},
		{"a NAT on its address", "[ltm.virtual.out]", "[ltm.nat.N]\noriginating_address = \"10.2.1.5\"\ntranslation_address = \"10.9.0.1\"\n[ltm.virtual.out]",
			"ltm.nat.N.translation_address: 10.9.0.1 is the router's own address on [net.tunnel.ipsec-tunnel]"},
		{"a pool on its address", "[ltm.virtual.out]", "[lsn.pool.P]\naddresses = [\"10.9.0.1\"]\n[ltm.virtual.out]", "lsn.pool.P.addresses[0]: 10.9.0.1 is the router's own address on [net.tunnel.ipsec-tunnel]"},
	})
}

func TestWhereServersMeetTunnels(t *testing.T) {
	const in = "source = \"10.1.1.0/24\"\nip_forward = true\nvlans = [\"external\"]"
	const inIf = "vlans = [\"ipsec-tunnel\", \"inside\"]"
	const missed = "ltm.virtual.in.vlans: warning: what begins in 10.1.1.0/24 comes by [vlan.external], for it is in [net.ipsec.selector.s1] of a policy whose mode is tunnel: list \"external\" (rule VR34)"
	const missedIf = "ltm.virtual.in-if.vlans: warning: what begins in 10.8.0.0/16 comes out of [net.tunnel.ipsec-tunnel], for its policy's mode is interface: list \"ipsec-tunnel\" (rule VR34)"
	runTunnelled(t, []spoil{
		{"the internal VLAN for what comes from outside (Q2)", in, strings.Replace(in, "external", "inside", 1), missed},
		{"the tunnel of another policy", in, strings.Replace(in, "external", "ipsec-tunnel", 1), missed},
		{"the external VLAN in interface mode", inIf, `vlans = ["external"]`, missedIf},
		{"all but the tunnel", inIf + "\nvlans_enabled = true", inIf + "\nvlans_enabled = false", ""},
		{"from everywhere, which cannot be told", strings.Replace(in, "10.1.1.0/24", "10.1.1.0/24", 1), strings.Replace(strings.Replace(in, "10.1.1.0/24", "0.0.0.0/0", 1), "external", "inside", 1), ""},
		{"an interface that is not there", inIf, `vlans = ["ipsec-tunel"]`, `ltm.virtual.in-if.vlans[0]: there is no [vlan.ipsec-tunel]; did you mean "ipsec-tunnel"?`},
		{"the end of a tunnel (Q1)", `destination = "10.1.1.0/24:any"`, `destination = "198.51.100.1:any"`,
			"ltm.virtual.out.destination: warning: 198.51.100.1 is the router's own address on [vlan.external]: what is for the router itself goes to this server, but IKE and ESP of [net.ipsec.policy.Rio], which end here"},
		{"two servers, one on each tunnel", "[ltm.virtual.in-if]", "[ltm.virtual.in-if2]\ndestination = \"10.2.1.0/24:any\"\nsource = \"10.8.0.0/16\"\nip_forward = true\nvlans = [\"ipsec-tunnel\"]\nvlans_enabled = true\n[ltm.virtual.in-if]",
			"ltm.virtual.in-if: conflicts with [ltm.virtual.in-if2]: the same destination, source, port and protocol, and a VLAN in common (rule VR10)"},
		{"a NAT on a tunnel", "[ltm.virtual.in-if]", "[ltm.nat.N]\noriginating_address = \"10.2.1.5\"\ntranslation_address = \"172.17.1.1\"\nvlans = [\"ipsec-tunnel\"]\nvlans_enabled = true\n[ltm.virtual.in-if]", ""},
	})
}

func TestAPeerHasAsManySelectorsAsIKEHasRoomFor(t *testing.T) {
	var more strings.Builder
	for n := range maxChildren - 1 { // s1 is there
		fmt.Fprintf(&more, "[net.ipsec.selector.n%d]\nsource_address = \"10.2.1.0/24\"\ndestination_address = \"10.50.%d.0/24\"\npolicy = \"Rio\"\n", n, n)
	}
	if _, messages := messagesOf(tunnelled + more.String()); len(messages) > 0 {
		t.Errorf("with %d: %v", maxChildren, messages)
	}
	more.WriteString("[net.ipsec.selector.last]\nsource_address = \"10.2.1.0/24\"\ndestination_address = \"10.60.0.0/16\"\npolicy = \"Rio\"\n")
	_, messages := messagesOf(tunnelled + more.String())
	want := []string{"net.ipsec.selector.last: [net.ipsec.peer.gw2] has more than 28 selectors at 198.51.100.1: write wider ones, or give the policy another tunnel_local_address"}
	if diff := cmp.Diff(want, messages); diff != "" {
		t.Errorf("with one more (-want +got):\n%s", diff)
	}
}
