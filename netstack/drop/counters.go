package drop

import (
	"encoding/hex"
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
}

// Count adds one drop. packet may be nil; it is copied, at most once a second
// for each reason. now is in monotonic nanoseconds.
func (c *Counters) Count(r Reason, packet []byte, now int64) {
	c.n[r].Add(1)
	if packet == nil {
		return
	}
	if s := c.last[r].Load(); s != nil && now-s.At < sampleEvery {
		return
	}
	n := min(len(packet), SampleLen)
	c.last[r].Store(&Sample{At: now, Bytes: append([]byte(nil), packet[:n]...)})
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
