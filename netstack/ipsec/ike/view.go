package ike

import (
	"net/netip"
	"time"
)

// View is a row about an IKE SA, for operators.
type View struct {
	Number        uint64
	Peer          string
	State         string
	Initiator     bool // of this SA
	SPII, SPIR    uint64
	Local, Remote netip.AddrPort
	Identity      string // of the other end, once it is proved
	Suite         string
	NATHere       bool // a NAT is in front of us
	NATThere      bool
	Age           time.Duration // since it was begun
	Rekey, End    time.Duration // until then; 0: not planned
	Quiet         time.Duration // since the last authentic message
	Children      []ChildView
}

// ChildView is a row about a pair of ESP SAs. It has no keys.
type ChildView struct {
	ChildSA
	Rekey, End time.Duration // until then; 0: not planned
	State      string
}

// View lists all IKE SAs in the order in which they began.
func (e *Engine) View(now int64) []View {
	out := make([]View, 0, len(e.list))
	for _, sa := range e.list {
		v := View{Number: sa.number, Peer: sa.peer.Name, State: sa.state.String(), Initiator: sa.initiator, SPII: sa.spiI, SPIR: sa.spiR,
			Local: sa.local, Remote: sa.remote, NATHere: sa.natHere, NATThere: sa.natThere,
			Age: time.Duration(now - sa.created), Quiet: time.Duration(now - sa.heard), Rekey: until(sa.rekeyAt, now), End: until(sa.endAt, now)}
		if sa.suite.cipher != 0 {
			v.Suite = sa.suite.String()
		}
		if sa.identity.Kind != AnyID {
			v.Identity = sa.identity.String()
		}
		for _, c := range sa.children {
			v.Children = append(v.Children, c.view(now))
		}
		out = append(out, v)
	}
	return out
}

func (c *childSA) view(now int64) ChildView {
	v := ChildView{ChildSA: c.pub, Rekey: until(c.rekeyAt, now), End: until(c.endAt, now), State: "up"}
	v.IKE = c.sa.number
	switch {
	case c.closing:
		v.State = "closing"
	case c.rekeying || c.next != nil:
		v.State = "rekeying"
	}
	return v
}

func until(at, now int64) time.Duration {
	if at == Never {
		return 0
	}
	return time.Duration(max(at-now, 1))
}

// String returns the word of the drawing in doc.go.
func (s state) String() string {
	switch s {
	case stateInit:
		return "init"
	case stateAuth:
		return "auth"
	case stateHalfOpen:
		return "half open"
	case stateUp:
		return "up"
	case stateRekeyed:
		return "rekeyed"
	case stateSpare:
		return "spare"
	case stateClosing:
		return "closing"
	}
	return "gone"
}
