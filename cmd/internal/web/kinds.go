//go:build !noweb

package web

import "strings"

// kind is a kind of objects that can be edited: the tables below a path.
type kind struct {
	path   []string // {"lsn", "pool"}
	group  string   // as the menus of the routers have it that people know these objects from
	title  string   // of many
	one    string
	fields []field
}

// field is a key of an object, as a form has it.
type field struct {
	key, label string
	input      input
	hint       string   // the default, or an example
	choices    []string // of a choice
	of         []string // path of the kind whose names are chosen from
}

// input is how a field is filled in, and what TOML it becomes.
type input uint8

const (
	asText   input = iota // one text; times, addresses, enumerations
	asNumber              // digits; another word is a text
	asList                // texts between commas or spaces
	asFlag                // yes, no, or the default
	asChoice              // one of some words
	asName                // one name of a kind
	asNames               // some names of a kind
)

// name is the kind's word in addresses of pages: lsn.pool.
func (k *kind) name() string { return strings.Join(k.path, ".") }

// kinds are all of them, in the order of the page: NetScaler's first, as its
// pages have them (System > Large Scale NAT), then BIG-IP's (Local Traffic).
func kinds() []kind {
	return append(nsKinds(), ltmKinds()...)
}

var (
	lsnGroup    = []string{"lsn", "group"}
	lsnClient   = []string{"lsn", "client"}
	lsnPool     = []string{"lsn", "pool"}
	lsnApps     = []string{"lsn", "appsprofile"}
	lsnTrans    = []string{"lsn", "transportprofile"}
	algProfile  = []string{"ipsecalg", "profile"}
	ltmVirtual  = []string{"ltm", "virtual"}
	ltmFastL4   = []string{"ltm", "profile", "fastl4"}
	ltmSNATPool = []string{"ltm", "snatpool"}
	vlans       = []string{"vlan"}
)

func nsKinds() []kind {
	const group = "Large Scale NAT"
	protocols := []string{"TCP", "UDP", "ICMP"}
	return []kind{
		{lsnClient, group, "Clients", "client", []field{
			{key: "networks", label: "Networks", input: asList, hint: "192.0.2.0/24"},
		}},
		{lsnPool, group, "Pools", "pool", []field{
			{key: "addresses", label: "NAT addresses", input: asList, hint: "203.0.113.3-203.0.113.9"},
			{key: "nat_type", label: "NAT type", input: asChoice, choices: []string{"DYNAMIC", "DETERMINISTIC"}},
			{key: "port_block_allocation", label: "Port block allocation", input: asFlag},
			{key: "port_realloc_timeout", label: "Port reallocation timeout", hint: "0s"},
			{key: "max_port_realloc_tmq", label: "Ports that rest at most", input: asNumber, hint: "65536"},
		}},
		{lsnApps, group, "Profiles: Application", "application profile", []field{
			{key: "protocol", label: "Protocol", input: asChoice, choices: protocols},
			{key: "ip_pooling", label: "IP pooling", input: asChoice, choices: []string{"PAIRED", "RANDOM"}},
			{key: "mapping", label: "Mapping", input: asChoice, choices: []string{"ENDPOINT-INDEPENDENT", "ADDRESS-DEPENDENT", "ADDRESS-PORT-DEPENDENT"}},
			{key: "filtering", label: "Filtering", input: asChoice, choices: []string{"ENDPOINT-INDEPENDENT", "ADDRESS-DEPENDENT", "ADDRESS-PORT-DEPENDENT"}},
			{key: "ports", label: "Ports", input: asList, hint: "all"},
			{key: "exempt", label: "Exempt from translation", input: asFlag},
		}},
		{lsnTrans, group, "Profiles: Transport", "transport profile", []field{
			{key: "protocol", label: "Protocol", input: asChoice, choices: protocols},
			{key: "session_timeout", label: "Session timeout", hint: "120s"},
			{key: "fin_rst_timeout", label: "FIN and RST timeout", hint: "30s"},
			{key: "syn_idle_timeout", label: "SYN idle timeout", hint: "60s"},
			{key: "stun_timeout", label: "STUN timeout", hint: "600s"},
			{key: "syn_check", label: "SYN check", input: asFlag},
			{key: "port_quota", label: "Port quota", input: asNumber, hint: "0, no limit"},
			{key: "session_quota", label: "Session quota", input: asNumber, hint: "0, no limit"},
			{key: "group_session_limit", label: "Group session limit", input: asNumber, hint: "0, no limit"},
			{key: "port_preserve_parity", label: "Keep port parity", input: asFlag},
			{key: "port_preserve_range", label: "Keep port range", input: asFlag},
		}},
		{algProfile, group, "Profiles: IPsec ALG", "IPsec ALG profile", []field{
			{key: "ike_session_timeout", label: "IKE session timeout", hint: "60m"},
			{key: "esp_session_timeout", label: "ESP session timeout", hint: "60m"},
			{key: "esp_gate_timeout", label: "ESP gate timeout", hint: "30s"},
			{key: "ike_half_open_timeout", label: "Half-open IKE timeout", hint: "30s"},
			{key: "block_mode", label: "Second exchange", input: asChoice, choices: []string{"HOLD", "DROP"}},
			{key: "late_binding_out", label: "Late binding, outbound", input: asFlag},
			{key: "late_binding_in", label: "Late binding, inbound", input: asFlag},
			{key: "ike_keep_with_esp", label: "ESP keeps the IKE session", input: asFlag},
			{key: "same_client_parallel", label: "Parallel exchanges of a client", input: asFlag},
			{key: "gate_seq_max", label: "Highest sequence number that may bind", input: asNumber, hint: "1024"},
			{key: "ike_port_preserve", label: "First client keeps port 500", input: asFlag},
			{key: "connfailover", label: "Connection failover", input: asFlag},
		}},
		{lsnGroup, group, "Groups", "group", []field{
			{key: "client", label: "Client", input: asName, of: lsnClient},
			{key: "pools", label: "Pools", input: asNames, of: lsnPool},
			{key: "apps_profiles", label: "Application profiles", input: asNames, of: lsnApps},
			{key: "transport_profiles", label: "Transport profiles", input: asNames, of: lsnTrans},
			{key: "ipsecalg_profile", label: "IPsec ALG profile", input: asName, of: algProfile},
			{key: "preset", label: "Preset", input: asChoice, choices: []string{"rfc5382", "rfc6888"}},
			{key: "nat_type", label: "NAT type", input: asChoice, choices: []string{"DYNAMIC", "DETERMINISTIC"}},
			{key: "port_block_size", label: "Port block size", input: asNumber, hint: "0, no blocks"},
			{key: "exempt", label: "Exempt destinations", input: asList, hint: "none"},
			{key: "ftp", label: "FTP helper", input: asFlag},
			{key: "tftp", label: "TFTP helper", input: asFlag},
			{key: "logging", label: "NAT logging", input: asFlag},
			{key: "session_logging", label: "Session logging", input: asFlag},
		}},
	}
}

func ltmKinds() []kind {
	const group = "Local Traffic"
	listens := []field{
		{key: "vlans", label: "VLANs and tunnels", input: asNames, of: vlans},
		{key: "vlans_enabled", label: "Listens on these alone", input: asFlag},
	}
	return []kind{
		{ltmVirtual, group, "Virtual Servers", "virtual server", append([]field{
			{key: "destination", label: "Destination", hint: "10.1.1.0/24:any"},
			{key: "source", label: "Source", hint: "0.0.0.0/0"},
			{key: "ip_protocol", label: "Protocol", hint: "any"},
			{key: "ip_forward", label: "Forwarding (IP)", input: asFlag},
			{key: "reject", label: "Reject", input: asFlag},
			{key: "enabled", label: "Enabled", input: asFlag},
			{key: "profiles", label: "FastL4 profile", input: asNames, of: ltmFastL4},
			{key: "source_address_translation", label: "Source address translation", input: asChoice, choices: []string{"none", "automap", "snat", "lsn"}},
			{key: "snat_pool", label: "SNAT pool", input: asName, of: ltmSNATPool},
			{key: "snat_translation", label: "SNAT address", hint: "203.0.113.20"},
			{key: "lsn_group", label: "LSN group", input: asName, of: lsnGroup},
			{key: "translate_address", label: "Address translation", input: asFlag},
			{key: "translate_port", label: "Port translation", input: asFlag},
			{key: "require_protection", label: "Through a tunnel only", input: asFlag},
			{key: "connection_limit", label: "Connection limit", input: asNumber, hint: "0, none"},
			{key: "rate_limit", label: "New connections a second", input: asNumber, hint: "disabled"},
		}, listens...)},
		{ltmFastL4, group, "Profiles: FastL4", "FastL4 profile", []field{
			{key: "idle_timeout", label: "Idle timeout", hint: "300s"},
			{key: "tcp_handshake_timeout", label: "TCP handshake timeout", hint: "5s"},
			{key: "tcp_close_timeout", label: "TCP close timeout", hint: "5s"},
			{key: "reset_on_timeout", label: "Reset on timeout", input: asFlag},
			{key: "loose_initialization", label: "Loose initialization", input: asFlag},
			{key: "loose_close", label: "Loose close", input: asFlag},
			{key: "mss_override", label: "Maximum segment size", input: asNumber, hint: "0, as it is"},
		}},
		{[]string{"ltm", "nat"}, group, "NAT List", "NAT", append([]field{
			{key: "originating_address", label: "Originating address", hint: "10.1.1.5"},
			{key: "translation_address", label: "Translation address", hint: "203.0.113.15"},
			{key: "arp", label: "Answer ARP", input: asFlag},
		}, listens...)},
		{[]string{"ltm", "snat"}, group, "SNAT List", "SNAT", append([]field{
			{key: "origins", label: "Origins", input: asList, hint: "10.3.0.0/16"},
			{key: "automap", label: "Automap", input: asFlag},
			{key: "translation", label: "Translation", hint: "203.0.113.20"},
			{key: "snatpool", label: "SNAT pool", input: asName, of: ltmSNATPool},
		}, listens...)},
		{ltmSNATPool, group, "SNAT Pool List", "SNAT pool", []field{
			{key: "members", label: "Members", input: asList, hint: "203.0.113.21"},
		}},
		{[]string{"net", "ipsec", "selector"}, "IPsec", "Traffic Selectors", "traffic selector", []field{
			{key: "source_address", label: "Source address", hint: "10.1.1.0/24"},
			{key: "destination_address", label: "Destination address", hint: "192.168.15.2/32"},
			{key: "policy", label: "Policy", input: asName, of: []string{"net", "ipsec", "policy"}},
		}},
	}
}
