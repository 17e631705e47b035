package top

import (
	"slices"
	"sync"
	"sync/atomic"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
)

// Most is how many rows there are of each order.
const Most = 100

// maxSubscribers is how many subscribers are counted at a time. When there are
// more in one interval, the lighter half makes room: one that comes again
// begins at zero, and is shown with too little.
const maxSubscribers = 1 << 15

// watched is how long a Meter listens after somebody has asked, in ns.
const watched = 5e9

// Flow is a flow with what it carried in the interval.
type Flow struct {
	Key            flow.Key
	Side           flow.Side
	Addr           frame.Addr // what its packets leave with, on that side
	Port           uint16
	Owner          flow.Owner
	Packets, Bytes uint64 // bytes of IP
}

// Subscriber is an inside address with what its flows carried. Out is from it,
// In is to it.
type Subscriber struct {
	Addr                 frame.Addr
	Domain               uint16
	Flows                int // directions that carried something
	PacketsOut, BytesOut uint64
	PacketsIn, BytesIn   uint64
}

// Bytes is both directions together, and Packets likewise.
func (s *Subscriber) Bytes() uint64   { return s.BytesOut + s.BytesIn }
func (s *Subscriber) Packets() uint64 { return s.PacketsOut + s.PacketsIn }

// Reading is what was found in one interval. Lists have the busiest first.
type Reading struct {
	At, Span int64 // its end, and how long it was; monotonic ns

	ByBytes, ByPackets               []Flow
	SubscriberBytes, SubscriberPacks []Subscriber
	// Dropped counts how often subscribers had to make room for others.
	Dropped int
}

// Meter listens to the flow table. The zero value is ready, and safe for
// concurrent use.
type Meter struct {
	until atomic.Int64 // somebody watches; monotonic ns
	// Whether it listens is decided once for an interval, by Turn: of an interval
	// that is shown no part may be missing, whenever somebody begins to watch.
	listens atomic.Bool

	mu      sync.Mutex
	turned  int64 // when the last Turn was
	bytes   *best[flow.Key, Flow]
	packets *best[flow.Key, Flow]
	subs    map[subscriber]*Subscriber
	dropped int
	last    Reading
	next    chan struct{} // closed at the next reading; nil: nobody waits
}

type subscriber struct {
	addr   frame.Addr
	domain uint16
}

// Watch makes the Meter listen for some seconds from now on. It returns the
// newest reading, and what is closed when the next one is there: within two
// intervals.
func (m *Meter) Watch(now int64) (Reading, <-chan struct{}) {
	m.until.Store(now + watched)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.next == nil {
		m.next = make(chan struct{})
	}
	return m.last, m.next
}

// Count takes a report of the flow table.
func (m *Meter) Count(r *flow.Report) {
	if r.Packets == 0 || !m.listens.Load() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.listens.Load() {
		return // a Turn came before the lock
	}
	m.flow(m.bytes, r, func(f Flow) uint64 { return f.Bytes })
	m.flow(m.packets, r, func(f Flow) uint64 { return f.Packets })
	m.subscriber(r)
}

// flow adds a report to one of the orders. A flow may be reported twice in an
// interval, when packets come just as it is looked at.
func (m *Meter) flow(to *best[flow.Key, Flow], r *flow.Report, weight func(Flow) uint64) {
	row := Flow{Key: r.Key, Side: r.Side, Addr: r.Addr, Port: r.Port, Owner: r.Owner, Packets: r.Packets, Bytes: r.Bytes}
	if had, _, ok := to.have(r.Key); ok {
		row.Packets, row.Bytes = row.Packets+had.Packets, row.Bytes+had.Bytes
	}
	to.put(r.Key, row, weight(row))
}

// subscriber adds a report of a NAT's flow to its inside address: the source
// that is rewritten, or the destination as it is afterwards.
func (m *Meter) subscriber(r *flow.Report) {
	if r.Owner.Kind != flow.OwnerLSN && r.Owner.Kind != flow.OwnerESP {
		return
	}
	k := subscriber{r.Key.Src, r.Owner.Domain}
	if r.Side == flow.Destination {
		k.addr = r.Addr
	}
	s := m.subs[k]
	if s == nil {
		if len(m.subs) >= maxSubscribers {
			m.makeRoom()
		}
		s = &Subscriber{Addr: k.addr, Domain: k.domain}
		m.subs[k] = s
	}
	s.Flows++
	if r.Side == flow.Destination {
		s.PacketsIn, s.BytesIn = s.PacketsIn+r.Packets, s.BytesIn+r.Bytes
	} else {
		s.PacketsOut, s.BytesOut = s.PacketsOut+r.Packets, s.BytesOut+r.Bytes
	}
}

// makeRoom forgets the lighter half of the subscribers.
func (m *Meter) makeRoom() {
	weights := make([]uint64, 0, len(m.subs))
	for _, s := range m.subs {
		weights = append(weights, s.Bytes())
	}
	slices.Sort(weights)
	middle := weights[len(weights)/2]
	for k, s := range m.subs {
		// Of those that weigh the same some must go too, or none might.
		if s.Bytes() < middle || s.Bytes() == middle && len(m.subs) > maxSubscribers/2 {
			delete(m.subs, k)
			m.dropped++
		}
	}
}

// Turn ends an interval, after a sweep, and begins the next. now is monotonic
// nanoseconds.
func (m *Meter) Turn(now int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listens.Load() {
		m.read(now)
	}
	listens := now <= m.until.Load()
	m.listens.Store(listens)
	m.turned = now
	if !listens {
		m.bytes, m.packets, m.subs, m.last = nil, nil, nil, Reading{}
		return
	}
	m.bytes, m.packets = newBest[flow.Key, Flow](Most), newBest[flow.Key, Flow](Most)
	m.subs, m.dropped = map[subscriber]*Subscriber{}, 0
}

// read makes a reading of what was counted, and wakes those who wait for it.
func (m *Meter) read(now int64) {
	m.last = Reading{At: now, Span: now - m.turned, Dropped: m.dropped, ByBytes: m.bytes.take(), ByPackets: m.packets.take()}
	bytes, packets := newBest[subscriber, Subscriber](Most), newBest[subscriber, Subscriber](Most)
	for k, s := range m.subs {
		bytes.put(k, *s, s.Bytes())
		packets.put(k, *s, s.Packets())
	}
	m.last.SubscriberBytes, m.last.SubscriberPacks = bytes.take(), packets.take()
	if m.next != nil {
		close(m.next)
		m.next = nil
	}
}
