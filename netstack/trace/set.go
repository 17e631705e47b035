package trace

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"spigate/netstack/capture/filter"
	"spigate/netstack/frame"
)

// A packet's number, as its mark has it: the place in the table, and how often
// the place was used.
const (
	MarkShift = 12 // where it stands in a mark
	placeBits = 12
	places    = 1 << placeBits
	idMask    = 1<<(32-MarkShift) - 1
)

// Config says what a trace records.
type Config struct {
	Name  string
	Match *filter.Expr
	Text  string          // Match as it was written
	In    frame.Interface // 0: any
	Count int             // packets, 1 to MaxPackets
}

// Trace is one of them.
type Trace struct {
	Config
	began int64
	taken atomic.Int32

	mu      sync.Mutex
	packets []*Packet
}

// Set is the traces of a router. The zero value has none. It is safe for
// concurrent use.
type Set struct {
	mu     sync.Mutex
	traces atomic.Pointer[[]*Trace] // replaced, never changed
	last   atomic.Uint32            // packet's number
	table  [places]atomic.Pointer[Packet]
}

// What Add refuses.
var (
	ErrExists = errors.New("there is a trace of this name")
	ErrMany   = fmt.Errorf("there are as many traces as there may be, %d", MaxTraces)
	ErrTotal  = fmt.Errorf("all traces together may have %d packets", MaxTotal)
	ErrCount  = fmt.Errorf("a trace has 1 to %d packets", MaxPackets)
)

// Add begins a trace. now is monotonic nanoseconds.
func (s *Set) Add(c Config, now int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, total := s.all(), c.Count
	for _, t := range old {
		if t.Name == c.Name {
			return ErrExists
		}
		total += t.Count
	}
	switch {
	case c.Count < 1 || c.Count > MaxPackets:
		return ErrCount
	case len(old) == MaxTraces:
		return ErrMany
	case total > MaxTotal:
		return ErrTotal
	}
	s.set(append(append([]*Trace(nil), old...), &Trace{Config: c, began: now}))
	return nil
}

func (s *Set) all() []*Trace {
	if l := s.traces.Load(); l != nil {
		return *l
	}
	return nil
}

func (s *Set) set(l []*Trace) { s.traces.Store(&l) }

// Remove ends a trace and forgets its packets; "" all. It returns how many
// traces and packets those were.
func (s *Set) Remove(name string) (traces, packets int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []*Trace
	for _, t := range s.all() {
		if name == "" || t.Name == name {
			traces++
			packets += len(t.list())
			continue
		}
		left = append(left, t)
	}
	s.set(left)
	for i := range s.table {
		if p := s.table[i].Load(); p != nil && (name == "" || p.trace.Name == name) {
			s.table[i].Store(nil)
		}
	}
	return traces, packets
}

// Clear forgets what was recorded by a trace, "" by all, so that it records anew.
// now is monotonic nanoseconds.
func (s *Set) Clear(name string, now int64) (traces, packets int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*Trace
	for _, t := range s.all() {
		if name == "" || t.Name == name {
			traces++
			packets += len(t.list())
			t = &Trace{Config: t.Config, began: now}
		}
		list = append(list, t)
	}
	s.set(list)
	return traces, packets
}

// Wanting reports whether a trace still wants packets.
func (s *Set) Wanting() bool {
	for _, t := range s.all() {
		if int(t.taken.Load()) < t.Count {
			return true
		}
	}
	return false
}

// Filters calls fn for each trace that still wants packets.
func (s *Set) Filters(fn func(*filter.Expr)) {
	for _, t := range s.all() {
		if int(t.taken.Load()) < t.Count {
			fn(t.Match)
		}
	}
}

// Wants returns a trace that wants a packet, or nil: one packet is of one trace,
// the first that it matches.
func (s *Set) Wants(p *filter.Packet) *Trace {
	for _, t := range s.all() {
		if int(t.taken.Load()) < t.Count && (t.In == 0 || t.In == p.In) && t.Match.Match(p) {
			return t
		}
	}
	return nil
}

// Begin begins the walk of a packet for a trace that wants it, and returns the
// number by which the packet is known, never 0; or 0, if the trace has got its
// last packet meanwhile. p's exported fields but Number are set; expects is what
// the router has to say beforehand.
func (s *Set) Begin(t *Trace, p *Packet, expects []Event) uint32 {
	n := int(t.taken.Add(1))
	if n > t.Count {
		t.taken.Add(-1)
		return 0
	}
	p.trace, p.expects = t, expects
	for p.id == 0 {
		p.id = s.last.Add(1) & idMask
	}
	t.mu.Lock()
	t.packets = append(t.packets, p)
	p.Number = len(t.packets)
	t.mu.Unlock()
	s.table[p.id%places].Store(p)
	return p.id
}

// Packet returns the packet of a number, or nil if it is forgotten.
func (s *Set) Packet(id uint32) *Packet {
	if id == 0 {
		return nil
	}
	if p := s.table[id%places].Load(); p != nil && p.id == id {
		return p
	}
	return nil
}

// Event adds to the walk of a packet.
func (s *Set) Event(id uint32, e Event) {
	if p := s.Packet(id); p != nil {
		p.Add(e)
	}
}

// End ends a walk that has not ended.
func (s *Set) End(id uint32, f Fate) {
	if p := s.Packet(id); p != nil {
		p.End(f)
	}
}

func (t *Trace) list() []*Packet {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]*Packet(nil), t.packets...)
}

// Info is a trace as it stands now.
type Info struct {
	Config
	Began int64 // monotonic nanoseconds
	Taken int   // packets
}

// List returns all traces, in the order in which they were added.
func (s *Set) List() (out []Info) {
	for _, t := range s.all() {
		out = append(out, Info{t.Config, t.began, len(t.list())})
	}
	return out
}

// Each returns every walk of a trace, "" of all, in the order in which the packets
// came.
func (s *Set) Each(name string) (out []Walk) {
	for _, t := range s.all() {
		if name != "" && t.Name != name {
			continue
		}
		for _, p := range t.list() {
			out = append(out, p.walk())
		}
	}
	return out
}

// Walks is Each with equal walks put together: the first of them, with their
// number in Packets.
func (s *Set) Walks(name string) (out []Walk) {
	at := map[string]int{}
	for _, w := range s.Each(name) {
		key := w.Trace + " " + w.kind()
		if i, ok := at[key]; ok {
			out[i].Packets++
			continue
		}
		at[key] = len(out)
		out = append(out, w)
	}
	return out
}
