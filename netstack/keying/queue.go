package keying

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"spigate/netstack/frame"
	"spigate/netstack/ipsec"
)

const (
	maxMessages = 1024    // datagrams that wait
	maxOctets   = 1 << 20 // in them
	maxOrders   = 64      // of operators
	maxWanted   = ipsec.MaxSelectors
	maxMoved    = 4096 // pairs whose peer has moved: more are said by their next packet
	burst       = 64   // datagrams in one Work: what is due need not wait for more
)

// queue is what waits for Work. All may put something in at any time; nobody
// waits for more than a few instructions of another.
type queue struct {
	filled  atomic.Bool  // something waits
	holding atomic.Int32 // pairs whose outbound half is held back and that nobody heard yet

	mu       sync.Mutex // guards what follows
	plan     *plan      // for names
	messages []message
	octets   int
	lost     uint64
	wanted   []string // selectors, each once
	held     map[uint32]bool
	heard    []uint32 // each was in held
	moved    map[uint32]frame.Endpoint
	events   []ipsec.Event
	orders   []order
}

// message is a datagram that came.
type message struct {
	local, remote netip.AddrPort
	marker        bool
	b             []byte
}

// verb is what an operator wants.
type verb uint8

const (
	initiate      verb = iota // a selector
	rekey                     // a peer's IKE SAs
	rekeyPair                 // a selector's pairs
	terminate                 // a peer
	terminatePair             // a selector's pairs
)

type order struct {
	verb verb
	name string
}

// work is what Work takes at once.
type work struct {
	orders   []order
	events   []ipsec.Event
	heard    []uint32
	moved    map[uint32]frame.Endpoint // by inbound SPI
	wanted   []string
	messages []message
}

func (q *queue) take() (w work) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.messages), burst)
	w = work{q.orders, q.events, q.heard, q.moved, q.wanted, q.messages[:n:n]}
	q.orders, q.events, q.heard, q.moved, q.wanted = nil, nil, nil, nil, nil
	q.messages = q.messages[n:]
	if len(q.messages) == 0 {
		q.messages = nil
	}
	for _, m := range w.messages {
		q.octets -= len(m.b)
	}
	q.filled.Store(len(q.messages) > 0)
	return w
}

// empty forgets what waits, and whose names are known.
func (q *queue) empty(p *plan) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.plan, q.messages, q.octets = p, nil, 0
	q.orders, q.events, q.heard, q.moved, q.wanted = nil, nil, nil, nil, nil
	q.filled.Store(false)
}

func (q *queue) setPlan(p *plan) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.plan = p
}

// hold makes Heard listen for the first packet on an inbound SA.
func (q *queue) hold(in uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held[in] = true
	q.holding.Store(int32(len(q.held)))
}

func (q *queue) unhold(in uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.held, in)
	q.holding.Store(int32(len(q.held)))
}

// Datagram queues one UDP payload from remote to local: IKE on port 500, or on
// port 4500 behind the non-ESP marker, which is taken off (marker). b is
// copied. A full queue loses it: see Lost.
func (k *Keyer) Datagram(local, remote netip.AddrPort, b []byte, marker bool) {
	q := &k.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.messages) >= maxMessages || q.octets+len(b) > maxOctets {
		q.lost++
		return
	}
	q.octets += len(b)
	q.messages = append(q.messages, message{local, remote, marker, bytes.Clone(b)})
	q.filled.Store(true)
}

// Lost is how many datagrams found the queue full. IKE repeats its requests, so
// nothing but time is lost with them.
func (k *Keyer) Lost() uint64 {
	k.queue.mu.Lock()
	defer k.queue.mu.Unlock()
	return k.queue.lost
}

// Acquire says that packets of a selector find no SA (Sent.Acquire, VR29).
func (k *Keyer) Acquire(selector string) {
	q := &k.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.wanted) >= maxWanted || slices.Contains(q.wanted, selector) {
		return
	}
	q.wanted = append(q.wanted, selector)
	q.filled.Store(true)
}

// Begins reports whether we may begin to negotiate for a selector: it has a peer,
// whose address is known and who lets us.
func (k *Keyer) Begins(selector string) bool {
	q := &k.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	r, ok := q.plan.children[selector]
	return ok && !r.waits
}

// Heard says that an authentic packet came in on the inbound SA with an SPI:
// the other end sends on it, so we may, too. It is of interest only while
// Waiting.
func (k *Keyer) Heard(in uint32) {
	q := &k.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.held[in] {
		return
	}
	delete(q.held, in)
	q.holding.Store(int32(len(q.held)))
	q.heard = append(q.heard, in)
	q.filled.Store(true)
}

// Moved says that the newest packet on the inbound SA with an SPI came from
// elsewhere than its peer is thought to be (Received.Moved): a NAT in front of
// the peer has changed its mind. Of one SA the last place waits.
func (k *Keyer) Moved(in uint32, from frame.Endpoint) {
	q := &k.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, waits := q.moved[in]; !waits && len(q.moved) >= maxMoved {
		return
	}
	if q.moved == nil {
		q.moved = map[uint32]frame.Endpoint{}
	}
	q.moved[in] = from
	q.filled.Store(true)
}

// Waiting reports whether Heard is of interest. It takes no lock.
func (k *Keyer) Waiting() bool { return k.queue.holding.Load() > 0 }

// Event takes what Database.Sweep says. There are two events at most of each SA
// in its life, so that the database's limit is the queue's.
func (k *Keyer) Event(e ipsec.Event) {
	if e.SA == nil || e.SA.Manual {
		return // a packet that waited too long; and manual SAs have no IKE
	}
	q := &k.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	q.events = append(q.events, e)
	q.filled.Store(true)
}

// Initiate brings up the child of a selector, if it is not up. It is an error
// if no peer negotiates for the selector, or only the peer may begin.
func (k *Keyer) Initiate(selector string) error {
	return k.order(order{initiate, selector}, func(p *plan) error {
		r, ok := p.children[selector]
		switch {
		case !ok:
			return noPeerFor(selector)
		case r.waits:
			return fmt.Errorf("traffic selector %q: peer %q is passive or at any address: it has to begin", selector, r.peer)
		}
		return nil
	})
}

// Rekey replaces the IKE SAs of a peer. The name stands also for NAME/ANYTHING:
// one peer of an operator's is several to IKE if we have several addresses.
func (k *Keyer) Rekey(peer string) error { return k.order(order{rekey, peer}, knows(peer)) }

// RekeyChild replaces the pairs of SAs of a selector.
func (k *Keyer) RekeyChild(selector string) error {
	return k.order(order{rekeyPair, selector}, func(p *plan) error {
		if _, ok := p.children[selector]; !ok {
			return noPeerFor(selector)
		}
		return nil
	})
}

// Terminate ends all SAs of a peer, named as in Rekey. Children that should be
// up come up again.
func (k *Keyer) Terminate(peer string) error { return k.order(order{terminate, peer}, knows(peer)) }

func noPeerFor(selector string) error {
	return fmt.Errorf("traffic selector %q: no IKE peer negotiates for it", selector)
}

func knows(peer string) func(*plan) error {
	return func(p *plan) error {
		if len(p.called(peer)) == 0 {
			return fmt.Errorf("there is no IKE peer %q", peer)
		}
		return nil
	}
}

// order queues what an operator wants, if the names are right.
func (k *Keyer) order(o order, check func(*plan) error) error {
	q := &k.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := check(q.plan); err != nil {
		return err
	}
	if slices.Contains(q.orders, o) {
		return nil
	}
	if len(q.orders) >= maxOrders {
		return fmt.Errorf("%d commands wait: try again in a moment", maxOrders)
	}
	q.orders = append(q.orders, o)
	q.filled.Store(true)
	return nil
}
