package netns

import (
	"fmt"
	"net/netip"
	"strings"

	"spigate/tests/golden"
)

// Stray is a packet that arrived where it should not, or from where it should
// not.
type Stray struct {
	Host    string
	Owner   string // the conversation that it belongs to, empty if none
	Kind    golden.Kind
	From    netip.AddrPort
	Payload []byte
	Why     string
}

// String says what went where.
func (s Stray) String() string {
	what := fmt.Sprintf("%v of %d bytes", s.Kind, len(s.Payload))
	if s.Kind == golden.ESP && len(s.Payload) >= 8 {
		st := golden.Step{Kind: golden.ESP, Payload: s.Payload}
		what = fmt.Sprintf("ESP spi=%08x seq=%d", st.SPI(), st.Sequence())
	}
	return fmt.Sprintf("%s at %s from %v: %s", what, s.Host, s.From, s.Why)
}

// Delivery is what arrived of one conversation at one end.
type Delivery struct {
	Conversation     string
	At               golden.Side
	GotIKE, WantIKE  int
	GotESP, WantESP  int
	Resent           int // own IKE packets sent again
	Duplicates       int // ESP packets that came more often than sent
	Finished         bool
	Missing          []golden.Step
	Peer             netip.AddrPort // the other end, as seen here
	SendErr          error
	Strays           []Stray // all of the host
	StraysNotWritten int
}

// Deliveries returns what arrived at the host, one entry for a conversation.
// Call it after Stop.
func (h *Host) Deliveries() []Delivery {
	var all []Delivery
	for _, p := range h.parts {
		d := Delivery{
			Conversation: p.conv.Name, At: h.c.Side, Resent: p.resent, Duplicates: p.duplicates,
			Finished: p.finished(), Missing: p.missing(), Peer: p.peer, SendErr: h.sendErr,
			Strays: h.strays, StraysNotWritten: h.strayed - len(h.strays),
		}
		d.GotIKE, d.WantIKE = p.count(golden.IKE)
		d.GotESP, d.WantESP = p.count(golden.ESP)
		all = append(all, d)
	}
	return all
}

// Result is what a scenario came to, both ends of both conversations.
type Result struct {
	Deliveries []Delivery
	Strays     []Stray // each once
	TimedOut   bool
}

// Delivery returns what arrived of a conversation at an end.
func (r *Result) Delivery(conversation string, at golden.Side) Delivery {
	for _, d := range r.Deliveries {
		if d.Conversation == conversation && d.At == at {
			return d
		}
	}
	return Delivery{}
}

// StraysOf returns the packets of a kind that belong to the conversation and
// arrived at the named host.
func (r *Result) StraysOf(kind golden.Kind, conversation, host string) []Stray {
	var of []Stray
	for _, s := range r.Strays {
		if s.Kind == kind && s.Owner == conversation && s.Host == host {
			of = append(of, s)
		}
	}
	return of
}

// Faults returns everything that is wrong, one line for each; none means that
// every packet of every conversation arrived byte for byte at the right end,
// once, and none at a wrong one.
func (r *Result) Faults() []string {
	var f []string
	if r.TimedOut {
		f = append(f, "the time ran out")
	}
	for _, d := range r.Deliveries {
		for _, st := range d.Missing {
			f = append(f, fmt.Sprintf("%s: missing at the %v: %v", d.Conversation, d.At, &st))
		}
		if d.Duplicates > 0 {
			f = append(f, fmt.Sprintf("%s: %d ESP packets came twice to the %v", d.Conversation, d.Duplicates, d.At))
		}
		if d.SendErr != nil {
			f = append(f, fmt.Sprintf("%s: %v: %v", d.Conversation, d.At, d.SendErr))
		}
		if d.StraysNotWritten > 0 {
			f = append(f, fmt.Sprintf("%s: %d more strays at the %v", d.Conversation, d.StraysNotWritten, d.At))
		}
	}
	for _, s := range r.Strays {
		f = append(f, "stray: "+s.String())
	}
	return f
}

// Summary returns one line for each conversation and direction.
func (r *Result) Summary() string {
	var b strings.Builder
	for _, d := range r.Deliveries {
		way := "gateway → client"
		if d.At == golden.Gateway {
			way = "client → gateway"
		}
		fmt.Fprintf(&b, "%-34s %s  IKE %2d/%-2d  ESP %4d/%-4d  IKE sent again %d\n",
			d.Conversation, way, d.GotIKE, d.WantIKE, d.GotESP, d.WantESP, d.Resent)
	}
	fmt.Fprintf(&b, "packets at a wrong end: %d\n", len(r.Strays))
	return b.String()
}
