package tmsh

import (
	"strings"

	"spigate/configs/dialect"
)

// form says how far a property goes.
type form uint8

const (
	alone  form = iota // being there is all it says
	value              // a word
	names              // names in braces
	nested             // properties in braces
)

// property is one property of a kind of object, and the key that it is. Those
// without a key are dealt with by hand.
type property struct {
	name  string
	key   string
	form  form
	take  dialect.Take
	inner []property
}

// kind is a kind of object.
type kind struct {
	words      string   // ltm virtual
	path       []string // of the tables; none: by hand
	properties []property
}

func (k *kind) path1() string { return strings.Join(k.path, ".") }

// of makes properties with the same way of taking; each is named as its key,
// with a dash for each low line.
func of(take dialect.Take, keys string) (out []property) {
	for _, key := range strings.Fields(keys) {
		out = append(out, property{name: strings.ReplaceAll(key, "_", "-"), key: key, form: value, take: take})
	}
	return out
}

// byHand makes properties of a form that have no key of their own.
func byHand(f form, list string) (out []property) {
	for _, name := range strings.Fields(list) {
		out = append(out, property{name: name, form: f})
	}
	return out
}

func join(lists ...[]property) (out []property) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// listens are the properties of what listens on VLANs.
func listens() []property {
	return join([]property{{name: "vlans", key: "vlans", form: names}}, byHand(alone, "vlans-enabled vlans-disabled enabled disabled"),
		of(dialect.Lower, "auto_lasthop"), of(dialect.Switch, "require_protection"))
}

// kinds are all that are known.
func kinds() []kind {
	return []kind{
		{"ltm virtual", path("ltm virtual"), join(listens(), byHand(value, "destination source pool rate-limit description"),
			byHand(alone, "ip-forward reject l2-forward internal"), of(dialect.Word, "mask"), of(dialect.Lower, "ip_protocol source_port"),
			of(dialect.Switch, "translate_address translate_port mirror cmp_enabled"), of(dialect.Number, "connection_limit"),
			[]property{
				{name: "profiles", key: "profiles", form: names},
				{name: "source-address-translation", form: nested, inner: byHand(value, "type pool translation")},
			})},
		{"ltm nat", path("ltm nat"), join(listens(), byHand(value, "originating-address translation-address description"),
			of(plain, "traffic_group"), of(dialect.Switch, "arp inherited_traffic_group"))},
		{"ltm snat", path("ltm snat"), join(listens(), byHand(value, "translation description"), byHand(names, "origins"), of(plain, "snatpool"),
			of(dialect.Switch, "mirror"), of(dialect.Lower, "source_port"), byHand(alone, "automap"))},
		{"ltm snatpool", path("ltm snatpool"), join(byHand(names, "members"), byHand(value, "description"))},
		{"ltm profile fastl4", path("ltm profile fastl4"), fastL4()},
		{"net vlan", path("vlan"), join(byHand(names, "interfaces"), byHand(value, "tag mtu description"))},
		{"net self", nil, byHand(value, "address vlan traffic-group description allow-service floating inherited-traffic-group")},
		{"net route", nil, join(byHand(value, "network gw interface pool mtu description"), byHand(alone, "blackhole"))},
		{"net route-domain", nil, join(byHand(value, "id description strict parent"), byHand(names, "vlans"))},
		{"net ipsec ipsec-policy", path("net ipsec policy"), policy()},
		{"net ipsec traffic-selector", path("net ipsec selector"), selector()},
		{"net ipsec ike-peer", path("net ipsec peer"), peer()},
		{"net ipsec manual-security-association", path("net ipsec manual_sa"), join(byHand(value, "source-address destination-address ipsec-policy description encrypt-key auth-key encrypt-key-encrypted auth-key-encrypted spi"),
			of(dialect.Lower, "protocol encrypt_algorithm auth_algorithm"))},
		{"net tunnels tunnel", path("net tunnel"), join(byHand(value, "profile local-address remote-address description mode tos"), of(dialect.Number, "mtu"))},
		{"net tunnels ipsec", nil, byHand(value, "traffic-selector ipsec-policy defaults-from description")},
		{"sys db", nil, byHand(value, "value")},
	}
}

func path(words string) []string { return strings.Fields(words) }

func fastL4() []property {
	return join(of(secondsOrWord, "idle_timeout tcp_handshake_timeout tcp_close_timeout client_timeout keep_alive_interval"),
		of(dialect.Switch, `loose_initialization loose_close reset_on_timeout reassemble_fragments late_binding tcp_generate_isn tcp_strip_sack
			rtt_from_client rtt_from_server hardware_syn_cookie software_syn_cookie`),
		of(dialect.Lower, "ip_ttl_mode ip_df_mode tcp_timestamp_mode tcp_wscale_mode pva_acceleration ip_tos_to_client ip_tos_to_server link_qos_to_client link_qos_to_server"),
		of(dialect.Number, "mss_override"), of(plain, "defaults_from"), byHand(value, "description"))
}

func policy() []property {
	return join(byHand(value, "tunnel-local-address tunnel-remote-address description"), of(dialect.Lower, "mode protocol ipcomp"),
		algorithm("ike-phase2-encrypt-algorithm ike-phase2-auth-algorithm ike-phase2-perfect-forward-secrecy"),
		of(dialect.In("m"), "ike_phase2_lifetime"), of(dialect.Number, "ike_phase2_lifetime_kilobytes"),
		of(dialect.Switch, "extended_sequence_numbers"), []property{{name: "ike-peer", key: "peer", form: value, take: plain}})
}

func selector() []property {
	return join(byHand(value, "source-address destination-address ip-protocol description"), of(dialect.Lower, "direction action source_port destination_port"),
		of(dialect.Number, "order"), of(dialect.Switch, "up"), []property{{name: "ipsec-policy", key: "policy", form: value, take: plain}})
}

func peer() []property {
	return join(byHand(value, `remote-address preshared-key preshared-key-encrypted my-id-type peers-id-type my-cert-file my-cert-key-file
		my-cert-key-passphrase ca-cert-file crl-file description mode proxy-support peers-cert-file peers-cert-type`), byHand(names, "traffic-selector version"),
		algorithm("phase1-encrypt-algorithm phase1-hash-algorithm phase1-perfect-forward-secrecy prf"),
		of(dialect.Lower, "phase1_auth_method generate_policy nat_traversal state"), of(dialect.Word, "my_id_value peers_id_value"),
		of(dialect.In("m"), "lifetime"), of(dialect.In("s"), "dpd_delay"), of(dialect.Switch, "passive verify_cert"), of(dialect.Number, "replay_window_size"))
}

// algorithm makes properties with one algorithm, or several in braces.
func algorithm(list string) (out []property) {
	for _, name := range strings.Fields(list) {
		out = append(out, property{name: name, key: strings.ReplaceAll(name, "-", "_"), form: names, take: dialect.Lower})
	}
	return out
}

// plain takes a name without its partition.
func plain(word string) (any, error) { return bare(word), nil }

// bare is a name without its partition.
func bare(name string) string {
	if strings.HasPrefix(name, "/") {
		return name[strings.LastIndex(name, "/")+1:]
	}
	return name
}

// secondsOrWord takes a number of seconds, or one of the words for no number.
func secondsOrWord(word string) (any, error) {
	switch word {
	case "immediate", "indefinite", "disabled":
		return word, nil
	}
	if n, err := dialect.Number(word); err == nil {
		return n, nil
	}
	return dialect.In("s")(word)
}
