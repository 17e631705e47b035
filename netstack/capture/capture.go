package capture

import (
	"errors"
	"sync"
	"sync/atomic"

	"spigate/netstack/capture/filter"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Max is how many captures there may be at a time.
const Max = 4

// The bounds of a packet's copy, in bytes.
const (
	MaxSnap     = 65535
	DefaultSnap = MaxSnap
)

// markShift is where the bits of the captures stand in a packet's mark.
const markShift = 8

// MarkBits are the bits of a mark by which captures follow a packet.
const MarkBits = (1<<Max - 1) << markShift

// Config says what a capture takes. Every field may be left empty.
type Config struct {
	Points Points            // 0: all
	Port   string            // name; "": every one
	VLANs  []frame.Interface // those of interest, by either side; nil: every one
	Filter *filter.Expr
	Count  uint64 // packets after which it takes no more; 0: no end
	Snap   int    // bytes of each packet, 0: DefaultSnap
	Buffer int    // bytes between the packet path and the reader, twice; 0: DefaultBuffer
}

// DefaultBuffer holds some milliseconds of a busy gigabit.
const DefaultBuffer = 1 << 20

// Record is one packet at one point.
type Record struct {
	At      int64 // monotonic nanoseconds
	Point   Point
	Reason  drop.Reason     // of Dropped
	In, Out frame.Interface // 0: not known
	Frame   bool            // Data begins with its Ethernet header, not with its IPv4 header
	VLAN    uint16          // of a frame whose tag is not in Data, 0: it has none
	Len     int             // bytes before they were cut to Config.Snap, without the tag of VLAN
	Data    []byte
}

// Interface is the one that the record stands under: where it came in, or where
// it leaves.
func (r *Record) Interface() frame.Interface {
	if r.Out != 0 && (r.Point == After || r.Point == Sent) {
		return r.Out
	}
	return r.In
}

// ErrBusy is what Begin returns if there are Max captures already.
var ErrBusy = errors.New("there are as many captures as there may be at a time: end one of them")

// Set is the captures of a router. The zero value has none. It is safe for
// concurrent use.
type Set struct {
	slots  [Max]atomic.Pointer[Capture]
	begins sync.Mutex
	next   int // slot that is tried first: in turn, as packets under way still have the bit of a capture that ended
}

// Begin makes a capture. End must be called once it is not wanted any more.
func (s *Set) Begin(c Config) (*Capture, error) {
	s.begins.Lock()
	defer s.begins.Unlock()
	for n := range s.slots {
		i := (s.next + n) % Max
		if s.slots[i].Load() == nil {
			k := newCapture(c, i)
			s.slots[i].Store(k)
			s.next = i + 1
			return k, nil
		}
	}
	return nil, ErrBusy
}

// End ends a capture: it takes nothing from now on. What it has can still be
// taken.
func (s *Set) End(c *Capture) {
	s.slots[c.slot].CompareAndSwap(c, nil)
	c.finish()
}

// Any reports whether there is a capture.
func (s *Set) Any() bool {
	for i := range s.slots {
		if s.slots[i].Load() != nil {
			return true
		}
	}
	return false
}

// Filters calls fn with the filter of each capture.
func (s *Set) Filters(fn func(*filter.Expr)) {
	for i := range s.slots {
		if c := s.slots[i].Load(); c != nil {
			fn(c.config.Filter)
		}
	}
}

// Offer shows a packet to every capture. p is what there is to choose it by, mark
// what it carries and port, if not "", the name of the port that it passes. Data
// is copied. It returns the mark with the bits of those that follow it from here.
func (s *Set) Offer(r *Record, p *filter.Packet, mark uint32, port string) uint32 {
	for i := range s.slots {
		if c := s.slots[i].Load(); c != nil {
			mark |= c.offer(r, p, mark, port)
		}
	}
	return mark
}

// Wants reports whether a capture that may want a packet with this mark takes it
// at a point.
func (s *Set) Wants(at Point, mark uint32) bool {
	for i := range s.slots {
		if c := s.slots[i].Load(); c != nil && c.config.Points.Has(at) && (c.config.Filter == nil || mark&c.bit != 0) {
			return true
		}
	}
	return false
}

// Capture is one of them.
type Capture struct {
	config Config
	slot   int
	bit    uint32
	vlans  *[256]bool // nil: all
	ready  chan struct{}
	ended  chan struct{}
	buffer buffer
}

func newCapture(c Config, slot int) *Capture {
	if c.Points == 0 {
		c.Points = AllPoints
	}
	if c.Snap <= 0 || c.Snap > MaxSnap {
		c.Snap = DefaultSnap
	}
	if c.Buffer <= 0 {
		c.Buffer = DefaultBuffer
	}
	k := &Capture{config: c, slot: slot, bit: 1 << (markShift + slot), ready: make(chan struct{}, 1), ended: make(chan struct{})}
	k.buffer.room, k.buffer.most = c.Buffer, c.Count
	if c.VLANs != nil {
		k.vlans = new([256]bool)
		for _, i := range c.VLANs {
			k.vlans[i] = true
		}
	}
	return k
}

// Ready gets something when there may be records to take.
func (c *Capture) Ready() <-chan struct{} { return c.ready }

// Ended is closed once the capture takes nothing any more: its count is full, or
// it was ended.
func (c *Capture) Ended() <-chan struct{} { return c.ended }

func (c *Capture) finish() {
	if c.buffer.end() {
		close(c.ended)
	}
}

// offer takes r, if it is chosen, and returns the capture's bit if it follows the
// packet from here.
func (c *Capture) offer(r *Record, p *filter.Packet, mark uint32, port string) uint32 {
	var bit uint32
	if c.config.Filter != nil {
		if mark&c.bit == 0 && !c.config.Filter.Match(p) {
			return 0
		}
		bit = c.bit
	}
	if !c.config.Points.Has(r.Point) || c.vlans != nil && !c.vlans[r.In] && !c.vlans[r.Out] || c.config.Port != "" && !c.onPort(r, port) {
		return bit
	}
	kept, full := c.buffer.add(r, c.config.Snap)
	if kept {
		select {
		case c.ready <- struct{}{}:
		default:
		}
	}
	if full {
		c.finish()
	}
	return bit
}

// onPort reports whether a record is of the port that is wanted. Where none is
// known, VLANs have said so already, if the caller gave those of the port.
func (c *Capture) onPort(r *Record, port string) bool {
	if port == "" {
		return c.vlans != nil
	}
	return port == c.config.Port
}

// Take gives all records to fn that have come since it was last called, in their
// order; their data is fn's until it returns. It is for one goroutine.
func (c *Capture) Take(fn func(*Record)) { c.buffer.take(fn) }

// Stats is what a capture has taken.
type Stats struct {
	Taken, Lost uint64 // records; Lost for want of room
	Of          map[Source]Counts
}

// Source is a point at an interface.
type Source struct {
	Point     Point
	Interface frame.Interface
}

// Counts are those of a Source.
type Counts struct{ Taken, Lost uint64 }

// Stats returns what the capture has taken so far.
func (c *Capture) Stats() Stats { return c.buffer.stats() }
