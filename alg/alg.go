// Package alg says what an application layer gateway (a helper) is: a state
// machine that watches the control protocol of one application, tells the NAT
// what to let through, and does no input or output of its own (rule R35).
//
// A helper never rewrites payload. Time comes in as a number of monotonic
// nanoseconds; what it wants done goes out as a list of actions. It knows
// nothing of the NAT's tables: a mapping is a number to it.
package alg

// Direction is where a packet goes.
type Direction uint8

// The two directions.
const (
	In2Out Direction = iota // subscriber to server
	Out2In                  // server to subscriber
)

// Reverse returns the other direction.
func (d Direction) Reverse() Direction { return d ^ 1 }

// String returns the word used in logs and JSON.
func (d Direction) String() string {
	if d == In2Out {
		return "in2out"
	}
	return "out2in"
}

// Verdict is what a helper wants to become of a packet.
type Verdict uint8

// The verdicts.
const (
	Forward Verdict = iota // go on with the packet
	Hold                   // the helper has copied the packet and gives it back later
	Drop                   // the packet dies; the result names the reason
)

// String returns the word used in logs and JSON.
func (v Verdict) String() string {
	switch v {
	case Forward:
		return "forward"
	case Hold:
		return "hold"
	default:
		return "drop"
	}
}
