package lsn

import (
	"math"
	"sync"
	"sync/atomic"
)

// holdDown keeps the ports of one address that were given back from being
// given to anybody for a while (R25, RFC 6888 REQ-8), so that packets of the
// last user's remotes do not reach the next user.
//
// Not held, as the RFC allows: static and deterministic ports, whose next user
// is the last one (its case B), and ports behind a filter, which keeps those
// packets out (case C). Nor are ports of drawn blocks, as on a NetScaler: the
// next user is the same subscriber as long as it keeps the block, but a block
// that was given back may be another's at once. Case A, TCP whose states are
// tracked, is not used: NetScaler's timers are not the state machine that it
// asks for.
//
// Ports wait in a heap, the one that was freed first on top: what is removed
// late is told with its true instant, so that they do not come in order. Where
// a mapping is ended before its time (RemoveMapping), its port waits from the
// last Sweep on, and so up to a second less.
type holdDown struct {
	timeout atomic.Int64 // nanoseconds, 0: nothing is held
	next    atomic.Int64 // when the first port is free; MaxInt64: none waits
	mu      sync.Mutex
	limit   int
	heap    []heldPort
	count   [numProtocols]atomic.Int32 // ports of the heap from FirstPort on
}

// heldPort is a port that was given back at an instant.
type heldPort struct {
	at    int64
	port  uint16
	proto uint8
}

// holds reports whether ports of mappings with these rules are held at all.
func (r *rules) holds() bool {
	return r.app.Filtering == EIF && r.group.BlockSize == 0 && !r.static
}

func (h *holdDown) init(p Pool) {
	h.timeout.Store(int64(p.ReallocTimeout))
	h.next.Store(math.MaxInt64)
	h.limit = p.MaxReallocQueue
}

// due reports whether a port has waited long enough: at exactly the timeout it
// has.
func (h *holdDown) due(now int64) bool { return now >= h.next.Load() }

// put adds a port, unless the queue is full. The lock is held.
func (h *holdDown) put(p heldPort) bool {
	if len(h.heap) >= h.limit {
		return false
	}
	h.heap = append(h.heap, p)
	for i := len(h.heap) - 1; i > 0 && h.heap[i].at < h.heap[(i-1)/2].at; i = (i - 1) / 2 {
		h.heap[i], h.heap[(i-1)/2] = h.heap[(i-1)/2], h.heap[i]
	}
	h.changed(p, 1)
	return true
}

// pop takes the port that was freed first, if it is due. The lock is held.
func (h *holdDown) pop(now int64) (heldPort, bool) {
	if !h.due(now) {
		return heldPort{}, false
	}
	top, last := h.heap[0], len(h.heap)-1
	h.heap[0] = h.heap[last]
	h.heap = h.heap[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if h.heap[child].at < h.heap[least].at {
				least = child
			}
		}
		if least == i {
			break
		}
		h.heap[i], h.heap[least] = h.heap[least], h.heap[i]
		i = least
	}
	h.changed(top, -1)
	return top, true
}

func (h *holdDown) changed(p heldPort, by int32) {
	if i, _ := protoIndex(p.proto); p.port >= FirstPort {
		h.count[i].Add(by)
	}
	h.schedule()
}

// schedule notes when the first port is due. The lock is held.
func (h *holdDown) schedule() {
	next := int64(math.MaxInt64)
	if len(h.heap) > 0 {
		next = h.heap[0].at + h.timeout.Load()
	}
	h.next.Store(next)
}

// release gives back the ports of an address that have waited long enough.
func (t *Table) release(n *natAddress, now int64) {
	if !n.hold.due(now) {
		return
	}
	n.hold.mu.Lock()
	defer n.hold.mu.Unlock()
	for {
		p, ok := n.hold.pop(now)
		if !ok {
			return
		}
		o := &t.outsides[outsideShard(n.addr, p.port)]
		o.mu.Lock()
		slot, u := o.port(portKey{n.addr, p.port, uint16(p.proto)})
		o.free(n, slot, u)
		o.mu.Unlock()
		n.full.clear(claim{proto: p.proto}, true)
	}
}

// giveBack undoes take for a mapping that ended at an instant. It reports
// whether nobody uses the port any more. A port that is held counts as used
// for all but statistics: it fits nobody.
func (t *Table) giveBack(m *mapping, r *rules, id uint64, at int64) (unused bool) {
	n, c, port := t.cfg().addrs[m.address], m.claim(r), m.outside.Port
	hold := n.hold.timeout.Load() > 0 && r.holds()
	if hold {
		n.hold.mu.Lock()
		defer n.hold.mu.Unlock()
		hold = n.hold.put(heldPort{at, port, c.proto})
	}
	o := &t.outsides[outsideShard(n.addr, port)]
	o.mu.Lock()
	unused = o.giveBack(n, port, c, id, hold)
	o.mu.Unlock()
	n.full.clear(c, unused && !hold)
	return unused
}

// reconfigure takes over what a configuration says. What waits already does so
// by the new time; a queue that is too long takes nobody in until it is short
// enough.
func (h *holdDown) reconfigure(c *holdDown) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.limit = c.limit
	h.timeout.Store(c.timeout.Load())
	h.schedule()
}

// releaseAll gives back all ports of an address that wait.
func (t *Table) releaseAll(n *natAddress) {
	n.hold.reconfigure(&holdDown{})
	t.release(n, math.MaxInt64-1)
}
