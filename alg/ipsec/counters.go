package ipsec

import (
	"sync"
	"sync/atomic"

	"spigate/alg"
	"spigate/netstack/drop"
)

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

// bounds are what limits look at, over all shards and profiles.
type bounds struct {
	ikeSessions, ikeHalf atomic.Int64
	espSessions          atomic.Int64
	heldBytes            atomic.Int64
}

// tallies number the profiles. A number stands for a name, because SetProfile
// and the configuration replace the profile itself. 0 is for what cannot be
// laid to any: an inbound packet for which no gate is open.
type tallies struct {
	mu     sync.RWMutex // guards number
	number map[string]uint16
}

// maxTallies bounds the numbers; further profiles count among the totals only.
const maxTallies = 4096

func (t *tallies) of(p *Profile) uint16 {
	if p == nil {
		return 0
	}
	t.mu.RLock()
	n, ok := t.number[p.Name]
	t.mu.RUnlock()
	if ok {
		return n
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, ok = t.number[p.Name]; ok || len(t.number) >= maxTallies {
		return n
	}
	n = uint16(len(t.number)) + 1
	t.number[p.Name] = n
	return n
}

// Counters returns all counters. They are added up over the shards one after
// the other and are not of one instant.
func (a *ALG) Counters() (out Counters) {
	a.each(func(sh *shard) {
		for i := range sh.tallies {
			out.Add(&sh.tallies[i])
		}
	})
	return out
}

// CountersOf returns the counters of the profile of that name, as far as a
// packet can be laid to one; false if the profile was never used.
func (a *ALG) CountersOf(profile string) (out Counters, ok bool) {
	a.tallies.mu.RLock()
	n, ok := a.tallies.number[profile]
	a.tallies.mu.RUnlock()
	a.each(func(sh *shard) {
		if ok && int(n) < len(sh.tallies) {
			out.Add(&sh.tallies[n])
		}
	})
	return out, ok
}

func (c *Counters) Add(o *Counters) {
	for _, sum := range [...]struct {
		to   *uint64
		more uint64
	}{
		{&c.Total, o.Total}, {&c.Dropped, o.Dropped}, {&c.Active, o.Active}, {&c.Blocked, o.Blocked},
		{&c.RxPkts, o.RxPkts}, {&c.TxPkts, o.TxPkts},
		{&c.ESPNoGateIn, o.ESPNoGateIn}, {&c.ESPNoGateOut, o.ESPNoGateOut},
		{&c.GateTimeout, o.GateTimeout}, {&c.GateFail, o.GateFail}, {&c.LateBind, o.LateBind},
		{&c.SPICollisionSuspect, o.SPICollisionSuspect}, {&c.StaleSPI, o.StaleSPI}, {&c.SeqReject, o.SeqReject},
		{&c.P2Held, o.P2Held}, {&c.P2Dropped, o.P2Dropped}, {&c.IKEHalfLimit, o.IKEHalfLimit},
		{&c.MalformedIKE, o.MalformedIKE}, {&c.IKESessions, o.IKESessions}, {&c.IKEHalfOpen, o.IKEHalfOpen},
		{&c.ESPSessions, o.ESPSessions},
	} {
		*sum.to += sum.more
	}
}

// ClearCounters sets counters to zero, of the profile of that name or for ""
// all, and returns what all were just before; false if the profile was never
// used. NetScaler's four that count (Total, Dropped, RxPkts, TxPkts) are
// cleared, and with full all others too. What says how things are now (Active,
// Blocked and the numbers of sessions) stays.
func (a *ALG) ClearCounters(profile string, full bool) (was Counters, ok bool) {
	a.tallies.mu.RLock()
	n, ok := a.tallies.number[profile]
	a.tallies.mu.RUnlock()
	a.each(func(sh *shard) {
		for i := range sh.tallies {
			if profile == "" || ok && i == int(n) {
				was.Add(&sh.tallies[i])
				sh.tallies[i].clear(full)
			}
		}
	})
	return was, ok || profile == ""
}

func (c *Counters) clear(full bool) {
	if !full {
		c.Total, c.Dropped, c.RxPkts, c.TxPkts = 0, 0, 0, 0
		return
	}
	*c = Counters{Active: c.Active, Blocked: c.Blocked,
		IKESessions: c.IKESessions, IKEHalfOpen: c.IKEHalfOpen, ESPSessions: c.ESPSessions}
}

// tally returns the shard's counters of a profile's number.
func (sh *shard) tally(n uint16) *Counters {
	for int(n) >= len(sh.tallies) {
		sh.tallies = append(sh.tallies, Counters{})
	}
	return &sh.tallies[n]
}

// count counts packets of ESP and their direction.
func (sh *shard) count(tally uint16, dir alg.Direction, packets uint64) {
	if dir == alg.In2Out {
		sh.tally(tally).TxPkts += packets
	} else {
		sh.tally(tally).RxPkts += packets
	}
}

// countIKE and its like keep a gauge and the bound, or quota, that goes with it.
func (st *step) countIKE(s *ikeSession, n int) {
	st.a.count.ikeSessions.Add(int64(n))
	st.sh.tally(s.tally).IKESessions += uint64(n)
}

func (st *step) countHalf(s *ikeSession, n int) {
	st.a.count.ikeHalf.Add(int64(n))
	st.sh.tally(s.tally).IKEHalfOpen += uint64(n)
}

func (st *step) countESP(s *espSession, n int) {
	st.a.count.espSessions.Add(int64(n))
	st.sh.tally(s.tally).ESPSessions += uint64(n)
	if q := st.a.cfg.Quota; q != nil && n < 0 {
		q.Give(s.client.inside) // it was taken before there was a session to count
	}
}

// countDrop counts a packet that the ALG refused.
func (st *step) countDrop(r drop.Reason, tally uint16) {
	c := st.sh.tally(tally)
	c.Dropped++
	switch r {
	case drop.IKEHalfLimit:
		c.IKEHalfLimit++
	case drop.ESPNoGateIn:
		c.ESPNoGateIn++
	case drop.ESPNoGateOut:
		c.ESPNoGateOut++
	case drop.ESPSeq:
		c.SeqReject++
	case drop.ESPStaleSPI:
		c.StaleSPI++
	}
}

// holdRoom reports whether all pairs together may hold grow bytes more.
func (a *ALG) holdRoom(grow int) bool {
	return a.count.heldBytes.Load()+int64(grow) <= int64(a.cfg.MaxHeldBytes)
}

// unhold counts a message that left its queue.
func (st *step) unhold(h *heldMessage) {
	st.a.count.heldBytes.Add(-int64(h.size()))
	st.sh.tally(h.key.session.tally).Blocked--
}
