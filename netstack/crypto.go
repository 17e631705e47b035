package netstack

import (
	"context"
	"sync"
	"sync/atomic"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
)

// crypto is where packets wait for their ciphers. Nothing is sealed or opened
// inside a hook: a packet gets into a lane, and at the end of the batch, when the
// stack is done with every frame of it, the lanes are worked off. With workers
// each lane has one and the goroutines that receive go on receiving; without,
// whoever comes to the end of a batch does it.
//
//	hook, handler ─► add ─► lane by SPI or policy ─► turn ─┬─► worker ─► opened: into the stack
//	                                                       └─► inline ─► sealed: by the route to the other end
//
// All packets of an SA have one lane, so they stay in order.
type crypto struct {
	drops   *drop.Counters
	now     func() int64
	after   func()      // at the end of a worker's batch
	workers bool        // each lane is to have one
	running atomic.Bool // they do the work

	waiting atomic.Int64 // packets in batches that nobody has taken
	inline  sync.Mutex   // who works without workers
	lanes   []lane
}

// lane is a queue of packets, bounded by maxLane.
type lane struct {
	mu    sync.Mutex
	batch []*job
	work  chan []*job
	depth atomic.Int32 // packets that wait or are being worked on
}

const (
	maxLane    = 2048 // packets
	maxBatches = 64   // that wait for a worker
)

// job is one packet. Its memory is used again.
type job struct {
	r      *Router
	buf    []byte
	off, n int // where the packet stands in buf

	sel  *tunnels.Selector // seal for this one; nil: open
	flow tunnels.Flow
	in   frame.Interface // open: where the ESP came in

	watched uint32 // the packet's
}

var jobs = sync.Pool{New: func() any {
	return &job{buf: make([]byte, 0, tunnels.Headroom+1500+tunnels.Tailroom)}
}}

// newJob copies a packet, with room around it for what sealing adds.
func newJob(r *Router, packet []byte, before, behind int) *job {
	j, _ := jobs.Get().(*job)
	if size := before + len(packet) + behind; cap(j.buf) < size {
		j.buf = make([]byte, size)
	} else {
		j.buf = j.buf[:size]
	}
	j.r, j.off, j.n = r, before, len(packet)
	copy(j.buf[before:], packet)
	return j
}

// run seals or opens. It survives a panic; the job is left to the collector then.
func (j *job) run(now int64) {
	defer j.r.survive(j.packet())
	if j.sel != nil {
		j.r.encrypt(j, now)
	} else {
		j.r.decrypt(j, now)
	}
	*j = job{buf: j.buf[:0]}
	jobs.Put(j)
}

// newCrypto makes lanes for workers, one at least.
func newCrypto(workers int, drops *drop.Counters, now func() int64, after func()) *crypto {
	c := &crypto{drops: drops, now: now, after: after, workers: workers > 0, lanes: make([]lane, max(workers, 1))}
	for i := range c.lanes {
		c.lanes[i].work = make(chan []*job, maxBatches)
	}
	return c
}

// add puts a packet into the lane of key, unless that is full.
func (c *crypto) add(j *job, key uint32, now int64) {
	l := &c.lanes[key%uint32(len(c.lanes))]
	if l.depth.Add(1) > maxLane {
		l.depth.Add(-1)
		c.drops.CountOf(j.dropped(drop.CryptoQueueFull, j.packet(), now))
		return
	}
	l.mu.Lock()
	l.batch = append(l.batch, j)
	l.mu.Unlock()
	c.waiting.Add(1)
}

// take empties a lane.
func (c *crypto) take(l *lane) []*job {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch := l.batch
	l.batch = nil
	c.waiting.Add(-int64(len(batch)))
	return batch
}

// turn works the lanes off, or hands them to their workers. It is called with
// no lock of the stack held. It reports whether it did something that may have
// left more to do.
func (c *crypto) turn() (did bool) {
	if c.running.Load() {
		c.hand()
		return false
	}
	// Who finds another one at it may go: that one looks again before it leaves.
	for c.waiting.Load() > 0 && c.inline.TryLock() {
		for i := range c.lanes {
			c.do(&c.lanes[i], c.take(&c.lanes[i]))
		}
		c.inline.Unlock()
		did = true
	}
	return did
}

// hand gives each worker what waits in its lane. One that has as many batches as
// it may gets it with a later turn: the next one is its own.
func (c *crypto) hand() {
	if c.waiting.Load() == 0 {
		return
	}
	for i := range c.lanes {
		l := &c.lanes[i]
		l.mu.Lock()
		if n := len(l.batch); n > 0 {
			select {
			case l.work <- l.batch:
				l.batch = nil
				c.waiting.Add(-int64(n))
			default:
			}
		}
		l.mu.Unlock()
	}
}

func (c *crypto) do(l *lane, batch []*job) {
	now := c.now()
	for _, j := range batch {
		j.run(now)
		l.depth.Add(-1)
	}
}

// work is a worker: it has one lane.
func (c *crypto) work(ctx context.Context, l *lane) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case batch := <-l.work:
			c.do(l, batch)
			c.after()
		}
	}
}
