// Package lsn is large scale NAT44: it shares few public addresses among many
// subscribers (rules R13 to R28, RFC 4787, RFC 5382, RFC 5508, RFC 6888).
//
// A subscriber is found by its network (client), which leads to a group with
// its pools of NAT addresses and its application profiles. A mapping ties an
// inside endpoint to an outside one; a session is one remote endpoint that
// uses a mapping. Profiles say how wide a mapping is (EIM, ADM, APDM), who may
// send to it from outside (EIF, ADF, APDF), and whether a subscriber keeps one
// NAT address (PAIRED) or not (RANDOM).
//
// Deciding is apart from doing: DecideOut and DecideIn change nothing, the
// Commit functions draw ports and create state, and check everything again
// because another goroutine may have come first.
//
// It is not a packet rewriter: it hands out bindings, and whoever owns the
// packet applies them. It starts no goroutine and reads no clock.
//
// Invariants:
//   - Two live mappings never answer for the same remote on one outside port
//     (R19). What a mapping claims of its port is the wider of its mapping and
//     its filtering mode: a filter that admits everybody needs the whole port.
//   - A port is in use exactly while a mapping claims it.
//   - All state of a subscriber lies in one shard under one lock; the index of
//     outside endpoints is sharded by NAT address and port range. Locks are
//     taken in this order: subscriber shard, then blocks or hold-down of an
//     address, then outside shard, then the marks of an address; never two of
//     a kind. Config.OnGone is called
//     without any of them.
//   - The number of sessions never exceeds Config.MaxSessions, nor any quota of
//     a subscriber or group (R20). What is counted is what is there.
//   - A port of a static mapping is never drawn (R27).
package lsn
