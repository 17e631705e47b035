package netstack

import (
	"sync"
	"sync/atomic"

	"spigate/alg/ipsec"
	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// later keeps held packets that were let go inside a hook until the stack has
// finished with the packet that let them go: delivering from inside a hook
// would take the stack's locks a second time. The ends of mappings that IKE
// stood on wait with them, because they let packets go.
type later struct {
	some  atomic.Bool // queue or gone are not empty: every Router is asked after every batch, by every lane of every port
	mu    sync.Mutex
	queue []release
	gone  []uint64 // mappings; no more than the ALG may have IKE sessions
}

type release struct {
	packet []byte
	in     frame.Interface
	mark   uint32 // it came out of a tunnel
}

// maxLater bounds the queue. It is emptied after each batch of frame.Batch
// packets, and a packet lets go few IKE messages. One that is the first piece
// of its datagram may let go many others: they get half of the queue, so that
// subscribers who send tiny pieces cost nobody a held message.
const (
	maxLater       = 16 * frame.Batch
	maxLaterPieces = maxLater / 2
)

// add queues p unless most are there already.
func (l *later) add(p release, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) >= most {
		return false
	}
	l.queue = append(l.queue, p)
	l.some.Store(true)
	return true
}

func (l *later) take() []release {
	if !l.some.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queue
	l.queue = nil
	l.some.Store(len(l.gone) > 0)
	return q
}

// mappingGone queues the end of a mapping that IKE stands on.
func (l *later) mappingGone(mapping uint64) {
	l.mu.Lock()
	l.gone = append(l.gone, mapping)
	l.some.Store(true)
	l.mu.Unlock()
}

func (l *later) takeGone() []uint64 {
	if !l.some.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := l.gone
	l.gone = nil
	l.some.Store(len(l.queue) > 0)
	return ids
}

// lsnEvent tells the ALG of each mapping that ends, whoever ended it: its IKE
// sessions end with it. The NAT log is told of what it is for, and next, if not
// nil, of everything.
func (r *Router) lsnEvent(next func(lsn.Event)) func(lsn.Event) {
	return func(e lsn.Event) {
		if e.Kind == lsn.MappingDeleted && e.Proto == frame.ProtoUDP && r.alg.Carries(e.Mapping) {
			r.later.mappingGone(e.Mapping)
		}
		r.natlog.Load().lsnEvent(&e, r.domain)
		if next != nil {
			next(e)
		}
	}
}

// releaseHeld delivers what was let go, and what that lets go in turn; what was
// to be sealed or opened, and what IKE has to do. It is called after each batch
// and each timer, with no lock of the stack held.
func (r *Router) releaseHeld() {
	for range maxTurns {
		r.releaseLater()
		if sealed, said := r.crypto.turn(), r.negotiateAtOnce(); !sealed && !said {
			return
		}
	}
}

// maxTurns bounds what a packet may bring about before the next batch: one out
// of a tunnel may go into another.
const maxTurns = 16

// releaseLater is releaseHeld for what waited for the stack alone.
func (r *Router) releaseLater() {
	for {
		r.deliver()
		gone := r.later.takeGone()
		if len(gone) == 0 {
			return
		}
		for _, id := range gone {
			r.act(r.alg.MappingGone(id, r.now()))
			r.deliver() // any number of locks may have ended together
		}
		r.armDeadline()
	}
}

// deliver lets the packets in the queue come in again until none is left.
func (r *Router) deliver() {
	for q := r.later.take(); len(q) > 0; q = r.later.take() {
		for _, p := range q {
			r.comeIn(p.in, p.packet, p.mark)
		}
	}
}

// actAtOnce carries out what the ALG asks for, outside of any hook: any number
// of gates may end together, so what they let go is delivered in turns.
func (r *Router) actAtOnce(actions []ipsec.Action) {
	for len(actions) > 0 {
		n := min(len(actions), maxLater-maxLaterPieces)
		r.act(actions[:n])
		r.releaseHeld()
		actions = actions[n:]
	}
}

// act carries out what the ALG asks for, but for the delivery of packets.
func (r *Router) act(actions []ipsec.Action) {
	for i := range actions {
		a := &actions[i]
		switch a.Kind {
		case ipsec.Release:
			if !r.later.add(release{a.Packet, a.In, a.Mark}, maxLater) {
				r.drops.CountOf(heldDropped(a, drop.IKEHoldOverflow, r.now()))
			}
		case ipsec.Discard:
			r.drops.CountOf(heldDropped(a, a.Reason, r.now()))
		case ipsec.MappingIdle:
			if !r.lsn.SetIdle(a.Mapping, a.Idle) { // it ended while the ALG made a session on it
				r.later.mappingGone(a.Mapping)
			}
		case ipsec.MappingRemove:
			r.lsn.EndSessions(a.Mapping, func(remote frame.Endpoint, last int64) bool {
				return ikePort(remote.Port) && last <= a.Seen
			})
		case ipsec.FlowRemove:
			r.flows.RemoveOwner(r.owner(flow.OwnerESP, a.Session), r.now())
		case ipsec.Log:
			r.logESP(a.Event)
			r.events.write(a.Event)
		}
	}
}

// heldDropped is a message that the ALG has held, as the counters are told of it.
func heldDropped(a *ipsec.Action, why drop.Reason, now int64) drop.Dropped {
	return drop.Dropped{Reason: why, Packet: a.Packet, At: now, In: uint8(a.In), Mark: a.Mark & frame.MarkBits}
}
