package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spigate/configs"
)

// The same of tunnels: what the check of the file lets pass, selectors and IKE
// take, at the start and by a reload.
func TestSelectorsAndIKETakeWhatTheCheckTakes(t *testing.T) {
	var taken, refused, warned int
	rapid.Check(t, func(t *rapid.T) {
		text := anyIPsec(t)
		c, _, err := configs.Parse("f", []byte(text))
		if err != nil {
			refused++
			return
		}
		taken++
		warnings, faults := Check(c, time.Unix(1<<30, 0))
		if len(faults) > 0 {
			t.Fatalf("checked, and then: %v\n%s", faults, text)
		}
		if len(warnings) > 0 {
			warned++
		}
	})
	if taken == 0 || refused == 0 || warned == 0 {
		t.Errorf("%d taken, %d of them warned of, %d refused: the texts show nothing", taken, warned, refused)
	}
}

// anyIPsec writes a configuration of few names and addresses. What fits stands
// several times where there is a choice: most of what is drawn otherwise is
// refused, and shows nothing.
func anyIPsec(t *rapid.T) string {
	var b strings.Builder
	name := ""
	pick := func(what string, from ...string) string { return rapid.SampledFrom(from).Draw(t, what+name) }
	line := func(key string, from ...string) string {
		if v := pick(key, from...); v != "" {
			return key + " = " + v + "\n"
		}
		return ""
	}
	b.WriteString("version = 1\n[port.p]\ndriver = \"tap\"\ndevice = \"tap0\"\n[vlan.a]\nport = \"p\"\nid = 1\naddresses = [\"10.0.0.1/24\"]\n" +
		"[vlan.b]\nport = \"p\"\nid = 2\naddresses = [\"192.0.2.1/24\", \"192.0.2.2/24\"]\n[route.\"0.0.0.0/0\"]\nvia = \"192.0.2.254\"\n")
	for n := range rapid.IntRange(1, 3).Draw(t, "peers") {
		name = fmt.Sprint(" of peer ", n)
		fmt.Fprintf(&b, "[net.ipsec.peer.p%d]\n%s%s%s%s%s%s%s%s", n, line("remote_address", `"192.0.2.200"`, `"192.0.2.200"`, `"192.0.2.200"`, `"198.51.100.1"`, `"any"`), line("psk", `"correct horse battery"`),
			line("peers_id_value", "", `"gw2"`, `"CN=a, O=b"`, `"a@b"`), line("my_id_value", "", `"@gw1"`, `"1.2.3.4"`), line("phase1_encrypt_algorithm", "", `"aes128"`, `["aes256", "aes-gcm192"]`),
			line("phase1_hash_algorithm", "", `"sha384"`), line("passive", "", "true"), line("nat_traversal", "", `"off"`))
	}
	for n := range rapid.IntRange(1, 3).Draw(t, "policies") {
		name = fmt.Sprint(" of policy ", n)
		fmt.Fprintf(&b, "[net.ipsec.policy.q%d]\n%s%s%s%s%s%s", n, line("mode", `"tunnel"`, `"interface"`, `"transport"`), line("peer", `"p0"`, `"p0"`, `"p0"`, `"p0"`, `"p0"`, `"p0"`, `"p1"`, ""),
			line("tunnel_local_address", `"192.0.2.1"`, `"192.0.2.1"`, `"192.0.2.1"`, `"192.0.2.2"`, ""), line("tunnel_remote_address", "", "", `"192.0.2.200"`),
			line("ike_phase2_encrypt_algorithm", "", `"null"`, `["aes256", "aes-gcm256", "aes128"]`), line("ike_phase2_perfect_forward_secrecy", "", `"none"`))
	}
	for n := range rapid.IntRange(0, 3).Draw(t, "selectors") {
		name = fmt.Sprint(" of selector ", n)
		fmt.Fprintf(&b, "[net.ipsec.selector.%s]\n%s%s%s%s%s%s%s%s", pick("name", fmt.Sprint("s", n), fmt.Sprint("t", n)), line("source_address", `"10.0.0.0/24"`, `"any"`, `"192.0.2.1/32"`), line("destination_address", `"10.1.0.0/16"`, `"any"`, `"192.0.2.200/32"`),
			line("policy", `"q0"`, `"q0"`, `"q0"`, `"q0"`, `"q1"`, ""), line("action", "", "", "", "", "", `"bypass"`), line("direction", "", `"in"`), line("ip_protocol", "", `"tcp"`, `"icmp"`),
			line("destination_port", "", `"https"`), line("up", "", "", "true"))
	}
	for n := range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "tunnels") {
		name = fmt.Sprint(" of tunnel ", n)
		fmt.Fprintf(&b, "[net.tunnel.t%d]\n%s%s", n, line("policy", `"q0"`, `"q1"`), line("addresses", "", `["10.9.0.1/30"]`))
	}
	const key = `"0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"`
	for n := range rapid.SampledFrom([]int{0, 0, 0, 0, 0, 1, 2}).Draw(t, "manual SAs") {
		name = fmt.Sprint(" of manual ", n)
		fmt.Fprintf(&b, "[net.ipsec.manual_sa.m%d]\n%s%s%s%s%s%sauth_key = %s\n", n, line("policy", `"q0"`, `"q1"`, `"q2"`), line("source_address", `"192.0.2.1"`, `"192.0.2.200"`),
			line("destination_address", `"192.0.2.1"`, `"192.0.2.200"`), line("spi", "256", `"0x100"`, "255"), line("encrypt_algorithm", "", `"null"`), line("encrypt_key", key, ""), key)
	}
	return b.String()
}
