package ipsec

import (
	"slices"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Flush removes the ESP sessions, gates, locks, held messages and IKE sessions
// that f selects (section 1.3, N29), as far as they were there at now. It hands
// its actions to do in small batches, with nothing locked, so that neither a
// packet nor memory waits for a million sessions. Selecting nothing is success.
func (a *ALG) Flush(f Filter, now int64, do func([]Action)) {
	a.purge(&purge{pair: f.pair, inside: f.inside, esp: true, cause: causeFlushed, mapping: mappingEnds}, now, do)
}

// Unbind ends what the ALG does for subscribers whose group has lost its
// profile (R11): their IKE sessions, gates, locks, tokens and held messages.
// Their mappings get the timers of plain UDP back, and their ESP sessions live
// until they are idle or flushed. Packets that come later must carry no
// profile. For do see Flush.
func (a *ALG) Unbind(lost func(inside frame.Addr) bool, now int64, do func([]Action)) {
	all := func(pairKey) bool { return true }
	a.purge(&purge{pair: all, inside: lost, cause: causeUnbound, mapping: mappingYields}, now, do)
}

// purge says what is to end.
type purge struct {
	pair    func(pairKey) bool
	inside  func(frame.Addr) bool
	esp     bool // ESP sessions too
	cause   cause
	mapping mappingFate
}

// purgeStep is how many sessions end while a shard is locked.
const purgeStep = 256

func (a *ALG) purge(what *purge, now int64, do func([]Action)) {
	for i := range a.shards {
		for more := true; more; {
			var actions []Action
			actions, more = a.purgeSome(&a.shards[i], what, now)
			do(actions)
		}
	}
}

// purgeSome ends some of what is to end in a shard, and reports whether there
// may be more. What began after now is not looked at, or somebody who begins
// anew all the time would keep it from coming to an end.
func (a *ALG) purgeSome(sh *shard, what *purge, now int64) (actions []Action, more bool) {
	sh.mu.Lock()
	defer sh.done()
	st, room := &step{a: a, sh: sh, now: now}, purgeStep
	for k, p := range sh.pairs {
		if what.pair(k) {
			st.purgePair(p, what, &room)
		}
		if room == 0 {
			return st.actions, true
		}
	}
	for _, s := range sh.byID {
		if !what.esp || !what.pair(pairKey{s.nat, s.server}) || !what.inside(s.client.inside) || s.created > now {
			continue
		}
		if room == 0 {
			return st.actions, true
		}
		room--
		st.end(s, what.cause.word(), true)
	}
	return st.actions, false
}

// purgePair drops what waits before it frees the lock, or the lock would go to
// a message that is about to be dropped.
func (st *step) purgePair(p *pair, what *purge, room *int) {
	for _, h := range slices.Clone(p.queue.messages) {
		if s := h.key.session; what.inside(s.client.inside) && s.created <= st.now {
			p.queue.remove(h)
			st.discard(p, h, drop.IKEFlushed)
		}
	}
	for inside, c := range p.clients {
		if !what.inside(inside) {
			continue
		}
		for _, s := range slices.Clone(c.sessions) {
			if s.created > st.now {
				continue
			}
			if *room == 0 {
				st.settle(p)
				return
			}
			*room--
			st.removeIKE(p, s, what.cause, what.cause.word(), what.mapping)
		}
	}
	st.settle(p)
}
