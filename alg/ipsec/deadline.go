package ipsec

import (
	"slices"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Tick does what is due: locks, gates and held messages at once, sessions at
// most once a second (R22). Look-ups check expiry by themselves, so that
// nothing depends on how often it is called.
func (a *ALG) Tick(now int64) []Action {
	var actions []Action
	for i := range a.shards {
		actions = append(actions, a.tick(&a.shards[i], now)...)
	}
	return actions
}

func (a *ALG) tick(sh *shard, now int64) []Action {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	st := &step{a: a, sh: sh, now: now}
	for p := range sh.busy {
		st.expire(p)
		st.settle(p)
	}
	if now > sh.earliest && now-sh.swept >= sweepEvery {
		st.sweep()
	}
	return st.actions
}

// NextDeadline returns when Tick has something to do: the first nanosecond
// after a deadline, because a timer fires when idle exceeds its value. false:
// nothing is waiting.
func (a *ALG) NextDeadline() (int64, bool) {
	next := int64(farFuture)
	for i := range a.shards {
		next = min(next, a.shards[i].next())
	}
	return next, next < farFuture
}

func (sh *shard) next() int64 {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	next := int64(farFuture)
	if sh.earliest < farFuture {
		next = max(sh.earliest+1, sh.swept+sweepEvery)
	}
	for p := range sh.busy {
		next = min(next, p.next())
	}
	return next
}

func (p *pair) next() int64 {
	next := int64(farFuture)
	if p.lock.state != Free {
		at, _ := p.lock.deadline(len(p.queue.messages) > 0)
		next = min(next, at)
	} else if p.gate.open {
		next = min(next, p.gate.deadline())
	}
	for _, h := range p.queue.messages {
		next = min(next, h.deadline())
	}
	return next + 1
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
			st.removeIKE(p, s, causeGone, "idle", true)
		}
	}
}

// sweep looks at every session of the shard, ends those that are over, and
// notes when the next one can be.
func (st *step) sweep() {
	sh := st.sh
	sh.swept, sh.earliest = st.now, farFuture
	for _, p := range sh.pairs {
		for inside, c := range p.clients {
			st.expireClient(p, inside)
			for _, s := range c.sessions {
				sh.due(s.deadline())
			}
		}
	}
	for _, s := range sh.byID {
		if !st.endIfOver(s) {
			sh.due(s.deadline())
		}
	}
	sh.stones.expire(st.now)
}
