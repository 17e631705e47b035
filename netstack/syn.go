package netstack

import (
	"sync"
	"sync/atomic"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// A SYN from outside that nobody asked for may be one half of a simultaneous
// open, whose other half is on its way: an answer now would end that attempt.
// So it stays unanswered for six seconds, and for good if the subscriber sends
// its own SYN meanwhile; otherwise its sender is told that nobody is there
// (RFC 5382 REQ-4, R24). What is kept is the header that the answer quotes.
//
// Somebody who sprays SYNs, with forged sources perhaps, gets no more out of us
// than the bounds below let through, and fewer packets than he sends.
const (
	synWait        = 6 * time.Second
	maxSYNs        = 1024 // waiting at once
	maxSYNsOfNAT   = 128  // of them, to one NAT address
	answersASecond = 64
	synQuote       = 60 + 8 // the longest IPv4 header, and eight bytes of TCP (RFC 792)
)

type pendingSYNs struct {
	count   atomic.Int32 // len(waiting), to be read without the lock
	mu      sync.Mutex
	queue   []pendingSYN // in the order of time
	waiting map[synKey]int64
	of      map[frame.Addr]int // how many of the queue go to a NAT address
}

type synKey struct{ outside, remote frame.Endpoint }

type pendingSYN struct {
	synKey
	at    int64 // when it came, monotonic ns
	size  uint8
	quote [synQuote]byte
}

// add keeps a SYN. Of one that comes again only the first counts.
func (s *pendingSYNs) add(k synKey, head []byte, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.waiting[k]; known || len(s.queue) >= maxSYNs || s.of[k.outside.Addr] >= maxSYNsOfNAT {
		return
	}
	if s.waiting == nil {
		s.waiting, s.of = map[synKey]int64{}, map[frame.Addr]int{}
	}
	p := pendingSYN{synKey: k, at: now}
	p.size = uint8(copy(p.quote[:], head))
	s.queue = append(s.queue, p)
	s.waiting[k] = now
	s.of[k.outside.Addr]++
	s.count.Store(int32(len(s.waiting)))
}

// cancel forgets a SYN whose other half has come.
func (s *pendingSYNs) cancel(k synKey) {
	if s.count.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, k)
	s.count.Store(int32(len(s.waiting)))
}

// due takes out the SYNs whose time is over and whose other half has not come,
// as many as may be answered. Those beyond are forgotten.
func (s *pendingSYNs) due(now int64) (out []pendingSYN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for ; n < len(s.queue) && now-s.queue[n].at >= int64(synWait); n++ {
		p := &s.queue[n]
		if s.of[p.outside.Addr]--; s.of[p.outside.Addr] == 0 {
			delete(s.of, p.outside.Addr)
		}
		if at, still := s.waiting[p.synKey]; !still || at != p.at {
			continue
		}
		delete(s.waiting, p.synKey)
		if len(out) < answersASecond {
			out = append(out, *p)
		}
	}
	s.queue = append(s.queue[:0], s.queue[n:]...)
	s.count.Store(int32(len(s.waiting)))
	return out
}

// unasked keeps a packet that out2in refuses, if it is such a SYN. The drop is
// counted as what it is either way.
func (r *Router) unasked(p *packet, outside, remote frame.Endpoint, why drop.Reason) {
	const flags = frame.TCPSyn | frame.TCPFin | frame.TCPRst | tcpACK
	if p.Proto != frame.ProtoTCP || p.TCPFlags&flags != frame.TCPSyn || why != drop.NoMapping && why != drop.Filtered {
		return
	}
	if p.Fragment || !r.answerable(p) || r.lsn.SilentSYN(p.Dst) {
		return
	}
	r.syns.add(synKey{outside, remote}, p.Bytes()[:p.HeaderLength()+8], p.now)
}

const tcpACK = 0x10

// answerSYNs tells senders that nobody is there. The NAT address itself says
// so: it is what they sent to, and if it is still ours. What would be let in by
// now is left to come again.
func (r *Router) answerSYNs(now int64) {
	for _, s := range r.syns.due(now) {
		_, why := r.lsn.DecideIn(frame.ProtoTCP, s.outside, s.remote, lsn.Hints{TCPFlags: frame.TCPSyn}, now)
		if why != drop.NoMapping && why != drop.Filtered || !r.lsn.Owns(s.outside.Addr) {
			continue
		}
		r.unreachable(codePort, s.outside.Addr, s.quote[:s.size], synQuote)
	}
}
