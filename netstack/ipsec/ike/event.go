package ike

import (
	"fmt"
	"net/netip"
	"strings"
)

// EventKind is what happened.
type EventKind uint8

// The kinds of event.
const (
	IKEUp         EventKind = iota // an IKE SA is established
	IKEDown                        // an established IKE SA has ended
	IKERekeyed                     // an IKE SA has taken over from another
	IKEFailed                      // an IKE SA did not come up
	ChildUp                        // a pair of ESP SAs is there
	ChildDown                      // a pair of ESP SAs has ended
	ChildFailed                    // one did not come up, or its rekeying failed
	PeerDead                       // the peer does not answer any more
	PeerMoved                      // the peer behind a NAT has another address or port
	Ignored                        // an unauthenticated error was reported; it may be forged
	Refused                        // a message was refused
	IKEv1Refused                   // somebody speaks IKEv1 (RFC 9395)
	numEventKinds = iota
)

// String returns the words that begin a log line.
func (k EventKind) String() string {
	switch k {
	case IKEUp:
		return "IKE UP"
	case IKEDown:
		return "IKE DOWN"
	case IKERekeyed:
		return "IKE REKEYED"
	case IKEFailed:
		return "IKE FAILED"
	case ChildUp:
		return "CHILD UP"
	case ChildDown:
		return "CHILD DOWN"
	case ChildFailed:
		return "CHILD FAILED"
	case PeerDead:
		return "PEER DEAD"
	case PeerMoved:
		return "PEER MOVED"
	case Ignored:
		return "IKE IGNORED"
	case Refused:
		return "IKE REFUSED"
	}
	return "IKEV1 REFUSED"
}

// Event is one line of the log. It holds no secrets.
type Event struct {
	At            int64 // monotonic nanoseconds
	Kind          EventKind
	Peer, Child   string
	IKE           uint64 // number of the IKE SA, 0: none
	Local, Remote netip.AddrPort
	In, Out       uint32 // SPIs of a child, 0: none
	Reason        string
	Remedy        string // what to do about it; empty where nothing is wrong
}

// String returns the line without its time.
func (v *Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v", v.Kind)
	for _, w := range []struct{ key, value string }{{"peer", v.Peer}, {"child", v.Child}} {
		if w.value != "" {
			fmt.Fprintf(&b, " %s=%s", w.key, w.value)
		}
	}
	if v.IKE != 0 {
		fmt.Fprintf(&b, " sa=%d", v.IKE)
	}
	fmt.Fprintf(&b, " local=%v remote=%v", v.Local, v.Remote)
	if v.In != 0 {
		fmt.Fprintf(&b, " spiin=%08x spiout=%08x", v.In, v.Out)
	}
	if v.Reason != "" {
		fmt.Fprintf(&b, " reason=%q", v.Reason)
	}
	if v.Remedy != "" {
		fmt.Fprintf(&b, " remedy=%q", v.Remedy)
	}
	return b.String()
}

// Events that anybody can cause are limited to this many a second of a kind.
const loudest = 5

// limiter counts events of a kind in the second that began at since.
type limiter struct {
	since int64
	n     int
}

func (e *Engine) log(v Event) {
	v.At = e.now
	e.do(Action{Kind: Log, Event: &v})
}

// shout logs what an unauthenticated message caused, a few times a second.
func (e *Engine) shout(v Event) {
	l := &e.limit[v.Kind]
	if e.now-l.since >= second || l.since == 0 {
		*l = limiter{since: e.now}
	}
	if l.n++; l.n <= loudest {
		e.log(v)
	}
}

// say logs what an IKE SA does; before the other end is authentic anybody can
// be behind it.
func (sa *ikeSA) say(v Event) {
	if sa.state == stateHalfOpen {
		sa.e.shout(v)
		return
	}
	sa.e.log(v)
}

// event begins a line about an IKE SA.
func (sa *ikeSA) event(k EventKind, reason, remedy string) Event {
	v := Event{Kind: k, IKE: sa.number, Local: sa.local, Remote: sa.remote, Reason: reason, Remedy: remedy}
	if sa.peer != nil {
		v.Peer = sa.peer.Name
	}
	return v
}

// event begins a line about a child.
func (c *childSA) event(k EventKind, reason, remedy string) Event {
	v := c.sa.event(k, reason, remedy)
	v.Child, v.In, v.Out = c.cfg.Name, c.pub.In, c.pub.Out
	return v
}
