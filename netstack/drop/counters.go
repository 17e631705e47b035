package drop

import (
	"encoding/hex"
	"sync"
	"sync/atomic"
)

// SampleLen is how many bytes of a dropped packet are kept to show it.
const SampleLen = 64

// sampleEvery is the least time between two samples of one reason, so that a
// flood costs a counter and no allocation.
const sampleEvery = int64(1e9)

// Sample is the start of a dropped packet.
type Sample struct {
	At    int64  // monotonic nanoseconds
	Bytes []byte // from the IPv4 or Ethernet header on, at most SampleLen
}

// Counters counts drops by reason. The zero value is ready; it is safe for
// concurrent use.
type Counters struct {
	n    [NumReasons]atomic.Uint64
	last [NumReasons]atomic.Pointer[Sample]
	tell atomic.Pointer[Watch]
	lent sync.Pool // of *[]byte: packets while a Watch is told of them
}

// Dropped is a drop as a Watch is told of it.
type Dropped struct {
	Reason Reason
	Packet []byte // from its IPv4 or its Ethernet header on; a Watch must not keep it
	At     int64  // monotonic nanoseconds
	In     uint8  // number of the interface that it came in by, 0: not known
	Mark   uint32 // what those who look on know it by, 0: nobody does
}

// Watch is told of drops one by one, by every goroutine that drops something. It
// must not wait.
type Watch func(Dropped)

// SetWatch tells w of every drop from now on, in place of whoever was told; nil
// tells nobody. Drops that a driver counts are told to nobody (Add).
func (c *Counters) SetWatch(w Watch) {
	if w == nil {
		c.tell.Store(nil)
		return
	}
	c.tell.Store(&w)
}

// Watched reports whether somebody is told.
func (c *Counters) Watched() bool { return c.tell.Load() != nil }

// Count adds one drop. packet may be nil; it is copied, at most once a second
// for each reason. now is in monotonic nanoseconds.
func (c *Counters) Count(r Reason, packet []byte, now int64) {
	c.CountOf(Dropped{Reason: r, Packet: packet, At: now})
}

// CountOf is Count with all that is known of the drop.
func (c *Counters) CountOf(d Dropped) {
	r, packet, now := d.Reason, d.Packet, d.At
	c.n[r].Add(1)
	if w := c.tell.Load(); w != nil {
		c.told(*w, d)
	}
	if packet == nil {
		return
	}
	if s := c.last[r].Load(); s != nil && now-s.At < sampleEvery {
		return
	}
	n := min(len(packet), SampleLen)
	c.last[r].Store(&Sample{At: now, Bytes: append([]byte(nil), packet[:n]...)})
}

// told tells w of a drop. It gives a copy out of the pool: as a Watch can be any
// function, the packet itself would escape to the heap in all who count it, and a
// new copy would be one for each packet of a flood.
func (c *Counters) told(w Watch, d Dropped) {
	b, _ := c.lent.Get().(*[]byte)
	if b == nil {
		b = new([]byte)
	}
	*b = append((*b)[:0], d.Packet...)
	w(Dropped{Reason: d.Reason, Packet: *b, At: d.At, In: d.In, Mark: d.Mark})
	c.lent.Put(b)
}

// Add adds n drops at once, for counters that a driver keeps.
func (c *Counters) Add(r Reason, n uint64) { c.n[r].Add(n) }

// Get returns the count of one reason.
func (c *Counters) Get(r Reason) uint64 { return c.n[r].Load() }

// Last returns the newest sample of r, or nil.
func (c *Counters) Last(r Reason) *Sample { return c.last[r].Load() }

// Snapshot returns all counts, indexed by Reason.
func (c *Counters) Snapshot() (out [NumReasons]uint64) {
	for i := range out {
		out[i] = c.n[i].Load()
	}
	return out
}

// Hex returns the sample's bytes for display, or "" for a nil sample.
func (s *Sample) Hex() string {
	if s == nil {
		return ""
	}
	return hex.EncodeToString(s.Bytes)
}
