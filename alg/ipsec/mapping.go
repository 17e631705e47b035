package ipsec

import (
	"slices"
	"sync"

	"spigate/netstack/frame"
)

// mappings knows which IKE sessions stand on each UDP mapping, for its idle
// timer (R40) and its end (R47). Endpoint-independent mappings serve several
// servers, so a mapping may have sessions in several shards. It is sharded by
// mapping; its lock is a leaf.
type mappings struct {
	mu  sync.Mutex // guards everything below
	use map[uint64]*mappingUse
}

// mappingUse counts the IKE sessions on one mapping by state.
type mappingUse struct {
	states [3]uint16
	inside frame.Addr
	pairs  []pairKey // with at least one session
	idle   int64     // the timer that was asked for last
	seen   int64     // last IKE of the sessions that have ended
}

func (m *mappings) init() { m.use = make(map[uint64]*mappingUse) }

// enter counts a session that was made in a state and wants the mapping to
// idle for want; it returns the timer to set, 0 for no change.
func (m *mappings) enter(mapping uint64, inside frame.Addr, k pairKey, state IKEState, want int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.use[mapping]
	if u == nil {
		u = &mappingUse{inside: inside, seen: never}
		m.use[mapping] = u
	}
	if !slices.Contains(u.pairs, k) {
		u.pairs = append(u.pairs, k)
	}
	u.states[state]++
	return u.retime(state, want)
}

// move counts a session that went from one state to another.
func (m *mappings) move(mapping uint64, from, to IKEState, want int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.use[mapping]
	if u == nil {
		return 0
	}
	u.states[from]--
	u.states[to]++
	return u.retime(to, want)
}

// leave counts a session that ended. last tells that it was its pair's last on
// the mapping; half is the half-open timer. empty reports that no session is
// left, seen is when IKE was seen on the mapping then, and idle is the timer to
// set otherwise.
func (m *mappings) leave(s *ikeSession, k pairKey, last bool, half int64) (idle, seen int64, empty bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.use[s.mapping]
	if u == nil {
		return 0, 0, false // the mapping went first
	}
	u.states[s.state]--
	u.seen = max(u.seen, s.lastSeen)
	if last {
		u.pairs = slices.DeleteFunc(u.pairs, func(p pairKey) bool { return p == k })
	}
	if u.states == [3]uint16{} {
		delete(m.use, s.mapping)
		return 0, u.seen, true
	}
	if u.states[Up] > 0 || u.states[Floated] > 0 {
		return 0, 0, false
	}
	return u.set(half), 0, false
}

// Carries reports whether IKE sessions stand on a mapping. It costs one look-up.
func (a *ALG) Carries(mapping uint64) bool {
	m := a.mapsOf(mapping)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.use[mapping] != nil
}

// forget drops the record of a mapping that is gone and returns whose it was
// and the pairs that have sessions on it.
func (m *mappings) forget(mapping uint64) (frame.Addr, []pairKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.use[mapping]
	if u == nil {
		return frame.Addr{}, nil
	}
	delete(m.use, mapping)
	return u.inside, u.pairs
}

// again asks for the timer anew after a profile changed.
func (m *mappings) again(mapping uint64, state IKEState, want int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.use[mapping]
	if u == nil {
		return 0
	}
	return u.retime(state, want)
}

// retime decides on a timer after a session came to a state: one UP session
// is enough for the long one.
func (u *mappingUse) retime(state IKEState, want int64) int64 {
	if state != Up && u.states[Up] > 0 {
		return 0
	}
	return u.set(want)
}

func (u *mappingUse) set(idle int64) int64 {
	if u.idle == idle {
		return 0
	}
	u.idle = idle
	return idle
}
