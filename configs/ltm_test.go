package configs

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// served is the sound configuration with virtual servers, NATs and SNATs, to be
// spoiled by tests.
const served = sound + `[vlan.dmz]
port = "wan"
id = 9
addresses = ["198.51.100.1/24"]
[ltm.virtual.V]
destination = "10.1.1.0/24:any"
source = "10.2.1.0/24"
ip_protocol = "tcp"
ip_forward = true
[ltm.virtual.W]
destination = "10.1.2.5:80"
ip_forward = true
vlans = ["dmz"]
vlans_enabled = true
[ltm.profile.fastl4.F]
idle_timeout = "60s"
[ltm.nat.N]
originating_address = "10.1.1.5"
translation_address = "203.0.113.15"
[ltm.snat.S]
origins = ["10.3.0.0/16"]
translation = "203.0.113.20"
[ltm.snatpool.P]
members = ["203.0.113.21"]
`

// messagesOf parses a text and returns its messages without their positions.
func messagesOf(text string) (*Config, []string) {
	c, messages := parse(text)
	for i, m := range messages {
		messages[i] = strings.SplitN(m, ":", 4)[3][1:]
	}
	return c, messages
}

// runServed spoils served: a want of several lines stands for several messages.
func runServed(t *testing.T, table []spoil) {
	t.Helper()
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(served, c.old) {
				t.Fatalf("the configuration has no %q", c.old)
			}
			var want []string
			if c.want != "" {
				want = strings.Split(c.want, "\n")
			}
			_, got := messagesOf(strings.Replace(served, c.old, c.new, 1))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDestinationsAreTakenInEveryForm(t *testing.T) {
	for _, c := range []struct {
		write, mask string
		want        string
		port        uint16
	}{
		{"10.1.1.0/24:any", "", "10.1.1.0/24", 0},
		{"10.1.1.0:any", "255.255.255.0", "10.1.1.0/24", 0},
		{"10.1.1.0/24:0", "255.255.255.0", "10.1.1.0/24", 0},
		{"10.1.1.5:80", "", "10.1.1.5/32", 80},
		{"10.1.1.5:http", "255.255.255.255", "10.1.1.5/32", 80},
		{"10.1.1.5:HTTPS", "", "10.1.1.5/32", 443},
		{"10.1.1.5/32:domain", "", "10.1.1.5/32", 53},
		{"10.1.1.5:ssh", "", "10.1.1.5/32", 22},
		{"10.1.1.5:*", "", "10.1.1.5/32", 0},
		{"0.0.0.0:any", "", "0.0.0.0/0", 0},
		{"0.0.0.0:any", "any", "0.0.0.0/0", 0},
		{"0.0.0.0:any", "0.0.0.0", "0.0.0.0/0", 0},
		{"0.0.0.0/0:65535", "", "0.0.0.0/0", 65535},
		{"any:any", "", "0.0.0.0/0", 0},
		{"0.0.0.0/1:any", "", "0.0.0.0/1", 0},
	} {
		text := "version = 1\n[ltm.virtual.V]\nip_forward = true\ndestination = \"" + c.write + "\"\n"
		if c.mask != "" {
			text += "mask = \"" + c.mask + "\"\n"
		}
		got, messages := parse(text)
		if len(messages) > 0 {
			t.Errorf("%s %s: %v", c.write, c.mask, messages)
			continue
		}
		if v := got.LTM.Virtuals[0]; v.Destination != netip.MustParsePrefix(c.want) || v.Port != c.port {
			t.Errorf("%s %s: %v %d, want %s %d", c.write, c.mask, v.Destination, v.Port, c.want, c.port)
		}
	}
}

func TestPortsAreSpelledAsServices(t *testing.T) {
	for port, want := range map[uint16]string{0: "any", 53: "domain", 80: "http", 443: "https", 8080: "webcache", 7: "7", 65535: "65535"} {
		got := PortText(port)
		if got != want {
			t.Errorf("%d is spelled %s, want %s", port, got, want)
		}
		if back, ok := parsePort(got); !ok || back != port {
			t.Errorf("%s is read as %d", got, back)
		}
	}
}

func TestDestinationsThatAreNone(t *testing.T) {
	const old, at = `"10.1.1.0/24:any"`, "ltm.virtual.V.destination: "
	runServed(t, []spoil{
		{"nothing wrong", "", "", ""},
		{"none", "destination = " + old, "", at + "is missing"},
		{"without a port", old, `"10.1.1.0/24"`, at + `"10.1.1.0/24" has no port: write "10.1.1.0/24:any", or a number or a service instead of any`},
		{"a port that is too high", old, `"10.1.1.0/24:65536"`, at + `"65536" is no port: write any, a number up to 65535, or the name of a service`},
		{"a service that nobody knows", old, `"10.1.1.0/24:htps"`, at + `"htps" is no port: write any, a number up to 65535, or the name of a service; did you mean "https"?`},
		{"host bits", old, `"10.1.1.7/24:any"`, at + `10.1.1.7/24 has host bits: write 10.1.1.0/24, or 10.1.1.7 for the host alone`},
		{"host bits under a mask", old, "\"10.1.1.7:any\"\nmask = \"255.255.255.0\"", at + `10.1.1.7/24 has host bits: write 10.1.1.0/24, or 10.1.1.7 for the host alone`},
		{"a mask with holes", old, "\"10.1.1.0:any\"\nmask = \"255.0.255.0\"",
			"ltm.virtual.V.mask: 255.0.255.0 has holes: a network is the first bits of its addresses"},
		{"a mask that is none", old, "\"10.1.1.0:any\"\nmask = \"24\"", `ltm.virtual.V.mask: "24" is not a mask such as 255.255.255.0`},
		{"a mask and another length", old, "\"10.1.1.0/24:any\"\nmask = \"255.255.0.0\"",
			at + `"10.1.1.0/24" has another length than the mask, which has 16 bits: leave one of them out`},
		{"IPv6", old, `"[2001:db8::]:80"`, at + `"[2001:db8::]:80": only IPv4 is supported`},
		{"a name", old, `"web:80"`, at + `"web" is not an IPv4 address`},
		{"a multicast address", old, `"224.0.0.5:any"`, at + `"224.0.0.5" is a multicast address`},
		{"a loopback network", old, `"127.0.0.0/8:any"`, at + `"127.0.0.0/8" is a loopback address`},
		{"this host", old, "\"0.0.0.0:any\"\nmask = \"255.255.255.255\"", at + `"0.0.0.0" is an address of "this network"`},
		{"a port of a protocol without", "10.1.1.0/24:any\"\nsource = \"10.2.1.0/24\"\nip_protocol = \"tcp\"", "10.1.1.0/24:80\"\nip_protocol = \"esp\"", at + "esp has no ports: write any"},
		{"a source with host bits", `"10.2.1.0/24"`, `"10.2.1.1/24"`, `ltm.virtual.V.source: "10.2.1.1/24" has host bits: write 10.2.1.0/24`},
		{"a source without a length", `"10.2.1.0/24"`, `"10.2.1.1"`, `ltm.virtual.V.source: "10.2.1.1" has no prefix length: write 10.2.1.1/32 or the network's`},
		{"a protocol that nobody knows", `"tcp"`, `"tpc"`,
			`ltm.virtual.V.ip_protocol: "tpc" is not one of any, tcp, udp, icmp, esp, ah, gre, ipencap, sctp, nor a number from 0 to 255; did you mean "tcp"?`},
		{"a protocol that cannot be", `"tcp"`, `256`, "ltm.virtual.V.ip_protocol: must be from 0 to 255, not 256"},
	})
}

func TestAVirtualServerHasOneRole(t *testing.T) {
	const old, pool, bridge = "ip_forward = true", "ltm.virtual.V.pool: not supported: no load is balanced here; leave it out, and say ip_forward = true to route to the destination itself",
		"ltm.virtual.V.l2_forward: not supported: nothing is bridged here; leave it out, and say ip_forward = true to route"
	runServed(t, []spoil{
		{"none", old, "", "ltm.virtual.V: has no role: say ip_forward = true, or reject = true"},
		{"refused ones", old, "ip_forward = false\nreject = false", "ltm.virtual.V: has no role: say ip_forward = true, or reject = true"},
		{"two", old, old + "\nreject = true", "ltm.virtual.V.reject: a server has one role, and ip_forward is true as well"},
		{"reject", old, "reject = true", ""},
		{"a pool", old, `pool = "P"`, pool},
		{"a pool besides", old, old + "\npool = \"P\"", pool},
		{"a bridge", old, "l2_forward = true", bridge},
	})
}

func TestOptionsOfVirtualServers(t *testing.T) {
	const old = "[ltm.virtual.V]"
	runServed(t, []spoil{
		{"a word in tmsh's spelling", old, old + "\ntranslate-address = false", `ltm.virtual.V.translate-address: unknown key; did you mean "translate_address"?`},
		{"enabled and disabled", old, old + "\nenabled = true\ndisabled = true", "ltm.virtual.V.disabled: is the opposite of enabled: write one of them"},
		{"enabled and not disabled", old, old + "\nenabled = true\ndisabled = false", ""},
		{"limits", old, old + "\nconnection_limit = 5\nrate_limit = 10", ""},
		{"no rate limit", old, old + "\nrate_limit = \"disabled\"", ""},
		{"a rate limit in words", old, old + "\nrate_limit = \"many\"", `ltm.virtual.V.rate_limit: must be a number of connections a second, or "disabled", not "many"`},
		{"limits below zero", old, old + "\nconnection_limit = -1\nrate_limit = -1",
			"ltm.virtual.V.connection_limit: must be from 0 to 16777216, not -1\nltm.virtual.V.rate_limit: must be from 0 to 16777216, not -1"},
		{"a mirror without a peer", old, old + "\nmirror = true", "ltm.virtual.V.mirror: warning: has no effect without a peer in [ha]"},
		{"last hop", old, old + "\nauto_lasthop = \"enabled\"", "ltm.virtual.V.auto_lasthop: not supported yet: answers go by the routes; leave it out"},
		{"no last hop", old, old + "\nauto_lasthop = \"disabled\"", ""},
		{"a source port", old, old + "\nsource_port = \"Preserve-Strict\"", ""},
		{"a source port that cannot be", old, old + "\nsource_port = \"keep\"", `ltm.virtual.V.source_port: "keep" is not one of preserve, preserve-strict, change`},
		{"protection", old, old + "\nrequire_protection = true", "ltm.virtual.V.require_protection: warning: there is no [net.ipsec.policy.…] in its traffic domain: nothing is protected, so nothing passes (rule VR31)"},
		{"two profiles", old, old + "\nprofiles = [\"F\", \"fastL4\"]", "ltm.virtual.V.profiles[1]: a server has one profile here, of kind fastl4"},
		{"a profile that is not there", old, old + "\nprofiles = [\"fastl4\"]", `ltm.virtual.V.profiles[0]: there is no [ltm.profile.fastl4.fastl4]; did you mean "fastL4"?`},
		{"a domain that is not there", old, old + "\ntraffic_domain = 3", "ltm.virtual.V.traffic_domain: no VLAN is in traffic domain 3"},
		{"a table for later", old, "[ltm.pool.P]\nmembers = []\n" + old, "ltm.pool: not supported yet"},
		{"a profile for later", old, "[ltm.profile.tcp.T]\n" + old, "ltm.profile.tcp: not supported yet"},
		{"a name", old, "[ltm.virtual.\"/Common/V\"]", `ltm.virtual."/Common/V": "/Common/V" is no name: it starts with a letter, a digit or _, and goes on with these or # . space : @ = - (rule R1)`},
	})
}

func TestWhereAVirtualServerListens(t *testing.T) {
	const old = "[ltm.virtual.V]\n"
	runServed(t, []spoil{
		{"on one VLAN", old, old + "vlans = [\"inside\"]\nvlans_enabled = true\n", ""},
		{"on all but one", old, old + "vlans = [\"inside\"]\nvlans_disabled = true\n", ""},
		{"on both kinds", old, old + "vlans = [\"inside\"]\nvlans_enabled = true\nvlans_disabled = true\n", "ltm.virtual.V.vlans_disabled: is the opposite of vlans_enabled: write one of them"},
		{"a list that says nothing", old, old + "vlans = [\"inside\"]\n",
			"ltm.virtual.V.vlans: warning: without vlans_enabled = true these are the VLANs that are left out: say that, or vlans_disabled = true"},
		{"nowhere (Q6)", old, old + "vlans_enabled = true\n", "ltm.virtual.V.vlans_enabled: warning: vlans is empty, so it never matches"},
		{"on a VLAN that is not there", old, old + "vlans = [\"insde\"]\nvlans_enabled = true\n", `ltm.virtual.V.vlans[0]: there is no [vlan.insde]; did you mean "inside"?`},
		{"on a VLAN twice", old, old + "vlans = [\"inside\", \"inside\"]\nvlans_enabled = true\n", `ltm.virtual.V.vlans[1]: "inside" is in the list twice`},
		{"a NAT, too", "[ltm.nat.N]\n", "[ltm.nat.N]\nvlans = [\"lab\"]\nvlans_enabled = true\n", `ltm.nat.N.vlans[0]: there is no [vlan.lab]`},
		{"and a SNAT", "[ltm.snat.S]\n", "[ltm.snat.S]\nvlans_enabled = true\n", "ltm.snat.S.vlans_enabled: warning: vlans is empty, so it never matches"},
	})
}

func TestSourceAddressTranslation(t *testing.T) {
	const old, at = "[ltm.virtual.V]\n", "ltm.virtual.V.source_address_translation: "
	runServed(t, []spoil{
		{"automap", old, old + "source_address_translation = \"automap\"\n", ""},
		{"snat by a pool", old, old + "source_address_translation = \"snat\"\nsnat_pool = \"P\"\n", ""},
		{"snat by an address", old, old + "source_address_translation = \"snat\"\nsnat_translation = \"203.0.113.22\"\n", ""},
		{"snat as in tmsh", old, old + "source_address_translation = { type = \"snat\", pool = \"P\" }\n", ""},
		{"none as in tmsh", old, old + "source_address_translation = { type = \"none\", pool = \"none\" }\n", ""},
		{"lsn", old, old + "source_address_translation = \"lsn\"\nlsn_group = \"G\"\n", ""},
		{"lsn as in tmsh", old, old + "source_address_translation = { type = \"lsn\", pool = \"G\" }\n", ""},
		{"a word that is none", old, old + "source_address_translation = \"automat\"\n", at + `"automat" is not one of none, automap, snat, lsn; did you mean "automap"?`},
		{"snat without an address", old, old + "source_address_translation = \"snat\"\n", at + `"snat" needs a snat_pool or a snat_translation, and not both`},
		{"snat by both", old, old + "source_address_translation = \"snat\"\nsnat_pool = \"P\"\nsnat_translation = \"203.0.113.22\"\n",
			at + `"snat" needs a snat_pool or a snat_translation, and not both`},
		{"lsn without a group", old, old + "source_address_translation = \"lsn\"\n", at + `"lsn" needs an lsn_group`},
		{"a pool with automap", old, old + "source_address_translation = \"automap\"\nsnat_pool = \"P\"\n",
			`ltm.virtual.V.snat_pool: only with source_address_translation = "snat", not "automap"`},
		{"a pool alone", old, old + "snat_pool = \"P\"\n", `ltm.virtual.V.snat_pool: only with source_address_translation = "snat", not "none"`},
		{"an address alone", old, old + "snat_translation = \"203.0.113.22\"\n", `ltm.virtual.V.snat_translation: only with source_address_translation = "snat", not "none"`},
		{"a group alone", old, old + "lsn_group = \"G\"\n", `ltm.virtual.V.lsn_group: only with source_address_translation = "lsn", not "none"`},
		{"a pool that is not there", old, old + "source_address_translation = { type = \"snat\", pool = \"Q2\" }\n",
			"ltm.virtual.V.source_address_translation.pool: there is no [ltm.snatpool.Q2]"},
		{"a group that is not there", old, old + "source_address_translation = \"lsn\"\nlsn_group = \"GG\"\n", `ltm.virtual.V.lsn_group: there is no [lsn.group.GG]; did you mean "G"?`},
		{"an unknown key of the table", old, old + "source_address_translation = { typ = \"snat\" }\n",
			`ltm.virtual.V.source_address_translation.typ: unknown key; did you mean "type"?`},
	})
}

func TestProfilesOfFastL4(t *testing.T) {
	const old, at = `idle_timeout = "60s"`, "ltm.profile.fastl4.F."
	runServed(t, []spoil{
		{"a bare number of seconds", old, "idle_timeout = 60\ntcp_close_timeout = 7", ""},
		{"no time", old, "idle_timeout = 0", at + "idle_timeout: must be from 1 to 604800, not 0"},
		{"a number in quotes", old, `idle_timeout = "60"`, at + `idle_timeout: "60" is not a duration: write a number with a unit, such as "90s", "60m" or "2h"`},
		{"a handshake that never ends", old, `tcp_handshake_timeout = "indefinite"`,
			at + `tcp_handshake_timeout: "indefinite" is not a duration: write a number with a unit, such as "90s", "60m" or "2h"`},
		{"what is accepted and ignored", old, "pva_acceleration = \"none\"\nhardware_syn_cookie = false\nsoftware_syn_cookie = false\nkeep_alive_interval = \"disabled\"", ""},
		{"an acceleration that is none", old, `pva_acceleration = "turbo"`, at + `pva_acceleration: "turbo" is not one of full, partial, assisted, dedicated, none`},
		{"what is not there yet", old, "reassemble_fragments = true\nkeep_alive_interval = 10\nip_df_mode = \"clear\"\nip_tos_to_client = \"mimic\"",
			at + "reassemble_fragments: not supported yet: leave it out, or write false\n" +
				at + "keep_alive_interval: not supported yet: leave it out, or write \"disabled\"\n" + at + "ip_df_mode: not supported yet: leave it out, or write \"preserve\"\n" +
				at + "ip_tos_to_client: not supported yet: leave it out, or write \"pass-through\""},
		{"a timeout for nothing", old, `client_timeout = 60`, at + "client_timeout: warning: has no effect: it is for late binding, which forwarding servers do not do"},
		{"an MSS", old, "mss_override = 1360", ""},
		{"no MSS", old, "mss_override = 0", ""},
		{"an MSS that is too small", old, "mss_override = 255", at + "mss_override: must be from 256 to 9162, not 255"},
		{"a TTL of the proxy", old, `ip_ttl_mode = "proxy"`, at + `ip_ttl_mode: "proxy" is not supported: write decrement, or preserve`},
		{"a parent that is not there", old, `defaults_from = "FF"`, at + `defaults_from: there is no [ltm.profile.fastl4.FF]; did you mean "F"?`},
		{"the built-in parent", old, `defaults_from = "fastL4"`, ""},
		{"a circle", old, "defaults_from = \"E\"\n[ltm.profile.fastl4.E]\ndefaults_from = \"F\"",
			"ltm.profile.fastl4.E.defaults_from: [ltm.profile.fastl4.F] has its defaults from this one"},
		{"itself", old, `defaults_from = "F"`, at + "defaults_from: [ltm.profile.fastl4.F] has its defaults from this one"},
		{"loose initiation", old, "loose_initiation = true", at + "loose_initiation: unknown key"},
	})
}

func TestProfilesHaveDefaultsFromEachOther(t *testing.T) {
	c, messages := parse(`version = 1
[ltm.profile.fastl4.child]
defaults_from = "parent"
tcp_close_timeout = "9s"
[ltm.profile.fastl4.parent]
defaults_from = "fastL4"
idle_timeout = "indefinite"
reset_on_timeout = false
[ltm.profile.fastl4.fastL4]
loose_close = true
ip_ttl_mode = "preserve"
[ltm.profile.fastl4.alone]
idle_timeout = "Immediate"
[ltm.virtual.V]
destination = "any:any"
ip_forward = true
[ltm.virtual.W]
destination = "any:80"
ip_forward = true
profiles = ["child"]
`)
	if len(messages) > 0 {
		t.Fatal(messages)
	}
	base := builtinFastL4()
	base.LooseClose, base.TTLMode = true, TTLPreserve
	parent := base
	parent.Name, parent.IdleTimeout, parent.ResetOnTimeout = "parent", IdleIndefinite, false
	child := parent
	child.Name, child.CloseTimeout = "child", 9*time.Second
	alone := builtinFastL4()
	alone.Name, alone.IdleTimeout = "alone", IdleImmediate
	if diff := cmp.Diff([]*FastL4{&child, &parent, &base, &alone}, c.LTM.FastL4s); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c.LTM.Virtuals[0].Profile != c.LTM.FastL4s[2] || c.LTM.Virtuals[1].Profile != c.LTM.FastL4s[0] {
		t.Errorf("profiles %+v, %+v", c.LTM.Virtuals[0].Profile, c.LTM.Virtuals[1].Profile)
	}
}

func TestAVirtualServerIsReadWhole(t *testing.T) {
	c, messages := parse(strings.Replace(served, "[ltm.virtual.V]\n", `[ltm.virtual.V]
vlans = ["outside", "inside"]
vlans_enabled = true
disabled = true
profiles = ["F"]
translate_address = true
translate_port = true
source_address_translation = { type = "snat", pool = "P" }
connection_limit = 3
rate_limit = 4
auto_lasthop = "disabled"
source_port = "change"
cmp_enabled = false
`, 1))
	if len(messages) > 0 {
		t.Fatal(messages)
	}
	want := &Virtual{
		Name: "V", Destination: netip.MustParsePrefix("10.1.1.0/24"), Source: netip.MustParsePrefix("10.2.1.0/24"), Protocol: 6,
		Role: RoleForward, Profile: c.LTM.FastL4s[0], VLANs: VLANList{Enabled: true, List: []*VLAN{c.VLANs[1], c.VLANs[0]}}, Disabled: true,
		TranslateAddress: true, TranslatePort: true, SourceTranslation: SourceSNAT, SNATPool: c.LTM.SNATPools[0],
		ConnectionLimit: 3, RateLimit: 4, AutoLasthop: AutoLasthopDisabled, SourcePort: SourcePortChange,
	}
	if diff := cmp.Diff(want, c.LTM.Virtuals[0], sameConfig()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := want.Addresses(); len(got) != 1 || got[0].String() != "203.0.113.21" {
		t.Errorf("addresses %v", got)
	}
}

func TestTheDefaultsOfAVirtualServer(t *testing.T) {
	c, messages := parse("version = 1\n[ltm.virtual.V]\ndestination = \"10.1.1.5:80\"\nreject = true\n[ltm.virtual.W]\ndestination = \"10.1.1.5:81\"\nip_forward = true\n")
	if len(messages) > 0 {
		t.Fatal(messages)
	}
	fastL4 := builtinFastL4()
	want := &Virtual{
		Name: "V", Destination: netip.MustParsePrefix("10.1.1.5/32"), Port: 80, Source: everywhere(), Role: RoleReject,
		Profile: &fastL4, TranslateAddress: true, TranslatePort: true, CMPEnabled: true,
	}
	if diff := cmp.Diff(want, c.LTM.Virtuals[0], sameConfig()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if w := c.LTM.Virtuals[1]; w.TranslateAddress || w.TranslatePort {
		t.Error("with ip_forward a host's address is translated by default")
	}
	if diff := cmp.Diff(DB{RejectUnmatched: true}, c.DB); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
