// Package flow is the fast path: a table of established flows, looked up for
// each frame before the stack sees it.
//
// One entry is one direction of one flow, with its rewrite ready to apply:
//
//	        frames as they came in, up to 64 at a time
//	                         │
//	             parse ──────┴── not for the fast path ──────────┐
//	               │                                             │
//	key ─► hash ─► two buckets of four (package bucket) ─ miss ──┤
//	                       │                                     │
//	                       ├─ next hop stale, TTL, MTU, 20 s ────┤
//	                       ▼                                     ▼
//	  TTL-1, one address, one port, checksums, MACs, Out      the stack
//
// The table never decides anything. Whatever is not in it, and whatever needs
// judgement, is left untouched for the stack, which is always right: IP options,
// fragments, TTL 1, TCP SYN, FIN and RST (with Numbered, what has no ACK, too),
// ICMP errors, IKE, too long a packet. So a miss is never an error, and the
// table may forget a flow at any time.
//
// Rules: R21 and R22 (activity is reported by Sweep, so expiry is never early
// and at most two seconds late), R70 (no ESP byte is touched), VR17 (numbers for
// the RSTs of a connection), RFC 1624 (incremental checksums), RFC 1812 section
// 5.3.4 (link-layer broadcasts are not forwarded).
//
// It is not a NAT: it does not know what a session is. It knows an Owner's
// number, reports that owner's traffic and removes that owner's flows. Of a TCP
// connection that must be ended with a RST some day it follows the sequence
// numbers (Entry.Numbered), because the stack does not see them.
//
// Invariants:
//
//   - A frame without Out set after Process is byte for byte as it came.
//   - A frame that was hit has the bytes the slow path would have given it.
//   - After RemoveOwner(o) no flow of o exists, nor can an Insert that was
//     decided before bring one back (Epoch).
//   - A flow whose next hop was invalidated never hits again.
//   - Process takes no lock, allocates nothing, and shares nothing that it writes.
//   - The packets of one flow go through one Reader at a time.
//   - An old arena is unmapped when no Reader is in it.
//   - Both of the above about removal hold for Config.Offload, too, but for a
//     packet in flight.
//   - What a flow carried is reported once: by Sweep, Credit, RemoveOwner or the
//     Insert that replaces it, whichever comes first.
//   - A Numbered flow's numbers never go back.
//
// How readers and writers meet: all changes happen under one mutex, look-ups
// under none. A slot's tag has a version and says whether its flow lives; a
// reader takes a change for a miss (package bucket says how). What an entry
// names, its next hop and its numbers, the reader loads before it looks at the
// tag once more: while the flow lives, they are given to nobody else. A slot that
// lost its flow rests for a whole Sweep, so that a late reader does not count its
// packet for a stranger.
//
// How a table grows: a second arena is filled slice by slice while every change
// goes into both; then readers get that one. A Reader says which arena it is in,
// so the old one is unmapped when there is none in it any more, and what was
// counted in it is credited. A new seed comes the same way.
//
// Offload is a forwarder below the table. Its flows stay in the table, which
// counts what it forwards and adds what the back-end reports: each counter has
// one adder, so the sum is exact through every change of ways.
package flow
