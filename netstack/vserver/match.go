package vserver

import "spigate/netstack/frame"

// Attempt is the first packet of a flow, before any translation.
type Attempt struct {
	In       frame.Interface // the VLAN's label, or the tunnel's (VR34)
	Proto    uint8
	Src, Dst frame.Addr
	Port     uint16 // TCP and UDP: destination port, host byte order; otherwise 0
}

// AttemptOf makes an Attempt of a packet that came by in.
func AttemptOf(p *frame.Packet, in frame.Interface) Attempt {
	return Attempt{In: in, Proto: p.Proto, Src: p.Src, Dst: p.Dst, Port: p.DstPort}
}

// Result is what Match found.
type Result struct {
	Verdict Verdict
	// Listener won. For VLANMiss it is the one that would have won on another
	// VLAN: its VLANs method lists where. For NoListener it is nil.
	Listener *Listener
	// Source is the NAT or SNAT that translates the source of what a virtual
	// server without a translation of its own admitted (VR19), or nil.
	Source *Listener
	// Inbound: the packet is for a NAT's translation address (VR22).
	Inbound bool
	// Missed is the first listener that was passed over because of its VLANs,
	// whether somebody else admits the flow or not, or nil.
	Missed *Listener

	of *Listeners // whose result it is
}

// search is one walk through the listeners.
type search struct {
	l      *Listeners
	a      Attempt
	src    uint32    // of a
	missed *Listener // the best that was on another VLAN
	passed *Listener // the best that was disabled and passed over
}

// Match finds who admits a new flow: host destinations before networks, the
// wildcard last; at each of them virtual server, SNAT, NAT, LSN group, self
// address (VR2, VR3, VR6 to VR10). A SNAT has no host destination and at the
// wildcard an originating host's NAT goes before it (Q12). It changes nothing,
// allocates nothing, and may be called from everywhere at once.
//
// Before it the router asks its connections, its internal listeners (VR1) and
// the LSN's mappings: what they know is no new flow.
func (l *Listeners) Match(a Attempt) Result {
	s := search{l: l, a: a, src: number(a.Src)}
	r := s.match()
	r.of, r.Missed = l, s.missed
	return r
}

func (s *search) match() Result {
	l := s.l
	at := l.dst.find(s.a.Dst)
	if at >= 0 && l.dst.bits[at] == 32 {
		if won := s.servers(&l.nodes[at]); won != nil {
			return s.served(won)
		}
		at = l.dst.outer[at]
	}
	if won := s.host(); won != nil {
		return Result{Listener: won, Inbound: won.Kind == KindNAT}
	}
	for ; at >= 0; at = l.dst.outer[at] {
		won := s.servers(&l.nodes[at])
		if won == nil {
			continue
		}
		if l.dst.bits[at] == 0 {
			if group := s.keeps(won); group != nil {
				return Result{Listener: group}
			}
		}
		return s.served(won)
	}
	if won := s.source(); won != nil {
		return Result{Listener: won}
	}
	if won, _ := s.first(&l.clients); won != nil {
		return Result{Listener: won}
	}
	return s.nobody()
}

// keeps is the group that keeps its subscriber's flow from a virtual server to
// everywhere. Such a server would let the inside address out if nobody
// translates it; it is only meant for the subscriber if it names him at least
// as closely as the group does: source outranks (VR7). Disabled or not is the
// same (VR9).
func (s *search) keeps(won *row) *Listener {
	if won.role != Forward || won.translate != TranslateNone {
		return nil
	}
	group, bits := s.first(&s.l.clients)
	if group == nil || int(won.srcBits) >= bits || s.source() != nil {
		return nil
	}
	return group
}

// served is the result when a virtual server won.
func (s *search) served(won *row) Result {
	switch {
	case won.disabled:
		return Result{Verdict: Disabled, Listener: won.x}
	case won.role == Reject:
		return Result{Verdict: Rejected, Listener: won.x}
	case won.translate != TranslateNone:
		return Result{Listener: won.x}
	}
	return Result{Listener: won.x, Source: s.source()}
}

func (s *search) nobody() Result {
	switch {
	case s.missed != nil:
		return Result{Verdict: VLANMiss, Listener: s.missed}
	case s.passed != nil:
		return Result{Verdict: Disabled, Listener: s.passed}
	}
	return Result{Verdict: NoListener}
}

// servers looks through one destination, the longest source first: source
// outranks port (VR8).
func (s *search) servers(n *node) *row {
	if n.wide == nil {
		return s.scan(n.span)
	}
	w := n.wide
	for at := w.src.find(s.a.Src); at >= 0; at = w.src.outer[at] {
		p := &w.lists[at]
		if won := s.scan(s.port(p.own)); won != nil {
			return won
		}
		if won := s.scan(p.any); won != nil {
			return won
		}
	}
	return nil
}

// port narrows rows of one source, sorted by port, to those of the packet's.
func (s *search) port(own span) span {
	rows := s.l.rows[:own.to]
	at, high := own.from, own.to
	for at < high {
		if mid := at + (high-at)/2; rows[mid].port < s.a.Port {
			at = mid + 1
		} else {
			high = mid
		}
	}
	end := at
	for end < own.to && rows[end].port == s.a.Port {
		end++
	}
	return span{at, end}
}

// scan looks at rows one by one: the first that fits has won.
func (s *search) scan(in span) *row {
	rows := s.l.rows[in.from:in.to]
	for i := range rows {
		r := &rows[i]
		if s.src&r.mask == r.src && (r.port == 0 || r.port == s.a.Port) && (r.proto == 0 || r.proto == s.a.Proto) && s.wins(r) {
			return r
		}
	}
	return nil
}

// wins reports whether a server whose networks, port and protocol fit is the
// winner.
func (s *search) wins(r *row) bool {
	switch {
	case !s.hears(&r.vlans, r.x):
		return false
	case r.disabled && s.l.resume:
		if s.passed == nil {
			s.passed = r.x
		}
		return false
	}
	return true
}

// admits asks for the VLAN, and remembers the first that was missed.
func (s *search) admits(x *Listener) bool {
	return s.hears(&x.vlans, x)
}

func (s *search) hears(on *vlanSet, x *Listener) bool {
	if on.has(s.a.In) {
		return true
	}
	if s.missed == nil {
		s.missed = x
	}
	return false
}

// host is who has the destination address itself, besides virtual servers.
func (s *search) host() *Listener {
	if x := s.l.translated[s.a.Dst]; x != nil && s.admits(x) {
		return x
	}
	return s.l.selfs[s.a.Dst]
}

// source is the NAT or SNAT of the source address; never both (VR24).
func (s *search) source() *Listener {
	if x := s.l.originated[s.a.Src]; x != nil && s.admits(x) {
		return x
	}
	x, _ := s.first(&s.l.origins)
	return x
}

// first is who has the source in the longest of its networks, and how long
// that is.
func (s *search) first(n *listenerNest) (x *Listener, bits int) {
	for at := n.nest.find(s.a.Src); at >= 0; at = n.nest.outer[at] {
		for _, x := range n.lists[at] {
			if s.admits(x) {
				return x, int(n.nest.bits[at])
			}
		}
	}
	return nil, 0
}
