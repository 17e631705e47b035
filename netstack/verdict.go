package netstack

import "spigate/netstack/drop"

// Verdict is what a step says of a packet.
type Verdict uint8

// A step that has no opinion says Continue, and the next one is asked.
const (
	Continue Verdict = iota
	Accept           // no further step of this hook; the stack goes on with the packet
	Consumed         // the step has sent it on by itself
	Held             // kept for later, not lost (rule R58)
	Dropped          // gone, for the reason that stands beside it
)

// String returns the word that explanations use.
func (v Verdict) String() string {
	return [...]string{"continue", "accept", "consumed", "held", "dropped"}[v]
}

// outcome is a verdict with its reason, which is drop.None unless Dropped.
type outcome struct {
	verdict Verdict
	reason  drop.Reason
}

var (
	goOn   = outcome{verdict: Continue}
	accept = outcome{verdict: Accept}
	held   = outcome{verdict: Held}
	sent   = outcome{verdict: Consumed}
)

// dropped is p as the counters are told of it.
func (p *packet) dropped(why drop.Reason, b []byte) drop.Dropped {
	return drop.Dropped{Reason: why, Packet: b, At: p.now, In: uint8(p.in), Mark: p.watched}
}

func dropped(r drop.Reason) outcome { return outcome{Dropped, r} }

// fate turns a reason that may be drop.None into an outcome.
func fate(r drop.Reason) outcome {
	if r == drop.None {
		return goOn
	}
	return dropped(r)
}
