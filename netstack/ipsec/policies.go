package ipsec

import (
	"net/netip"
	"slices"
	"sort"

	"spigate/netstack/frame"
)

// Selector is a traffic selector at work. What it says does not change; the
// SAs behind it do.
type Selector struct {
	TrafficSelector
	Protects *Policy // nil unless the action is protect
	pair     Pair
	bundle   *bundle // nil unless the action is protect
	tally    *tally
}

// Pair is the selector as an SA would have it: what to ask the peer for.
func (s *Selector) Pair() Pair { return s.pair }

// Policies are policies and selectors, checked and ready to be asked. They do
// not change: a reload makes new ones (Database.Apply).
type Policies struct {
	policies  map[string]*Policy
	selectors []*Selector // in the order of VR29
	byName    map[string]*Selector
	tunnels   []tunnel
	manual    []ManualSA
	out, in   rules
	warnings  []Warning
}

// tunnel is an interface with the selectors of its policy.
type tunnel struct {
	TunnelInterface
	rules rules
}

// rules are selectors in the order in which they are asked.
type rules struct {
	index *index
	list  []*Selector
}

func newRules(list []*Selector) rules {
	pairs := make([]Pair, len(list))
	for i, s := range list {
		pairs[i] = s.pair
	}
	return rules{newIndex(pairs), list}
}

// Lookup is what Policies say about a packet.
type Lookup struct {
	Verdict  Verdict
	Selector *Selector // whose verdict it is; nil for SelectorMiss
}

func (r *rules) find(f Flow, protect Verdict) Lookup {
	at := r.index.find(f)
	if at < 0 {
		return Lookup{Verdict: SelectorMiss}
	}
	return r.list[at].verdict(protect)
}

func (s *Selector) verdict(protect Verdict) Lookup {
	return Lookup{[...]Verdict{ActProtect: protect, ActBypass: Clear, ActDiscard: SelectorDiscard}[s.Action], s}
}

// findPiece is find for a packet whose ports nobody knows: each selector for its
// hosts and protocol might be the one. The first that does not ask for ports
// decides, unless one before it might keep the packet from leaving in clear.
func (r *rules) findPiece(f Flow, protect Verdict) Lookup {
	for _, s := range r.list {
		switch {
		case s.pair.Covers(f):
			return s.verdict(protect)
		case s.Action != ActBypass && s.pair.coversHosts(f):
			return Lookup{Undecided, s}
		}
	}
	return Lookup{Verdict: SelectorMiss}
}

// Out finds the selector of an outbound packet in tunnel and transport mode:
// in ascending order, then by name, the first match decides (VR29). The flow is
// the packet's after every rewriting (VR25). The verdict is Protect, Clear,
// SelectorDiscard or SelectorMiss; what a miss means is the caller's to know
// (VR31). It allocates nothing and may be called from everywhere at once.
func (p *Policies) Out(f Flow) Lookup { return p.out.find(f, Protect) }

// Via finds the selector of a packet that a route sends to a tunnel interface:
// those of the interface's policy (VR30). SelectorMiss means that the peer did
// not agree to such packets: they cannot leave.
func (p *Policies) Via(id frame.Interface, f Flow) Lookup {
	if t := p.tunnel(id); t != nil {
		return t.rules.find(f, Protect)
	}
	return Lookup{Verdict: SelectorMiss}
}

func (p *Policies) tunnel(id frame.Interface) *tunnel {
	for i := range p.tunnels {
		if p.tunnels[i].ID == id {
			return &p.tunnels[i]
		}
	}
	return nil
}

// In judges a packet that came in clear, as it came (VR32, RFC 4301 section
// 5.2): SelectorReject if a selector, mirrored, says that it should have been
// protected, SelectorDiscard, Clear, or SelectorMiss if none is about it. IKE
// and ESP for an address of our own are not for it (VR1).
func (p *Policies) In(f Flow) Lookup { return p.in.find(f.Reversed(), SelectorReject) }

// InPiece is In for a later piece of a datagram whose ports nobody knows. What
// might have to be protected must not come in clear.
func (p *Policies) InPiece(f Flow) Lookup {
	l := p.in.findPiece(f.Reversed(), SelectorReject)
	if l.Verdict == Undecided {
		l.Verdict = SelectorReject
	}
	return l
}

// OutPiece is Out for a later piece whose ports nobody knows. The verdict is
// Undecided if a selector for some ports might be the one: such a piece cannot
// leave (RFC 4301 section 7).
func (p *Policies) OutPiece(f Flow) Lookup { return p.out.findPiece(f, Protect) }

// ViaPiece is Via for such a piece.
func (p *Policies) ViaPiece(id frame.Interface, f Flow) Lookup {
	if t := p.tunnel(id); t != nil {
		return t.rules.findPiece(f, Protect)
	}
	return Lookup{Verdict: SelectorMiss}
}

// Selectors lists the selectors in the order in which they are asked, those of
// tunnel interfaces among them.
func (p *Policies) Selectors() []*Selector { return slices.Clone(p.selectors) }

// Selector finds a selector by its name.
func (p *Policies) Selector(name string) (*Selector, bool) {
	s, ok := p.byName[name]
	return s, ok
}

// Policy finds a policy by its name.
func (p *Policies) Policy(name string) (*Policy, bool) {
	q, ok := p.policies[name]
	return q, ok
}

// Locals are the addresses at which IKE and ESP are for us (VR1): one listener
// each, as long as a policy has it.
func (p *Policies) Locals() []netip.Addr {
	var out []netip.Addr
	for _, q := range p.policies {
		if q.Local.IsValid() {
			out = append(out, q.Local)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Less(out[j]) })
	return slices.Compact(out)
}

// Ends are Locals and those of manual SAs, whose policy need not name any (VR36):
// ESP comes to all of them.
func (p *Policies) Ends() []netip.Addr {
	out := p.Locals()
	for i := range p.manual {
		m := &p.manual[i]
		out = append(out, netip.AddrFrom4(m.config(p.policies[m.Policy], nil).Local))
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Less(out[j]) })
	return slices.Compact(out)
}

// Choice is the SA that a packet of this flow would be sealed with, nil if there
// is none: what Send asks, without doing anything.
func (s *Selector) Choice(f Flow) *SA {
	if s.bundle == nil {
		return nil
	}
	return s.bundle.pick(f)
}

// Label is the interface that the packets of a policy come out of; 0: the one
// on which the ESP came (VR34).
func (p *Policies) Label(policy string) frame.Interface {
	for i := range p.tunnels {
		if p.tunnels[i].Policy == policy {
			return p.tunnels[i].ID
		}
	}
	return 0
}
