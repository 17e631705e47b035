package configs

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNATsAndSNATs(t *testing.T) {
	const nat, snat, pool = "ltm.nat.N.translation_address: ", "ltm.snat.S", "ltm.snatpool.P.members"
	runServed(t, []spoil{
		{"no originating address", `originating_address = "10.1.1.5"`, "", "ltm.nat.N.originating_address: is missing"},
		{"a translation that is a network", `"203.0.113.15"`, `"203.0.113.0/24"`, nat + `"203.0.113.0/24" is not an IPv4 address`},
		{"a translation that is no host", `"203.0.113.15"`, `"0.0.0.0"`, nat + `"0.0.0.0" is an address of "this network"`},
		{"a translation to itself", `"203.0.113.15"`, `"10.1.1.5"`, nat + "10.1.1.5 is the originating address itself"},
		{"the router's own address", `"203.0.113.15"`, `"203.0.113.1"`, nat + "203.0.113.1 is the router's own address on [vlan.outside]"},
		{"an address of an LSN pool", `"203.0.113.15"`, `"203.0.113.9"`, nat + "203.0.113.9 is a NAT address of [lsn.pool.P]"},
		{"an address of a static mapping", "[ltm.nat.N]", "[lsn.static.X]\nprotocol = \"TCP\"\nsubscriber = \"192.0.2.7:80\"\nnat = \"203.0.113.15:80\"\n[ltm.nat.N]",
			nat + "203.0.113.15 is a NAT address of [lsn.static.X]"},
		{"an address of a SNAT", `"203.0.113.15"`, `"203.0.113.20"`, nat + "203.0.113.20 is already an address of [ltm.snat.S]"},
		{"an address of a SNAT pool in use", "\"203.0.113.15\"\n[ltm.snat.S]\norigins = [\"10.3.0.0/16\"]\ntranslation = \"203.0.113.20\"",
			"\"203.0.113.21\"\n[ltm.snat.S]\norigins = [\"10.3.0.0/16\"]\nsnatpool = \"P\"", nat + "203.0.113.21 is already an address of [ltm.snatpool.P]"},
		{"the address of another NAT", "[ltm.snat.S]", "[ltm.nat.M]\noriginating_address = \"10.1.1.6\"\ntranslation_address = \"203.0.113.15\"\n[ltm.snat.S]",
			"ltm.nat.M.translation_address: 203.0.113.15 is already the translation address of [ltm.nat.N]"},
		{"a host with two NATs", "[ltm.snat.S]", "[ltm.nat.M]\noriginating_address = \"10.1.1.5\"\ntranslation_address = \"203.0.113.16\"\n[ltm.snat.S]",
			"ltm.nat.M.originating_address: 10.1.1.5 has a NAT already: [ltm.nat.N]"},
		{"the destination of a server", `"203.0.113.15"`, `"10.1.2.5"`, nat + "warning: 10.1.2.5 is the destination of [ltm.virtual.W], which goes first (rule VR2)"},
		{"last hop", "[ltm.nat.N]", "[ltm.nat.N]\nauto_lasthop = \"enabled\"", "ltm.nat.N.auto_lasthop: not supported yet: answers go by the routes; leave it out"},

		{"no way to translate", `translation = "203.0.113.20"`, "", snat + ": needs one of translation, snatpool and automap, and has 0 of them"},
		{"two ways to translate", `translation = "203.0.113.20"`, "automap = true\nsnatpool = \"P\"", snat + ": needs one of translation, snatpool and automap, and has 2 of them"},
		{"automap", `translation = "203.0.113.20"`, "automap = true", ""},
		{"a pool", `translation = "203.0.113.20"`, `snatpool = "P"`, ""},
		{"a pool that is not there", `translation = "203.0.113.20"`, `snatpool = "PP"`, snat + `.snatpool: there is no [ltm.snatpool.PP]; did you mean "P"?`},
		{"no origin", `["10.3.0.0/16"]`, "[]", snat + ".origins: must not be empty"},
		{"an origin twice", `["10.3.0.0/16"]`, `["10.3.0.0/16", "10.3.0.0/16"]`, snat + ".origins[1]: 10.3.0.0/16 is in the list twice"},
		{"an origin of another SNAT", "[ltm.snatpool.P]", "[ltm.snat.T]\norigins = [\"10.0.0.0/8\", \"10.3.0.0/16\"]\nautomap = true\n[ltm.snatpool.P]",
			"ltm.snat.T.origins[1]: 10.3.0.0/16 is already an origin of [ltm.snat.S], on a VLAN in common"},
		{"an origin of another SNAT on other VLANs", "[ltm.snatpool.P]\n",
			"vlans = [\"inside\"]\nvlans_enabled = true\n[ltm.snat.T]\norigins = [\"10.3.0.0/16\"]\nautomap = true\nvlans = [\"inside\"]\nvlans_disabled = true\n[ltm.snatpool.P]\n", ""},
		{"two SNATs with one address", "[ltm.snatpool.P]", "[ltm.snat.T]\norigins = [\"10.0.0.0/8\"]\ntranslation = \"203.0.113.20\"\n[ltm.snatpool.P]", ""},
		{"a SNAT to an address of an LSN pool", `"203.0.113.20"`, `"203.0.113.3"`, snat + ".translation: 203.0.113.3 is a NAT address of [lsn.pool.P]"},
		{"a pool with an address of an LSN pool, used twice", "translation = \"203.0.113.20\"\n[ltm.snatpool.P]\nmembers = [\"203.0.113.21\"]",
			"snatpool = \"P\"\n[ltm.snat.T]\norigins = [\"10.4.0.0/16\"]\nsnatpool = \"P\"\n[ltm.snatpool.P]\nmembers = [\"203.0.113.21\", \"203.0.113.5\"]",
			pool + "[1]: 203.0.113.5 is a NAT address of [lsn.pool.P]"},
		{"a pool with an address twice", `["203.0.113.21"]`, `["203.0.113.21", "203.0.113.21"]`, pool + "[1]: 203.0.113.21 is in the list twice"},
		{"a pool of nothing", `["203.0.113.21"]`, `[]`, pool + ": must not be empty"},
		{"a SNAT's mirror", "[ltm.snat.S]", "[ltm.snat.S]\nmirror = true", snat + ".mirror: warning: has no effect without a peer in [ha]"},
	})
}

func TestNATsAndSNATsAreReadWhole(t *testing.T) {
	c, messages := parse(strings.NewReplacer("[ltm.nat.N]\n", `[ltm.nat.N]
arp = false
vlans = ["inside"]
vlans_disabled = true
auto_lasthop = "default"
traffic_group = "traffic-group-local-only"
inherited_traffic_group = false
`, "[ltm.snat.S]\n", `[ltm.snat.S]
vlans = ["dmz"]
vlans_enabled = true
source_port = "preserve-strict"
`).Replace(served))
	if len(messages) > 0 {
		t.Fatal(messages)
	}
	addr := netip.MustParseAddr
	nat := &NAT{
		Name: "N", Originating: addr("10.1.1.5"), Translation: addr("203.0.113.15"), VLANs: VLANList{List: []*VLAN{c.VLANs[0]}},
		TrafficGroup: "traffic-group-local-only",
	}
	snat := &SNAT{
		Name: "S", Origins: []netip.Prefix{netip.MustParsePrefix("10.3.0.0/16")}, Translation: addr("203.0.113.20"),
		VLANs: VLANList{Enabled: true, List: []*VLAN{c.VLANs[2]}}, SourcePort: SourcePortStrict,
	}
	if diff := cmp.Diff(nat, c.LTM.NATs[0], sameConfig()); diff != "" {
		t.Errorf("nat (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(snat, c.LTM.SNATs[0], sameConfig()); diff != "" {
		t.Errorf("snat (-want +got):\n%s", diff)
	}
}

func TestServersInEachOthersWay(t *testing.T) {
	const again = "[ltm.virtual.X]\ndestination = \"10.1.1.0:any\"\nmask = \"255.255.255.0\"\nsource = \"10.2.1.0/24\"\nip_protocol = 6\nip_forward = true\n"
	const conflict = "ltm.virtual.X: conflicts with [ltm.virtual.V]: the same destination, source, port and protocol, and a VLAN in common (rule VR10)"
	const at = "[ltm.profile.fastl4.F]\n"
	runServed(t, []spoil{
		{"equal servers (VR10)", at, again + at, conflict},
		{"equal servers of which one is disabled", at, again + "disabled = true\n" + at, conflict},
		{"one of them on a list of VLANs", at, again + "vlans = [\"inside\"]\nvlans_enabled = true\n" + at, ""},
		{"with another port", at, strings.Replace(again, "any", "80", 1) + at, ""},
		{"with another protocol", at, strings.Replace(again, "6", "17", 1) + at, ""},
		{"on VLANs apart (Q20)", "ip_forward = true\n[ltm.virtual.W]", "ip_forward = true\nvlans = [\"inside\"]\nvlans_enabled = true\n" +
			again + "vlans = [\"outside\", \"dmz\"]\nvlans_enabled = true\n[ltm.virtual.W]", ""},
		{"on a VLAN and all but this", "ip_forward = true\n[ltm.virtual.W]", "ip_forward = true\nvlans = [\"inside\"]\nvlans_enabled = true\n" +
			again + "vlans = [\"inside\"]\nvlans_disabled = true\n[ltm.virtual.W]", ""},
		{"on all but a VLAN and on this", "ip_forward = true\n[ltm.virtual.W]", "ip_forward = true\nvlans = [\"inside\"]\nvlans_disabled = true\n" +
			again + "vlans = [\"inside\"]\nvlans_enabled = true\n[ltm.virtual.W]", ""},
		{"on a VLAN and all but another", "ip_forward = true\n[ltm.virtual.W]", "ip_forward = true\nvlans = [\"inside\"]\nvlans_enabled = true\n" +
			again + "vlans = [\"dmz\"]\nvlans_disabled = true\n[ltm.virtual.W]", conflict},
		{"on a VLAN in common", "ip_forward = true\n[ltm.virtual.W]", "ip_forward = true\nvlans = [\"inside\", \"dmz\"]\nvlans_enabled = true\n" +
			again + "vlans = [\"outside\", \"dmz\"]\nvlans_enabled = true\n[ltm.virtual.W]", conflict},
		{"at an address of an LSN pool", "10.1.2.5:80", "203.0.113.4:80",
			"ltm.virtual.W.destination: 203.0.113.4 is a NAT address of [lsn.pool.P], which is asked first: this server would never match"},
		{"around an LSN pool", "10.1.2.5:80", "203.0.113.0/24:80", ""},
		{"at the router's own address (Q1)", "10.1.2.5:80", "203.0.113.1:80",
			"ltm.virtual.W.destination: warning: 203.0.113.1 is the router's own address on [vlan.outside]: what is for the router itself goes to this server, but IKE and ESP"},
	})
}

// At the destination of everything a server without a translation leaves
// subscribers to their group, unless its source names them as closely (VR3).
func TestSubscribersThatAServerTakesFromTheirGroup(t *testing.T) {
	const text = "destination = \"10.1.1.0/24:any\"\nsource = \"10.2.1.0/24\"\nip_protocol = \"tcp\"\nip_forward = true\n"
	server := func(source, more string) string {
		return "destination = \"any:any\"\nsource = \"" + source + "\"\nip_forward = true\n" + more
	}
	warning := func(source string) string {
		return "ltm.virtual.V.source: warning: the flows of [lsn.group.G] in " + source +
			" go by this server and leave untranslated: say source_address_translation = \"lsn\" unless that is meant (rule VR3)"
	}
	runServed(t, []spoil{
		{"everybody", text, server("0.0.0.0/0", ""), ""},
		{"a network around theirs", text, server("192.0.0.0/16", ""), ""},
		{"their network", text, server("192.0.2.0/24", ""), warning("192.0.2.0/24")},
		{"some of them", text, server("192.0.2.128/25", ""), warning("192.0.2.128/25")},
		{"others", text, server("192.0.3.0/24", ""), ""},
		{"a NAT's host", "\"10.1.1.0/24:any\"\nsource = \"10.2.1.0/24\"\nip_protocol = \"tcp\"\nip_forward = true\n[ltm.virtual.W]\ndestination = \"10.1.2.5:80\"\nip_forward = true\nvlans = [\"dmz\"]\nvlans_enabled = true\n[ltm.profile.fastl4.F]\nidle_timeout = \"60s\"\n[ltm.nat.N]\noriginating_address = \"10.1.1.5\"",
			"\"any:any\"\nsource = \"192.0.2.5/32\"\nip_forward = true\n[ltm.nat.N]\noriginating_address = \"192.0.2.5\"", ""},
		{"with a translation", text, server("192.0.2.0/24", "source_address_translation = \"lsn\"\nlsn_group = \"G\"\n"), ""},
		{"refused", text, strings.Replace(server("192.0.2.0/24", ""), "ip_forward", "reject", 1), ""},
		{"to somewhere", text, strings.Replace(server("192.0.2.0/24", ""), "any:any", "10.9.0.0/16:any", 1), ""},
	})
	_, got := messagesOf(strings.NewReplacer(text, server("192.0.2.0/24", ""), `"10.3.0.0/16"`, `"192.0.0.0/16"`).Replace(served))
	if len(got) > 0 {
		t.Errorf("a SNAT translates them, and still: %v", got)
	}
	_, got = messagesOf(strings.NewReplacer(text, server("192.0.2.0/24", ""), `"10.3.0.0/16"`, `"192.0.2.0/25"`).Replace(served))
	if want := warning("192.0.2.0/24"); len(got) != 1 || got[0] != want {
		t.Errorf("a SNAT translates half of them, and the messages are %v", got)
	}
}

func TestDatabaseVariables(t *testing.T) {
	for _, c := range []struct {
		write string
		want  DB
		fault string
	}{
		{"[sys.db]\ntm.continuematching = true\ntm.rejectunmatched = false\n", DB{true, false}, ""},
		{"[sys.db]\n\"tm.continuematching\" = \"Enable\"\n\"tm.rejectunmatched\" = \"disable\"\n", DB{true, false}, ""},
		{"[sys]\ndb.tm = { rejectunmatched = \"false\" }\n", DB{false, false}, ""},
		{"[sys.db.tm]\nrejectunmatched = \"true\"\n", DB{false, true}, ""},
		{"[sys.db]\ntm.continuematching = \"maybe\"\n", DB{}, `sys.db.tm.continuematching: "maybe" is not true or false`},
		{"[sys.db]\ntm.continuematching = 1\n", DB{}, `sys.db.tm.continuematching: must be a boolean, not an integer`},
		{"[sys.db]\ntm.continuematch = true\n", DB{}, `sys.db.tm.continuematch: unknown key`},
		{"[sys.db]\n\"tm.rejectunmached\" = true\n", DB{}, `sys.db."tm.rejectunmached": unknown key`},
		{"[sys.db]\ntm.rejectunmatched = true\n\"tm.rejectunmatched\" = true\n", DB{}, `sys.db."tm.rejectunmatched": is written twice, with and without quotes`},
		{"[sys.db]\ntm = true\n", DB{}, "sys.db.tm: must be a table, not a boolean"},
		{"[sys.httpd]\n", DB{}, "sys.httpd: unknown key"},
	} {
		got, messages := messagesOf("version = 1\n" + c.write)
		if strings.Join(messages, "\n") != c.fault {
			t.Errorf("%q: got %q, want %q", c.write, messages, c.fault)
		}
		if got != nil && got.DB != c.want {
			t.Errorf("%q: got %+v, want %+v", c.write, got.DB, c.want)
		}
	}
}

// Two traffic domains may have the same servers and addresses; nothing refers
// from one into the other.
func TestListenersOfTwoDomains(t *testing.T) {
	const same = "[ltm.virtual.%s]\ndestination = \"10.1.1.0/24:any\"\nip_forward = true\nvlans = [\"%s\"]\nvlans_enabled = true\ntraffic_domain = %s\n" +
		"[ltm.nat.%[1]s]\noriginating_address = \"10.1.1.5\"\ntranslation_address = \"203.0.113.15\"\ntraffic_domain = %[3]s\n" +
		"[ltm.snat.%[1]s]\norigins = [\"10.3.0.0/16\"]\ntranslation = \"203.0.113.20\"\ntraffic_domain = %[3]s\n"
	put := func(name, vlan, domain string) string {
		return strings.NewReplacer("%s]\nd", name+"]\nd", "\"%s\"", `"`+vlan+`"`, "= %s", "= "+domain, "%[1]s", name, "%[3]s", domain).Replace(same)
	}
	both := twoDomains() + put("blue", "inside", "0") + put("red", "inside-red", "7")
	if _, messages := messagesOf(both); len(messages) > 0 {
		t.Errorf("the same in two domains: %v", messages)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"a VLAN of the other domain", `vlans = ["inside-red"]`, `vlans = ["inside"]`,
			"ltm.virtual.red.vlans: [vlan.inside] is in traffic domain 0, and this in 7: nothing is routed between domains"},
		{"a group of the other domain", "[ltm.virtual.red]\n", "[ltm.virtual.red]\nsource_address_translation = \"lsn\"\nlsn_group = \"G\"\n",
			"ltm.virtual.red.lsn_group: [lsn.group.G] is in traffic domain 0, the server in 7: nothing is routed between domains"},
		{"a pool of the other domain", "[lsn.pool.P-red]\naddresses = [\"203.0.113.3-203.0.113.9\"]", "[lsn.pool.P-red]\naddresses = [\"203.0.113.3-203.0.113.15\"]",
			"ltm.nat.red.translation_address: 203.0.113.15 is a NAT address of [lsn.pool.P-red]"},
		{"a domain without VLANs", "ltm.nat.red]\n", "ltm.nat.red]\nvlans_enabled = false\n", ""},
	} {
		_, got := messagesOf(strings.Replace(both, c.old, c.new, 1))
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestTheExamplesOfVirtualServersHaveNoFault(t *testing.T) {
	for name, text := range map[string]string{
		"virtual-server.toml": VirtualServer(), "office.toml": Office(), "ipsec-tunnel.toml": IPsecTunnel(), "ipsec-interface.toml": IPsecInterface(),
	} {
		if _, messages := parse(text); len(messages) > 0 {
			t.Errorf("%s: %v", name, messages)
		}
	}
}
