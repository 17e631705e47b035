package netscaler

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"spigate/configs"
	"spigate/configs/dialect"
)

// Line is one command of a listing.
type Line struct {
	Kind string // of the object it is about: lsn pool
	Name string // of that object, "" for what has none
	Text string // the command; with # in front: what no command can say
}

// lister writes commands.
type lister struct {
	*configs.Config
	out []Line
}

// List is the configuration in NetScaler's commands, as "show run" prints it:
// objects before those that refer to them, options that are not at their
// default. [ltm.…], [net.…] and [log.…] are not NetScaler's, and not in it.
func List(c *configs.Config) []Line {
	l := &lister{Config: c}
	l.network()
	for _, c := range l.LSN.Clients {
		l.client(c)
	}
	for _, p := range l.LSN.Pools {
		l.pool(p)
	}
	for _, a := range l.LSN.Attributes {
		o := opts{}
		o.unless("port", commas(a.Ports), "").seconds("sessionTimeout", a.SessionTimeout, 30*time.Second)
		l.add("lsn appsattributes", a.Name, "add lsn appsattributes %s %s%s", name(a.Name), a.Protocol, o.String())
	}
	for _, p := range l.LSN.Apps {
		l.apps(p)
	}
	for _, p := range l.LSN.Transports {
		l.transport(p)
	}
	for _, p := range l.LSN.LogProfiles {
		o := opts{}
		o.onOff("logCompact", p.Compact, true).onOff("logSubscrInfo", p.SubscriberInfo, false).onOff("logIPFIX", p.IPFIX, false).
			onOff("logSessDeletion", p.SessionDeletion, true)
		l.add("lsn logprofile", p.Name, "add lsn logprofile %s%s", name(p.Name), o.String())
	}
	for _, p := range l.ALG {
		l.alg(p)
	}
	for _, g := range l.LSN.Groups {
		l.group(g)
	}
	for _, s := range l.LSN.Statics {
		l.static(s)
	}
	return l.out
}

func (l *lister) add(kind, of, format string, args ...any) {
	l.out = append(l.out, Line{kind, of, fmt.Sprintf(format, args...)})
}

// name is a name as the command line takes it.
func name(s string) string { return dialect.Quote(s) }

// opts are the options of a command.
type opts struct{ strings.Builder }

// unless writes an option that is not at its default.
func (o *opts) unless(option string, is, byDefault any) *opts {
	if is != byDefault {
		fmt.Fprintf(o, " -%s %v", option, is)
	}
	return o
}

func (o *opts) onOff(option string, is, byDefault bool) *opts {
	return o.unless(option, enabled(is), enabled(byDefault))
}

func (o *opts) seconds(option string, is, byDefault time.Duration) *opts {
	return o.unless(option, dialect.Units(is, time.Second), dialect.Units(byDefault, time.Second))
}

func enabled(is bool) string {
	if is {
		return "ENABLED"
	}
	return "DISABLED"
}

func commas[T fmt.Stringer](list []T) string {
	words := make([]string, len(list))
	for i, one := range list {
		words[i] = one.String()
	}
	return strings.Join(words, ",")
}

// td is the option of a traffic domain.
func td(domain uint16) string {
	if domain == 0 {
		return ""
	}
	return " -td " + strconv.Itoa(int(domain))
}

func (l *lister) client(c *configs.Client) {
	l.add("lsn client", c.Name, "add lsn client %s", name(c.Name))
	for _, p := range c.Networks {
		l.add("lsn client", c.Name, "bind lsn client %s -network %s -netmask %s%s", name(c.Name), p.Addr(), dialect.Mask(p), td(c.Domain))
	}
}

func (l *lister) pool(p *configs.Pool) {
	o := opts{}
	o.unless("nattype", p.Type.String(), "DYNAMIC").onOff("portblockallocation", p.Blocks, p.Type == configs.NATDeterministic)
	if p.ReallocTimeout != 0 || l.preset(func(g *configs.Group) bool { return slices.Contains(g.Pools, p) }) && !p.Blocks {
		fmt.Fprintf(&o, " -portrealloctimeout %s", dialect.Units(p.ReallocTimeout, time.Second))
	}
	o.unless("maxPortReallocTmq", p.ReallocQueue, 65536)
	l.add("lsn pool", p.Name, "add lsn pool %s%s", name(p.Name), o.String())
	for _, r := range p.Ranges {
		l.add("lsn pool", p.Name, "bind lsn pool %s %s", name(p.Name), r)
	}
}

// preset reports whether a group with the preset of RFC 6888 is one of those.
func (l *lister) preset(of func(*configs.Group) bool) bool {
	return slices.ContainsFunc(l.LSN.Groups, func(g *configs.Group) bool { return g.Preset == configs.PresetRFC6888 && of(g) })
}

// bound lists how the groups with a preset have a profile: each has a copy, with
// the preset's values where nothing is written.
func (l *lister) bound(named string) (out []*configs.AppsProfile) {
	for _, g := range l.LSN.Groups {
		for _, p := range g.Apps {
			if p.Name == named && g.Preset == configs.PresetRFC6888 {
				out = append(out, p)
			}
		}
	}
	return out
}

func (l *lister) apps(p *configs.AppsProfile) {
	o := opts{}
	copies := l.bound(p.Name)
	// A default that a preset left alone was written, and must be again.
	written := func(same func(*configs.AppsProfile) bool) bool { return slices.ContainsFunc(copies, same) }
	if p.Pooling != configs.PoolingRandom || written(func(q *configs.AppsProfile) bool { return q.Pooling == p.Pooling }) {
		o.unless("ippooling", p.Pooling, nil)
	}
	if p.Mapping != configs.MappingAPDM || written(func(q *configs.AppsProfile) bool { return q.Mapping == p.Mapping }) {
		o.unless("mapping", p.Mapping, nil)
	}
	if p.Filtering != configs.FilteringAPDF || written(func(q *configs.AppsProfile) bool { return q.Filtering == p.Filtering }) {
		o.unless("filtering", p.Filtering, nil)
	}
	o.unless("td", int(p.Domain), configs.KeepDomain)
	if p.InboundRefresh != nil {
		o.unless("inboundRefresh", enabled(*p.InboundRefresh), nil)
	}
	o.onOff("exempt", p.Exempt, false)
	l.add("lsn appsprofile", p.Name, "add lsn appsprofile %s %s%s", name(p.Name), p.Protocol, o.String())
	for _, r := range p.Ports {
		l.add("lsn appsprofile", p.Name, "bind lsn appsprofile %s %s", name(p.Name), r)
	}
	for _, a := range p.Attributes {
		l.add("lsn appsprofile", p.Name, "bind lsn appsprofile %s -appsattributesname %s", name(p.Name), name(a.Name))
	}
}

func (l *lister) transport(p *configs.TransportProfile) {
	o := opts{}
	times := func(option string, of func(*configs.TransportProfile) time.Duration, byDefault time.Duration) {
		is := of(p)
		written := slices.ContainsFunc(l.LSN.Groups, func(g *configs.Group) bool {
			return g.Preset != configs.PresetNone && slices.ContainsFunc(g.Transports, func(q *configs.TransportProfile) bool { return q.Name == p.Name && of(q) == is })
		})
		if is != byDefault || written {
			fmt.Fprintf(&o, " -%s %s", option, dialect.Units(is, time.Second))
		}
	}
	times("sessiontimeout", func(p *configs.TransportProfile) time.Duration { return p.SessionTimeout }, 120*time.Second)
	if p.Protocol == configs.ProtocolTCP {
		times("finrsttimeout", func(p *configs.TransportProfile) time.Duration { return p.FinRstTimeout }, 30*time.Second)
		times("synidletimeout", func(p *configs.TransportProfile) time.Duration { return p.SynIdleTimeout }, 60*time.Second)
		o.onOff("syncheck", p.SynCheck, true)
	}
	if p.Protocol == configs.ProtocolUDP {
		o.seconds("stuntimeout", p.StunTimeout, 600*time.Second)
	}
	o.unless("portquota", p.PortQuota, 0).unless("sessionquota", p.SessionQuota, 0).unless("groupSessionLimit", p.GroupSessionLimit, 0)
	o.onOff("portpreserveparity", p.PreserveParity, false).onOff("portpreserverange", p.PreserveRange, false)
	l.add("lsn transportprofile", p.Name, "add lsn transportprofile %s %s%s", name(p.Name), p.Protocol, o.String())
}

func (l *lister) alg(p *configs.ALGProfile) {
	o := opts{}
	minutes := func(d time.Duration) string { return dialect.Units(d, time.Minute) }
	o.unless("ikeSessionTimeout", minutes(p.IKESessionTimeout), "60").unless("espSessionTimeout", minutes(p.ESPSessionTimeout), "60").
		seconds("espGateTimeout", p.ESPGateTimeout, 30*time.Second).onOff("connfailover", p.ConnFailover, true).
		seconds("ikeHalfOpenTimeout", p.IKEHalfOpenTimeout, 30*time.Second).unless("blockMode", p.BlockMode, configs.BlockHold).
		onOff("lateBindingOut", p.LateBindingOut, true).onOff("lateBindingIn", p.LateBindingIn, false).
		onOff("ikeKeepWithEsp", p.IKEKeepWithESP, false).onOff("sameClientParallel", p.SameClientParallel, false).
		onOff("ikePortPreserve", p.IKEPortPreserve, false).onOff("ikeCookieDemux", p.IKECookieDemux, false).
		unless("gateSeqMax", p.GateSeqMax, uint32(1024))
	l.add("ipsecalg profile", p.Name, "add ipsecalg profile %s%s", name(p.Name), o.String())
}

func (l *lister) group(g *configs.Group) {
	o := opts{}
	size := 0
	if g.Type == configs.NATDeterministic {
		size = 256
	}
	o.unless("nattype", g.Type, configs.NATDynamic).unless("allocPolicy", g.Alloc, configs.AllocPorts).unless("portblocksize", g.BlockSize, size).
		onOff("logging", g.Logging, false).onOff("sessionLogging", g.SessionLogging, false).unless("snmptraplimit", g.TrapLimit, 100).
		onOff("ftp", g.FTP, true).onOff("tftp", g.TFTP, true).unless("preset", g.Preset, configs.PresetNone).
		unless("rewriteIpId", g.RewriteID, configs.RewriteFragments).unless("exempt", commas(g.Exempt), "").
		unless("icmpOnExhaustion", g.Refusal, configs.RefusalHost).onOff("icmpOnUnaskedSyn", g.AnswerSYN, true)
	l.add("lsn group", g.Name, "add lsn group %s -clientname %s%s", name(g.Name), name(g.Client.Name), o.String())
	bind := func(option, named string) {
		l.add("lsn group", g.Name, "bind lsn group %s -%s %s", name(g.Name), option, name(named))
	}
	for _, p := range g.Pools {
		bind("poolname", p.Name)
	}
	// Those that a preset adds are nobody's.
	for _, p := range g.Apps {
		if slices.ContainsFunc(l.LSN.Apps, func(q *configs.AppsProfile) bool { return q.Name == p.Name }) {
			bind("appsprofilename", p.Name)
		}
	}
	for _, p := range g.Transports {
		if slices.ContainsFunc(l.LSN.Transports, func(q *configs.TransportProfile) bool { return q.Name == p.Name }) {
			bind("transportprofilename", p.Name)
		}
	}
	if g.ALG != nil {
		bind("ipsecAlgProfile", g.ALG.Name)
	}
	if g.LogProfile != nil {
		bind("logProfileName", g.LogProfile.Name)
	}
}

func (l *lister) static(s *configs.Static) {
	port := func(e configs.Endpoint) string {
		if e.Port == 0 {
			return "*"
		}
		return strconv.Itoa(int(e.Port))
	}
	o := opts{}
	if s.Remote.IsValid() {
		o.unless("destIP", s.Remote, nil)
	}
	l.add("lsn static", s.Name, "add lsn static %s %s %s %s %s %s%s%s", name(s.Name), s.Protocol, s.Inside.Addr, port(s.Inside), s.Outside.Addr, port(s.Outside),
		td(s.Domain), o.String())
}
