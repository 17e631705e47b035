package ipsec

import (
	"slices"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// tickBudget is how many sessions and how many pairs one call of tick may look
// at in a shard, so that it never stops one for long. Tick goes on with the
// rest when it is called again, which NextDeadline then asks for at once.
const tickBudget = 128

// Tick does what is due: locks, gates and held messages at once, sessions at
// most once a second (R22). Look-ups check expiry by themselves, so that
// nothing depends on how often it is called.
func (a *ALG) Tick(now int64) []Action {
	var actions []Action
	for i := range a.shards {
		if sh := &a.shards[i]; now >= sh.wake.Load() {
			actions = append(actions, a.tick(sh, now)...)
		}
	}
	return actions
}

func (a *ALG) tick(sh *shard, now int64) []Action {
	sh.mu.Lock()
	defer sh.done()
	st := &step{a: a, sh: sh, now: now}
	st.run()
	return st.actions
}

// run ends what is over in the shard, within the budget.
func (st *step) run() {
	sh := st.sh
	budget := tickBudget
	for p := sh.busy.due(st.now, &budget); p != nil; p = sh.busy.due(st.now, &budget) {
		st.expire(p)
		st.settle(p)
	}
	if st.now-sh.swept >= sweepEvery {
		st.sweep()
	}
}

// sweep ends the sessions that are over.
func (st *step) sweep() {
	sh, budget := st.sh, tickBudget
	for s := sh.ikes.due(st.now, &budget); s != nil; s = sh.ikes.due(st.now, &budget) {
		st.removeIKE(s.client.pair, s, causeGone, "idle", mappingEnds)
	}
	for s := sh.esps.due(st.now, &budget); s != nil; s = sh.esps.due(st.now, &budget) {
		st.endIfOver(s)
	}
	sh.stones.expire(st.now)
	if budget > 0 {
		sh.swept = st.now
	}
}

// NextDeadline returns when Tick has something to do: the first nanosecond
// after a deadline, because a timer fires when idle exceeds its value. It may
// be too early, if packets have moved that deadline since. false: nothing is
// waiting.
func (a *ALG) NextDeadline() (int64, bool) {
	next := int64(farFuture)
	for i := range a.shards {
		next = min(next, a.shards[i].wake.Load())
	}
	return next, next < farFuture
}

// done ends a step on the shard.
func (sh *shard) done() {
	sh.wake.Store(sh.next())
	sh.mu.Unlock()
}

func (sh *shard) next() int64 {
	next := int64(farFuture)
	if first := min(sh.ikes.first(), sh.esps.first()); first < farFuture {
		next = max(first+1, sh.swept+sweepEvery)
	}
	if first := sh.busy.first(); first < farFuture {
		next = min(next, first+1)
	}
	return next
}

func (p *pair) place() *int32 { return &p.row }

// deadline is the last moment at which nothing on the pair is over.
func (p *pair) deadline() int64 {
	next := int64(farFuture - 1)
	if p.lock.state != Free {
		at, _ := p.lock.deadline(len(p.queue.messages) > 0)
		next = min(next, at)
	} else if p.gate.open {
		next = min(next, p.gate.deadline())
	}
	for _, h := range p.queue.messages {
		next = min(next, h.deadline())
	}
	return next
}

// expire ends what is over on a pair: its lock, its gates, and messages that
// waited too long. The lock comes first, so that a message whose turn comes in
// the same moment is sent and not dropped.
func (st *step) expire(p *pair) {
	if p == nil {
		return
	}
	for why := p.lockDue(st.now); why != causeNone; why = p.lockDue(st.now) {
		st.release(p, why)
	}
	if p.lock.state == Free && p.gate.open && st.now > p.gate.deadline() {
		st.closeGates(p)
	}
	for _, h := range slices.Clone(p.queue.messages) {
		if st.now > h.deadline() {
			p.queue.remove(h)
			st.discard(p, h, drop.IKEHoldExpired)
		}
	}
}

// expireClient ends the subscriber's IKE sessions on a pair that are over.
func (st *step) expireClient(p *pair, inside frame.Addr) {
	c := p.client(inside)
	if c == nil {
		return
	}
	for _, s := range slices.Clone(c.sessions) {
		if st.now > s.deadline() {
			st.removeIKE(p, s, causeGone, "idle", mappingEnds)
		}
	}
}
