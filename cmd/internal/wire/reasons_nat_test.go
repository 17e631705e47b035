package wire

// officeWeb is a virtual server for the office; the rest of its table follows.
const officeWeb = "[ltm.virtual.web]\ndestination = \"10.1.1.0/24:any\"\nsource = \"10.2.1.0/24\"\nip_forward = true\n"

// ruinsOfListeners are those of virtual servers, NATs and SNATs.
func ruinsOfListeners() []ruin {
	const ask = "office udp to=far"
	const web = "[ltm.virtual.web]"
	return []ruin{
		{reason: "no_listener", packet: ask, line: "",
			remedy: &remedy{what: "a virtual server for it", more: officeWeb}},
		{reason: "vlan_miss", more: officeWeb + "vlans = [\"outside\"]\nvlans_enabled = true\n", packet: ask, line: web,
			remedy: &remedy{what: "the server listens on the VLAN that the flow begins on", edit: []string{`vlans = ["outside"]`, `vlans = ["inside"]`}}},
		{reason: "vs_disabled", more: officeWeb + "disabled = true\n", packet: ask, line: web,
			remedy: &remedy{what: "the server is enabled", edit: []string{"disabled = true\n", ""}}},
		{reason: "vs_rejected", more: "[ltm.virtual.web]\ndestination = \"10.1.1.0/24:any\"\nreject = true\n", packet: ask, line: web,
			none: "it is configured so"},
		{reason: "connection_limit", more: officeWeb + "connection_limit = 1\n", lead: ask, packet: ask + " sport=2", line: web,
			remedy: &remedy{what: "a higher limit", edit: []string{"connection_limit = 1", "connection_limit = 2"}}},
		{reason: "connection_rate", more: officeWeb + "rate_limit = 1\n", lead: ask, packet: ask + " sport=2", line: web,
			remedy: &remedy{what: "a higher limit", edit: []string{"rate_limit = 1", "rate_limit = 10"}, fresh: true}},
		{reason: "connection_table_full", edit: []string{"limits = { flows", "limits = { connections = 64, flows"}, more: officeWeb,
			lead: "for i 1 64\noffice udp to=far sport=$i\nend", packet: ask, line: web,
			remedy: &remedy{what: "a larger table", edit: []string{"connections = 64", "connections = 128"}, fresh: true}},
		{reason: "tuple_busy", more: officeWeb + "[ltm.snat.s]\norigins = [\"10.2.1.0/24\"]\ntranslation = \"203.0.113.20\"\n" +
			"[ltm.virtual.in]\ndestination = \"10.2.1.0/24:any\"\nip_forward = true\n",
			lead: "office udp to=far", packet: "far udp sport=53 dport=40000 to=office", line: "",
			remedy: &remedy{what: "its sender tries another port", packet: "far udp sport=54 dport=40000 to=office"}},
	}
}

// gre is a packet of a protocol without ports.
func gre(from, to string) func(u *ruined) (port, vlan string) {
	return func(u *ruined) (string, string) {
		in := newWords("")
		return u.from(from, rawIP(u.addr(in, from), u.addr(in, to), 47, make([]byte, 24)))
	}
}

const (
	cone   = "[lsn.appsprofile.cone]\nprotocol = \"UDP\"\nfiltering = \"EIF\"\n"
	farNet = "100.64.0.0/10"
)

// udpProfile is a transport profile of the group with one limit.
func udpProfile(limit string) (edit []string, more string) {
	return []string{"[lsn.group.homes]", "[lsn.group.homes]\ntransport_profiles = [\"udp\"]"}, "[lsn.transportprofile.udp]\nprotocol = \"UDP\"\n" + limit + "\n"
}

// limited is a row of a limit of that profile, which is 1 and becomes 9.
func limited(reason, packet string) ruin {
	edit, more := udpProfile(reason + " = 1")
	return ruin{reason: reason, edit: edit, more: more, lead: "client1 udp", packet: packet, line: "[lsn.group.homes]",
		remedy: &remedy{what: "a higher limit", edit: []string{reason + " = 1", reason + " = 9"}}}
}

// ruinsOfNAT are those of the large scale NAT.
func ruinsOfNAT() []ruin {
	const group = "[lsn.group.homes]"
	far := []string{`networks = ["192.0.2.0/24"]`, `networks = ["192.0.2.0/24", "` + farNet + `"]`}
	wayToFar := &remedy{what: "a route to the subscribers' network", more: "[route.\"" + farNet + "\"]\nvia = \"192.0.2.12\"\n", fresh: true}
	spray := "for i 1 1024\ngateway2 udp sport=$i to=nat:n1\nend"
	return []ruin{
		{reason: "client_not_reachable", packet: "stranger udp to=client1", line: group,
			remedy: &remedy{what: "who may reach subscribers as they are is exempt", edit: []string{group, group + "\nexempt = [\"198.51.100.0/24\"]"}}},
		{reason: "no_mapping", packet: "stranger udp to=nat:5000", line: "",
			remedy: &remedy{what: "a static mapping", more: "[lsn.static.dns]\nprotocol = \"UDP\"\nsubscriber = \"192.0.2.11:53\"\nnat = \"203.0.113.3:5000\"\n"}},
		{reason: "filtered", lead: "client1 udp -> nat:n1\ngateway udp sport=53 to=nat:n1", packet: "gateway2 udp sport=53 to=nat:n1", line: "",
			remedy: &remedy{what: "filtering that does not ask who sends", edit: []string{`apps_profiles = ["ike"]`, `apps_profiles = ["ike", "cone"]`}, more: cone, fresh: true}},
		{reason: "protocol_unsupported", make: gre("client1", "gateway"), line: "",
			remedy: &remedy{what: "a virtual server that translates addresses alone", more: "[ltm.virtual.gre]\ndestination = \"203.0.113.254:any\"\nsource = \"192.0.2.0/24\"\n" +
				"ip_protocol = \"gre\"\nip_forward = true\nsource_address_translation = \"snat\"\nsnat_translation = \"203.0.113.20\"\n"}},
		{reason: "no_free_port", more: officeWeb + "[ltm.snat.s]\norigins = [\"10.2.1.0/24\"]\ntranslation = \"203.0.113.20\"\nsource_port = \"preserve-strict\"\n",
			lead: "office udp to=far", packet: "office2 udp to=far", line: "",
			remedy: &remedy{what: "any port will do", edit: []string{"preserve-strict", "preserve"}}},
		{reason: "not_syn", packet: "client1 tcp flags=10 seq=1 ack=1", line: group,
			remedy: &remedy{what: "syn_check is switched off", edit: []string{group, group + "\ntransport_profiles = [\"tcp\"]"},
				more: "[lsn.transportprofile.tcp]\nprotocol = \"TCP\"\nsyn_check = false\n"}},
		{reason: "session_table_full", edit: []string{"lsn_sessions = 4096", "lsn_sessions = 64"},
			lead: "for i 1 64\nclient1 udp sport=$i\nend", packet: "client2 udp", line: group,
			remedy: &remedy{what: "a larger table", edit: []string{"lsn_sessions = 64", "lsn_sessions = 128"}, fresh: true}},
		{reason: "hairpin", make: gre("client1", "nat"), line: group,
			remedy: &remedy{what: "it is sent to the inside address", make: gre("client1", "client2")}},
		{reason: "nat_address_spoofed", packet: "client1 udp from=nat", line: "",
			none: "only we send from those: it is forged, or comes back in a loop"},
		{reason: "client_spoofed", edit: far, packet: "client2 udp from=100.64.0.5", line: group, remedy: wayToFar},
		{reason: "inside_address", edit: far, packet: "client1 udp to=100.64.0.5", line: group, remedy: wayToFar},
		limited("group_session_limit", "client2 udp"),
		limited("session_quota", "client1 udp dport=54"),
		limited("port_quota", "client1 udp sport=40001"),
		{reason: "unanswered_limit", edit: []string{`apps_profiles = ["ike"]`, `apps_profiles = ["ike", "cone"]`}, more: cone,
			lead: "client1 udp dport=53 -> nat:n1\n" + spray, packet: "stranger udp to=nat:n1", line: group,
			remedy: &remedy{what: "a static mapping for what answers nobody", fresh: true,
				more: "[lsn.static.log]\nprotocol = \"UDP\"\nsubscriber = \"192.0.2.11:514\"\nnat = \"203.0.113.3:514\"\n",
				lead: "for i 1 1024\ngateway2 udp sport=$i to=nat:514\nend", packet: "stranger udp to=nat:514"}},
	}
}

// ruinsOfICMP are those of ICMP errors.
func ruinsOfICMP() []ruin {
	return []ruin{
		{reason: "icmp_malformed", lead: "client1 udp name=q -> nat:n1", packet: "transit icmp unreachable quote=q.outside first=24 to=nat", line: "",
			none: "whose flow it is about, is not in it"},
		{reason: "icmp_no_flow", lead: "client1 udp name=q -> nat:n1\nadvance 130s", packet: "transit icmp unreachable quote=q.outside to=nat", line: "",
			none: "the flow is over"},
		{reason: "icmp_ambiguous", lead: "client1 phase1 ike2 spi=a1:b1 at=nat:n1\nclient1 ike2 auth spi=a1:b1 id=1\ngateway ike2 auth resp spi=a1:b1 id=1 to=nat:n1\n" +
			"client1 esp spi=d001 seq=1 name=e -> nat\ngateway esp spi=c001 seq=1 to=nat\n" +
			"client2 phase1 ike2 spi=a2:b2 at=nat:n2\nclient2 ike2 auth spi=a2:b2 id=1\ngateway ike2 auth resp spi=a2:b2 id=1 to=nat:n2\n" +
			"client2 esp spi=d001 seq=1\ngateway esp spi=c002 seq=1 to=nat",
			packet: "transit icmp too-big quote=e.outside to=nat", line: "", none: "two subscribers have chosen the same SPI"},
	}
}
