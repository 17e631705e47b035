package configs

import (
	"slices"
	"time"
)

// The ranges and defaults are those of section 1.1 of the specification. Where
// it gives no upper bound for a timer, a week keeps the arithmetic safe.
const week = 7 * 24 * time.Hour

func (r *reader) lsn(root *table, w *raw) {
	t := root.sub("lsn")
	r.clients(t, w)
	r.pools(t, w)
	r.appsProfiles(t, w)
	r.transportProfiles(t, w)
	r.groups(t, w)
	parameter := t.sub("parameter")
	parameter.off(int64(0), "memlimit")
	parameter.later("session_sync", "subscr_session_removal")
	parameter.done()
	t.later("static", "appsattributes", "logprofile", "httphdrlogprofile", "sipalgprofile", "rtspalgprofile", "ip6profile", "pcpserver")
	t.done()
}

func (r *reader) clients(lsn *table, w *raw) {
	for _, t := range lsn.named("client", longName) {
		c := &Client{Name: t.name(), Networks: needList(t, "networks", parseNetwork)}
		t.trafficDomain()
		t.off("", "aclname")
		t.done()
		w.LSN.Clients = append(w.LSN.Clients, c)
	}
}

// maxPoolAddresses is NetScaler's (section 1.1).
const maxPoolAddresses = 4096

func (r *reader) pools(lsn *table, w *raw) {
	for _, t := range lsn.named("pool", longName) {
		p := &Pool{Name: t.name(), Ranges: needList(t, "addresses", parseRange)}
		var n uint64
		for _, g := range p.Ranges {
			if g.From.IsValid() {
				n += g.size()
			}
		}
		if n > maxPoolAddresses {
			r.fault(t.at("addresses"), "%d addresses: a pool has at most %d", n, maxPoolAddresses)
		}
		t.natType()
		t.off(false, "port_block_allocation")
		t.later("port_realloc_timeout", "max_port_realloc_tmq")
		t.done()
		w.LSN.Pools = append(w.LSN.Pools, p)
	}
}

// natType takes the one type that this build has.
func (t *table) natType() {
	words := []word[bool]{{false, "DYNAMIC", nil}, {true, "DETERMINISTIC", nil}}
	if choose(t, "nat_type", false, words) {
		t.fault(t.at("nat_type"), "DETERMINISTIC: not supported yet, leave it out or write \"DYNAMIC\"")
	}
}

func (r *reader) appsProfiles(lsn *table, w *raw) {
	for _, t := range lsn.named("appsprofile", longName) {
		p := &AppsProfile{
			Name:      t.name(),
			Protocol:  t.protocol(),
			Pooling:   choose(t, "ip_pooling", PoolingRandom, poolingWords()),
			Mapping:   choose(t, "mapping", MappingAPDM, mappingWords()),
			Filtering: choose(t, "filtering", FilteringAPDF, filteringWords()),
			Ports:     list(t, "ports", parsePorts),
		}
		if p.Protocol == ProtocolICMP && len(p.Ports) > 0 {
			r.fault(t.at("ports"), "ICMP has no ports")
		}
		t.checkPorts(p.Ports)
		t.off(false, "tcpproxy", "l2info")
		t.trafficDomain()
		t.done()
		w.LSN.Apps = append(w.LSN.Apps, p)
	}
}

// checkPorts refuses ports that a profile names twice.
func (t *table) checkPorts(ports []PortRange) {
	for i, p := range ports {
		twice := slices.IndexFunc(ports[:i], p.overlaps)
		if twice >= 0 && p.First > 0 {
			t.fault(t.at("ports").of(i), "%s overlaps %s of the same profile", p, ports[twice])
		}
	}
}

// protocol reads the protocol of a profile, which must be there.
func (t *table) protocol() Protocol {
	if t.need("protocol") == "" {
		return 0
	}
	return choose(t, "protocol", Protocol(0), protocolWords())
}

func (r *reader) transportProfiles(lsn *table, w *raw) {
	for _, t := range lsn.named("transportprofile", longName) {
		p := &TransportProfile{
			Name:           t.name(),
			Protocol:       t.protocol(),
			SessionTimeout: t.duration("session_timeout", span{120 * time.Second, 60 * time.Second, week, time.Second}),
			FinRstTimeout:  t.duration("fin_rst_timeout", span{30 * time.Second, time.Second, week, time.Second}),
			SynIdleTimeout: t.duration("syn_idle_timeout", span{60 * time.Second, 30 * time.Second, 120 * time.Second, time.Second}),
			SynCheck:       t.flag("syn_check", true),
		}
		for _, key := range []string{"fin_rst_timeout", "syn_idle_timeout", "syn_check"} {
			if p.Protocol != ProtocolTCP && p.Protocol != 0 && t.has(key) {
				r.fault(t.at(key), "only a profile with protocol TCP has it, not %s", p.Protocol)
			}
		}
		if p.Protocol == ProtocolUDP && p.SessionTimeout < 2*time.Minute {
			r.warn(t.at("session_timeout"), "RFC 4787 REQ-5 asks for at least 120s with UDP")
		}
		t.later("stun_timeout")
		t.off(int64(0), "port_quota", "session_quota", "group_session_limit")
		t.off(false, "port_preserve_parity", "port_preserve_range")
		t.done()
		w.LSN.Transports = append(w.LSN.Transports, p)
	}
}

func (r *reader) groups(lsn *table, w *raw) {
	for _, t := range lsn.named("group", longName) {
		g := &Group{Name: t.name()}
		w.refs[g] = groupRefs{
			client:     t.need("client"),
			pools:      needList(t, "pools", sameText),
			apps:       list(t, "apps_profiles", sameText),
			transports: list(t, "transport_profiles", sameText),
			alg:        t.algProfile(),
		}
		g.RewriteID = choose(t, "rewrite_ip_id", RewriteFragments, rewriteIDWords())
		t.natType()
		t.off("", "preset", "httphdrlogprofile", "pcpserver")
		t.off(int64(0), "port_block_size")
		t.off(false, "ftp", "ftpcm", "pptp", "sipalg", "rtspalg", "logging", "session_logging")
		t.later("alloc_policy", "session_sync", "snmp_trap_limit", "log_profile")
		t.done()
		w.LSN.Groups = append(w.LSN.Groups, g)
	}
}

// algProfile reads the name of the ALG profile: one, not several (R9).
func (t *table) algProfile() string {
	const key = "ipsecalg_profile"
	if _, several := t.keys[key].([]any); several {
		t.known = append(t.known, key)
		t.fault(t.at(key), "a group has one IPsec ALG profile (rule R9): write its name without brackets")
		return ""
	}
	name := t.text(key, "")
	if name == "" && t.has(key) {
		if _, ok := t.keys[key].(string); ok {
			t.fault(t.at(key), "must not be empty: leave it out for no ALG")
		}
	}
	return name
}
