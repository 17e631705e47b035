// Package frag lets the fragments of a translated datagram through without
// putting it together (R29, RFC 4787 REQ-14): the piece with the transport
// header is decided about, the others follow it.
//
//	                 first of its datagram
//	piece ─► Piece ─┬─► First ──► the caller decides ──► Decide ─┬─► held pieces, to be sent in again
//	                │                                  └ Refuse  │
//	                │                                            ▼
//	                ├─► Follow ─────────────────────────────► Carry ─► rewritten, on its way
//	                ├─► Kept ───── before its first: ≤ 2 s
//	                ├─► Joined ─── the last piece of a gathered datagram: here it is, whole
//	                └─► Dropped
//
//	waiting ──Decide──► decided ──all bytes carried, or 5 s──► gone
//	   │   └──Refuse──► refused ──2 s──► gone
//	   └─────Gather──► gathering ──complete──► joined ──Cut, or 60 s──► gone
//	waiting and gathering die with their pieces after 2 s.
//
// A datagram is named by Key. Piece is asked where the decision is made, Carry
// where the packet is rewritten; only what Carry has let pass counts as passed.
//
// Gathering is for a datagram that has to be judged as a whole, IKE (N22): its
// pieces are collected, joined, and go on as one packet, which is cut again
// where it leaves. That is more than a router should do (RFC 1812 section
// 4.2.2.7) but what an ALG needs; everything else is never put together.
//
// Against hostile pieces: the first with offset 0 decides, one that contradicts
// it is dropped (RFC 1858); no byte of a datagram passes twice, so that nothing
// can be overwritten behind the decision (RFC 3128, RFC 5722). Each owner (see
// accountOf) has its own bounds, and where a shard is full, whoever has most in
// it loses its oldest: a flood costs the flooder.
//
// Towards the outside each datagram gets an IPv4 id that no other from the same
// NAT address to the same server had for 35 s (ids.go; RFC 6864, RFC 7857
// section 10). We differ from RFC 7857 in that whole packets keep theirs.
//
// Invariants: Carry never lets a piece pass that is not rewritten; all pieces of
// a datagram get the same translation and id; memory is bounded by constants.
// Shards are chosen by addresses; no lock is shared by all.
package frag
