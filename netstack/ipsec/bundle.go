package ipsec

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxOutbound = 16              // SAs of one selector
	askAgain    = time.Second     // between two wishes for an SA
	heldFor     = 5 * time.Second // a packet waits for one
	maxHeld     = 1 << 20         // bytes that wait, of all selectors
)

// bundle is what stands behind a selector: its outbound SAs, and the one packet
// that waits for the first of them (VR29). It outlives a reload that leaves the
// selector as it is.
type bundle struct {
	out   atomic.Pointer[[]*SA] // the newest first; replaced, never changed
	asked atomic.Int64          // when an SA was last wished for, 0: never

	misses atomic.Uint64 // packets that found no SA

	mu    sync.Mutex
	held  []byte // nil: none
	mark  uint32 // of held, its sender's own
	since int64
	over  bool // no selector has it any more: nothing may wait in it
}

// pick is the newest SA that may carry the flow, which the selector covers. Old ones stay behind it until
// the peer has the new one, too: make before break.
func (b *bundle) pick(f Flow) *SA {
	all := b.out.Load()
	if all == nil {
		return nil
	}
	for _, sa := range *all {
		if sa.whole || sa.Covers(f) {
			return sa
		}
	}
	return nil
}

// add makes an SA the first choice. It is called under the database's lock.
func (b *bundle) add(sa *SA) bool {
	next := []*SA{sa}
	if all := b.out.Load(); all != nil {
		next = append(next, *all...)
	}
	if len(next) > maxOutbound {
		return false
	}
	b.out.Store(&next)
	return true
}

// remove is called under the database's lock.
func (b *bundle) remove(sa *SA) {
	all := b.out.Load()
	if all == nil {
		return
	}
	var next []*SA
	for _, o := range *all {
		if o != sa {
			next = append(next, o)
		}
	}
	b.out.Store(&next)
}

// wish reports whether an SA is to be asked for now: once a second, by one of
// all who find none.
func (b *bundle) wish(now int64) bool {
	b.misses.Add(1)
	asked := b.asked.Load()
	if asked != 0 && now-asked < int64(askAgain) {
		return false
	}
	return b.asked.CompareAndSwap(asked, max(now, 1))
}

// hold keeps a copy of the packet if none waits and there is room.
func (b *bundle) hold(p []byte, mark uint32, total *atomic.Int64, now int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held != nil || b.over {
		return false
	}
	if n := int64(len(p)); total.Add(n) > maxHeld {
		total.Add(-n)
		return false
	}
	b.held, b.mark, b.since = append([]byte(nil), p...), mark, now
	return true
}

// release gives the packet back, if it has not waited too long.
func (b *bundle) release(total *atomic.Int64, now int64) (p []byte, mark uint32, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p = b.held; p == nil {
		return nil, 0, false
	}
	total.Add(-int64(len(p)))
	b.held = nil
	return p, b.mark, now-b.since < int64(heldFor)
}

// expire drops a packet that has waited too long.
func (b *bundle) expire(total *atomic.Int64, now int64) (mark uint32, over bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held == nil || now-b.since < int64(heldFor) {
		return 0, false
	}
	total.Add(-int64(len(b.held)))
	b.held = nil
	return b.mark, true
}

// end lets go of what waits, for good.
func (b *bundle) end(total *atomic.Int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	total.Add(-int64(len(b.held)))
	b.held, b.over = nil, true
}
