// Package flow is the fast path: a table of established flows, looked up for
// each frame before the stack sees it.
//
// One entry is one direction of one flow, with its rewrite ready to apply:
//
//	        frames as they came in, up to 64 at a time
//	                         │
//	             parse ──────┴── not for the fast path ──────────┐
//	               │                                             │
//	hash(key) ► bucket ► flow ► flow ► end of chain ── miss ─────┤
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
//   - Process takes no lock and allocates nothing.
//   - What a flow carried is reported once: by Sweep, Credit, RemoveOwner or the
//     Insert that replaces it, whichever comes first.
//   - A Numbered flow's numbers never go back.
//
// How readers and writers meet: all changes happen under one mutex, look-ups
// under none. A slot has a sequence number that is odd while its flow lives;
// a reader reads the number, the words, and the number again, and takes a
// change for a miss. A slot that lost its flow rests until the next but one
// Sweep, so that a late reader neither follows it into a stranger's chain nor
// counts its packet for a stranger.
package flow
