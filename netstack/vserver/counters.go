package vserver

import (
	"sync"
	"sync/atomic"
	"time"
)

// Counters counts the connections of one listener (VR39 to VR42). Client is
// the side that sent the first packet: In is from it, Out is to it.
type Counters struct {
	packets, bytes [2]atomic.Uint64 // by Side that sent; bytes are IP total lengths
	held           atomic.Int64     // places taken under the limit
	current, peak  atomic.Int64
	total          atomic.Uint64
	refused        atomic.Uint64 // by connection-limit
	slowed         atomic.Uint64 // by rate-limit

	mu                sync.Mutex
	closed            uint64
	shortest, longest time.Duration
	lasted            time.Duration // all closed ones together
	expired, byReset  uint64
}

// Stats is one look at Counters. Evicted and slow connections killed are
// always 0 and have no field: there is no sweeper for memory (VR42).
type Stats struct {
	PacketsIn, PacketsOut uint64
	BytesIn, BytesOut     uint64 // IP total length; BitsIn and BitsOut are 8 times that
	Current, Maximum      int64  // Maximum is the true concurrent peak (VR41)
	Total                 uint64
	Limited, RateLimited  uint64 // connections that were refused (VR18)

	// Durations of closed connections only; 0 before the first (VR42).
	Closed          uint64
	MinDuration     time.Duration
	MaxDuration     time.Duration
	MeanDuration    time.Duration
	Expired, Resets uint64 // of those: idle or half open for too long; ended by a RST
}

// BitsIn is what the client sent, in bits of IP (VR39).
func (s Stats) BitsIn() uint64 { return 8 * s.BytesIn }

// BitsOut is what the client was sent, in bits of IP (VR39).
func (s Stats) BitsOut() uint64 { return 8 * s.BytesOut }

// Stats reads the counters. Each is exact; they are not of one instant while
// packets flow.
func (c *Counters) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{
		PacketsIn: c.packets[Client].Load(), PacketsOut: c.packets[Remote].Load(),
		BytesIn: c.bytes[Client].Load(), BytesOut: c.bytes[Remote].Load(),
		Current: c.current.Load(), Maximum: c.peak.Load(), Total: c.total.Load(),
		Limited: c.refused.Load(), RateLimited: c.slowed.Load(),
		Closed: c.closed, MinDuration: c.shortest, MaxDuration: c.longest,
		Expired: c.expired, Resets: c.byReset,
	}
	if c.closed > 0 {
		s.MeanDuration = c.lasted / time.Duration(c.closed)
	}
	return s
}

// hold takes a place under the limit (0: none); cancel gives it back.
func (c *Counters) hold(limit int) bool {
	if n := c.held.Add(1); limit > 0 && n > int64(limit) {
		c.held.Add(-1)
		return false
	}
	return true
}

func (c *Counters) cancel() { c.held.Add(-1) }

// enter counts a connection that has a place. The peak is raised by what the
// one counter of current connections said at this instant, not by sums.
func (c *Counters) enter() {
	c.total.Add(1)
	n := c.current.Add(1)
	for p := c.peak.Load(); n > p && !c.peak.CompareAndSwap(p, n); p = c.peak.Load() {
	}
}

func (c *Counters) leave(lasted time.Duration, why end) {
	c.current.Add(-1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed == 0 || lasted < c.shortest {
		c.shortest = lasted
	}
	c.closed++
	c.longest = max(c.longest, lasted)
	c.lasted += lasted
	switch why {
	case endTime:
		c.expired++
	case endReset:
		c.byReset++
	}
}

func (c *Counters) packet(from Side, packets, bytes uint64) {
	c.packets[from].Add(packets)
	c.bytes[from].Add(bytes)
}

// meter is a rate limit: a virtual clock that each new connection moves by its
// share of a second, and that may be a second ahead. One atomic word.
type meter struct {
	share int64 // nanoseconds for one connection
	until atomic.Int64
}

func newMeter(perSecond int) *meter {
	if perSecond <= 0 {
		return nil
	}
	return &meter{share: max(int64(time.Second)/int64(perSecond), 1)}
}

// open reports whether one more may pass, without letting it.
func (m *meter) open(now int64) bool {
	return m == nil || max(m.until.Load(), now)+m.share <= now+max(int64(time.Second), m.share)
}

// pass lets one more pass, or reports that it may not.
func (m *meter) pass(now int64) bool {
	if m == nil {
		return true
	}
	for {
		until := m.until.Load()
		next := max(until, now) + m.share
		if next > now+max(int64(time.Second), m.share) {
			return false
		}
		if m.until.CompareAndSwap(until, next) {
			return true
		}
	}
}
