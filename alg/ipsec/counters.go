package ipsec

import "sync/atomic"

// Counters are NetScaler's six and those of R63 that arise here. AH, ICMP and
// fragments are counted where they are met, outside of the ALG.
type Counters struct {
	Total   uint64 // ESP sessions that became ESTABLISHED
	Dropped uint64 // packets
	Active  uint64 // ESTABLISHED now
	Blocked uint64 // phase-2 messages held now
	RxPkts  uint64 // ESP, server to subscriber
	TxPkts  uint64 // ESP, subscriber to server

	ESPNoGateIn, ESPNoGateOut uint64
	GateTimeout               uint64 // locks that ended without two-way ESP
	GateFail                  uint64 // requests without an answer, or with a short error reply
	LateBind                  uint64 // R66
	SPICollisionSuspect       uint64 // R71
	StaleSPI                  uint64 // R69
	SeqReject                 uint64 // R65
	P2Held, P2Dropped         uint64 // messages, not copies
	IKEHalfLimit              uint64 // R41
	MalformedIKE              uint64 // R42

	IKESessions, IKEHalfOpen uint64 // now
	ESPSessions              uint64 // now, HALF included
}

// counters are the live values.
type counters struct {
	total, dropped            atomic.Uint64
	active, blocked           atomic.Int64
	espNoGateIn, espNoGateOut atomic.Uint64
	gateTimeout, gateFail     atomic.Uint64
	lateBind, collision       atomic.Uint64
	staleSPI, seqReject       atomic.Uint64
	p2Held, p2Dropped         atomic.Uint64
	ikeHalfLimit, malformed   atomic.Uint64
	ikeSessions, ikeHalf      atomic.Int64
	espSessions               atomic.Int64
	heldBytes                 atomic.Int64
}

// Counters returns all counters. Those of packets are added up over the
// shards one after the other and are not of one instant.
func (a *ALG) Counters() Counters {
	c := &a.count
	out := Counters{
		Total: c.total.Load(), Dropped: c.dropped.Load(),
		Active: uint64(c.active.Load()), Blocked: uint64(c.blocked.Load()),
		ESPNoGateIn: c.espNoGateIn.Load(), ESPNoGateOut: c.espNoGateOut.Load(),
		GateTimeout: c.gateTimeout.Load(), GateFail: c.gateFail.Load(),
		LateBind: c.lateBind.Load(), SPICollisionSuspect: c.collision.Load(),
		StaleSPI: c.staleSPI.Load(), SeqReject: c.seqReject.Load(),
		P2Held: c.p2Held.Load(), P2Dropped: c.p2Dropped.Load(),
		IKEHalfLimit: c.ikeHalfLimit.Load(), MalformedIKE: c.malformed.Load(),
		IKESessions: uint64(c.ikeSessions.Load()), IKEHalfOpen: uint64(c.ikeHalf.Load()),
		ESPSessions: uint64(c.espSessions.Load()),
	}
	for i := range a.shards {
		sh := &a.shards[i]
		sh.mu.Lock()
		out.RxPkts += sh.rx
		out.TxPkts += sh.tx
		sh.mu.Unlock()
	}
	return out
}

// holdRoom reports whether all pairs together may hold grow bytes more.
func (a *ALG) holdRoom(grow int) bool {
	return a.count.heldBytes.Load()+int64(grow) <= int64(a.cfg.MaxHeldBytes)
}

// unhold gives back the memory of a message that left its queue.
func (a *ALG) unhold(bytes int) {
	a.count.heldBytes.Add(-int64(bytes))
	a.count.blocked.Add(-1)
}
