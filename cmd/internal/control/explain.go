package control

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
)

// Explainer is the part of a Backend that explains packets.
type Explainer interface {
	// Explain tells what would become of the packet of Filter.Question, whose VLAN
	// and frame are set, and changes nothing. NotFound if there is no such VLAN.
	Explain(f Filter) (Explained, error)
}

// The ends of a packet's way.
const (
	EndForwarded = "forwarded"
	EndSealed    = "sealed"    // it leaves in a tunnel
	EndDelivered = "delivered" // for the router itself
	EndOpened    = "opened"    // an ESP packet: what is in it comes in anew
	EndDropped   = "dropped"
	EndHeld      = "held"     // it waits and is not lost
	EndConsumed  = "consumed" // a keepalive: it has done its work
)

// Explained is the row that answers "explain".
type Explained struct {
	In     string        `json:"in"`
	TD     uint16        `json:"td"`
	Packet string        `json:"packet"` // as Summary has it
	Steps  []ExplainStep `json:"steps"`  // in packet order; those that have nothing to say are left out
	Fate   ExplainFate   `json:"fate"`
}

// ExplainStep is what one step of the router says.
type ExplainStep struct {
	Hook    string         `json:"hook"` // arrival, prerouting, route, forward, postrouting, egress, exit
	Step    string         `json:"step"` // of the hook; "" where the TCP/IP stack has none
	Verdict string         `json:"verdict"`
	Says    string         `json:"says"`
	Rule    string         `json:"rule"`
	Decided *ExplainObject `json:"decided_by"` // whose configuration; null: nobody's
}

// ExplainObject is an object of the configuration and where it stands.
type ExplainObject struct {
	Table string `json:"table"` // its header, [ltm.virtual.ipsec-0]
	Name  string `json:"name"`
	File  string `json:"file"`
	Line  int    `json:"line"` // from 1; 0: the file does not say it
}

// String is FILE:LINE TABLE, or "-".
func (o *ExplainObject) String() string {
	switch {
	case o == nil:
		return "-"
	case o.Line == 0:
		return o.Table
	}
	return fmt.Sprintf("%s:%d %s", o.File, o.Line, o.Table)
}

// ExplainFate is how the way of a packet ends.
type ExplainFate struct {
	End    string  `json:"end"`
	Reason *string `json:"reason"` // of what is dropped, as "show drops" has it
	Means  string  `json:"means"`
	Do     string  `json:"do"`
	Told   string  `json:"told"` // what its sender is told; "": nothing

	Out          string     `json:"out"`      // VLAN by which it leaves
	NextHop      Addr       `json:"next_hop"` // the neighbour there
	NextHopKnown bool       `json:"next_hop_known"`
	SourceIP     netip.Addr `json:"source_ip"` // as it leaves, or as it was when it died
	SourcePort   uint16     `json:"source_port"`
	DestIP       netip.Addr `json:"dest_ip"`
	DestPort     uint16     `json:"dest_port"`
	// Drawn is what the source would be drawn from, null if it is certain.
	Drawn *ExplainDrawn `json:"drawn_from"`
	// Depends: what is drawn decides about the end, which is told for the first of
	// the set.
	Depends bool `json:"depends_on_draw"`

	// Of EndSealed and EndOpened; the SPI is null while there is no SA, and of
	// EndSealed the packet then waits for one.
	Selector string   `json:"selector"`
	SPI      SPI      `json:"spi"`
	To       string   `json:"to"`     // the other end of the tunnel
	Label    string   `json:"label"`  // VLAN or tunnel that what is inside comes in by
	Admits   []string `json:"admits"` // what may be inside; null unless it is opened
}

// ExplainDrawn is a set that a translation would be drawn from.
type ExplainDrawn struct {
	Addresses []netip.Addr `json:"addresses"`
	FirstPort uint16       `json:"first_port"`
	LastPort  uint16       `json:"last_port"`
}

func (Explained) passes(*Filter) bool { return true }

// explain asks a backend, if the question is whole.
func explain(b Backend) func(Filter) (iter.Seq[Explained], error) {
	return func(f Filter) (iter.Seq[Explained], error) {
		if !f.Question.Whole() {
			return nil, &Error{fmt.Sprintf("%s and %s, or %s and %s, are needed", ByIn, ByFrame, ByIn, ByHex), CodeBadRequest}
		}
		if wrong := f.Question.Contradicts(); wrong != "" {
			return nil, &Error{wrong, CodeBadRequest}
		}
		row, err := b.Explain(f)
		if row.Steps == nil {
			row.Steps = []ExplainStep{} // [] and not null
		}
		return slices.Values([]Explained{row}), err
	}
}

// Explain tells what would become of the packet that the filter describes.
func (c *Client) Explain(ctx context.Context, f Filter) (Explained, error) {
	return one(ask[Explained](ctx, c, pathExplain, f))
}
