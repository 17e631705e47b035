package ftp

import (
	"sync"
	"sync/atomic"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Port is that of the control connection.
const Port = 21

// firstPort is the lowest port that a line may name (RFC 2577 section 3).
const firstPort = 1024

// DefaultMaxConnections bounds the control connections that are watched.
const DefaultMaxConnections = 1 << 16

const numShards = 64

// Config bounds a helper.
type Config struct {
	// MaxConnections is how many control connections are watched at a time; 0:
	// DefaultMaxConnections. A further one passes as it is.
	MaxConnections int
}

// Helper is the FTP helper. It is safe for concurrent use.
type Helper struct {
	max    int64
	live   atomic.Int64
	shards [numShards]shard
	stats  counters
}

var _ alg.Helper = (*Helper)(nil)

// shard is part of the table. Its lock is held for nothing but a look into it:
// the NAT calls Gone while it does what Step asks for.
type shard struct {
	mu       sync.Mutex
	controls map[uint64]*control // by session
}

type counters struct {
	watched, full                     atomic.Uint64
	opened, foreign, wellKnown, noNAT atomic.Uint64
	gaps, backlog, malformed          atomic.Uint64
}

// Stats is what the helper has done. Numbers are since the start but for Live.
type Stats struct {
	Live      int    // control connections watched now
	Watched   uint64 // control connections, in all
	Unwatched uint64 // segments of connections beyond MaxConnections
	Opened    uint64 // lines that were rewritten and opened a port
	Foreign   uint64 // lines left as they are: another's address (RFC 2577)
	WellKnown uint64 // lines left as they are: a port below 1024 (RFC 2577)
	Refused   uint64 // lines left as they are: the NAT had no port
	Gaps      uint64 // segments dropped, their predecessor was missing
	Backlog   uint64 // segments dropped, no room for a rewritten line
	Malformed uint64 // segments dropped, the TCP header lies
}

// New makes a helper.
func New(c Config) *Helper {
	h := &Helper{max: int64(c.MaxConnections)}
	if h.max <= 0 {
		h.max = DefaultMaxConnections
	}
	for i := range h.shards {
		h.shards[i].controls = map[uint64]*control{}
	}
	return h
}

// Watches implements alg.Helper: control connections of a subscriber's client,
// or to a subscriber's server.
func (*Helper) Watches(c *alg.Conn) bool {
	return c.Proto == frame.ProtoTCP && (c.Remote.Port == Port || c.Inside.Port == Port)
}

// Step implements alg.Helper. Reasons: L4Malformed, FTPGap, FTPBacklog.
func (h *Helper) Step(p *alg.Packet, nat alg.NAT, now int64) alg.Result {
	s, ok := parseSegment(p.Transport())
	if !ok {
		h.stats.malformed.Add(1)
		return alg.Result{Verdict: alg.Drop, Reason: drop.L4Malformed}
	}
	c := h.control(p.Session, p.Dir == alg.In2Out)
	if c == nil {
		return alg.Result{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.Dir == alg.Out2In {
		return alg.Result{Transport: c.coming(s)}
	}
	out, why := c.leaving(s, p.Room-p.Header, h.translator(p, nat, now))
	switch why {
	case drop.None:
		return alg.Result{Transport: out}
	case drop.FTPGap:
		h.stats.gaps.Add(1)
	default:
		h.stats.backlog.Add(1)
	}
	return alg.Result{Verdict: alg.Drop, Reason: why}
}

// control finds the state of a control connection. The subscriber's first
// segment makes it, unless there are too many.
func (h *Helper) control(session uint64, create bool) *control {
	sh := h.shard(session)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if c := sh.controls[session]; c != nil || !create {
		return c
	}
	if h.live.Add(1) > h.max {
		h.live.Add(-1)
		h.stats.full.Add(1)
		return nil
	}
	c := &control{}
	sh.controls[session] = c
	h.stats.watched.Add(1)
	return c
}

// translator reads the lines of p's side and has the NAT open what they ask
// for.
func (h *Helper) translator(p *alg.Packet, nat alg.NAT, now int64) translator {
	parse := parseCommand
	if p.Remote.Port != Port {
		parse = parseReply // the subscriber is the server
	}
	return func(line []byte) (announcement, []byte, bool) {
		a, ok := parse(line)
		if !ok {
			return a, nil, false
		}
		if a.addressed && a.named.Addr != p.Inside.Addr {
			h.stats.foreign.Add(1)
			return a, nil, false
		}
		if a.named.Port < firstPort {
			h.stats.wellKnown.Add(1)
			return a, nil, false
		}
		outside, why := nat.Expect(alg.Expectation{Session: p.Session, Port: a.named.Port}, now)
		if why != drop.None {
			h.stats.noNAT.Add(1)
			return a, nil, false
		}
		h.stats.opened.Add(1)
		return a, a.text(nil, outside), true
	}
}

// Gone implements alg.Helper.
func (h *Helper) Gone(session uint64) {
	if h.live.Load() == 0 {
		return // most sessions are not of FTP, and many end at once
	}
	sh := h.shard(session)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if _, ok := sh.controls[session]; ok {
		delete(sh.controls, session)
		h.live.Add(-1)
	}
}

// shard spreads sessions by all of their identifier's bits (Fibonacci hashing).
func (h *Helper) shard(session uint64) *shard {
	return &h.shards[session*0x9e3779b97f4a7c15>>(64-6)]
}

// Stats returns what the helper has done.
func (h *Helper) Stats() Stats {
	c := &h.stats
	return Stats{
		Live: int(h.live.Load()), Watched: c.watched.Load(), Unwatched: c.full.Load(),
		Opened: c.opened.Load(), Foreign: c.foreign.Load(), WellKnown: c.wellKnown.Load(), Refused: c.noNAT.Load(),
		Gaps: c.gaps.Load(), Backlog: c.backlog.Load(), Malformed: c.malformed.Load(),
	}
}
