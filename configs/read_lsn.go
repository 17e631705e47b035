package configs

import (
	"slices"
	"time"
)

// The ranges and defaults are those of section 1.1 of the specification. Where
// it gives no upper bound for a timer, a week keeps the arithmetic safe.
const week = 7 * 24 * time.Hour

// NetScaler's idle times.
const (
	sessionTimeout = 120 * time.Second
	finRstTimeout  = 30 * time.Second
	synIdleTimeout = 60 * time.Second
	stunTimeout    = 10 * time.Minute
)

// maxSize bounds whatever counts entries of a table.
const maxSize = 1 << 24

func (r *reader) lsn(root *table, w *raw) {
	t := root.sub("lsn")
	r.clients(t, w)
	r.pools(t, w)
	r.appsAttributes(t, w)
	r.appsProfiles(t, w)
	r.transportProfiles(t, w)
	r.groups(t, w)
	r.statics(t, w)
	parameter := t.sub("parameter")
	parameter.off(int64(0), "memlimit")
	parameter.off(false, "subscr_session_removal") // there are no subscriber records
	parameter.flag("session_sync", true)           // R72: matters with [ha] only
	parameter.done()
	r.logProfiles(t, w)
	t.later("httphdrlogprofile", "sipalgprofile", "rtspalgprofile", "ip6profile", "pcpserver")
	t.done()
}

func (r *reader) clients(lsn *table, w *raw) {
	for _, t := range lsn.named("client", longName) {
		c := &Client{Name: t.name(), Networks: needList(t, "networks", parseNetwork)}
		c.Domain = t.trafficDomain()
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
		p.Type = choose(t, "nat_type", NATDynamic, natTypeWords())
		p.Blocks = t.flag("port_block_allocation", p.Type == NATDeterministic)
		if p.Type == NATDeterministic && !p.Blocks {
			r.fault(t.at("port_block_allocation"), "a DETERMINISTIC pool always has port blocks: leave it out")
		}
		p.ReallocTimeout = t.duration("port_realloc_timeout", span{0, 0, 10 * time.Minute, time.Second})
		p.ReallocQueue = int(t.whole("max_port_realloc_tmq", 65536, 0, 65536))
		t.done()
		w.written[p] = t.has
		w.LSN.Pools = append(w.LSN.Pools, p)
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
		w.attributes[p] = list(t, "appsattributes", sameText)
		if refresh := t.flag("inbound_refresh", false); t.has("inbound_refresh") {
			p.InboundRefresh = &refresh
		}
		p.Exempt = t.flag("exempt", false)
		t.off(false, "tcpproxy", "l2info")
		p.Domain = t.keptDomain()
		t.done()
		w.written[p] = t.has
		w.LSN.Apps = append(w.LSN.Apps, p)
	}
}

// appsAttributes reads NetScaler's lsn appsattributes.
func (r *reader) appsAttributes(lsn *table, w *raw) {
	for _, t := range lsn.named("appsattributes", longName) {
		a := &Attributes{
			Name:           t.name(),
			Protocol:       t.protocol(),
			Ports:          list(t, "ports", parsePorts),
			SessionTimeout: t.duration("session_timeout", span{30 * time.Second, time.Second, week, time.Second}),
		}
		if a.Protocol == ProtocolICMP && len(a.Ports) > 0 {
			r.fault(t.at("ports"), "ICMP has no ports")
		}
		t.checkPorts(a.Ports)
		t.done()
		w.LSN.Attributes = append(w.LSN.Attributes, a)
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
			SessionTimeout: t.duration("session_timeout", span{sessionTimeout, 60 * time.Second, week, time.Second}),
			FinRstTimeout:  t.duration("fin_rst_timeout", span{finRstTimeout, time.Second, week, time.Second}),
			SynIdleTimeout: t.duration("syn_idle_timeout", span{synIdleTimeout, 30 * time.Second, 120 * time.Second, time.Second}),
			SynCheck:       t.flag("syn_check", true),
		}
		p.StunTimeout = t.duration("stun_timeout", span{stunTimeout, 2 * time.Minute, 20 * time.Minute, time.Second})
		p.PortQuota = int(t.whole("port_quota", 0, 0, 65535))
		p.SessionQuota = int(t.whole("session_quota", 0, 0, 65535))
		p.GroupSessionLimit = int(t.whole("group_session_limit", 0, 0, maxSize))
		p.PreserveParity = t.flag("port_preserve_parity", false)
		p.PreserveRange = t.flag("port_preserve_range", false)
		t.only(p.Protocol, ProtocolTCP, "fin_rst_timeout", "syn_idle_timeout", "syn_check")
		t.only(p.Protocol, ProtocolUDP, "stun_timeout")
		if p.Protocol == ProtocolUDP && p.SessionTimeout < 2*time.Minute {
			r.warn(t.at("session_timeout"), "RFC 4787 REQ-5 asks for at least 120s with UDP")
		}
		t.done()
		w.written[p] = t.has
		w.LSN.Transports = append(w.LSN.Transports, p)
	}
}

// only refuses keys that have a meaning for one protocol alone.
func (t *table) only(is, wants Protocol, keys ...string) {
	for _, key := range keys {
		if is != wants && is != 0 && t.has(key) {
			t.fault(t.at(key), "only a profile with protocol %s has it, not %s", wants, is)
		}
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
			log:        t.groupLogging(g),
		}
		g.RewriteID = choose(t, "rewrite_ip_id", RewriteFragments, rewriteIDWords())
		g.Type = choose(t, "nat_type", NATDynamic, natTypeWords())
		g.Alloc = choose(t, "alloc_policy", AllocPorts, allocWords())
		g.BlockSize = t.blockSize(g.Type)
		g.Preset = choose(t, "preset", PresetNone, presetWords())
		g.TrapLimit = int(t.whole("snmp_trap_limit", 100, 0, 10000))
		g.Exempt = list(t, "exempt", parseNetwork)
		g.Refusal = choose(t, "icmp_on_exhaustion", RefusalHost, refusalWords())
		g.AnswerSYN = t.flag("icmp_on_unasked_syn", true)
		t.flag("session_sync", true) // R72: matters with [ha] only
		t.off("", "httphdrlogprofile", "pcpserver")
		g.FTP, g.TFTP = t.flag("ftp", true), t.flag("tftp", true)
		t.off(false, "ftpcm", "pptp", "sipalg", "rtspalg")
		t.done()
		w.written[g] = t.has
		w.LSN.Groups = append(w.LSN.Groups, g)
	}
}

// blockSize reads the ports of a block: 0 stands for none, where that is
// possible.
func (t *table) blockSize(n NATType) int {
	const key, least, most = "port_block_size", 256, 65536
	var otherwise int64
	if n == NATDeterministic {
		otherwise = least
	}
	if v, ok := t.keys[key].(int64); ok && v == 0 && n == NATDynamic {
		t.known = append(t.known, key)
		return 0
	}
	return int(t.whole(key, otherwise, least, most))
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
