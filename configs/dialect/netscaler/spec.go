package netscaler

import (
	"fmt"
	"strings"

	"spigate/configs/dialect"
)

// option is an option of a command, and the key that it is.
type option struct {
	name string
	key  string
	take dialect.Take
	list bool // each one adds to the key's list
}

// object is a kind of object whose commands follow the rule: add NAME with
// words and options, bind NAME with more of them.
type object struct {
	words []string // of the command: lsn pool
	path  []string // of the table
	args  []option // words behind the name
	opts  []option // of add and set
	binds []option // of bind and unbind; one without a name is a word
	alone bool     // there is one, without a name
}

// objects are those that need no code of their own.
func objects() []object {
	protocol := []option{{"transportprotocol", "protocol", upper, false}}
	return []object{
		{words: words("lsn pool"), path: words("lsn pool"), binds: []option{{"", "addresses", dialect.Word, true}}, opts: []option{
			{"nattype", "nat_type", upper, false}, {"portblockallocation", "port_block_allocation", dialect.Switch, false},
			{"portrealloctimeout", "port_realloc_timeout", dialect.In("s"), false}, {"maxPortReallocTmq", "max_port_realloc_tmq", dialect.Number, false},
		}},
		{words: words("lsn appsprofile"), path: words("lsn appsprofile"), args: protocol, binds: []option{
			{"", "ports", dialect.Word, true}, {"appsattributesname", "appsattributes", dialect.Word, true},
		}, opts: []option{
			{"ippooling", "ip_pooling", upper, false}, {"mapping", "mapping", upper, false}, {"filtering", "filtering", upper, false},
			{"tcpproxy", "", off, false}, {"l2info", "", off, false}, {"td", "traffic_domain", dialect.Number, false},
			{"inboundRefresh", "inbound_refresh", dialect.Switch, false}, {"exempt", "exempt", dialect.Switch, false},
		}},
		{words: words("lsn appsattributes"), path: words("lsn appsattributes"), args: protocol, opts: []option{
			{"port", "ports", dialect.Commas, false}, {"sessionTimeout", "session_timeout", dialect.In("s"), false},
		}},
		{words: words("lsn transportprofile"), path: words("lsn transportprofile"), args: protocol, opts: []option{
			{"sessiontimeout", "session_timeout", dialect.In("s"), false}, {"finrsttimeout", "fin_rst_timeout", dialect.In("s"), false},
			{"stuntimeout", "stun_timeout", dialect.In("s"), false}, {"synidletimeout", "syn_idle_timeout", dialect.In("s"), false},
			{"portquota", "port_quota", dialect.Number, false}, {"sessionquota", "session_quota", dialect.Number, false},
			{"groupSessionLimit", "group_session_limit", dialect.Number, false}, {"syncheck", "syn_check", dialect.Switch, false},
			{"portpreserveparity", "port_preserve_parity", dialect.Switch, false}, {"portpreserverange", "port_preserve_range", dialect.Switch, false},
		}},
		{words: words("lsn logprofile"), path: words("lsn logprofile"), opts: []option{
			{"logCompact", "log_compact", dialect.Switch, false}, {"logSubscrInfo", "log_subscr_info", dialect.Switch, false},
			{"logIPFIX", "log_ipfix", dialect.Switch, false}, {"logSessDeletion", "log_sess_deletion", dialect.Switch, false},
		}},
		{words: words("lsn parameter"), path: words("lsn parameter"), alone: true, opts: []option{
			{"sessionSync", "session_sync", dialect.Switch, false}, {"subscrSessionRemoval", "", off, false}, {"memLimit", "", none, false},
		}},
		{words: words("ipsecalg profile"), path: words("ipsecalg profile"), opts: []option{
			{"ikeSessionTimeout", "ike_session_timeout", dialect.In("m"), false}, {"espSessionTimeout", "esp_session_timeout", dialect.In("m"), false},
			{"espGateTimeout", "esp_gate_timeout", dialect.In("s"), false}, {"connfailover", "connfailover", dialect.Switch, false},
			{"ikeHalfOpenTimeout", "ike_half_open_timeout", dialect.In("s"), false}, {"blockMode", "block_mode", upper, false},
			{"lateBindingOut", "late_binding_out", dialect.Switch, false}, {"lateBindingIn", "late_binding_in", dialect.Switch, false},
			{"ikeKeepWithEsp", "ike_keep_with_esp", dialect.Switch, false}, {"sameClientParallel", "same_client_parallel", dialect.Switch, false},
			{"ikePortPreserve", "ike_port_preserve", dialect.Switch, false}, {"ikeCookieDemux", "ike_cookie_demux", dialect.Switch, false},
			{"gateSeqMax", "gate_seq_max", dialect.Number, false},
		}},
		group(),
	}
}

func group() object {
	return object{words: words("lsn group"), path: words("lsn group"), binds: []option{
		{"poolname", "pools", dialect.Word, true}, {"appsprofilename", "apps_profiles", dialect.Word, true},
		{"transportprofilename", "transport_profiles", dialect.Word, true}, {"ipsecAlgProfile", "ipsecalg_profile", dialect.Word, false},
		{"logProfileName", "log_profile", dialect.Word, false}, {"httphdrlogprofilename", "", unsupported, false},
		{"sipalgprofilename", "", unsupported, false}, {"rtspalgprofilename", "", unsupported, false}, {"pcpServer", "", unsupported, false},
	}, opts: []option{
		{"clientname", "client", dialect.Word, false}, {"nattype", "nat_type", upper, false}, {"allocPolicy", "alloc_policy", upper, false},
		{"portblocksize", "port_block_size", dialect.Number, false}, {"logging", "logging", dialect.Switch, false},
		{"sessionLogging", "session_logging", dialect.Switch, false}, {"sessionSync", "session_sync", dialect.Switch, false},
		{"snmptraplimit", "snmp_trap_limit", dialect.Number, false}, {"ftp", "ftp", dialect.Switch, false}, {"tftp", "tftp", dialect.Switch, false},
		{"pptp", "", off, false}, {"sipalg", "", off, false}, {"rtspalg", "", off, false}, {"ftpcm", "", off, false}, {"ip6profile", "", ipv6, false},
		{"preset", "preset", dialect.Lower, false}, {"rewriteIpId", "rewrite_ip_id", upper, false}, {"exempt", "exempt", dialect.Commas, false},
		{"icmpOnExhaustion", "icmp_on_exhaustion", upper, false}, {"icmpOnUnaskedSyn", "icmp_on_unasked_syn", dialect.Switch, false},
	}}
}

func words(text string) []string { return strings.Fields(text) }

func upper(word string) (any, error) { return strings.ToUpper(word), nil }

// leftOut is why something that was understood is not carried over.
type leftOut struct{ error }

// off takes what this build has not at its off value, which needs no key.
func off(word string) (any, error) {
	on, err := dialect.Switch(word)
	if err == nil && on == true {
		return nil, leftOut{fmt.Errorf("on is not supported: it stays off")}
	}
	return nil, err
}

// none is off for numbers.
func none(word string) (any, error) {
	if word != "0" {
		return nil, leftOut{fmt.Errorf("%q is left out: memory is bounded by [limits]", word)}
	}
	return nil, nil
}

func unsupported(string) (any, error) { return nil, leftOut{fmt.Errorf("not supported")} }

func ipv6(string) (any, error) {
	return nil, leftOut{fmt.Errorf("not supported: DS-Lite and NAT64 are not built, and have no IPsec ALG anywhere (rule R12)")}
}

// find returns the option of a name: in any case, or its only beginning.
func find(options []option, name string) (o option, exact, ok bool) {
	var near []option
	for _, o := range options {
		switch {
		case o.name == "":
		case strings.EqualFold(o.name, name):
			return o, true, true
		case len(name) > 1 && strings.HasPrefix(strings.ToLower(o.name), strings.ToLower(name)):
			near = append(near, o)
		}
	}
	if len(near) == 1 {
		return near[0], false, true
	}
	return o, false, false
}
