package configs

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Sizes of a log target. A queue's memory is there from the start.
const (
	maxLogTargets    = 16
	logQueue         = 8192
	maxLogQueue      = 1 << 20
	logMessage       = 1400
	minLogMessage    = 512
	maxLogMessage    = 65507
	docEnterprise    = 32473 // RFC 5612
	templateInterval = 10 * time.Minute
)

func (r *reader) log(root *table, w *raw) {
	log := root.sub("log")
	log.ownLog(&w.Log)
	nat := log.sub("nat")
	for _, t := range nat.named("target", longName) {
		w.Log.NAT = append(w.Log.NAT, t.logTarget())
		t.done()
	}
	if n := len(w.Log.NAT); n > maxLogTargets {
		r.fault(nat.at("target"), "%d targets: at most %d", n, maxLogTargets)
	}
	nat.done()
	log.done()
}

func (t *table) logTarget() *LogTarget {
	out := &LogTarget{
		Name:        t.name(),
		Address:     t.collector("address"),
		Transport:   choose(t, "transport", LogUDP, logTransportWords()),
		Detail:      choose(t, "detail", LogBlocks, logDetailWords()),
		Queue:       t.size("queue", logQueue, 2, maxLogQueue),
		MessageSize: t.size("message_size", logMessage, minLogMessage, maxLogMessage),

		Format:   choose(t, "format", LogFormatProfile, logFormatWords()),
		Framing:  choose(t, "framing", LogRFC3164, logFramingWords()),
		Facility: choose(t, "facility", 16, facilityWords()),
		Host:     t.text("host", ""),

		Numbering:        choose(t, "numbering", LogNumberingRFC8158, logNumberingWords()),
		Enterprise:       uint32(t.whole("enterprise", docEnterprise, 1, math.MaxUint32)),
		TemplateInterval: t.duration("template_interval", span{templateInterval, time.Second, 24 * time.Hour, time.Second}),
	}
	if t.need("kind") == "" {
		return out
	}
	const neither = LogKind(math.MaxUint8)
	if out.Kind = choose(t, "kind", neither, logKindWords()); out.Kind == neither {
		return out // which keys it may have is not known
	}
	t.onlyFor(LogSyslog, out.Kind, "format", "framing", "facility", "host")
	t.onlyFor(LogIPFIX, out.Kind, "numbering", "enterprise", "template_interval")
	if i := strings.IndexFunc(out.Host, func(c rune) bool { return c <= ' ' || c > '~' }); i >= 0 || len(out.Host) > 255 {
		t.fault(t.at("host"), "%q is no host name: it has up to 255 printable ASCII characters without spaces", out.Host)
	}
	if t.has("template_interval") && out.Transport == LogTCP {
		t.warn(t.at("template_interval"), "has no effect over tcp: templates are sent once on each connection")
	}
	return out
}

// onlyFor refuses keys of one kind of target in another.
func (t *table) onlyFor(kind, is LogKind, keys ...string) {
	for _, key := range keys {
		if kind != is && t.has(key) {
			at := t.at(key)
			at.onKey = true
			t.fault(at, "only a target of kind %q has it, not %q", kind, is)
		}
	}
}

// collector takes ADDRESS:PORT. Names are not taken: the log must not wait for
// a name server.
func (t *table) collector(key string) netip.AddrPort {
	text := t.need(key)
	if text == "" {
		return netip.AddrPort{}
	}
	a, err := netip.ParseAddrPort(text)
	switch {
	case err != nil:
		t.fault(t.at(key), `%q is not an address with a port such as "192.0.2.5:514" or "[2001:db8::5]:4739"`, text)
	case a.Port() == 0 || a.Addr().IsUnspecified() || a.Addr().IsMulticast():
		t.fault(t.at(key), "%q is not the address and port of one host", text)
	default:
		return a
	}
	return netip.AddrPort{}
}

func (r *reader) logProfiles(lsn *table, w *raw) {
	for _, t := range lsn.named("logprofile", longName) {
		w.LSN.LogProfiles = append(w.LSN.LogProfiles, &LogProfile{
			Name:            t.name(),
			Compact:         t.flag("log_compact", true),
			SubscriberInfo:  t.flag("log_subscr_info", false),
			IPFIX:           t.flag("log_ipfix", false),
			SessionDeletion: t.flag("log_sess_deletion", true),
		})
		t.done()
	}
}

// groupLogging reads what of a group is logged.
func (t *table) groupLogging(g *Group) (profile string) {
	g.Logging = t.flag("logging", false)
	g.SessionLogging = t.flag("session_logging", false)
	return t.text("log_profile", "")
}

// checkLog links groups with their log profiles, and warns of settings that
// come to nothing.
func (r *reader) checkLog(w *raw) {
	for _, g := range w.LSN.Groups {
		key := func(name string) spot { return keyAt("lsn", "group", g.Name, name) }
		g.LogProfile = resolve(r, key("log_profile"), w.refs[g].log, w.LSN.LogProfiles,
			func(p *LogProfile) string { return p.Name }, "lsn", "logprofile")
		target := label("log", "nat", "target", "NAME")
		has := func(like func(*LogTarget) bool) bool { return slices.ContainsFunc(w.Log.NAT, like) }
		gets := func(t *LogTarget) bool { return t.Kind == LogSyslog || g.LogProfile == nil || g.LogProfile.IPFIX }
		switch {
		case g.LogProfile != nil && !g.Logging:
			r.warn(key("log_profile"), "has no effect without logging = true")
		case g.SessionLogging && !g.Logging:
			r.warn(key("session_logging"), "has no effect without logging = true")
		case g.Logging && len(w.Log.NAT) == 0:
			r.warn(key("logging"), "has no effect: there is no %s", target)
		case g.Logging && !has(gets):
			r.warn(key("logging"), "has no effect: %s has log_ipfix = false, and every %s is of kind \"ipfix\"",
				label("lsn", "logprofile", g.LogProfile.Name), target)
		case g.SessionLogging && !has(func(t *LogTarget) bool { return gets(t) && t.Detail == LogSessions }):
			r.warn(key("session_logging"), `has no effect: no %s has detail = "session"`, target)
		}
	}
	r.checkIPFIX(w)
}

// checkIPFIX warns of collectors of IPFIX that no group tells anything, while
// collectors of syslog are told: the default of log_ipfix makes that easy.
func (r *reader) checkIPFIX(w *raw) {
	logging, told := false, false
	for _, g := range w.LSN.Groups {
		logging = logging || g.Logging
		told = told || g.Logging && (g.LogProfile == nil || g.LogProfile.IPFIX)
	}
	syslog := slices.ContainsFunc(w.Log.NAT, func(t *LogTarget) bool { return t.Kind == LogSyslog })
	if !logging || told || !syslog { // without syslog the groups were warned of
		return
	}
	for _, t := range w.Log.NAT {
		if t.Kind == LogIPFIX {
			r.warn(keyAt("log", "nat", "target", t.Name, "kind"), "gets no records: the log profile of every group that logs has log_ipfix = false")
		}
	}
}
