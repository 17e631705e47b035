package lsn

import (
	"time"

	"spigate/netstack/frame"
)

// session is one remote endpoint that uses a mapping: 72 bytes, no pointer.
type session struct {
	last       int64     // when its idle time began, monotonic nanoseconds
	packets    [2]uint64 // by direction: out, in
	bytes      [2]uint64 // of IP packets
	due        timer     // in the shard's wheel
	prev, next uint32    // in the mapping's list
	mapping    uint32    // slot
	generation uint32    // of this slot
	remote     frame.Endpoint
	state      state
	seen       seen
}

func (s *session) chain() *uint32 { return &s.next }
func (s *session) timer() *timer  { return &s.due }

// state is how far a session is.
//
//	            SYN                 reply                FIN, RST
//	(none) ───────────► opening ───────────► open ───────────────► closing
//	   │                   │ FIN, RST          ▲                      │
//	   │                   └───────────────────┼──────────► closing   │ new SYN
//	   └───────────────────────────────────────┘                      │ from inside
//	     UDP, ICMP; TCP without SYN if syn_check is off               ▼
//	                                                               opening
//
// The idle times of the states are synidletimeout, sessiontimeout and
// finrsttimeout (R23); there is no other TCP state.
type state uint8

const (
	stateNone     state = iota // a free slot
	stateExpected              // a helper asked for it, nobody has come (expect.go)
	stateOpening
	stateOpen
	stateClosing  // FIN seen
	stateResetOut // RST from the subscriber seen
	stateResetIn  // RST from outside seen
)

// seen is which sides were heard, and who began.
type seen uint8

const (
	seenOut seen = 1 << iota // the subscriber has sent
	seenIn
	fromOutside // began with a packet from outside
	kept        // on a static mapping (R27), or asked for by a helper: it needs nobody inside to live
	served      // Hints.Served, of any packet
)

// dir indexes the counters.
const (
	dirOut = 0
	dirIn  = 1
)

const tcpACK = 0x10

// onlySYN reports whether the flags are those of a connection's first segment.
func onlySYN(flags uint8) bool {
	return flags&(frame.TCPSyn|frame.TCPFin|frame.TCPRst|tcpACK) == frame.TCPSyn
}

func closing(flags uint8) bool { return flags&(frame.TCPFin|frame.TCPRst) != 0 }

// start sets up a fresh session in its slot; the generation stays.
func (s *session) start(remote frame.Endpoint, r *rules, dir int, h Hints, now int64) {
	*s = session{last: now, remote: remote, generation: max(s.generation, 1), state: stateOpen, seen: seenOut}
	if dir == dirIn {
		s.seen = seenIn | fromOutside
	}
	if r.static {
		s.seen |= kept
	}
	if h.Served {
		s.seen |= served
	}
	s.count(dir, 1, uint64(max(h.Bytes, 0)))
	if r.app.Proto != frame.ProtoTCP {
		return
	}
	switch {
	case closing(h.TCPFlags):
		s.state = ending(dir, h.TCPFlags)
	case h.TCPFlags&frame.TCPSyn != 0:
		s.state = stateOpening
	}
}

// touch notes a packet of the session: counters, timers, TCP state. It reports
// whether it was the subscriber's first.
func (s *session) touch(r *rules, dir int, h Hints, now int64) (first bool) {
	s.count(dir, 1, uint64(max(h.Bytes, 0)))
	first = dir == dirOut && !s.own()
	s.seen |= seenOut << dir
	if h.Served {
		s.seen |= served
	}
	if dir == dirOut || r.inRefresh {
		s.last = max(s.last, now)
	}
	if r.app.Proto == frame.ProtoTCP {
		s.tcp(dir, h.TCPFlags, now)
	}
	return first
}

func (s *session) tcp(dir int, flags uint8, now int64) {
	switch {
	case closing(flags):
		if !s.ended() {
			// The short idle time begins here whoever closes. Otherwise a FIN
			// from outside, with inbound refresh off, could end the session
			// before the subscriber can answer it.
			s.last = max(s.last, now)
		}
		s.state = ending(dir, flags)
	case s.state == stateOpening:
		// A reply is a packet of the side that did not begin.
		if s.seen&(seenIn|seenOut) == seenIn|seenOut {
			s.state = stateOpen
		}
	case s.ended() && onlySYN(flags) && (dir == dirOut || s.seen&fromOutside != 0):
		// The side that began uses its port again for a new connection.
		s.state = stateOpening
		if dir == dirOut {
			s.seen = seenOut | s.seen&kept
		}
	default:
		s.resume(dir)
	}
}

// ended reports whether FIN or RST was seen.
func (s *session) ended() bool { return s.state >= stateClosing }

// ending is the state that a FIN or RST leads to.
func ending(dir int, flags uint8) state {
	switch {
	case flags&frame.TCPRst == 0:
		return stateClosing
	case dir == dirOut:
		return stateResetOut
	}
	return stateResetIn
}

// resume takes a RST back when its supposed sender goes on as if nothing had
// been: then somebody else has forged it (RFC 7857 section 2.2 keeps a session
// for that). What the other side had on its way proves nothing.
func (s *session) resume(dir int) {
	if s.state == stateResetOut && dir == dirOut || s.state == stateResetIn && dir == dirIn {
		s.state = stateOpen
	}
}

func (s *session) count(dir int, packets, bytes uint64) {
	s.packets[dir] += packets
	s.bytes[dir] += bytes
}

// idle returns the session's idle time in nanoseconds.
func (s *session) idle(m *mapping, r *rules) int64 {
	if m.override > 0 {
		return m.override
	}
	switch s.state {
	case stateExpected:
		return int64(ExpectTime)
	case stateOpening:
		return int64(r.transport.SynIdleTimeout)
	case stateClosing, stateResetOut, stateResetIn:
		return int64(r.transport.FinRstTimeout)
	}
	return int64(r.idleOf(s.remote.Port))
}

// expired: the idle time exceeds its value; at exactly the value it does not
// (R22).
func (s *session) expired(m *mapping, r *rules, now int64) bool {
	return now-s.last > s.idle(m, r)
}

func (s *session) established(proto uint8) bool {
	if proto != frame.ProtoTCP {
		return true
	}
	return s.state == stateOpen && s.seen&(seenIn|seenOut) == seenIn|seenOut
}

// own tells a session that the subscriber has sent on, from one that strangers
// began: only the first kind keeps a mapping alive (RFC 4787 REQ-6). On a
// static mapping, or if a helper asked for it, there is no difference.
func (s *session) own() bool { return s.seen&(seenOut|kept) != 0 }

// FlowActive notes the traffic that the flow table carried by itself since its
// last report: packets and bytes of one direction, the last of them at now.
// in2out refreshes the session; out2in does where R21 lets it. It does nothing
// for a session that is gone. What was carried before a RST must have been told
// before that: what comes later in its direction belies it.
func (t *Table) FlowActive(id uint64, out bool, now int64, packets, bytes uint64) {
	sh := t.shardOf(id)
	if sh == nil {
		return
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	slot, s := sh.session(id)
	if s == nil {
		return
	}
	m := sh.mappings.at(s.mapping)
	dir, mark := dirIn, seenIn
	if out {
		dir, mark = dirOut, seenOut
	}
	s.count(dir, packets, bytes)
	sh.passed(t.cfg().rules[m.rules], dir, packets, bytes)
	first := out && !s.own()
	s.seen |= mark
	if now >= s.last { // the other direction's report is of the same moment
		s.resume(dir)
	}
	if out || t.cfg().rules[m.rules].inRefresh {
		s.last = max(s.last, now)
	}
	if first {
		t.adopt(sh, slot)
	}
}

// SetIdle gives a mapping and all its sessions another idle time, which counts
// from their last packet on (R10, R40). idle ≤ 0 gives the profile's back.
// false: the mapping is gone. Look-ups go by the new time at once; if it is
// shorter, so does the sweep for the mapping's first sessions, and for the
// others within one turn of the wheel.
func (t *Table) SetIdle(id uint64, idle time.Duration) bool {
	sh := t.shardOf(id)
	if sh == nil {
		return false
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, m := sh.mapping(id)
	if m == nil {
		return false
	}
	m.override = max(int64(idle), 0)
	r := t.cfg().rules[m.rules]
	slot := m.head
	for range sweepStep {
		if slot == 0 {
			break
		}
		s := sh.sessions.at(slot)
		sh.expiry.set(&sh.sessions, slot, s.last+s.idle(m, r))
		slot = s.next
	}
	return true
}
