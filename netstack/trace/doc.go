// Package trace keeps the walks of chosen packets: which steps of the router a
// packet met, what each did with it, and how it ended.
//
// A Trace chooses packets by an expression, until it has as many as it was to get.
// The router tells of each chosen packet what it meets, in Events, by the packet's
// number, which the packet carries in its mark. Walks that are equal but for
// addresses and numbers are grouped by Walks.
//
// It is not a log: everything is in memory and bounded, and nothing of it is
// needed for a packet to pass. It decides nothing and knows no step of the router.
package trace

// The bounds.
const (
	MaxTraces  = 8    // at a time
	MaxPackets = 1000 // of one trace
	MaxTotal   = 2000 // of all traces together
	MaxEvents  = 48   // of one packet; a walk has some 30 steps
)
