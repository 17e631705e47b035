// Package netstack is the router: its ports, a gVisor stack for each traffic
// domain, and the hooks that make a NAT of it. A Router is one domain, a
// Chassis holds them all.
//
//	              ┌────────────── hit: rewritten in place ──────────────┐
//	port ─► link ─► flow                                                 ├─► link ─► port
//	              └─ miss ─► gVisor: prerouting ─► route ─► forward ─► postrouting
//	                          cast, shape, spoofed          passing      flow
//	                          expiring, connection          in2out       depart
//	                          out2in (mapping, ALG)         (mapping,    source
//	                          listener, guard                ALG)        discreet
//	                             └─► local: ARP, ICMP, control
//
// The steps of each hook are listed in process.go, in the order in which they
// run; the first verdict other than Continue wins. Each step lives in a file
// of its own name. Deciding is apart from doing: the tables that a step asks
// (lsn, alg/ipsec) have a Decide half that changes nothing and a Commit half.
//
// The stack's own seam is stack.NFTablesInterface: neither a fork nor a copy of
// its forwarding code, and none of its connection tracking, which does not
// know ESP. What gVisor itself drops is counted as stack_… (stackdrops.go).
//
// Tunnels that end here are sealed behind all of that (egress) and opened before
// it (internal), by package ipsec; package keying negotiates them.
//
// Invariants: nothing is forwarded that no listener has admitted (listener.go);
// no packet of a subscriber leaves with its inside address but to exempt
// destinations (exempt.go) or by a virtual server for its network, and a
// subscriber is at home on one interface only (inside.go); every exit has a
// verdict, and a dropped packet a reason; nothing is delivered into the stack
// from inside a hook (see later.go); what Routers share (Chassis) has an
// interface in its keys, and an interface belongs to one Router; time is read
// once for each packet on the slow path and once for each batch on the fast one.
package netstack
