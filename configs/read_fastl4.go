package configs

import (
	"strings"
	"time"
)

// builtinFastL4 is table 2.2, but for what has no effect here.
func builtinFastL4() FastL4 {
	return FastL4{
		Name: DefaultFastL4, IdleTimeout: 300 * time.Second, HandshakeTimeout: 5 * time.Second, CloseTimeout: 5 * time.Second,
		ClientTimeout: 30 * time.Second, ResetOnTimeout: true,
	}
}

// fastL4s reads the profiles: a parent before those that have defaults from it.
func (r *reader) fastL4s(profile *table, w *raw) {
	f := family{tables: map[string]*table{}, done: map[string]*FastL4{}, inside: map[string]bool{}}
	tables := profile.named("fastl4", longName)
	for _, t := range tables {
		f.names = append(f.names, t.name())
		f.tables[t.name()] = t
	}
	for _, t := range tables {
		w.LTM.FastL4s = append(w.LTM.FastL4s, f.read(t))
	}
	profile.later("tcp", "udp", "http")
	profile.done()
}

// family is the profiles of a file by name.
type family struct {
	names  []string
	tables map[string]*table
	done   map[string]*FastL4
	inside map[string]bool // being read
}

func (f *family) read(t *table) *FastL4 {
	if p := f.done[t.name()]; p != nil {
		return p
	}
	f.inside[t.name()] = true
	p := f.parent(t)
	p.Name = t.name()
	t.fastL4(&p)
	t.done()
	f.done[t.name()] = &p
	return &p
}

// parent is the profile that t has its defaults from.
func (f *family) parent(t *table) FastL4 {
	const key = "defaults_from"
	name := t.text(key, "")
	parent := f.tables[name]
	switch {
	case name == "", name == DefaultFastL4 && (parent == nil || parent == t):
		return builtinFastL4()
	case parent == nil:
		t.missing(t.at(key), name, append(f.names, DefaultFastL4), "ltm", "profile", "fastl4")
		return builtinFastL4()
	case f.inside[name] && f.done[name] == nil:
		t.fault(t.at(key), "%s has its defaults from this one", label("ltm", "profile", "fastl4", name))
		return builtinFastL4()
	}
	return *f.read(parent)
}

// fastL4 reads a profile over its parent's values.
func (t *table) fastL4(p *FastL4) {
	p.IdleTimeout = t.idle("idle_timeout", p.IdleTimeout)
	p.HandshakeTimeout = t.seconds("tcp_handshake_timeout", p.HandshakeTimeout)
	p.CloseTimeout = t.seconds("tcp_close_timeout", p.CloseTimeout)
	p.ClientTimeout = t.seconds("client_timeout", p.ClientTimeout)
	p.LooseInitialization = t.flag("loose_initialization", p.LooseInitialization)
	p.LooseClose = t.flag("loose_close", p.LooseClose)
	p.ResetOnTimeout = t.flag("reset_on_timeout", p.ResetOnTimeout)
	p.TTLMode = t.ttlMode(p.TTLMode)
	p.MSSOverride = t.mss(p.MSSOverride)
	if t.has("client_timeout") && p.ClientTimeout != builtinFastL4().ClientTimeout {
		t.warn(t.at("client_timeout"), "has no effect: it is for late binding, which forwarding servers do not do")
	}

	// There is no hardware to accelerate with, and no SYN cookie: table 2.2
	// says that these are accepted and ignored.
	choose(t, "pva_acceleration", 0, []word[int]{
		{0, "full", nil}, {1, "partial", nil}, {2, "assisted", nil}, {3, "dedicated", nil}, {4, "none", nil},
	})
	t.flag("hardware_syn_cookie", true)
	t.flag("software_syn_cookie", true)

	t.off(false, "reassemble_fragments", "late_binding", "tcp_generate_isn", "tcp_strip_sack", "rtt_from_client", "rtt_from_server")
	t.off("preserve", "ip_df_mode", "tcp_timestamp_mode", "tcp_wscale_mode")
	t.off("pass-through", "ip_tos_to_client", "ip_tos_to_server", "link_qos_to_client", "link_qos_to_server")
	if n, number := t.keys["keep_alive_interval"].(int64); !number || n != 0 {
		t.off("disabled", "keep_alive_interval")
	}
	t.known = append(t.known, "keep_alive_interval")
}

// ttlMode reads what becomes of the TTL.
func (t *table) ttlMode(otherwise TTLMode) TTLMode {
	const key = "ip_ttl_mode"
	if text, _ := t.keys[key].(string); strings.EqualFold(text, "proxy") || strings.EqualFold(text, "set") {
		t.known = append(t.known, key)
		t.fault(t.at(key), "%q is not supported: write decrement, or preserve", text)
		return otherwise
	}
	return choose(t, key, otherwise, ttlWords())
}

// mss reads BIG-IP's range: 0 stands for no override.
func (t *table) mss(otherwise int) int {
	const key, least, most = "mss_override", 256, 9162
	if v, ok := t.keys[key].(int64); ok && v == 0 {
		t.known = append(t.known, key)
		return 0
	}
	return t.size(key, otherwise, least, most)
}

// seconds reads a time: a string with a unit, or whole seconds as BIG-IP counts
// them in all of these keys.
func (t *table) seconds(key string, otherwise time.Duration) time.Duration {
	if _, bare := t.keys[key].(int64); bare {
		return time.Duration(t.whole(key, int64(otherwise/time.Second), 1, int64(week/time.Second))) * time.Second
	}
	return t.duration(key, span{otherwise, time.Second, week, time.Second})
}

// idle is seconds with BIG-IP's two words.
func (t *table) idle(key string, otherwise time.Duration) time.Duration {
	t.known = append(t.known, key)
	text, _ := t.keys[key].(string)
	switch {
	case strings.EqualFold(text, "immediate"):
		return IdleImmediate
	case strings.EqualFold(text, "indefinite"):
		return IdleIndefinite
	case !t.has(key):
		return otherwise
	}
	return t.seconds(key, builtinFastL4().IdleTimeout)
}
