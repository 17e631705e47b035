package ipsec

import (
	"sync"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// outKey names an SPI of one subscriber towards or from one server (R62).
type outKey struct {
	Inside, Server frame.Addr
	SPI            uint32
}

// subscribers holds what is looked up by inside address before the pair is
// known: outbound SPIs, and how many IKE sessions each subscriber has (R41).
// It is sharded by subscriber (R73). Its lock is a leaf: it may be taken while
// a shard is locked, never the other way round.
type subscribers struct {
	mu    sync.Mutex // guards everything below
	out   map[outKey]*espSession
	in    map[outKey]frame.Addr // NAT address of an inbound SPI (R74)
	quota map[frame.Addr]quota
}

// quota counts a subscriber's IKE sessions over all servers.
type quota struct{ half, all uint16 }

func (u *subscribers) init() {
	u.out = make(map[outKey]*espSession)
	u.in = make(map[outKey]frame.Addr)
	u.quota = make(map[frame.Addr]quota)
}

// find returns the session of an outbound SPI, or nil. Of the session only
// what never changes may be read before its shard is locked: nat and server.
func (u *subscribers) find(k outKey) *espSession {
	u.mu.Lock()
	s := u.out[k]
	u.mu.Unlock()
	return s
}

func (u *subscribers) setOut(k outKey, s *espSession) {
	u.mu.Lock()
	u.out[k] = s
	u.mu.Unlock()
}

func (u *subscribers) clearOut(k outKey, s *espSession) {
	u.mu.Lock()
	if u.out[k] == s {
		delete(u.out, k)
	}
	u.mu.Unlock()
}

func (u *subscribers) setIn(k outKey, nat frame.Addr) {
	u.mu.Lock()
	u.in[k] = nat
	u.mu.Unlock()
}

func (u *subscribers) clearIn(k outKey, nat frame.Addr) {
	u.mu.Lock()
	if u.in[k] == nat {
		delete(u.in, k)
	}
	u.mu.Unlock()
}

func (u *subscribers) natOf(k outKey) (frame.Addr, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	nat, ok := u.in[k]
	return nat, ok
}

// room says whether the subscriber may have one more IKE session (R41).
// Sessions that servers initiate leave two half-open ones to the client, so
// that forged initiations cannot lock it out.
func (u *subscribers) room(inside frame.Addr, half, incoming bool) drop.Reason {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.quota[inside].room(half, incoming)
}

func (q quota) room(half, incoming bool) drop.Reason {
	limit := uint16(maxHalfOpen)
	if incoming {
		limit -= reservedHalf
	}
	switch {
	case half && q.half >= limit:
		return drop.IKEHalfLimit
	case q.all >= maxIKESessions:
		return drop.IKESessionLimit
	}
	return drop.None
}

// reserve counts a new session if there is room for it.
func (u *subscribers) reserve(inside frame.Addr, half, incoming bool) drop.Reason {
	u.mu.Lock()
	defer u.mu.Unlock()
	q := u.quota[inside]
	if r := q.room(half, incoming); r != drop.None {
		return r
	}
	q.all++
	if half {
		q.half++
	}
	u.quota[inside] = q
	return drop.None
}

// settled counts a session that is half-open no longer.
func (u *subscribers) settled(inside frame.Addr) {
	u.mu.Lock()
	defer u.mu.Unlock()
	q := u.quota[inside]
	q.half--
	u.quota[inside] = q
}

// leave counts a session that ended.
func (u *subscribers) leave(inside frame.Addr, half bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	q := u.quota[inside]
	q.all--
	if half {
		q.half--
	}
	if q.all == 0 {
		delete(u.quota, inside)
		return
	}
	u.quota[inside] = q
}
