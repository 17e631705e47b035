package peers

import (
	"fmt"
	"net/netip"
	"strings"
)

// nearConfig says what spigate's configuration is to have.
type nearConfig struct {
	Far       Far
	Interface bool // policy mode interface, else tunnel
	Inside    netip.Prefix
	Servers   []string // [ltm.…]
	Lifetime  string   // of child SAs; empty: the default
	IKELife   string   // of IKE SAs
}

// tunnelName is the interface of interface mode, with the seed's name.
const tunnelName = "ipsec-tunnel"

// insideName and outsideName are the VLANs, with the seed's names.
const (
	insideName  = "vlan-internal-2-0"
	outsideName = "external"
)

// String writes the file as an operator would.
func (c nearConfig) String() string {
	a := c.Far.Kind.near()
	var b strings.Builder
	fmt.Fprintf(&b, `version = 1
[port.lan]
driver = "raw"
device = "lan"
[port.wan]
driver = "raw"
device = "wan"
[vlan.%s]
port = "lan"
addresses = [%q]
[vlan.%s]
port = "wan"
addresses = [%q]
`, insideName, c.Inside, outsideName, NearAddress)
	b.WriteString(strings.Join(c.Servers, ""))
	remote := c.Far.Seen
	fmt.Fprintf(&b, `[net.ipsec.peer.far]
version = "v2"
remote_address = %q
my_id_value = %q
peers_id_value = %q
psk = %q
phase1_encrypt_algorithm = %q
%sprf = "sha256"
phase1_perfect_forward_secrecy = %q
%s[net.ipsec.policy.Rio]
mode = %q
peer = "far"
tunnel_local_address = %q
tunnel_remote_address = %q
ike_phase2_encrypt_algorithm = %q
%sike_phase2_perfect_forward_secrecy = %q
%s`, remote, nearID, farID, secret, a.cipher, key("phase1_hash_algorithm", a.hash), a.group, key("lifetime", c.IKELife),
		c.mode(), NearAddress.Addr(), remote, a.espCipher, key("ike_phase2_auth_algorithm", a.espHash), a.espGroup, key("ike_phase2_lifetime", c.Lifetime))
	fmt.Fprintf(&b, `[net.ipsec.selector.net]
source_address = %q
destination_address = %q
policy = "Rio"
`, c.Inside.Masked(), c.Far.Net)
	if c.Interface {
		fmt.Fprintf(&b, `[net.tunnel.%s]
policy = "Rio"
addresses = ["10.9.0.1/30"]
[route.%q]
tunnel = %[1]q
`, tunnelName, c.Far.Net)
	} else {
		fmt.Fprintf(&b, "[route.%q]\nvia = %q\n", c.Far.Net, remote)
	}
	return b.String()
}

func (c nearConfig) mode() string {
	if c.Interface {
		return "interface"
	}
	return "tunnel"
}

// key writes a key with its value, or nothing without one.
func key(name, value string) string {
	if value == "" {
		return ""
	}
	return fmt.Sprintf("%s = %q\n", name, value)
}

// nearAlgorithms are what spigate's configuration says to a kind of daemon.
type nearAlgorithms struct{ cipher, hash, group, espCipher, espHash, espGroup string }

func (k Kind) near() nearAlgorithms {
	switch k {
	case StrongSwan:
		return nearAlgorithms{cipher: "aes-gcm128", group: "x25519", espCipher: "aes-gcm256", espGroup: "ecp256"}
	case Libreswan:
		return nearAlgorithms{cipher: "aes-gcm256", group: "ecp256", espCipher: "aes-gcm128", espGroup: "ecp256"}
	}
	return nearAlgorithms{cipher: "aes256", hash: "sha256", group: "x25519", espCipher: "aes256", espHash: "sha384", espGroup: "x25519"}
}

// server writes a forwarding virtual server of the seed, for all protocols or
// TCP alone, on all VLANs or on some.
func server(name string, from, to netip.Prefix, protocol string, vlans ...string) string {
	text := fmt.Sprintf(`[ltm.virtual.%s]
destination = "%v:any"
mask = "255.255.255.0"
source = %q
ip_protocol = %q
ip_forward = true
profiles = ["fastL4"]
translate_address = false
translate_port = false
require_protection = true
`, name, to.Masked().Addr(), from.Masked(), protocol)
	if len(vlans) > 0 {
		text += fmt.Sprintf("vlans = [\"%s\"]\nvlans_enabled = true\n", strings.Join(vlans, `", "`))
	}
	return text
}
