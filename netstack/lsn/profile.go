package lsn

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"spigate/netstack/frame"
)

// Pooling says how a NAT address is chosen for a new mapping (R14).
type Pooling uint8

// The zero value is NetScaler's default.
const (
	Random Pooling = iota // any address of the group, anew for every mapping
	Paired                // the subscriber's one address, for all its mappings
)

// Mapping says which remote endpoints share a mapping (R19, RFC 4787 section
// 4.1). The order is that of growing width.
type Mapping uint8

// The zero value is NetScaler's default. RFC 4787 REQ-1 wants EIM.
const (
	APDM Mapping = iota // one mapping for each remote address and port
	ADM                 // one mapping for each remote address
	EIM                 // one mapping whatever the remote is
)

// Filtering says who may send to a mapping from outside (RFC 4787 section 5).
// The order is that of growing width, the same as Mapping's.
type Filtering uint8

// The zero value is NetScaler's default.
const (
	APDF Filtering = iota // the remote endpoints that the inside one sends to
	ADF                   // every port of the addresses it sends to
	EIF                   // everybody
)

// Switch is an option that knows whether it was set.
type Switch uint8

// What an unset switch means stands at the option.
const (
	Unset Switch = iota
	Enabled
	Disabled
)

func (p Pooling) String() string { return word(p, "RANDOM", "PAIRED") }
func (m Mapping) String() string {
	return word(m, "ADDRESS-PORT-DEPENDENT", "ADDRESS-DEPENDENT", "ENDPOINT-INDEPENDENT")
}
func (f Filtering) String() string { return Mapping(f).String() }

func word[T ~uint8](v T, words ...string) string {
	if int(v) >= len(words) {
		return "UNKNOWN"
	}
	return words[v]
}

// PortRange is a range of destination ports, both ends included.
type PortRange struct{ First, Last uint16 }

// AppProfile is an application profile: the treatment of one protocol's
// traffic to a range of destination ports. Its zero value with a Proto has
// NetScaler's defaults.
type AppProfile struct {
	Name      string
	Proto     uint8       // frame.ProtoTCP, ProtoUDP or ProtoICMP
	Ports     []PortRange // destination ports; none means all. Ignored for ICMP
	Pooling   Pooling
	Mapping   Mapping
	Filtering Filtering
	// InboundRefresh tells whether out2in packets restart idle timers (R21).
	// Unset means Enabled with APDF and Disabled with ADF and EIF, where
	// strangers could keep a mapping alive (RFC 4787 REQ-6).
	InboundRefresh Switch
	// Exempt routes this profile's traffic untranslated (R13, RFC 6888 REQ-6).
	Exempt bool
	// Attributes are idle times for some destination ports.
	Attributes []Attributes
}

// Attributes is NetScaler's lsn appsattributes: an idle time that stands in for
// the transport profile's where a session's remote port is one of Ports (RFC
// 4787 REQ-5a: for well-known ports). The narrowest range wins, the first
// among equally narrow ones.
type Attributes struct {
	Ports          []PortRange // none means all. Ignored for ICMP
	SessionTimeout time.Duration
}

// NetScaler's timeouts, used where a profile leaves 0 (section 1.1).
const (
	DefaultSessionTimeout = 120 * time.Second
	DefaultFinRstTimeout  = 30 * time.Second
	DefaultSynIdleTimeout = 60 * time.Second
	DefaultStunTimeout    = 600 * time.Second
)

// TransportProfile holds the idle timers of one protocol (R23). Zero durations
// mean NetScaler's defaults. FinRst, SynIdle and SynCheck matter for TCP only.
type TransportProfile struct {
	Name           string
	Proto          uint8
	SessionTimeout time.Duration // idle time of a session
	FinRstTimeout  time.Duration // idle time after FIN or RST from either side
	SynIdleTimeout time.Duration // idle time after SYN, until the first reply
	SynCheck       Switch        // drop TCP without SYN that has no session; Unset means Enabled
	// StunTimeout is the idle time of sessions with a STUN server, port 3478
	// (RFC 8489): what a client learns there has to last until it is used.
	StunTimeout time.Duration

	// Limits of this protocol (R20), 0 to 65535, 0 for none.
	PortQuota         int // ports of one subscriber
	SessionQuota      int // sessions of one subscriber
	GroupSessionLimit int // sessions of the whole group; any size

	// PreserveParity gives an even port for an even one and an odd for an odd
	// one, as long as such a port is free (RFC 4787 REQ-4).
	PreserveParity bool
	// PreserveRange gives a port below 1024 for a port below 1024; if none is
	// free, the packet is dropped (table 1.1, RFC 4787 REQ-3a).
	PreserveRange bool
}

// rules is what the data path needs of an application profile together with
// the transport profile of its protocol. A mapping refers to its rules by
// index for its whole life.
type rules struct {
	index     uint16
	group     *Group
	app       AppProfile
	transport TransportProfile
	width     width
	inRefresh bool
	synCheck  bool
	idles     []portIdle // idle times of their own, narrowest ports first
	static    bool       // of static mappings (R27)
	strict    *rules     // for what a helper expects: one remote at a time; itself if it is so
}

// portIdle is an idle time for sessions with some remote ports.
type portIdle struct {
	PortRange
	idle time.Duration
}

// stunPort is where STUN servers listen (RFC 8489).
const stunPort = 3478

// width is how much of an outside port a mapping claims. The values follow
// Mapping and Filtering.
type width uint8

const (
	wideFull    width = iota // towards one remote endpoint: one session, no filter needed
	wideAddress              // towards one remote address
	wideAny                  // all of it
)

// choice is one line of a group's list of profiles, narrowest range first.
type choice struct {
	PortRange
	rules *rules
}

// protoIndex gives the place of a protocol in arrays.
func protoIndex(proto uint8) (int, bool) {
	switch proto {
	case frame.ProtoTCP:
		return 0, true
	case frame.ProtoUDP:
		return 1, true
	case frame.ProtoICMP:
		return 2, true
	}
	return 0, false
}

var protocols = [...]uint8{frame.ProtoTCP, frame.ProtoUDP, frame.ProtoICMP}

const numProtocols = len(protocols)

// Profile returns the application and the transport profile that apply to
// traffic of the group to a destination port: the one with the narrowest range
// wins, the lower start among equally narrow ones. ok is false for a protocol
// that is not translated.
func (g *Group) Profile(proto uint8, port uint16) (app AppProfile, transport TransportProfile, ok bool) {
	r := g.rules(proto, port)
	if r == nil {
		return app, transport, false
	}
	return r.app, r.transport, true
}

func (g *Group) rules(proto uint8, port uint16) *rules {
	i, ok := protoIndex(proto)
	if !ok {
		return nil
	}
	for _, c := range g.choices[i] {
		if port >= c.First && port <= c.Last {
			return c.rules
		}
	}
	return nil
}

// buildRules fills the group's choices and appends its rules to the table's.
// Every protocol gets a profile over all ports, the defaults if none is given.
func (set *settings) buildRules(g *Group) error {
	var faults []error
	transports, err := transportsOf(g)
	faults = append(faults, err)
	g.transports = transports
	var hasAll [numProtocols]bool
	for _, a := range g.Apps {
		i, ok := protoIndex(a.Proto)
		if !ok {
			faults = append(faults, fmt.Errorf("application profile %q: protocol %d is not translated", a.Name, a.Proto))
			continue
		}
		if a.Pooling > Paired || a.Mapping > EIM || a.Filtering > EIF {
			faults = append(faults, fmt.Errorf("application profile %q: unknown pooling, mapping or filtering", a.Name))
			continue
		}
		ports := a.Ports
		if len(ports) == 0 || a.Proto == frame.ProtoICMP {
			ports = []PortRange{{0, 65535}}
		}
		r := set.newRules(g, a, transports[i])
		for _, p := range ports {
			hasAll[i] = hasAll[i] || p == PortRange{0, 65535}
			faults = append(faults, g.addChoice(i, choice{p, r}))
		}
	}
	for i, proto := range protocols {
		if !hasAll[i] {
			r := set.newRules(g, AppProfile{Name: "default", Proto: proto}, transports[i])
			faults = append(faults, g.addChoice(i, choice{PortRange{0, 65535}, r}))
		}
		choices := g.choices[i]
		sort.SliceStable(choices, func(i, j int) bool {
			a, b := choices[i].PortRange, choices[j].PortRange
			return cmp.Or(cmp.Compare(a.Last-a.First, b.Last-b.First), cmp.Compare(a.First, b.First)) < 0
		})
	}
	if len(set.rules) > 1<<16 {
		faults = append(faults, errors.New("more than 65536 application profiles in all"))
	}
	return errors.Join(faults...)
}

func (g *Group) addChoice(i int, c choice) error {
	if c.First > c.Last {
		return fmt.Errorf("application profile %q: port range %d-%d is backwards", c.rules.app.Name, c.First, c.Last)
	}
	for _, o := range g.choices[i] {
		if o.PortRange == c.PortRange {
			return fmt.Errorf("application profiles %q and %q have the same ports %d-%d", o.rules.app.Name, c.rules.app.Name, c.First, c.Last)
		}
	}
	g.choices[i] = append(g.choices[i], c)
	return nil
}

func transportsOf(g *Group) (out [numProtocols]TransportProfile, err error) {
	var faults []error
	var given [numProtocols]bool
	for i, proto := range protocols {
		out[i] = TransportProfile{Name: "default", Proto: proto}
	}
	for _, p := range g.Transports {
		i, ok := protoIndex(p.Proto)
		switch {
		case !ok:
			faults = append(faults, fmt.Errorf("transport profile %q: protocol %d is not translated", p.Name, p.Proto))
		case given[i]:
			faults = append(faults, fmt.Errorf("transport profiles %q and %q are for the same protocol", out[i].Name, p.Name))
		case min(p.SessionTimeout, p.FinRstTimeout, p.SynIdleTimeout, p.StunTimeout) < 0:
			faults = append(faults, fmt.Errorf("transport profile %q: a timeout is negative", p.Name))
		default:
			out[i], given[i] = p, true
		}
	}
	for i := range out {
		p := &out[i]
		setDefault(&p.SessionTimeout, DefaultSessionTimeout)
		setDefault(&p.FinRstTimeout, DefaultFinRstTimeout)
		setDefault(&p.SynIdleTimeout, DefaultSynIdleTimeout)
		setDefault(&p.StunTimeout, DefaultStunTimeout)
	}
	return out, errors.Join(faults...)
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d == 0 {
		*d = v
	}
}

// idles returns the idle times that depend on the port. What the profile says
// of all ports it says of STUN's too.
func (a *AppProfile) idles(p TransportProfile) (out []portIdle) {
	for _, at := range a.Attributes {
		ports := at.Ports
		if len(ports) == 0 || a.Proto == frame.ProtoICMP {
			ports = []PortRange{{0, 65535}}
		}
		for _, r := range ports {
			out = append(out, portIdle{r, at.SessionTimeout})
		}
	}
	if a.Proto == frame.ProtoUDP && !slices.ContainsFunc(out, func(i portIdle) bool { return i.First <= stunPort && stunPort <= i.Last }) {
		out = append(out, portIdle{PortRange{stunPort, stunPort}, p.StunTimeout})
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Last-out[i].First < out[j].Last-out[j].First })
	return out
}

// idleOf returns the idle time of an open session with a remote port.
func (r *rules) idleOf(port uint16) time.Duration {
	for i := range r.idles {
		if p := &r.idles[i]; p.First <= port && port <= p.Last {
			return p.idle
		}
	}
	return r.transport.SessionTimeout
}

func (set *settings) newRules(g *Group, a AppProfile, p TransportProfile) *rules {
	r := &rules{
		index: uint16(len(set.rules)), group: g, app: a, transport: p,
		width:     max(width(a.Mapping), width(a.Filtering)),
		inRefresh: a.InboundRefresh == Enabled || a.InboundRefresh == Unset && a.Filtering == APDF,
		synCheck:  a.Proto == frame.ProtoTCP && p.SynCheck != Disabled,
		idles:     a.idles(p),
	}
	set.rules = append(set.rules, r)
	r.strict = r
	if r.width != wideFull && a.Proto != frame.ProtoICMP {
		a.Mapping, a.Filtering, a.InboundRefresh = APDM, APDF, Unset
		r.strict = set.newRules(g, a, p)
	}
	return r
}
