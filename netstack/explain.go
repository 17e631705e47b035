package netstack

import (
	"errors"
	"slices"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// Explaining a packet is deciding about it without doing anything: no counter
// moves, nothing is made, refreshed, drawn or sent. The walk asks the steps of
// process.go in their order, but for each one that would do something the half
// of it that decides (explainsteps.go, explainnat.go). What a real packet would
// draw at random is told as the set that it would be drawn from.

// Question is a packet about which Explain is asked.
type Question struct {
	In     frame.Interface // where it comes in
	Packet []byte          // a whole IPv4 packet; it is not changed

	// Unsealed: it came out of a tunnel. What comes in by a tunnel's interface has.
	Unsealed bool
	Group    bool // it came in a broadcast or multicast frame
}

// Explanation is what would become of a packet, and why.
type Explanation struct {
	Findings []Finding // in packet order; steps that have nothing to say are left out
	Fate     Fate
}

// Finding is what one step says.
type Finding struct {
	Hook, Step string // as in process.go; of the hooks arrival, route and exit the stack has no steps
	Says       string // a sentence without its full stop
	Rule       string // of the specification, or an RFC; "" where there is none
	Of         Object // whose configuration decided; zero: nobody's
	Verdict    Verdict
	Reason     drop.Reason // of Dropped, unless the reason is the stack's
}

// Object is something that the configuration names.
type Object struct{ Kind, Name string }

// The kinds of objects; those of listeners are vserver.Kind's words.
const (
	ObjectRoute      = "route"       // Name is its prefix
	ObjectALGProfile = "alg profile" // of the IPsec ALG
	ObjectSelector   = "selector"    // of IPsec
	ObjectTunnel     = "tunnel"
	ObjectVLAN       = "vlan"
)

// End is how the walk of a packet ends.
type End uint8

// The ends.
const (
	EndForwarded End = iota // it leaves by Out
	EndDelivered            // it is for the router itself
	EndDropped              // Reason or Stack says why
	EndHeld                 // it waits, and is not lost
	EndSealed               // it leaves inside ESP
	EndOpened               // ESP for an end of a tunnel: what is inside comes in anew
	EndConsumed             // it has done its work: a keepalive
)

// String returns the word that JSON uses.
func (e End) String() string {
	return [...]string{"forwarded", "delivered", "dropped", "held", "sealed", "opened", "consumed"}[e]
}

// Fate is how the walk of a packet ends.
type Fate struct {
	End    End
	Reason drop.Reason // EndDropped: drop.None if it is the stack that drops it
	Stack  string      // EndDropped: the stack's word, as StackDrops has it
	Told   string      // what the sender is told of it, limits of rate aside; "": nothing

	// EndForwarded, EndSealed:
	Out   frame.Interface
	Next  frame.Addr // the neighbour that it is sent to
	Known bool       // its MAC address is known: otherwise ARP asks first
	// Src and Dst are what it leaves with. What has no ports has 0 there; the
	// identifier of an ICMP query stands as the port of Src. With Drawn, Src is
	// the first of a set.
	Src, Dst frame.Endpoint
	Drawn    *Drawn
	// Depends: what is drawn decides about the end; it is told for the first of
	// the set. Or the fast path has a flow that the steps would not make now.
	Depends bool

	// Of tunnels: EndSealed, EndOpened, and what ends in one.
	Selector string          // that protects it
	SPI      uint32          // of the security association, 0: there is none
	To       frame.Endpoint  // the other end of the tunnel; its UDP port, or 0 for bare ESP
	Label    frame.Interface // EndOpened: what is inside comes in there (VR34)
	Admits   []string        // EndOpened: what may be inside
}

// Drawn is what a translation would be drawn from.
type Drawn struct {
	Addresses   []frame.Addr // read only
	First, Last uint16       // ports
}

// errNotAlone refuses what no walk of one packet can explain.
var errNotAlone = errors.New("a fragment is judged with the others of its datagram, by its first piece: ask about the whole packet, " +
	"without fragmentation. Why pieces are lost, show drops says under fragment…")

// Explain tells what would become of a packet. It changes nothing and may be
// called from everywhere at once; packets that pass meanwhile may change what
// it was true of. The error is for what is no whole IPv4 packet, and for
// fragments.
func (r *Router) Explain(q Question) (Explanation, error) {
	x := &explainer{r: r, halves: halves()}
	why := x.p.Parse(slices.Clone(q.Packet))
	if why == drop.IPMalformed {
		return Explanation{}, errors.New("not a packet that can be explained: " + why.Info().Means)
	}
	if x.p.Fragment {
		return Explanation{}, errNotAlone
	}
	x.p.in, x.p.now, x.p.group, x.p.asked = q.In, r.now(), q.Group, true
	x.p.unsealed = q.Unsealed || r.tunnelNIC(q.In) != nil
	x.walk(why)
	x.fate.Src, x.fate.Dst = x.ends()
	if e, ok := r.fastFlow(q.In, q.Packet); ok && !x.p.unsealed {
		x.fast(&e, q.Packet)
	}
	return Explanation{x.found, x.fate}, nil
}

// explainer is a packet on its explained way.
type explainer struct {
	r      *Router
	p      packet
	halves map[string]half
	hook   string // where it is
	step   string
	found  []Finding
	fate   Fate

	conn    *sides            // its connection, or the one that would begin with it
	l       *vserver.Listener // who has admitted that
	byLSN   bool              // the LSN translates its source
	inside  frame.Endpoint    // of a packet from one subscriber to another: the near one
	outside frame.Endpoint    // what a subscriber's packet leaves from
	drawn   *Drawn            // or the set of that
	mirror  bool              // a ping to the subscriber's own NAT address: its identifier names its own mapping
}

// half is what a step decides. The step itself is for those that do nothing but
// decide and rewrite the packet.
type half func(*explainer, step) outcome

// asItIs is for such steps.
func asItIs(x *explainer, s step) outcome { return s.run(x.r, &x.p) }

// nothing is for steps that never judge a packet that explain takes.
func nothing(*explainer, step) outcome { return goOn }

// orError is decide, but for ICMP errors the step itself: they make, refresh and
// end nothing (R21), and asked keeps them from being counted.
func orError(decide half) half {
	return func(x *explainer, s step) outcome {
		if x.p.ICMPError() {
			return asItIs(x, s)
		}
		return decide(x, s)
	}
}

// halves has an entry for every step of process.go.
func halves() map[string]half {
	return map[string]half{
		"internal": (*explainer).internal, "inClear": (*explainer).inClear, "espInUDP": (*explainer).espInUDP,
		"protect": (*explainer).protect, "insert": nothing,

		"cast": asItIs, "shape": asItIs, "spoofed": asItIs, "guard": asItIs,
		"expiring": (*explainer).expiring, "connection": orError((*explainer).connection), "hairpin": orError((*explainer).hairpin),
		"piecesIn": nothing, "icmpIn": orError(nothing),
		"espIn": (*explainer).espIn, "out2in": (*explainer).out2in, "listener": orError((*explainer).listener),

		"passing": (*explainer).passing, "icmpOut": orError(nothing), "exempt": asItIs, "carry": asItIs, "piecesOut": nothing,
		"espOut": (*explainer).espOut, "in2out": (*explainer).in2out,

		"cache": nothing, "depart": (*explainer).depart, "helpOut": nothing, "source": orError((*explainer).source),
		"discreet": asItIs, "anew": nothing, "pieces": nothing,
	}
}

// walk goes through the hooks, with what the stack does between them. broken is
// why the packet cannot be read, if it cannot: its first hook finds that.
func (x *explainer) walk(broken drop.Reason) {
	if !x.arrival() {
		return
	}
	if broken != drop.None {
		x.hook = "prerouting"
		x.end(Object{}, withoutStop(broken.Info().Means), broken.Info().Rule, dropped(broken))
		return
	}
	if !x.ask("prerouting", prerouting) || !x.route() ||
		!x.ask("forward", forward) || !x.ask("postrouting", postrouting) || !x.ask("egress", egress) {
		return
	}
	x.leave()
}

// ask walks the steps of one hook, and reports whether the packet goes on.
func (x *explainer) ask(hook string, steps []step) bool {
	x.hook = hook
	for _, s := range steps {
		x.step = s.name
		before, said := x.now(), len(x.found)
		o := goOn
		if decide := x.halves[s.name]; decide != nil {
			o = decide(x, s)
		}
		if len(x.found) == said {
			x.plain(o, before)
		}
		if last := len(x.found) - 1; last >= said {
			x.found[last].Verdict, x.found[last].Reason = o.verdict, o.reason
		}
		switch o.verdict {
		case Continue:
		case Accept:
			return true
		default:
			x.fateOf(o)
			return false
		}
	}
	return true
}

// fateOf is the fate of a packet that goes no further.
func (x *explainer) fateOf(o outcome) {
	switch o.verdict {
	case Dropped:
		x.fate.End, x.fate.Reason = EndDropped, o.reason
	case Held:
		x.fate.End = EndHeld
	case Consumed:
		if x.fate.Label != 0 {
			x.fate.End = EndOpened
		} else if x.fate.End != EndSealed {
			x.fate.End = EndConsumed
		}
	}
}

// look is a packet's ends as they stand.
type look struct{ src, dst frame.Endpoint }

func (x *explainer) now() look {
	src, dst := x.ends()
	return look{src, dst}
}

// plain says in general words what a step that said nothing did.
func (x *explainer) plain(o outcome, before look) {
	after := x.now()
	switch {
	case o.verdict == Dropped:
		in := o.reason.Info()
		x.sayOf(x.whose(o.reason), withoutStop(in.Means), in.Rule)
	case after.src != before.src:
		x.say("its source becomes "+after.src.String(), "")
	case after.dst != before.dst:
		x.say("its destination becomes "+after.dst.String(), "")
	case o.verdict == Accept && x.step == "exempt":
		group, _ := x.r.lsn.Client(x.p.Src)
		x.sayOf(groupObject(group), x.r.whyExempt(&x.p), "R13")
	}
}

// whose is the group for whose sake a packet dies that plain speaks of.
func (x *explainer) whose(why drop.Reason) Object {
	of := x.p.Src
	switch why {
	case drop.ClientNotReachable:
		of = x.p.Dst
	case drop.ClientSpoofed, drop.InsideAddress, drop.Hairpin, drop.ESPHairpin:
	default:
		return Object{}
	}
	group, _ := x.r.lsn.Client(of)
	return groupObject(group)
}

// interfaceObject is a VLAN or a tunnel.
func (x *explainer) interfaceObject(i frame.Interface) Object {
	if x.r.tunnelNIC(i) != nil {
		return Object{ObjectTunnel, x.r.names[i]}
	}
	return Object{ObjectVLAN, x.r.names[i]}
}

func withoutStop(s string) string {
	if n := len(s); n > 0 && s[n-1] == '.' {
		return s[:n-1]
	}
	return s
}

// whyExempt says why the LSN has no part in a packet.
func (r *Router) whyExempt(p *packet) string {
	_, from := r.lsn.Client(p.Src)
	_, to := r.lsn.Client(p.Dst)
	switch {
	case !from:
		return "it is no subscriber's: the LSN has no part in it"
	case to:
		return "it goes from one subscriber to another: the LSN has no part in it"
	}
	return "its destination is exempt from translation"
}

// say adds a finding of the present step.
func (x *explainer) say(says, rule string) { x.sayOf(Object{}, says, rule) }

func (x *explainer) sayOf(of Object, says, rule string) {
	x.found = append(x.found, Finding{Hook: x.hook, Step: x.step, Says: says, Rule: rule, Of: of})
}

// ends are the packet's two ends.
func (x *explainer) ends() (src, dst frame.Endpoint) {
	p := &x.p
	src, dst = frame.Endpoint{Addr: p.Src, Port: p.SrcPort}, frame.Endpoint{Addr: p.Dst, Port: p.DstPort}
	if query, _ := p.ICMPQuery(); query {
		src.Port = p.ICMPID
	}
	return src, dst
}

// objectOf names a listener.
func objectOf(l *vserver.Listener) Object {
	if l == nil {
		return Object{}
	}
	return Object{l.Kind.String(), l.Name}
}

func nameOf(l *vserver.Listener) string { return l.Kind.String() + " " + l.Name }
