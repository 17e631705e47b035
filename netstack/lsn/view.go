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

// Walk calls fn for every session until it returns false, in no order. Sessions
// that have expired but were not swept yet are among them. No lock is held
// while fn runs, so that it may take its time; a shard is copied at once.
func (t *Table) Walk(fn func(SessionInfo) bool) {
	var copied []SessionInfo
	for i := range t.insides {
		copied = t.copyShard(&t.insides[i], copied[:0])
		for _, s := range copied {
			if !fn(s) {
				return
			}
		}
	}
}

func (t *Table) copyShard(sh *inside, out []SessionInfo) []SessionInfo {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for slot := uint32(1); slot < sh.sessions.end(); slot++ {
		s := sh.sessions.at(slot)
		if s.state == stateNone {
			continue
		}
		out = append(out, SessionInfo{
			Binding:    t.binding(sh, slot),
			Domain:     t.domain,
			Profile:    t.rules[sh.mappings.at(s.mapping).rules].app.Name,
			FromInside: s.seen&fromOutside == 0,
			Last:       s.last,
			PacketsOut: s.packets[dirOut], PacketsIn: s.packets[dirIn],
			BytesOut: s.bytes[dirOut], BytesIn: s.bytes[dirIn],
		})
	}
	return out
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
// sessions, and returns how many mappings that were. A paired subscriber's
// hold (R15) goes on.
func (t *Table) Flush(f Filter) int {
	doomed := map[uint64]bool{}
	t.Walk(func(s SessionInfo) bool {
		if f.Match(&s) {
			doomed[s.Mapping] = true
		}
		return true
	})
	for id := range doomed {
		t.RemoveMapping(id)
	}
	return len(doomed)
}
