package lsn

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

var nat2 = frame.Addr{203, 0, 113, 4}

// twoGroups has subscribers 192.0.2.0/25 on the pool P and 192.0.2.128/25 on Q.
func twoGroups() Config {
	c := config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM, Filtering: EIF, Pooling: Paired})
	c.Clients[0].Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/25")}
	c.Clients = append(c.Clients, Client{"D", []netip.Prefix{netip.MustParsePrefix("192.0.2.128/25")}})
	c.Pools = append(c.Pools, Pool{Name: "Q", Ranges: []Range{{nat7, nat7}}})
	c.Groups = append(c.Groups, Group{Name: "H", Client: "D", Pools: []string{"Q"}, Apps: slices.Clone(c.Groups[0].Apps)})
	c.Groups[0].PairingHold = 3600 * 1e9
	return c
}

// far is a subscriber of the second group.
var far = frame.Addr{192, 0, 2, 200}

func TestAReloadLeavesAloneWhatItCan(t *testing.T) {
	for _, tt := range []struct {
		name      string
		change    func(c *Config)
		near, far bool // whose session survives: that of the first group, the second
	}{
		{"nothing changes", func(*Config) {}, true, true},
		{"order of groups and pools", func(c *Config) { slices.Reverse(c.Groups); slices.Reverse(c.Pools); slices.Reverse(c.Clients) }, true, true},
		{"timeouts", func(c *Config) {
			c.Groups[0].Transports = []TransportProfile{{Proto: frame.ProtoUDP, SessionTimeout: 300e9}}
		}, true, true},
		{"another address more", func(c *Config) { c.Pools[0].Ranges = append(c.Pools[0].Ranges, Range{nat2, nat2}) }, true, true},
		{"the address in another pool of the group", func(c *Config) {
			c.Pools[0].Ranges[0] = Range{nat2, nat2}
			c.Pools = append(c.Pools, Pool{Name: "R", Ranges: []Range{{nat1, nat1}}})
			c.Groups[0].Pools = []string{"P", "R"}
		}, true, true},
		{"a profile more, for its port", func(c *Config) {
			c.Groups[0].Apps = append(c.Groups[0].Apps, AppProfile{Name: "B", Proto: frame.ProtoUDP, Ports: []PortRange{{53, 53}}})
		}, true, true},
		{"a static mapping more", func(c *Config) {
			c.Statics = []Static{{Name: "S", Proto: frame.ProtoUDP, Inside: at(other, 80), Outside: at(nat1, 80)}}
		}, true, true},
		{"hold-down", func(c *Config) { c.Pools[0].ReallocTimeout, c.Pools[0].MaxReallocQueue = 60e9, 100 }, true, true},
		{"another address instead", func(c *Config) { c.Pools[0].Ranges[0] = Range{nat2, nat2} }, false, true},
		{"another mode", func(c *Config) { c.Groups[0].Apps[0].Filtering = ADF }, false, true},
		{"another name of the group", func(c *Config) { c.Groups[0].Name = "X" }, false, true},
		{"no such group", func(c *Config) { c.Groups = c.Groups[1:] }, false, true},
		{"another client", func(c *Config) { c.Groups[0].Client, c.Groups[1].Client = "D", "C" }, false, false},
		{"pools exchanged", func(c *Config) { c.Groups[0].Pools, c.Groups[1].Pools = c.Groups[1].Pools, c.Groups[0].Pools }, false, false},
		{"the subscriber in the other client", func(c *Config) {
			c.Clients[1].Networks = append(c.Clients[1].Networks, netip.MustParsePrefix("192.0.2.1/32"))
		}, false, true},
		{"blocks of ports", func(c *Config) { c.Pools[0].PortBlocks, c.Groups[0].BlockSize = true, 512 }, false, true},
		{"computed blocks", func(c *Config) { c.Pools[0].Type, c.Groups[0].Type = Deterministic, Deterministic }, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := build(t, twoGroups())
			n := f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
			d := f.mustOut(udp(at(far, 1), at(serverY, 53)), 0, 0)
			f.mustReload(tt.change, 10*second)
			f.survives(n, tt.near, 100*second)
			f.survives(d, tt.far, 100*second)
			f.check()
			f.mustReload(func(*Config) {}, 110*second) // and back again
			f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 111*second)
			f.check()
		})
	}
}

// How many of the sessions went, and whether what they need is gone or has
// only changed.
func TestAReloadCountsWhatItKeepsClearsAndRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   Reloaded
	}{
		"nothing changes":     {func(*Config) {}, Reloaded{Kept: 3}},
		"a group is gone":     {func(c *Config) { c.Groups = c.Groups[1:] }, Reloaded{Kept: 1, Cleared: 2}},
		"its pool is another": {func(c *Config) { c.Groups[0].Pools, c.Groups[1].Pools = c.Groups[1].Pools, c.Groups[0].Pools }, Reloaded{Refused: 3}},
		"blocks of ports":     {func(c *Config) { c.Pools[0].PortBlocks, c.Groups[0].BlockSize = true, 512 }, Reloaded{Kept: 1, Refused: 2}},
	} {
		f := build(t, twoGroups())
		f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
		f.mustOut(udp(at(subscriber, 1), at(serverY, 54)), 0, 0)
		f.mustOut(udp(at(far, 1), at(serverY, 53)), 0, 0)
		if got := f.mustReload(c.change, 10*second); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if got := len(f.gone); got != c.want.Cleared+c.want.Refused {
			t.Errorf("%s: %d are told as gone", name, got)
		}
	}
}

// mustReload gives the table the settings of twoGroups with a change.
func (f *fixture) mustReload(change func(*Config), now int64) Reloaded {
	f.t.Helper()
	c := twoGroups()
	change(&c)
	n, err := f.Reload(c, now)
	if err != nil {
		f.t.Fatal(err)
	}
	f.check()
	return n
}

// survives says whether a session is still there, untouched, and its
// subscriber can go on in any case.
func (f *fixture) survives(b Binding, want bool, now int64) {
	f.t.Helper()
	if there := !slices.Contains(f.gone, b.Session); there != want {
		f.t.Fatalf("%v survives: %v, want %v", b.Tuple, there, want)
	}
	got, why := f.out(b.Tuple, Hints{}, now)
	if want && (why != drop.None || got.Session != b.Session || got.Mapping != b.Mapping || got.Outside != b.Outside) {
		f.t.Fatalf("%v: %v, session %x at %v, want %x at %v", b.Tuple, why, got.Session, got.Outside, b.Session, b.Outside)
	}
	if _, client := f.Client(b.Inside.Addr); !want && client && (why != drop.None || got.Session == b.Session) {
		f.t.Fatalf("%v cannot go on: %v", b.Tuple, why)
	}
}

func TestAFaultyReloadChangesNothingAndTellsAllFaults(t *testing.T) {
	f := build(t, twoGroups())
	b := f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
	before := f.cfg()
	c := twoGroups()
	c.Groups[0].Client, c.Groups[1].Pools = "nobody", []string{"none"}
	c.Statics = []Static{{Name: "S"}}
	_, err := f.Reload(c, second)
	if err == nil || strings.Count(err.Error(), "\n") < 2 || f.cfg() != before {
		t.Errorf("settings changed: %v; %v", f.cfg() != before, err)
	}
	f.survives(b, true, 2*second)
	f.check()
}

// A changed timeout counts from the last packet (R10), for the sweep as for
// look-ups.
func TestANewTimeoutCountsFromTheLastPacket(t *testing.T) {
	f := build(t, twoGroups())
	idle := func(d time.Duration) func(*Config) {
		return func(c *Config) {
			c.Groups[0].Transports = []TransportProfile{{Proto: frame.ProtoUDP, SessionTimeout: d}}
		}
	}
	f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
	f.mustReload(idle(2*time.Hour), 100*second)
	f.Sweep(7200 * second)
	if len(f.gone) != 0 {
		t.Fatal("the longer timeout does not hold")
	}
	f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 7200*second)
	f.mustReload(idle(time.Minute), 7201*second)
	f.Sweep(7260 * second)
	if len(f.gone) != 0 {
		t.Fatal("ended at exactly the timeout")
	}
	f.Sweep(7260*second + 1)
	if len(f.gone) != 1 {
		t.Fatal("the shorter timeout does not hold")
	}
}

func TestWhatAReloadEndsIsTold(t *testing.T) {
	var events []Event
	c := twoGroups()
	c.OnEvent = func(e Event) { events = append(events, e) }
	f := build(t, c)
	f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
	f.mustOut(udp(at(subscriber, 1), at(serverZ, 53)), 0, 0)
	f.mustOut(udp(at(far, 1), at(serverZ, 53)), 0, 0)
	events = nil
	f.mustReload(func(c *Config) { c.Pools[0].Ranges[0] = Range{nat2, nat2} }, second)
	var kinds []EventKind
	for _, e := range events {
		if kinds = append(kinds, e.Kind); e.Inside.Addr != subscriber || e.Outside.Addr != nat1 || e.Group.Name != "G" {
			t.Errorf("told of %+v", e)
		}
	}
	if !slices.Equal(kinds, []EventKind{SessionDeleted, SessionDeleted, MappingDeleted}) {
		t.Errorf("told %v", kinds)
	}
}

func TestAPairingWithAnAddressThatIsGoneGoes(t *testing.T) {
	f := build(t, twoGroups())
	f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
	f.Sweep(200 * second) // the session ends, the hold begins
	if a, ok := f.PairedAddress(subscriber); !ok || a != nat1 {
		t.Fatalf("paired with %v %v", a, ok)
	}
	f.mustReload(func(*Config) {}, 300*second)
	if _, ok := f.PairedAddress(subscriber); !ok {
		t.Error("a pairing ended without need")
	}
	f.mustReload(func(c *Config) { c.Pools[0].Ranges[0] = Range{nat2, nat2} }, 300*second)
	if a, ok := f.PairedAddress(subscriber); ok {
		t.Errorf("still paired with %v", a)
	}
	if f.Owns(nat1) || !f.Owns(nat2) || !slices.Equal(f.Addresses(), []frame.Addr{nat2, nat7}) {
		t.Errorf("addresses %v", f.Addresses())
	}
}

// The port of a static mapping is kept from the instant of the reload on, and
// free again after the next.
func TestAReloadKeepsAndFreesThePortsOfStaticMappings(t *testing.T) {
	f := build(t, twoGroups())
	with := func(outside frame.Endpoint) func(*Config) {
		return func(c *Config) {
			c.Statics = []Static{{Name: "S", Proto: frame.ProtoUDP, Inside: at(other, 80), Outside: outside}}
		}
	}
	from := func(outside frame.Endpoint) drop.Reason {
		_, why := f.in(frame.ProtoUDP, outside, at(serverZ, 9), 0, second)
		return why
	}
	b := f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
	f.mustReload(with(at(nat1, 8080)), second)
	if why := from(at(nat1, 8080)); why != drop.None {
		t.Errorf("not let in: %v", why)
	}
	f.mustReload(with(at(nat1, 8081)), second)
	if why := from(at(nat1, 8080)); why != drop.NoMapping {
		t.Errorf("the old port: %v", why)
	}
	if why := from(at(nat1, 8081)); why != drop.None {
		t.Errorf("the new port: %v", why)
	}
	f.mustReload(with(b.Outside), second) // somebody has it
	f.survives(b, true, second)
	f.mustReload(func(*Config) {}, second)
	f.Flush(Filter{})
	f.check() // no port is counted any more
}

// Subscribers who move take what counts for them along.
func TestQuotasFollowASubscriberIntoItsNewGroup(t *testing.T) {
	f := build(t, twoGroups())
	f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
	if why := f.TakeESP(subscriber); why != drop.None {
		t.Fatal(why)
	}
	f.mustReload(func(c *Config) {
		c.Clients[1].Networks = append(c.Clients[1].Networks, netip.MustParsePrefix("192.0.2.1/32"))
	}, second)
	g, _ := f.Client(subscriber)
	if n := g.tally.sessions[protoUDP].Load(); g.Name != "H" || n != 1 {
		t.Errorf("group %s has %d sessions, want that of ESP", g.Name, n)
	}
	f.mustReload(func(c *Config) { c.Clients[0].Networks[0] = netip.MustParsePrefix("192.0.2.64/26") }, 2*second)
	f.GiveESP(subscriber)
	if f.sessions.Load() != 0 {
		t.Errorf("%d sessions counted, and nobody is there", f.sessions.Load())
	}
	f.check()
}

// TestN28_PoolAddressesRemovedUnderLoad: while several goroutines send, every
// second address leaves and returns. Sessions of the others are untouched, and
// none is left on an address that is gone.
func TestN28_PoolAddressesRemovedUnderLoad(t *testing.T) {
	var told, gone atomic.Int64
	all := func(addresses ...frame.Addr) Config {
		c := config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM, Filtering: ADF, Pooling: Paired, Ports: []PortRange{{1, 4}}})
		c.Pools[0].Ranges = nil
		for _, a := range addresses {
			c.Pools[0].Ranges = append(c.Pools[0].Ranges, Range{a, a})
		}
		c.Groups[0].PairingHold = 1e9
		return c
	}
	c := all(nat1, nat2, nat7)
	c.OnGone = func(uint64) { gone.Add(1) }
	c.OnEvent = func(e Event) {
		if e.Kind == SessionDeleted {
			told.Add(1)
		}
	}
	f := build(t, c)
	stays := map[uint64]Binding{}
	for port := range uint16(600) {
		if b := f.mustOut(udp(at(other, port), at(serverY, 9)), 0, 0); b.Outside.Addr != nat2 {
			stays[b.Session] = b
		}
	}
	var clock atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range uint64(3) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			sendUntil(stop, f.Table, &clock, rand.New(rand.NewPCG(w, 7)))
		}()
	}
	for round := range 40 {
		now := clock.Add(second / 10)
		if _, err := f.Reload(all(nat1, nat7), now); err != nil {
			t.Fatal(err)
		}
		f.Walk(func(s SessionInfo) bool {
			if s.Outside.Addr == nat2 {
				t.Errorf("round %d: session %v on %v after that address went", round, s.Tuple, s.Outside)
			}
			return true
		})
		if _, err := f.Reload(all(nat1, nat2, nat7), now); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	f.check()
	for _, b := range stays {
		if got, ok := f.FindOut(b.Tuple); !ok || got.Session != b.Session {
			t.Fatalf("session %v on %v did not go on", b.Tuple, b.Outside)
		}
	}
	if told.Load() != gone.Load() || gone.Load() == 0 {
		t.Errorf("%d sessions gone, %d told", gone.Load(), told.Load())
	}
}

// sendUntil keeps few subscribers sending both ways.
func sendUntil(stop chan struct{}, table *Table, clock *atomic.Int64, r *rand.Rand) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		now := clock.Add(second / 1000)
		tup := udp(at(frame.Addr{192, 0, 2, byte(10 + r.IntN(20))}, uint16(r.IntN(30))), at(serverY, uint16(r.IntN(9))))
		pl, _ := table.DecideOut(tup, Hints{}, now)
		b, why := table.CommitOut(&pl, now)
		if why != drop.None {
			continue
		}
		in, _ := table.DecideIn(tup.Proto, b.Outside, tup.Remote, Hints{}, now)
		table.CommitIn(&in, now)
		if r.IntN(500) == 0 {
			table.Flush(Filter{Network: netip.PrefixFrom(tup.Inside.Addr.Netip(), 32)})
		}
	}
}
