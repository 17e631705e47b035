package vserver

// Why a new flow did not become a listener's, for whoever asks who admits it.

// Passed is a virtual server, NAT or SNAT that was asked about a flow before the
// one that has it, or in vain.
type Passed struct {
	Listener *Listener
	Why      Misfit
}

// Misfit is what kept a listener from a flow whose destination it has.
type Misfit uint8

// The misfits, in the order in which they are found.
const (
	OtherSource   Misfit = iota // its source network has not the sender
	OtherPort                   // it is for another port
	OtherProtocol               // it is for another protocol
	OtherVLAN                   // it does not listen where the flow came (VR6)
	SwitchedOff                 // disabled, and tm.continuematching lets the search go on (VR9)
	LeftToGroup                 // for everywhere: a group keeps its subscribers' flows from it (VR7)
)

// Passed lists those that were passed over on the way to r, which Match found
// for a: the closest first, most at most, and of those for other senders the
// first one. It changes nothing; unlike Match it allocates.
func (l *Listeners) Passed(a Attempt, r Result, most int) []Passed {
	s := search{l: l, a: a, src: number(a.Src)}
	out := s.before(r.Listener, most)
	for _, x := range []*Listener{l.translated[a.Dst], l.originated[a.Src], s.origin()} {
		if x != nil && x != r.Listener && !x.vlans.has(a.In) && len(out) < most {
			out = append(out, Passed{x, OtherVLAN})
		}
	}
	return out
}

// before lists the virtual servers that were asked before the winner.
func (s *search) before(won *Listener, most int) (out []Passed) {
	l, strangers := s.l, 0
	for at := l.dst.find(s.a.Dst); at >= 0; at = l.dst.outer[at] {
		if l.dst.bits[at] < 32 && won != nil && hasHost(won, s.a) {
			break // an address itself goes before the networks around it
		}
		for i := l.nodes[at].from; i < l.nodes[at].to; i++ {
			row := &l.rows[i]
			if row.x == won || len(out) == most {
				return out
			}
			why := s.misfit(row)
			if why == OtherSource {
				strangers++
			}
			if why != OtherSource || strangers == 1 {
				out = append(out, Passed{row.x, why})
			}
		}
	}
	return out
}

// hasHost reports whether a listener other than a virtual server has the very
// destination.
func hasHost(x *Listener, a Attempt) bool {
	return x.Kind == KindSelf || x.Kind == KindNAT && x.NAT.Translation.As4() == a.Dst
}

// misfit says why a virtual server that has the destination was passed over.
func (s *search) misfit(r *row) Misfit {
	switch {
	case s.src&r.mask != r.src:
		return OtherSource
	case r.port != 0 && r.port != s.a.Port:
		return OtherPort
	case r.proto != 0 && r.proto != s.a.Proto:
		return OtherProtocol
	case !r.vlans.has(s.a.In):
		return OtherVLAN
	case r.disabled:
		return SwitchedOff
	}
	return LeftToGroup
}

// origin is the SNAT with the longest network around the source, wherever it
// listens.
func (s *search) origin() *Listener {
	if at := s.l.origins.nest.find(s.a.Src); at >= 0 {
		return s.l.origins.lists[at][0]
	}
	return nil
}
