package vserver

// Verdict says whether a packet is admitted, or why it is not. The router makes
// a drop reason of each (VR46): no_listener, vs_disabled, vlan_miss, limit,
// not_syn, and session_table_full of both TableFull and TupleBusy.
type Verdict uint8

// The verdicts. What the sender is told is the router's to send.
const (
	Admit       Verdict = iota
	NoListener          // nobody listens there: silently dropped (VR3)
	VLANMiss            // somebody does, but not on this VLAN (VR46)
	Disabled            // the winner is disabled: silently dropped (VR9)
	Rejected            // the winner's role is reject: RST or ICMP 3/13
	NotSYN              // TCP without a connection and without SYN: RST (VR15)
	Limited             // connection-limit reached: RST or ICMP 3/13 (VR9, VR18)
	RateLimited         // rate-limit reached: the same
	TableFull           // no room for another connection
	TupleBusy           // another connection has this 5-tuple on one of its sides
	Stale               // the listeners were exchanged since Match: match again
)

// String returns the word that logs and counters use.
func (v Verdict) String() string {
	return [...]string{"admit", "no_listener", "vlan_miss", "vs_disabled", "rejected", "not_syn",
		"limit", "rate_limit", "table_full", "tuple_busy", "stale"}[v]
}
