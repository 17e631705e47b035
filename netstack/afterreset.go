package netstack

import (
	"sync"
	"sync/atomic"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// A RST has the number that its side last acknowledged to us. A side that had
// got more by then, which nobody could have known here, does not believe it
// (RFC 5961, section 3.2): it would go on with a connection that nobody
// forwards any more. So what it says next is answered with a RST that has the
// number it does believe, whoever listens there now (VR11, VR17).

const (
	resetTime = int64(30e9) // ns; who has something on its way repeats it sooner
	maxResets = 1 << 16     // there may be more resets than that: most of them are believed
)

// lastResets are the connections that were reset a short time ago.
type lastResets struct {
	n  atomic.Int32 // how many keys there are
	mu sync.Mutex
	of map[vserver.Key]int64 // by what a side sends: until when it is answered
}

// rememberReset keeps what both sides of a connection would send.
func (r *Router) rememberReset(e vserver.End) {
	r.lastResets.add(e.Client, e.At)
	remote := e.Remote
	if e.ByLSN {
		sent := e.Client
		if !r.outward(&sent) {
			return
		}
		remote = sent.Reversed()
	}
	r.lastResets.add(remote, e.At)
}

func (g *lastResets) add(k vserver.Key, now int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.of) >= maxResets {
		return
	}
	if g.of == nil {
		g.of = map[vserver.Key]int64{}
	}
	g.of[k] = now + resetTime
	g.n.Store(int32(len(g.of)))
}

func (g *lastResets) has(k vserver.Key, now int64) bool {
	if g.n.Load() == 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	until, ok := g.of[k]
	return ok && now < until
}

// sweep forgets what is over.
func (g *lastResets) sweep(now int64) {
	if g.n.Load() == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for k, until := range g.of {
		if now >= until {
			delete(g.of, k)
		}
	}
	g.n.Store(int32(len(g.of)))
}

// afterReset answers a segment of a connection that was reset. A SYN begins
// another one.
func (r *Router) afterReset(p *packet) outcome {
	if p.Proto != frame.ProtoTCP || p.TCPFlags&frame.TCPSyn != 0 || !r.lastResets.has(vserver.KeyOf(&p.Packet), p.now) {
		return goOn
	}
	if p.TCPFlags&frame.TCPRst == 0 && r.answerable(p) {
		r.answerSegment(p)
	}
	return dropped(drop.NotSYN)
}
