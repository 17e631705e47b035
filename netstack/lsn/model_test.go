package lsn

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// model is the table as one would write it without a thought for speed: lists
// that are searched, and everything that has expired removed before each step.
type model struct {
	f        *fixture
	now      int64
	mappings []*modelMapping
	idle     int64
}

type modelMapping struct {
	id       uint64
	rules    *rules
	inside   frame.Endpoint
	outside  frame.Endpoint
	remote   frame.Endpoint // that it was made for
	sessions []*modelSession
}

type modelSession struct {
	id     uint64
	remote frame.Endpoint
	last   int64
	own    bool
}

const modelIdle = 120 * second

// purge removes what has expired.
func (m *model) purge() {
	var kept []*modelMapping
	for _, mp := range m.mappings {
		var sessions []*modelSession
		own := false
		for _, s := range mp.sessions {
			if m.now-s.last <= m.idle {
				sessions = append(sessions, s)
				own = own || s.own
			}
		}
		if mp.sessions = sessions; own {
			kept = append(kept, mp)
		}
	}
	m.mappings = kept
}

func (m *model) find(inside, remote frame.Endpoint, proto uint8) (*modelMapping, *modelSession) {
	for _, mp := range m.mappings {
		for _, s := range mp.sessions {
			if mp.inside == inside && s.remote == remote && mp.rules.app.Proto == proto {
				return mp, s
			}
		}
	}
	return nil, nil
}

// shares reports whether a mapping must serve another remote (R19).
func (mp *modelMapping) shares(r *rules, inside, remote frame.Endpoint) bool {
	return mp.rules == r && mp.inside == inside &&
		(r.app.Mapping == EIM || mp.remote.Addr == remote.Addr && (r.app.Mapping == ADM || mp.remote.Port == remote.Port))
}

// answers reports whether a packet from remote to the mapping's outside
// endpoint passes its filter.
func (mp *modelMapping) answers(remote frame.Endpoint) bool {
	for _, s := range mp.sessions {
		switch {
		case s.remote == remote, mp.rules.app.Filtering == EIF:
			return true
		case s.own && s.remote.Addr == remote.Addr && mp.rules.app.Filtering == ADF:
			return true
		}
	}
	return false
}

func (m *model) out(t *rapid.T, tup Tuple) {
	m.purge()
	b, why := m.f.out(tup, Hints{}, m.now)
	if why != drop.None {
		t.Fatalf("%v: %v", tup, why)
	}
	mp, s := m.find(tup.Inside, tup.Remote, tup.Proto)
	if s == nil {
		s = &modelSession{id: b.Session, remote: tup.Remote}
		r := b.Group.rules(tup.Proto, tup.Remote.Port)
		for _, have := range m.mappings {
			if have.shares(r, tup.Inside, tup.Remote) {
				mp = have
			}
		}
		if mp == nil {
			mp = &modelMapping{id: b.Mapping, rules: r, inside: tup.Inside, outside: b.Outside, remote: tup.Remote}
			m.mustBePaired(t, mp)
			m.mappings = append(m.mappings, mp)
		}
		mp.sessions = append(mp.sessions, s)
	}
	s.own, s.last = true, m.now
	if b.Outside != mp.outside || b.Mapping != mp.id || b.Session != s.id {
		t.Fatalf("%v: got %v %x %x, want %v %x %x", tup, b.Outside, b.Mapping, b.Session, mp.outside, mp.id, s.id)
	}
}

func (m *model) mustBePaired(t *rapid.T, mp *modelMapping) {
	for _, have := range m.mappings {
		if mp.rules.app.Pooling == Paired && have.rules.app.Pooling == Paired &&
			have.inside.Addr == mp.inside.Addr && have.outside.Addr != mp.outside.Addr {
			t.Fatalf("%v is paired with %v and got %v", mp.inside.Addr, have.outside.Addr, mp.outside.Addr)
		}
	}
}

func (m *model) in(t *rapid.T, proto uint8, outside, remote frame.Endpoint) {
	m.purge()
	var target *modelMapping
	for _, mp := range m.mappings {
		if mp.rules.app.Proto == proto && mp.outside == outside && mp.answers(remote) {
			if target != nil {
				t.Fatalf("%v and %v both answer for %v on %v", target.inside, mp.inside, remote, outside)
			}
			target = mp
		}
	}
	var s *modelSession
	if target != nil {
		var other *modelMapping
		if other, s = m.find(target.inside, remote, proto); s != nil && other != target {
			target = nil // the subscriber sees that remote through another mapping
		}
	}
	b, why := m.f.in(proto, outside, remote, 0, m.now)
	if target == nil {
		if why != drop.NoMapping && why != drop.Filtered {
			t.Fatalf("%v to %v: %v, want it dropped", remote, outside, why)
		}
		return
	}
	if why != drop.None || b.Inside != target.inside || b.Mapping != target.id {
		t.Fatalf("%v to %v: %v %v, want %v", remote, outside, why, b.Inside, target.inside)
	}
	if s == nil {
		target.sessions = append(target.sessions, &modelSession{id: b.Session, remote: remote, last: m.now})
	} else if target.rules.inRefresh {
		s.last = m.now
	}
}

// compare sweeps and holds the sizes against each other.
func (m *model) compare(t *rapid.T) {
	m.purge()
	m.f.Sweep(m.now)
	m.f.check()
	sessions := 0
	ports := map[portKey]bool{}
	for _, mp := range m.mappings {
		sessions += len(mp.sessions)
		ports[portKey{mp.outside.Addr, mp.outside.Port, uint16(mp.rules.app.Proto)}] = true
	}
	st := m.f.Stats()
	used := st.Pools[0].Used
	if got := st.Sessions[1] + st.Sessions[2]; got != sessions {
		t.Fatalf("%d sessions, want %d", got, sessions)
	}
	if got := st.Mappings[1] + st.Mappings[2]; got != len(m.mappings) {
		t.Fatalf("%d mappings, want %d", got, len(m.mappings))
	}
	if got := used[1] + used[2]; got != len(ports) {
		t.Fatalf("%d ports in use, want %d", got, len(ports))
	}
	if got := uint64(sessions) + uint64(len(m.f.gone)); st.Created[1]+st.Created[2] != got {
		t.Fatalf("%d sessions created, %d live or gone", st.Created[1]+st.Created[2], got)
	}
}

// modelSettings is what a reload changes.
type modelSettings struct {
	allocation string
	last       byte  // of the last address: 3 or 4
	changed    int   // the profile that has another filter than usual, -1: none
	idle       int64 // nanoseconds
}

var divisions = []string{"single ports", "held", "blocks", "deterministic"}

// config gives every combination of modes a destination port of its own,
// all on the same two addresses, and few ports to begin a search at, so that
// mappings meet.
func (s modelSettings) config(seed uint64) Config {
	var apps []AppProfile
	for m := APDM; m <= EIM; m++ {
		for fl := APDF; fl <= EIF; fl++ {
			port := uint16(100 + 10*len(apps))
			apps = append(apps, AppProfile{
				Name:  fmt.Sprint("A", len(apps)),
				Proto: frame.ProtoUDP, Ports: []PortRange{{port, port + 1}}, Mapping: m, Filtering: fl,
				Pooling: Pooling(len(apps) % 2), InboundRefresh: Switch(len(apps) % 3),
			})
		}
	}
	if s.changed >= 0 {
		apps[s.changed].Filtering = (apps[s.changed].Filtering + 1) % 3
	}
	c := config(frame.Addr{203, 0, 113, s.last}, apps...)
	for _, proto := range []uint8{frame.ProtoUDP, frame.ProtoICMP} {
		c.Groups[0].Transports = append(c.Groups[0].Transports, TransportProfile{Proto: proto, SessionTimeout: time.Duration(s.idle)})
	}
	r := rand.New(rand.NewPCG(seed, 2))
	c.Rand = func(n uint32) uint32 { return r.Uint32N(min(n, 3)) }
	switch s.allocation {
	case "held":
		return held(c, 60*time.Second, 4)
	case "blocks":
		return blocked(c, 256)
	case "deterministic":
		return deterministic(c, ByAddresses, 256)
	}
	return c
}

// divides says whether ports of an address are handed out in another manner.
func (s modelSettings) divides() string {
	if s.allocation == "held" {
		return "single ports"
	}
	return s.allocation
}

// reload ends the mappings that must not survive, and gives the others the
// rules and times of the new settings.
func (m *model) reload(t *rapid.T, was, is modelSettings) {
	m.purge()
	if _, err := m.f.Reload(is.config(0), m.now); err != nil {
		t.Fatal(err)
	}
	m.idle = is.idle
	var kept []*modelMapping
	for _, mp := range m.mappings {
		r := m.f.sameRules(mp.rules)
		if r == nil || was.divides() != is.divides() || mp.outside.Addr[3] > is.last {
			continue
		}
		mp.rules = r
		kept = append(kept, mp)
	}
	m.mappings = kept
	m.purge()
	m.compare(t)
}

// sameRules finds the present rules of the profile with the same name and the
// same modes.
func (f *fixture) sameRules(was *rules) *rules {
	for _, r := range f.cfg().ruleList {
		a, b := r.app, was.app
		if a.Name == b.Name && a.Proto == b.Proto && a.Mapping == b.Mapping && a.Filtering == b.Filtering && a.Pooling == b.Pooling {
			return r
		}
	}
	return nil
}

func TestRandomTrafficMatchesTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := modelSettings{allocation: rapid.SampledFrom(divisions).Draw(rt, "allocation"), last: 4, changed: -1, idle: modelIdle}
		seed := rapid.Uint64().Draw(rt, "seed")
		c := s.config(seed)
		journal := &blockJournal{}
		c.OnEvent = journal.note
		f := build(rt, c)
		m := &model{f: f, idle: modelIdle}
		hosts := []frame.Addr{subscriber, other, {192, 0, 2, 3}}
		remotes := []frame.Addr{serverY, serverZ}
		// Few profiles in one run, so that their sessions meet more often.
		profiles := rapid.SliceOfN(rapid.IntRange(0, 8), 1, 3).Draw(rt, "profiles")
		var outsides []frame.Endpoint
		remote := func(t *rapid.T) frame.Endpoint {
			port := uint16(100 + 10*rapid.SampledFrom(profiles).Draw(t, "profile") + rapid.IntRange(0, 1).Draw(t, "port"))
			return at(rapid.SampledFrom(remotes).Draw(t, "remote"), port)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"out": func(t *rapid.T) {
				tup := udp(at(rapid.SampledFrom(hosts).Draw(t, "inside"), uint16(rapid.IntRange(1, 2).Draw(t, "inside port"))), remote(t))
				m.out(t, tup)
				b, _ := f.FindOut(tup)
				outsides = append(outsides, b.Outside)
			},
			"ping": func(t *rapid.T) {
				m.out(t, Tuple{frame.ProtoICMP, at(rapid.SampledFrom(hosts).Draw(t, "inside"), 1), at(rapid.SampledFrom(remotes).Draw(t, "remote"), 0)})
			},
			"in": func(t *rapid.T) {
				if len(outsides) > 0 {
					m.in(t, frame.ProtoUDP, rapid.SampledFrom(outsides).Draw(t, "outside"), remote(t))
				}
			},
			"remove": func(t *rapid.T) {
				m.purge()
				if n := len(m.mappings); n > 0 {
					i := rapid.IntRange(0, n-1).Draw(t, "mapping")
					f.RemoveMapping(m.mappings[i].id)
					m.mappings = append(m.mappings[:i:i], m.mappings[i+1:]...)
				}
			},
			"time passes": func(t *rapid.T) {
				m.now += rapid.SampledFrom([]int64{1, second, 59 * second, 60 * second, modelIdle}).Draw(t, "step")
			},
			"reload": func(t *rapid.T) {
				next := s
				switch rapid.IntRange(0, 3).Draw(t, "what") {
				case 0:
					next.last = rapid.SampledFrom([]byte{3, 4}).Draw(t, "last address")
				case 1:
					next.idle = rapid.SampledFrom([]int64{60 * second, modelIdle, 180 * second}).Draw(t, "idle")
				case 2:
					next.changed = rapid.IntRange(-1, 8).Draw(t, "other mode")
				default:
					next.allocation = rapid.SampledFrom(divisions).Draw(t, "allocation")
				}
				if next.allocation == "deterministic" {
					next.last = 4 // one address has not blocks enough
				}
				m.reload(t, s, next)
				s = next
			},
			"check": func(t *rapid.T) { f.check() },
			"sweep": func(t *rapid.T) { m.compare(t) },
		})
		m.compare(rt)
		m.now += int64(time.Hour)
		m.compare(rt)
		if len(journal.taken) > 0 || journal.fault != "" {
			rt.Fatalf("blocks still taken: %v; %s", journal.taken, journal.fault)
		}
		if st := f.Stats(); st.Paired != 0 || f.sessions.Load() != 0 {
			rt.Fatalf("an idle table still has %+v", st)
		}
	})
}
