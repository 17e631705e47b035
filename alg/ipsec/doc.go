// Package ipsec is the IPsec application layer gateway: it lets any number of
// VPN clients behind one NAT address speak plain ESP to the same server, with
// SPIs in the place of ports (rules R35 to R74; RFC 2408, 2409, 4303, 7296,
// 7383, 9370).
//
// An SPI is picked by its receiver. Outbound ESP is therefore never ambiguous,
// and inbound ESP only once per security association: at its first packet.
// Nothing but that packet needs exclusivity, and a lock on the pair
// (NAT address, server) gives it (R53):
//
//	         P2 request, lock free              response / ESP match
//	FREE ──────────────────────► PROVISIONAL ───────────────────────► CONFIRMED
//	 ▲   gates IN+OUT open (R54)      │ no answer in                     │ each new distinct
//	 │                                │ min(espGateTimeout, 10 s)        │ message re-arms (R55)
//	 ├────────────────────────────────┘                                  │
//	 ├── two-way ESP seen: success (R64) ◄───────────────────────────────┤
//	 ├── gates idle > espGateTimeout: timeout (R55, R61) ◄───────────────┤
//	 └── short error reply (R52) · IKE rekey proven (R45) · flush ·
//	     NAT-T float (R50) · IKE session gone (R47) · tenure cap (R55)
//
// A phase-2 message that meets a lock taken by another exchange is held (R58).
// When the lock becomes free the oldest one is given back (Release): its
// exchange holds the lock, PROVISIONAL, from that moment, and the gates open
// when the message comes by again and is forwarded. Until then nothing can
// bind, so that a packet which is lost between release and forwarding costs
// ten seconds and no wrong binding.
//
// After success the gates stay open to their owner until espGateTimeout or
// until the next phase-2 message on the pair, whichever comes first (R64).
//
// The package is a set of pure state machines: no goroutine, timer or socket.
// Every method takes now, monotonic nanoseconds. It does not rewrite packets
// and does not know the NAT's tables.
//
// Invariants:
//   - An inbound or outbound SPI never moves from one subscriber to another
//     while it is bound (R62, R71).
//   - At most one client has gates open on a (NAT, server) pair (R53).
//   - The hold queue of a pair has at most 64 messages and 64 KB (R58).
//   - A timer fires when idle exceeds its value, never at the value (R22).
//   - Deadlines are computed from "last seen" and the profile, never stored,
//     so that a changed timeout takes effect at once (R10).
//   - Sessions hold plain values beside their links, so that they can be
//     encoded for a standby (R72): keys, SPIs, states and times.
//
// Lock order: shard.mu, then at most one of subscribers.mu, mappings.mu or
// tallies.mu, which are leaves and never held together. No method holds two shards.
//
// Where the rules leave a choice, ours is written down in README.md.
package ipsec
