package lsn

import (
	"net/netip"
	"time"

	"spigate/netstack/frame"
)

// SessionInfo is one session for display.
type SessionInfo struct {
	Binding
	Domain     uint16 // traffic domain of the subscriber and the remote: Config.Domain
	Profile    string // application profile
	FromInside bool   // who began
	Last       int64  // when its idle time began, monotonic nanoseconds

	PacketsOut, PacketsIn uint64
	BytesOut, BytesIn     uint64 // of IP packets
}

// walkStep is how many slots are looked at while a shard's lock is held.
const walkStep = 256

// Walk calls fn for every session until it returns false, in no order. Sessions
// that have expired but were not swept yet are among them; one that begins or
// ends meanwhile may or may not be. No lock is held while fn runs, so that it
// may take its time, and no more than walkStep sessions are copied at once.
func (t *Table) Walk(fn func(SessionInfo) bool) {
	batch := make([]SessionInfo, 0, walkStep)
	for i := range t.insides {
		for next := uint32(1); next != 0; {
			batch, next = t.copySome(&t.insides[i], next, batch[:0])
			if !all(batch, fn) {
				return
			}
		}
	}
}

// all calls fn for each session, and reports whether it always returned true.
func all(batch []SessionInfo, fn func(SessionInfo) bool) bool {
	for _, s := range batch {
		if !fn(s) {
			return false
		}
	}
	return true
}

// copySome appends the sessions in some slots, and returns where to go on, 0 at
// the end.
func (t *Table) copySome(sh *inside, from uint32, out []SessionInfo) ([]SessionInfo, uint32) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	end := min(from+walkStep, sh.sessions.end())
	for slot := from; slot < end; slot++ {
		if sh.sessions.at(slot).state != stateNone {
			out = append(out, t.info(sh, slot))
		}
	}
	if end == sh.sessions.end() {
		return out, 0
	}
	return out, end
}

// info describes a session. The shard's lock is held.
func (t *Table) info(sh *inside, slot uint32) SessionInfo {
	s := sh.sessions.at(slot)
	return SessionInfo{
		Binding:    t.binding(sh, slot),
		Domain:     t.domain,
		Profile:    t.cfg().rules[sh.mappings.at(s.mapping).rules].app.Name,
		FromInside: s.seen&fromOutside == 0,
		Last:       s.last,
		PacketsOut: s.packets[dirOut], PacketsIn: s.packets[dirIn],
		BytesOut: s.bytes[dirOut], BytesIn: s.bytes[dirIn],
	}
}

// IdleFor returns how long the session has been idle at now.
func (s *SessionInfo) IdleFor(now int64) time.Duration { return time.Duration(max(now-s.Last, 0)) }

// Filter selects sessions; a zero field selects all.
type Filter struct {
	Network netip.Prefix // of the subscriber
	Client  string       // name of the client
	NAT     frame.Addr
	NATPort uint16
}

// Match reports whether the filter selects the session.
func (f *Filter) Match(s *SessionInfo) bool {
	return (!f.Network.IsValid() || f.Network.Contains(s.Inside.Addr.Netip())) &&
		(f.Client == "" || f.Client == s.Group.Client) &&
		(f.NAT.IsZero() || f.NAT == s.Outside.Addr) &&
		(f.NATPort == 0 || f.NATPort == s.Outside.Port)
}

// Flush ends the mappings of all sessions that the filter selects, with their
// sessions, and returns how many of both those were. A paired subscriber's hold
// (R15) goes on. It works in short steps like Walk, and remembers nothing
// between them.
func (t *Table) Flush(f Filter) (sessions, mappings int) {
	for i := range t.insides {
		for next := uint32(1); next != 0; {
			var s, m int
			s, m, next = t.flushSome(&t.insides[i], next, &f)
			sessions, mappings = sessions+s, mappings+m
		}
	}
	return sessions, mappings
}

// flushStep is how many mappings end while a shard's lock is held.
const flushStep = 32

func (t *Table) flushSome(sh *inside, from uint32, f *Filter) (sessions, mappings int, next uint32) {
	var after aftermath
	sh.mu.Lock()
	end := min(from+walkStep, sh.sessions.end())
	for next = from; next < end && mappings < flushStep; next++ {
		s := sh.sessions.at(next)
		if s.state == stateNone {
			continue
		}
		if info := t.info(sh, next); f.Match(&info) {
			t.removeMapping(sh, s.mapping, t.swept.Load(), &after)
			mappings++
		}
	}
	if next == sh.sessions.end() {
		next = 0
	}
	sh.mu.Unlock()
	sessions = len(after.gone)
	t.tell(&after)
	return sessions, mappings, next
}
