// Package keying negotiates the security associations of a Database: it drives
// an ike.Engine (RFC 7296), which asks for things to be done, and an
// ipsec.Database, which has to have the SAs when packets come.
//
// It is the only one who knows both. A child of IKE has the name of its traffic
// selector. What comes in is queued by whoever has it (datagrams, packets that
// found no SA, lifetimes that are over, operators); Work does all of it, and
// nothing else happens by itself: no goroutine, no clock, no socket.
//
//	pair of SAs, from Install to Remove
//
//	Install ─► inbound added ─┬─ the answer is sent ─────────────────► outbound added, Release
//	                          ├─ replaces another, and we asked ─────► outbound added at once
//	                          └─ replaces another, and they asked ──► HELD BACK
//	                               Heard, or the old one goes, or nothing else is left ─► outbound added
//	Remove ─► outbound away ─► inbound away; if it was replaced, after a few seconds
//
// Why the outbound half waits: see ChildSA.Hold (RFC 7296 section 2.8).
//
// Rules VR29 (a packet waits for its SA), VR30, VR35 (outer addresses follow a
// moved peer). What it is not: it neither opens nor seals packets, and it
// decides nothing about traffic.
//
// Invariants:
//   - Each pair of the engine is in the database or is on its way to being
//     deleted at both ends, and no SA of ours is in the database without one,
//     but for the seconds that replaced inbound halves are kept.
//   - A rekeying loses no packet: an outbound half is replaced before it goes.
//   - Keys are overwritten as soon as the database has its copy, or when the
//     pair ends before that.
//   - Everything that is queued is bounded.
package keying
