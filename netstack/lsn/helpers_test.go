package lsn

import (
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

const second = int64(time.Second)

var (
	subscriber = frame.Addr{192, 0, 2, 1}
	other      = frame.Addr{192, 0, 2, 2}
	serverY    = frame.Addr{198, 51, 100, 1}
	serverZ    = frame.Addr{198, 51, 100, 2}
	nat1       = frame.Addr{203, 0, 113, 3}
	nat7       = frame.Addr{203, 0, 113, 9}
)

func at(a frame.Addr, port uint16) frame.Endpoint { return frame.Endpoint{Addr: a, Port: port} }

func udp(inside, remote frame.Endpoint) Tuple { return Tuple{frame.ProtoUDP, inside, remote} }
func tcp(inside, remote frame.Endpoint) Tuple { return Tuple{frame.ProtoTCP, inside, remote} }

// seeded is a random source that several goroutines may use.
func seeded(seed uint64) func(n uint32) uint32 {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 1))
	return func(n uint32) uint32 {
		mu.Lock()
		defer mu.Unlock()
		return r.Uint32N(n)
	}
}

// always makes every draw begin with the same port and address.
func always(v uint32) func(n uint32) uint32 { return func(n uint32) uint32 { return v % n } }

// config is one group over 192.0.2.0/24 with the pool addresses from
// 203.0.113.3 up to last.
func config(last frame.Addr, apps ...AppProfile) Config {
	return Config{
		Clients: []Client{{"C", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}},
		Pools:   []Pool{{Name: "P", Ranges: []Range{{nat1, last}}}},
		Groups:  []Group{{Name: "G", Client: "C", Pools: []string{"P"}, Apps: apps}},
		Rand:    seeded(1),
	}
}

// tester is what a test and a property have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// fixture is a table under test with the identifiers that OnGone was told.
type fixture struct {
	*Table
	t    tester
	gone []uint64
}

func build(t tester, c Config) *fixture {
	t.Helper()
	f := &fixture{t: t}
	if c.OnGone == nil {
		c.OnGone = func(id uint64) { f.gone = append(f.gone, id) }
	}
	table, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	f.Table = table
	return f
}

// out sends a packet from inside through both halves, which must agree.
func (f *fixture) out(tup Tuple, h Hints, now int64) (Binding, drop.Reason) {
	f.t.Helper()
	pl, why := f.DecideOut(tup, h, now)
	b, did := f.CommitOut(&pl, now)
	if why != drop.None && did != why {
		f.t.Fatalf("%v at %d: decided %v, committed %v", tup, now, why, did)
	}
	if did == drop.None && pl.Mapping != 0 && (pl.Mapping != b.Mapping || pl.Outside != b.Outside) {
		f.t.Fatalf("%v: planned mapping %x at %v, got %x at %v", tup, pl.Mapping, pl.Outside, b.Mapping, b.Outside)
	}
	return b, did
}

// mustOut is out for a packet that has to pass.
func (f *fixture) mustOut(tup Tuple, flags uint8, now int64) Binding {
	f.t.Helper()
	b, why := f.out(tup, Hints{TCPFlags: flags, Bytes: 100}, now)
	if why != drop.None {
		f.t.Fatalf("%v at %d s: %v", tup, now/second, why)
	}
	return b
}

// in sends a packet from outside through both halves, which must agree.
func (f *fixture) in(proto uint8, outside, remote frame.Endpoint, flags uint8, now int64) (Binding, drop.Reason) {
	f.t.Helper()
	pl, why := f.DecideIn(proto, outside, remote, Hints{TCPFlags: flags, Bytes: 50}, now)
	b, did := f.CommitIn(&pl, now)
	if did != why {
		f.t.Fatalf("from %v to %v: decided %v, committed %v", remote, outside, why, did)
	}
	return b, did
}

// reply sends a packet back along a binding and wants a certain end of it.
func (f *fixture) reply(b Binding, flags uint8, now int64, want drop.Reason) Binding {
	f.t.Helper()
	got, why := f.in(b.Proto, b.Outside, b.Remote, flags, now)
	if why != want {
		f.t.Fatalf("reply to %v at %d.%09d s: %v, want %v", b.Outside, now/second, now%second, why, want)
	}
	return got
}

// census is what check counts.
type census struct {
	sessions, mappings int
	ports              map[portKey]int // mappings on each port
	held               int             // ports in hold-down
}

// check holds all tables against each other: it must be true at any instant
// without a packet in flight.
func (f *fixture) check() {
	f.t.Helper()
	c := census{ports: map[portKey]int{}}
	for i := range f.insides {
		f.checkSessions(&f.insides[i], &c)
		f.checkMappings(&f.insides[i], &c)
	}
	claims := 0
	for i := range f.outsides {
		claims += f.checkOutside(&f.outsides[i], &c)
	}
	if claims != c.mappings {
		f.t.Fatalf("%d claims, %d mappings", claims, c.mappings)
	}
	f.checkCounters(&c)
}

func (f *fixture) checkOutside(o *outside, c *census) (claims int) {
	f.t.Helper()
	narrow, used := 0, 0
	for k, n := range c.ports {
		if &f.outsides[outsideShard(k.addr, k.port)] != o {
			continue
		}
		used++
		slot, u := o.port(k)
		if int(u.users()) != n {
			f.t.Fatalf("port %v: %d claims, %d mappings", k, u.users(), n)
		}
		if slot >= o.ports.end() {
			f.t.Fatalf("port %v: slot %d of %d", k, slot, o.ports.end()-1)
		}
		if claims += n; u.width != wideAny {
			narrow += n
		}
	}
	for slot := uint32(1); slot < o.ports.end(); slot++ {
		u := o.ports.at(slot)
		if at, _ := o.port(u.key()); at == slot && u.width == wideHeld {
			c.held++
			used++
		}
	}
	if o.portKeys.n != used || o.claims.n != narrow {
		f.t.Fatalf("outside shard: %d ports, want %d; %d narrow claims, want %d", o.portKeys.n, used, o.claims.n, narrow)
	}
	o.portKeys.check(f.t)
	o.claims.check(f.t)
	return claims
}

func (f *fixture) checkSessions(sh *inside, c *census) {
	f.t.Helper()
	here := 0
	for slot := uint32(1); slot < sh.sessions.end(); slot++ {
		s := sh.sessions.at(slot)
		if s.state == stateNone {
			continue
		}
		here++
		m := sh.mappings.at(s.mapping)
		if got := sh.findSession(m.tuple(s.remote)); got != slot {
			f.t.Fatalf("%v: session %d is found at %d", m.tuple(s.remote), slot, got)
		}
		id := makeID(sh.number, s.generation, slot)
		if b, _ := f.FindIn(m.proto, m.outside, s.remote); b.Session != id {
			f.t.Fatalf("session %x is not found from outside: %x", id, b.Session)
		}
	}
	if here != sh.tuples.n {
		f.t.Fatalf("shard %d: %d sessions, %d tuples", sh.number, here, sh.tuples.n)
	}
	sh.tuples.check(f.t)
	f.checkTimers(sh, here)
	c.sessions += here
}

// checkTimers holds the wheels against the tables: every session stands in one
// list, where its time is looked at before it can matter to the sweep.
func (f *fixture) checkTimers(sh *inside, sessions int) {
	f.t.Helper()
	timed := sh.expiry.check(f.t, &sh.sessions, func(slot uint32) (deadline int64) {
		s := sh.sessions.at(slot)
		m := sh.mappings.at(s.mapping)
		return s.last + s.idle(m, f.cfg().rules[m.rules])
	})
	held := 0
	for slot := uint32(1); slot < sh.pairs.end(); slot++ {
		if p := sh.pairs.at(slot); p.inside != (frame.Addr{}) && p.mappings == 0 {
			held++
		}
	}
	pairs := sh.holds.check(f.t, &sh.pairs, func(slot uint32) (deadline int64) {
		p := sh.pairs.at(slot)
		return p.gone + f.cfg().groups[p.group].hold.Load()
	})
	if timed != sessions || pairs != held {
		f.t.Fatalf("shard %d: %d of %d sessions and %d of %d held pairs are timed", sh.number, timed, sessions, pairs, held)
	}
}

func (f *fixture) checkMappings(sh *inside, c *census) {
	f.t.Helper()
	paired := map[frame.Addr]uint32{}
	keyed, permits := 0, 0
	for slot := uint32(1); slot < sh.mappings.end(); slot++ {
		m := sh.mappings.at(slot)
		if m.head == 0 {
			continue
		}
		c.mappings++
		r := f.cfg().rules[m.rules]
		c.ports[portKey{m.outside.Addr, m.outside.Port, uint16(r.app.Proto)}]++
		own, last, servers := sh.walk(m)
		if n := sh.strangers(m); !r.static && n != int(m.strangers) || n > maxStrangers && !r.static {
			f.t.Fatalf("mapping %v: %d strangers counted, %d there", m.outside, m.strangers, n)
		}
		if own != m.own || last != m.tail {
			f.t.Fatalf("mapping %v: %d own sessions counted, %d there; tail %d, want %d", m.outside, m.own, own, m.tail, last)
		}
		if r.counted() {
			permits += len(servers)
		}
		if r.pairs() {
			paired[m.inside.Addr]++
		}
		if r.width == wideFull {
			continue
		}
		keyed++
		if sh.findKey(m.tuple(m.remote), r) != slot {
			f.t.Fatalf("mapping %v is not found from inside", m.outside)
		}
	}
	if sh.keys.n != keyed || sh.permitKeys.n != permits {
		f.t.Fatalf("shard %d: %d keys, want %d; %d permits, want %d", sh.number, sh.keys.n, keyed, sh.permitKeys.n, permits)
	}
	sh.keys.check(f.t)
	sh.permitKeys.check(f.t)
	sh.pairKeys.check(f.t)
	for a, n := range paired {
		if _, p := sh.findPair(a); p == nil || p.mappings != n {
			f.t.Fatalf("%v: %d paired mappings, but %+v", a, n, p)
		}
	}
}

// strangers counts the sessions that are not the subscriber's own.
func (sh *inside) strangers(m *mapping) (n int) {
	for slot := m.head; slot != 0; slot = sh.sessions.at(slot).next {
		if !sh.sessions.at(slot).own() {
			n++
		}
	}
	return n
}

// walk goes through a mapping's list; own sessions must stand in front.
func (sh *inside) walk(m *mapping) (own, last uint32, servers map[frame.Addr]bool) {
	servers = map[frame.Addr]bool{}
	strangers := false
	for slot := m.head; slot != 0; slot = sh.sessions.at(slot).next {
		s := sh.sessions.at(slot)
		if s.own() && !strangers {
			own++
			servers[s.remote.Addr] = true
		}
		strangers = strangers || !s.own()
		last = slot
	}
	return own, last, servers
}

func (f *fixture) checkCounters(c *census) {
	f.t.Helper()
	st := f.Stats()
	used, bitsSet := 0, 0
	for i := range protocols {
		c.sessions -= st.Sessions[i]
		c.mappings -= st.Mappings[i]
		for _, p := range st.Pools {
			used += p.Used[i]
		}
		for at, n := range f.cfg().addrs {
			if f.cfg().pools[at] == noPool {
				setKind(0).lanes(func(lane int) { used += int(n.used[i][lane].Load()) })
			}
			if m := n.ports[i].Load(); m != nil {
				for _, word := range m {
					bitsSet += bits.OnesCount64(word)
				}
			}
		}
	}
	if c.sessions != 0 || c.mappings != 0 {
		f.t.Fatalf("counters are off by %d sessions, %d mappings", c.sessions, c.mappings)
	}
	drawn, all := f.keptPorts() // those that can run out; a wished one below FirstPort is not of them
	for k := range c.ports {
		if i, _ := protoIndex(uint8(k.proto)); f.cfg().addrs[f.cfg().byAddr[k.addr]].kept(i, k.port) {
			continue
		}
		all++
		if k.port >= FirstPort {
			drawn++
		}
	}
	if used != drawn || bitsSet != all+c.held {
		f.t.Fatalf("%d ports counted, %d bits, %d in use, %d held", used, bitsSet, drawn, c.held)
	}
	waiting := 0
	for _, n := range f.cfg().addrs {
		waiting += len(n.hold.heap)
	}
	if waiting != c.held {
		f.t.Fatalf("%d ports are held, %d wait for their time", c.held, waiting)
	}
	f.checkBlocks()
	f.checkUsage()
}
