package hw

import (
	"fmt"
	"strings"
	"time"
)

// Kind is what happened to a chip.
type Kind uint8

// Kinds of events.
const (
	Kept        Kind = iota + 1 // the chip has the plan, for the first time or again
	Failed                      // it does not answer, or refuses; it is tried again
	Lost                        // something of the plan was gone, after a reset for instance
	Repaired                    // and is there again
	LinkChanged                 // a cable was plugged or pulled
	Flapping                    // a port changes so often that its changes are not told any more
	Settled                     // and has stopped
)

// Event is something that an operator wants in the log.
type Event struct {
	Kind    Kind
	Err     error  // Failed, Lost
	Report  Report // Kept, Repaired
	After   int64  // Kept: how long it had failed, in nanoseconds
	Link    Link   // LinkChanged, Flapping, Settled
	Changes int    // Flapping, Settled: of the link
}

// Bad reports whether somebody should look at it.
func (e Event) Bad() bool { return e.Kind == Failed || e.Kind == Lost || e.Kind == Flapping }

// String says it in a sentence, with the remedy where there is one.
func (e Event) String() string {
	switch e.Kind {
	case Kept:
		again := ""
		if e.After != 0 {
			again = fmt.Sprintf(" again, after %v", time.Duration(e.After).Round(time.Second))
		}
		return fmt.Sprintf("the switch does what the configuration says%s: %s", again, e.Report)
	case Failed:
		return fmt.Sprintf("the switch fails: %v; what passed goes on passing, and it is tried again", oneLine(e.Err))
	case Lost:
		return fmt.Sprintf("the switch has lost its configuration, was it reset? %v", oneLine(e.Err))
	case Repaired:
		return "the switch has its configuration again: " + e.Report.String()
	case LinkChanged:
		return fmt.Sprintf("port %s is %s", e.Link.Port, e.Link)
	case Flapping:
		return fmt.Sprintf("port %s has changed %d times in %v: look at its cable; it is not told of again until it rests",
			e.Link.Port, e.Changes, time.Duration(flapWindow))
	case Settled:
		return fmt.Sprintf("port %s rests after %d changes: it is %s", e.Link.Port, e.Changes, e.Link)
	}
	return "unknown"
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// String is "up, 1000 Mbit/s full duplex", "up" or "down".
func (l Link) String() string {
	switch {
	case !l.Up:
		return "down"
	case l.Speed == 0:
		return "up"
	case l.Duplex:
		return fmt.Sprintf("up, %d Mbit/s full duplex", l.Speed)
	}
	return fmt.Sprintf("up, %d Mbit/s half duplex", l.Speed)
}

// String is "VLANs added [10 20], ports changed [lan1]", or "nothing to change".
func (r Report) String() string {
	var parts []string
	for _, p := range []struct {
		what string
		ids  []uint16
	}{{"added", r.Added}, {"changed", r.Changed}, {"removed", r.Removed}} {
		if len(p.ids) > 0 {
			parts = append(parts, fmt.Sprintf("VLANs %s %v", p.what, p.ids))
		}
	}
	if len(r.Ports) > 0 {
		parts = append(parts, fmt.Sprintf("ports changed %v", r.Ports))
	}
	if r.MTU {
		parts = append(parts, "mtu changed")
	}
	if len(parts) == 0 {
		return "nothing to change"
	}
	return strings.Join(parts, ", ")
}
