package wire

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spigate/configs"
	"spigate/netstack/vserver"
)

// The same of listeners; and whatever these would warn of, the check has.
func TestTheListenersTakeWhatTheCheckTakes(t *testing.T) {
	var taken, refused, warned int
	rapid.Check(t, func(t *rapid.T) {
		text := anyLTM(t)
		c, warnings, err := configs.Parse("f", []byte(text))
		if err != nil {
			refused++
			return
		}
		taken++
		l, err := vserver.New(listening(c))
		if err != nil {
			t.Fatalf("checked, and then: %v\n%s", err, text)
		}
		if len(l.Warnings()) > 0 {
			warned++
		}
		if len(l.Warnings()) > len(warnings) {
			t.Fatalf("the check has %d warnings, the listeners have these: %q\n%s", len(warnings), l.Warnings(), text)
		}
	})
	if taken == 0 || refused == 0 || warned == 0 {
		t.Errorf("%d taken, %d of them warned of, %d refused: the texts show nothing", taken, warned, refused)
	}
}

// listening is what the router of domain 0 makes of c.
func listening(c *configs.Config) vserver.Config {
	out := ltmConfig(c, 0)
	for _, g := range c.LSN.Groups {
		out.Groups = append(out.Groups, vserver.Group{Name: g.Name, Clients: g.Client.Networks})
	}
	for _, v := range c.VLANs {
		for _, a := range v.Addresses {
			out.Selfs = append(out.Selfs, a.Addr())
		}
	}
	return out
}

// anyLTM writes a configuration of few addresses, networks and VLANs.
func anyLTM(t *rapid.T) string {
	var b strings.Builder
	name := ""
	pick := func(what string, from ...string) string { return rapid.SampledFrom(from).Draw(t, what+name) }
	vlans := func() string {
		return pick("vlans", "", "", "vlans = [\"a\"]\n", "vlans = [\"a\", \"b\"]\n") + pick("on", "", "vlans_enabled = true\n", "vlans_disabled = true\n")
	}
	b.WriteString("version = 1\n[port.p]\ndriver = \"tap\"\ndevice = \"tap0\"\n[vlan.a]\nport = \"p\"\nid = 1\naddresses = [\"10.0.0.1/24\"]\n[vlan.b]\nport = \"p\"\nid = 2\n" +
		"[lsn.client.C]\nnetworks = [\"10.0.0.0/24\"]\n[lsn.pool.P]\naddresses = [\"203.0.113.3\"]\n[lsn.group.G]\nclient = \"C\"\npools = [\"P\"]\n" +
		"[ltm.profile.fastl4.F]\nidle_timeout = \"immediate\"\n[ltm.snatpool.S]\nmembers = [\"203.0.113.4\", \"203.0.113.5\"]\n")
	for n := range rapid.IntRange(0, 4).Draw(t, "virtuals") {
		name = fmt.Sprint(" of virtual ", n)
		fmt.Fprintf(&b, "[ltm.virtual.v%d]\ndestination = \"%s:%s\"\nsource = %q\nip_protocol = %q\n%s%s%s%s", n,
			pick("destination", "0.0.0.0", "10.1.1.0/24", "10.1.1.0/24", "10.1.1.1", "203.0.113.3", "203.0.113.6", "10.0.0.1"), pick("port", "any", "80"),
			pick("source", "any", "10.0.0.0/24"), pick("protocol", "any", "tcp", "icmp"), pick("role", "ip_forward", "reject")+" = true\n",
			pick("profile", "", "profiles = [\"F\"]\n", "profiles = [\"fastL4\"]\n"), vlans(),
			pick("translation", "", "source_address_translation = \"automap\"\n", "source_address_translation = \"lsn\"\nlsn_group = \"G\"\n",
				"source_address_translation = \"snat\"\nsnat_pool = \"S\"\n"))
	}
	for n := range rapid.IntRange(0, 2).Draw(t, "nats") {
		name = fmt.Sprint(" of nat ", n)
		fmt.Fprintf(&b, "[ltm.nat.n%d]\noriginating_address = %q\ntranslation_address = %q\n%s", n,
			pick("originating", "10.0.0.5", "10.0.0.6", "10.0.0.7"), pick("translation", "203.0.113.3", "203.0.113.4", "203.0.113.6", "10.0.0.1", "10.1.1.1"), vlans())
	}
	for n := range rapid.IntRange(0, 2).Draw(t, "snats") {
		name = fmt.Sprint(" of snat ", n)
		fmt.Fprintf(&b, "[ltm.snat.s%d]\norigins = [%s]\n%s%s", n, pick("origins", `"10.0.0.0/24"`, `"10.0.0.0/8", "10.0.0.0/24"`, `"10.0.0.0/8"`),
			pick("way", "automap = true\n", "snatpool = \"S\"\n", "translation = \"203.0.113.6\"\n"), vlans())
	}
	return b.String()
}
