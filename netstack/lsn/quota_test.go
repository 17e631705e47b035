package lsn

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// checkUsage counts anew what the quotas are held against.
func (f *fixture) checkUsage() {
	f.t.Helper()
	groups := make([][numProtocols]int64, len(f.cfg().groups))
	subscribers := make([]int64, len(f.cfg().groups))
	for i := range f.insides {
		sh := &f.insides[i]
		want := map[frame.Addr]usage{}
		f.countUsage(sh, want)
		known := 0
		for slot := uint32(1); slot < sh.users.end(); slot++ {
			u := *sh.users.at(slot)
			a := u.inside
			if a.IsZero() {
				continue
			}
			known++
			w := want[a]
			w.esp, w.group, w.inside = u.esp, u.group, a
			w.sessions[protoUDP] += u.esp
			if got, _ := sh.findUsage(a); u != w || got != slot {
				f.t.Fatalf("%v: counted %+v, there are %+v; at %d, found at %d", a, u, w, slot, got)
			}
			for p := range groups[u.group] {
				groups[u.group][p] += int64(u.sessions[p])
			}
			subscribers[u.group]++
			delete(want, a)
		}
		if len(want) != 0 || known != sh.userKeys.n {
			f.t.Fatalf("not counted: %+v; %d known, %d found", want, known, sh.userKeys.n)
		}
		sh.userKeys.check(f.t)
	}
	for i, g := range f.cfg().groups {
		for p := range groups[i] {
			if n := g.tally.sessions[p].Load(); n != groups[i][p] {
				f.t.Fatalf("group %q protocol %d: counted %d sessions, there are %d", g.Name, p, n, groups[i][p])
			}
		}
		if n := g.tally.subscribers.Load(); n != subscribers[i] {
			f.t.Fatalf("group %q: counted %d subscribers, there are %d", g.Name, n, subscribers[i])
		}
	}
}

func (f *fixture) countUsage(sh *inside, want map[frame.Addr]usage) {
	count := func(mslot uint32, fn func(u *usage, i int, r *rules)) {
		m := sh.mappings.at(mslot)
		r := f.cfg().rules[m.rules]
		i, _ := protoIndex(r.app.Proto)
		u := want[m.inside.Addr]
		fn(&u, i, r)
		want[m.inside.Addr] = u
	}
	for slot := uint32(1); slot < sh.sessions.end(); slot++ {
		if s := sh.sessions.at(slot); s.state != stateNone {
			count(s.mapping, func(u *usage, i int, _ *rules) { u.sessions[i]++ })
		}
	}
	for slot := uint32(1); slot < sh.mappings.end(); slot++ {
		if sh.mappings.at(slot).head != 0 {
			count(slot, func(u *usage, i int, r *rules) {
				if !r.static {
					u.ports[i]++
				}
			})
		}
	}
}

// keptPorts is how many ports static mappings keep from being drawn: those
// that could be, and all.
func (f *fixture) keptPorts() (n, all int) {
	for _, a := range f.cfg().addrs {
		k := a.keeps.Load()
		if k == nil || k.is == nil {
			continue
		}
		for i := range protocols {
			if k.is.all[i] {
				n += numPorts
				all += LastPort
			}
			for p := range k.is.ports[i] {
				all++
				if p >= FirstPort {
					n++
				}
			}
		}
	}
	return n, all
}

// limits is a configuration with quotas for one protocol, over one address.
func limits(p TransportProfile, apps ...AppProfile) Config {
	c := config(nat1, apps...)
	c.Groups[0].Transports = []TransportProfile{p}
	return c
}

func TestRFC6888_REQ4_PortsAreLimitedForEachSubscriberAndProtocol(t *testing.T) {
	f := build(t, limits(TransportProfile{Proto: frame.ProtoUDP, PortQuota: 2}, AppProfile{Proto: frame.ProtoUDP, Mapping: EIM}))
	for port := range uint16(2) {
		f.mustOut(udp(at(subscriber, port), at(serverY, 53)), 0, 0)
	}
	if _, why := f.out(udp(at(subscriber, 2), at(serverY, 53)), Hints{}, 0); why != drop.PortQuota {
		t.Errorf("a third port: %v", why)
	}
	f.mustOut(udp(at(subscriber, 1), at(serverZ, 53)), 0, 0) // a further session on a port it has
	f.mustOut(udp(at(other, 2), at(serverY, 53)), 0, 0)
	f.mustOut(tcp(at(subscriber, 2), at(serverY, 80)), frame.TCPSyn, 0)
	f.check()
}

func TestRFC6888_REQ5_SessionsAreLimitedForEachSubscriber(t *testing.T) {
	f := build(t, limits(TransportProfile{Proto: frame.ProtoTCP, SessionQuota: 2}, AppProfile{Proto: frame.ProtoTCP, Mapping: EIM, Filtering: EIF}))
	b := f.mustOut(tcp(at(subscriber, 1), at(serverY, 80)), frame.TCPSyn, 0)
	f.mustOut(tcp(at(subscriber, 1), at(serverY, 81)), frame.TCPSyn, 0)
	if _, why := f.out(tcp(at(subscriber, 1), at(serverY, 82)), Hints{TCPFlags: frame.TCPSyn}, 0); why != drop.SessionQuota {
		t.Errorf("a third session: %v", why)
	}
	if _, why := f.in(frame.ProtoTCP, b.Outside, at(serverZ, 9), frame.TCPSyn, 0); why != drop.SessionQuota {
		t.Errorf("a third session, begun outside: %v", why)
	}
	f.reply(b, frame.TCPSyn|tcpACK, 1, drop.None) // RFC 6888 REQ-11 D: what is there stays
	f.Sweep(62 * second)                          // the one without a reply is over
	f.mustOut(tcp(at(subscriber, 1), at(serverY, 82)), frame.TCPSyn, 62*second)
	f.check()
}

func TestAGroupHasASessionLimitOfItsOwn(t *testing.T) {
	f := build(t, limits(TransportProfile{Proto: frame.ProtoUDP, GroupSessionLimit: 3}))
	for i := range 3 {
		f.mustOut(udp(at(frame.Addr{192, 0, 2, byte(i)}, 1), at(serverY, 53)), 0, 0)
	}
	if _, why := f.out(udp(at(other, 9), at(serverY, 53)), Hints{}, 0); why != drop.GroupSessionLimit {
		t.Errorf("a fourth session: %v", why)
	}
	f.mustOut(Tuple{frame.ProtoICMP, at(other, 9), at(serverY, 0)}, 0, 0)
	f.Sweep(121 * second)
	f.mustOut(udp(at(other, 9), at(serverY, 53)), 0, 121*second)
	f.check()
}

// Every limit is broken at once; each that is lifted shows the next (R20).
func TestTheLimitsAreAskedInTheOrderOfR20(t *testing.T) {
	p := TransportProfile{Proto: frame.ProtoUDP, GroupSessionLimit: 1, SessionQuota: 1, PortQuota: 1}
	for _, step := range []struct {
		lift func(c *Config, p *TransportProfile)
		want drop.Reason
	}{
		{func(*Config, *TransportProfile) {}, drop.SessionTableFull},
		{func(c *Config, _ *TransportProfile) { c.MaxSessions = 100 }, drop.GroupSessionLimit},
		{func(_ *Config, p *TransportProfile) { p.GroupSessionLimit = 0 }, drop.SessionQuota},
		{func(_ *Config, p *TransportProfile) { p.SessionQuota = 0 }, drop.PortQuota},
		{func(_ *Config, p *TransportProfile) { p.PortQuota = 0 }, drop.None},
	} {
		c := limits(p)
		c.MaxSessions = 1
		step.lift(&c, &p)
		c.Groups[0].Transports[0], c.MaxSessions = p, max(c.MaxSessions, 1)
		if step.want != drop.SessionTableFull {
			c.MaxSessions = 100
		}
		f := build(t, c)
		f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
		if _, why := f.out(udp(at(subscriber, 2), at(serverY, 53)), Hints{}, 0); why != step.want {
			t.Errorf("%+v: %v, want %v", p, why, step.want)
		}
	}
}

func TestASessionThatIsOverMakesRoomForItsSuccessor(t *testing.T) {
	f := build(t, limits(TransportProfile{Proto: frame.ProtoUDP, GroupSessionLimit: 1, SessionQuota: 1, PortQuota: 1},
		AppProfile{Proto: frame.ProtoUDP, Mapping: EIM}))
	f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
	f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 121*second) // no sweep in between
	f.check()
}

func TestESPSessionsCountAgainstTheLimitsOfUDP(t *testing.T) {
	f := build(t, limits(TransportProfile{Proto: frame.ProtoUDP, SessionQuota: 2, GroupSessionLimit: 3}))
	f.mustOut(udp(at(subscriber, 500), at(serverY, 500)), 0, 0)
	if why := f.TakeESP(subscriber); why != drop.None {
		t.Fatal(why)
	}
	if why := f.TakeESP(subscriber); why != drop.SessionQuota {
		t.Errorf("a third session: %v", why)
	}
	if _, why := f.out(udp(at(subscriber, 4500), at(serverY, 4500)), Hints{}, 0); why != drop.SessionQuota {
		t.Errorf("a UDP session: %v", why)
	}
	if why := f.TakeESP(other); why != drop.None {
		t.Fatal(why)
	}
	if why := f.TakeESP(frame.Addr{192, 0, 2, 7}); why != drop.GroupSessionLimit {
		t.Errorf("a fourth in the group: %v", why)
	}
	if why := f.TakeESP(frame.Addr{10, 0, 0, 1}); why != drop.None {
		t.Errorf("nobody's: %v", why)
	}
	f.check()
	for range 3 { // too many are harmless
		f.GiveESP(subscriber)
		f.GiveESP(other)
	}
	f.Sweep(1000 * second)
	f.check()
	if n := f.cfg().groups[0].tally.sessions[protoUDP].Load(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestQuotaEventsAreLimitedByTheMinute(t *testing.T) {
	for _, tt := range []struct{ limit, want int }{{0, DefaultTrapLimit}, {2, 2}, {NoTraps, 0}} {
		c := limits(TransportProfile{Proto: frame.ProtoUDP, SessionQuota: 1})
		c.Groups[0].TrapLimit = tt.limit
		told := map[Quota]int{}
		c.OnEvent = func(e Event) {
			if e.Kind == QuotaExceeded {
				told[e.Quota]++
			}
		}
		f := build(t, c)
		tup := udp(at(subscriber, 2), at(serverY, 53))
		f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
		for minutes := range int64(2) {
			for range 3 * DefaultTrapLimit {
				pl, why := f.DecideOut(tup, Hints{}, second)
				f.Refused(pl.Group, tup, why, second+minutes*minute)
			}
		}
		if told[SessionQuota] != 2*tt.want {
			t.Errorf("limit %d: %v events in two minutes", tt.limit, told)
		}
		if st := f.Stats(); st.Dropped[protoUDP] != 6*DefaultTrapLimit {
			t.Errorf("%d drops counted", st.Dropped[protoUDP])
		}
	}
}

func TestItIsToldWhetherOneAddressIsFullOrAll(t *testing.T) {
	c := config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Pooling: Paired})
	var got []Event
	c.OnEvent = func(e Event) { got = append(got, e) }
	f := build(t, c)
	f.Refused(f.cfg().groups[0], udp(at(subscriber, 1), at(serverY, 53)), drop.NoFreePort, 1)
	f.Refused(f.cfg().groups[0], udp(at(subscriber, 1), at(serverY, 53)), drop.NotSYN, 1) // of no limit
	if len(got) != 1 || got[0].Kind != AddressesExhausted || got[0].Pool != 1 || got[0].Inside != at(subscriber, 1) {
		t.Errorf("a subscriber without an address: told %+v", got)
	}
	f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
	got = nil
	f.Refused(f.cfg().groups[0], udp(at(subscriber, 2), at(serverY, 53)), drop.NoFreePort, 1)
	f.Refused(f.cfg().groups[0], tcp(at(subscriber, 2), at(serverY, 53)), drop.NoFreePort, 1) // RANDOM
	if len(got) != 2 || got[0].Kind != PortsExhausted || got[0].Outside.Addr != nat1 || got[1].Kind != AddressesExhausted {
		t.Errorf("a subscriber with an address: told %+v", got)
	}
}

// Random traffic, time and limits: the counters always are what is there, no
// limit is ever exceeded, and in the end nothing is left.
func TestQuotasAddUpWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := func(name string) int { return rapid.IntRange(0, 5).Draw(t, name) }
		p := TransportProfile{Proto: frame.ProtoUDP, PortQuota: limit("ports"), SessionQuota: limit("sessions"), GroupSessionLimit: 3 * limit("group")}
		c := limits(p, AppProfile{
			Proto: frame.ProtoUDP, Mapping: Mapping(rapid.IntRange(0, 2).Draw(t, "mapping")), Filtering: Filtering(rapid.IntRange(0, 2).Draw(t, "filtering")),
		})
		c.Statics = []Static{{Name: "S", Inside: at(subscriber, 1), Outside: at(nat1, 3000)}}
		f := build(t, c)
		now, esp := int64(0), 0
		word := func(name string, n int) uint16 { return uint16(rapid.IntRange(0, n).Draw(t, name)) }
		for i := range 60 {
			a := frame.Addr{192, 0, 2, byte(word("subscriber", 3))}
			remote := at(frame.Addr{198, 51, 100, byte(word("server", 2))}, word("port", 2))
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				if f.TakeESP(a) == drop.None {
					esp++
				}
			case 1:
				f.GiveESP(a)
			case 2:
				now += int64(rapid.IntRange(1, 130).Draw(t, "seconds")) * second
				f.Sweep(now)
			case 3:
				f.in(frame.ProtoUDP, at(nat1, 3000), remote, 0, now)
			default:
				if b, why := f.out(udp(at(a, word("inside", 4)), remote), Hints{}, now); why == drop.None {
					f.in(frame.ProtoUDP, b.Outside, at(serverZ, word("stranger", 3)), 0, now)
				}
			}
			if i%5 == 0 {
				f.check()
			}
			f.withinLimits(&p)
		}
		f.Sweep(now + 1000*second)
		for i := range byte(4) {
			for range esp {
				f.GiveESP(frame.Addr{192, 0, 2, i})
			}
		}
		f.check()
		if st := f.Stats(); f.sessions.Load() != 0 || st.Groups[0].Subscribers != 0 {
			t.Fatalf("%d sessions of %d subscribers are left", f.sessions.Load(), st.Groups[0].Subscribers)
		}
	})
}

func (f *fixture) withinLimits(p *TransportProfile) {
	f.t.Helper()
	over := func(n, limit int) bool { return limit > 0 && n > limit }
	if n := int(f.cfg().groups[0].tally.sessions[protoUDP].Load()); over(n, p.GroupSessionLimit) {
		f.t.Fatalf("group has %d sessions of %d", n, p.GroupSessionLimit)
	}
	for i := range f.insides {
		for slot := uint32(1); slot < f.insides[i].users.end(); slot++ {
			u := f.insides[i].users.at(slot)
			if over(int(u.sessions[protoUDP]), p.SessionQuota) || over(int(u.ports[protoUDP]), p.PortQuota) {
				f.t.Fatalf("%+v of %+v", u, p)
			}
		}
	}
}

func TestPolicyFaultsAreAllTold(t *testing.T) {
	c := config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Attributes: []Attributes{{SessionTimeout: -time.Second}}})
	g := &c.Groups[0]
	g.TrapLimit, g.OnRefusal = MaxTrapLimit+1, 9
	g.Transports = []TransportProfile{{Name: "T", Proto: frame.ProtoUDP, PortQuota: -1}, {Name: "U", Proto: frame.ProtoTCP, SessionQuota: 65536}, {Name: "I", Proto: frame.ProtoICMP, StunTimeout: 1}}
	_, err := New(c)
	for _, want := range []string{"trap limit 10001", "unknown answer", "session timeout of its attributes is not positive", "port quota -1", "session quota 65536", "ICMP has no STUN"} {
		mustSay(t, err, want)
	}
	for _, w := range []fmt.Stringer{RefuseHostUnreachable, RefuseProhibited, RefuseSilently, GroupQuota, TableQuota} {
		if w.String() == "UNKNOWN" || w.String() == "" {
			t.Errorf("%d has no word", w)
		}
	}
}
