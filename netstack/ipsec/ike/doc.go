// Package ike negotiates IPsec security associations: an IKEv2 engine for
// many peers, as initiator and as responder (RFC 7296, with RFC 7383
// fragments, RFC 7427 signatures, RFC 5282 AES-GCM, RFC 8031 X25519).
//
// The engine is a state machine without I/O: no goroutine, timer or socket.
// Datagrams and the time go in (HandleMessage, Tick), actions come out: send
// a datagram, install or remove a pair of ESP SAs, log. NextDeadline says when
// Tick is due.
//
// An IKE SA:
//
//	initiator                                     responder
//	INIT ─► cookie, other group: again            (nothing is kept: cookies, INVALID_KE)
//	 │ IKE_SA_INIT answered                        │ IKE_SA_INIT
//	 ▼                                             ▼
//	AUTH                                          HALF OPEN ─► HalfOpenLifetime: gone
//	 │ IKE_AUTH answered and proved                │ IKE_AUTH proved
//	 └───────────────────► UP ◄────────────────────┘
//	       one request under way at a time: child, rekeying, delete, "do you live?"
//	                        │
//	  rekeyed by us         ├──► CLOSING ── our delete answered, or nobody answers ──► gone
//	  rekeyed by them       ├──► REKEYED ── their delete, or 120 s ──► gone
//	  their delete          └──► gone: its last answer can be repeated for 60 s
//
//	SPARE: the other end's new IKE SA while our own rekeying is under way. Of
//	both new ones that with the lowest nonce goes (RFC 7296 section 2.8.1).
//
// What it is not: it carries no traffic (ESP is its caller's), speaks no IKEv1
// (RFC 9395), no EAP, no MOBIKE, hands out no addresses, and signs with keys
// that it is given but never reads a file.
//
// Invariants:
//   - No answer and no error report counts before it is authenticated, but for
//     cookies, INVALID_KE_PAYLOAD and the version (RFC 7296 section 2.21.1).
//   - A pair of ESP SAs that is installed is removed exactly once, and its
//     inbound SPI is unique meanwhile.
//   - Everything is bounded: SAs, half-open SAs of all and of one address,
//     children, fragments, payloads, answers kept, log lines that strangers cause.
//   - Keys of an IKE SA are overwritten when it ends. ESP keys leave with the
//     Install action and are not kept. What the standard library keeps inside
//     of ciphers and curve keys cannot be overwritten.
//   - Secrets are never part of errors, events or String.
//
// Where RFC 7296 leaves a choice, ours is written down in README.md.
package ike
