package lsn

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// fill takes all ports of a one-address pool, with several subscribers.
func fill(t *testing.T, f *fixture, remote frame.Endpoint, now int64) []Binding {
	t.Helper()
	var all []Binding
	seen := map[frame.Endpoint]bool{}
	for i := range numPorts {
		b := f.mustOut(udp(at(frame.Addr{192, 0, 2, byte(i % 200)}, uint16(i)), remote), 0, now)
		if b.Outside.Port < FirstPort {
			t.Fatalf("well-known port %d was given", b.Outside.Port)
		}
		if seen[b.Outside] {
			t.Fatalf("%v was given twice", b.Outside)
		}
		seen[b.Outside] = true
		all = append(all, b)
	}
	return all
}

func TestAFullAddressRefusesAndRecovers(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM}))
	all := fill(t, f, at(serverY, 53), 0)
	x := at(frame.Addr{192, 0, 2, 250}, 9)
	for _, server := range []frame.Addr{serverY, serverZ} {
		if _, why := f.DecideOut(udp(x, at(server, 53)), Hints{}, 1); why != drop.NoFreePort {
			t.Errorf("decided %v, want no free port", why)
		}
		if _, why := f.out(udp(x, at(server, 53)), Hints{}, 1); why != drop.NoFreePort {
			t.Errorf("%v, want no free port", why)
		}
	}
	if b := f.mustOut(all[7].Tuple, 0, 1); b.Outside != all[7].Outside {
		t.Error("an existing session lost its mapping")
	}
	f.RemoveMapping(all[12345].Mapping)
	if b := f.mustOut(udp(x, at(serverY, 53)), 0, 2); b.Outside != all[12345].Outside {
		t.Errorf("got %v, but only %v was free", b.Outside, all[12345].Outside)
	}
	f.check()
	f.Sweep(1000 * second)
	if st := f.Stats(); st.Pools[0].Used[1] != 0 || st.Sessions[1] != 0 || len(f.gone) != numPorts+1 {
		t.Errorf("after everything expired: %+v, %d gone", st, len(f.gone))
	}
	f.check()
}

func TestAPortFreedTowardsOneServerIsFoundAlthoughAnotherStillHasIt(t *testing.T) {
	f := build(t, config(nat1))
	y, z := at(serverY, 53), at(serverZ, 53)
	all := fill(t, f, y, 0)
	fill(t, f, z, 0)
	late := udp(at(frame.Addr{192, 0, 2, 250}, 9), y)
	for range 2 {
		if _, why := f.out(late, Hints{}, 1); why != drop.NoFreePort {
			t.Fatalf("%v, want no free port", why)
		}
	}
	if _, why := f.DecideOut(late, Hints{}, 1); why != drop.NoFreePort {
		t.Errorf("decided %v, want no free port by the mark of the search", why)
	}
	f.RemoveMapping(all[5].Mapping)
	f.mustOut(all[5].Tuple, 0, 2)
	if _, why := f.out(late, Hints{}, 2); why != drop.NoFreePort {
		t.Fatalf("%v, want no free port again", why)
	}
	f.RemoveMapping(all[999].Mapping)
	if b := f.mustOut(late, 0, 2); b.Outside != all[999].Outside {
		t.Errorf("got %v, but only %v was free", b.Outside, all[999].Outside)
	}
	f.check()
}

func TestAPairedSubscriberKeepsOneAddressAcrossProtocolsAndProfiles(t *testing.T) {
	apps := []AppProfile{
		{Name: "ike", Proto: frame.ProtoUDP, Pooling: Paired, Mapping: EIM, Ports: []PortRange{{500, 500}}},
		{Name: "udp", Proto: frame.ProtoUDP, Pooling: Paired},
		{Name: "tcp", Proto: frame.ProtoTCP, Pooling: Paired, Filtering: EIF},
		{Name: "icmp", Proto: frame.ProtoICMP, Pooling: Paired},
	}
	f := build(t, config(nat7, apps...))
	natOf := map[frame.Addr]bool{}
	for host := byte(1); host < 100; host++ {
		x := frame.Addr{192, 0, 2, host}
		n := f.mustOut(udp(at(x, 500), at(serverY, 500)), 0, 0).Outside.Addr
		natOf[n] = true
		if got, ok := f.PairedAddress(x); !ok || got != n {
			t.Fatalf("paired with %v, %v; want %v", got, ok, n)
		}
		for port := uint16(1); port < 20; port++ {
			for _, tup := range []Tuple{udp(at(x, port), at(serverZ, port)), tcp(at(x, port), at(serverY, port)), {frame.ProtoICMP, at(x, port), at(serverY, 0)}} {
				if b := f.mustOut(tup, syn, 0); b.Outside.Addr != n {
					t.Fatalf("%v left from %v, paired with %v", tup, b.Outside.Addr, n)
				}
			}
		}
	}
	if len(natOf) != 7 {
		t.Errorf("99 subscribers use %d of 7 addresses", len(natOf))
	}
	f.check()
}

func TestARandomPoolGivesAnAddressForEachSession(t *testing.T) {
	f := build(t, config(nat7))
	natOf := map[frame.Addr]int{}
	for port := range uint16(700) {
		natOf[f.mustOut(udp(at(subscriber, port), at(serverY, 53)), 0, 0).Outside.Addr]++
	}
	for a, n := range natOf {
		if n < 60 || n > 140 {
			t.Errorf("%v has %d of 700 sessions", a, n)
		}
	}
	if len(natOf) != 7 {
		t.Errorf("%d of 7 addresses are used", len(natOf))
	}
	if _, ok := f.PairedAddress(subscriber); ok {
		t.Error("a subscriber of a random pool is paired")
	}
}

func TestPairingOutlivesTheLastMappingByTheHold(t *testing.T) {
	const hold = 3600
	for _, tt := range []struct {
		name string
		now  int64
		kept bool
	}{{"at exactly the hold", (120 + hold) * second, true}, {"after it", (120+hold)*second + 1, false}} {
		t.Run(tt.name, func(t *testing.T) {
			c := config(nat7, AppProfile{Proto: frame.ProtoUDP, Pooling: Paired})
			c.Groups[0].PairingHold = hold * time.Second
			draws := uint32(0)
			c.Rand = func(n uint32) uint32 { return draws % n }
			f := build(t, c)
			tup := udp(at(subscriber, 1), at(serverY, 2))
			a := f.mustOut(tup, 0, 0)
			f.Sweep(121 * second)
			draws = 3 // a fresh choice would be another address
			f.Sweep(tt.now)
			if _, ok := f.PairedAddress(subscriber); ok != tt.kept {
				t.Errorf("paired: %v, want %v", ok, tt.kept)
			}
			if b := f.mustOut(tup, 0, tt.now); (b.Outside.Addr == a.Outside.Addr) != tt.kept {
				t.Errorf("first %v, then %v", a.Outside.Addr, b.Outside.Addr)
			}
			f.check()
		})
	}
}

func TestTheHoldBeginsWhenTheALGRemovesTheMapping(t *testing.T) {
	c := config(nat7, AppProfile{Proto: frame.ProtoUDP, Pooling: Paired})
	c.Groups[0].PairingHold = 50 * time.Second
	f := build(t, c)
	b := f.mustOut(udp(at(subscriber, 1), at(serverY, 2)), 0, 0)
	f.SetIdle(b.Mapping, time.Hour)
	f.Sweep(1000 * second)
	f.RemoveMapping(b.Mapping)
	f.RemoveMapping(b.Mapping) // twice is nothing
	f.Sweep(1050 * second)
	if _, ok := f.PairedAddress(subscriber); !ok {
		t.Error("the pairing ended before its hold")
	}
	f.Sweep(1050*second + 1)
	if _, ok := f.PairedAddress(subscriber); ok {
		t.Error("the pairing outlived its hold")
	}
}

func TestTheHoldBeginsWithTheEndOfTheSubscribersOwnTraffic(t *testing.T) {
	c := config(nat7, AppProfile{Proto: frame.ProtoUDP, Pooling: Paired, Mapping: EIM, Filtering: EIF})
	c.Groups[0].PairingHold = 50 * time.Second
	draws := uint32(0)
	c.Rand = func(n uint32) uint32 { return draws % n }
	f := build(t, c)
	x := at(subscriber, 1)
	b := f.mustOut(udp(x, at(serverY, 2)), 0, 0)
	f.in(b.Proto, b.Outside, at(serverZ, 3), 0, 100*second) // a stranger's packet keeps nothing
	draws = 3
	if d := f.mustOut(udp(x, at(serverZ, 3)), 0, 171*second); d.Outside.Addr == b.Outside.Addr {
		t.Errorf("still on %v", d.Outside.Addr)
	}
	f.check()
}

func TestAPairedSubscriberWithAFullAddressGetsNoOther(t *testing.T) {
	c := config(nat7, AppProfile{Name: "A", Proto: frame.ProtoUDP, Pooling: Paired, Mapping: EIM})
	draw := seeded(2)
	c.Rand = func(n uint32) uint32 {
		if n == 7 {
			return 0 // everybody is paired with the first address
		}
		return draw(n)
	}
	f := build(t, c)
	fill(t, f, at(serverY, 53), 0)
	late := udp(at(subscriber, 65000), at(serverY, 53))
	if _, why := f.out(late, Hints{}, 1); why != drop.NoFreePort {
		t.Errorf("%v, want no free port", why)
	}
	pl, _ := f.DecideOut(late, Hints{}, 1)
	if len(pl.Addresses) != 1 || pl.Addresses[0] != nat1 {
		t.Errorf("the set is %v, want the paired address alone", pl.Addresses)
	}
	fresh := f.mustOut(udp(at(frame.Addr{192, 0, 2, 250}, 1), at(serverY, 53)), 0, 1)
	if fresh.Outside.Addr == nat1 {
		t.Error("a new subscriber was put on the full address")
	}
	f.check()
}

func TestThePortsDrawnLookUniform(t *testing.T) {
	f := build(t, config(nat1))
	const sessions, slots = 32000, 32
	var count [slots]int
	runs, last := 0, uint16(0)
	for i := range sessions {
		p := f.mustOut(udp(at(subscriber, uint16(i)), at(serverY, uint16(i))), 0, 0).Outside.Port
		count[int(p-FirstPort)*slots/numPorts]++
		if p == last+1 {
			runs++
		}
		last = p
	}
	for i, n := range count { // 1000 expected, standard deviation 31
		if n < 850 || n > 1150 {
			t.Errorf("slice %d of the ports has %d of %d sessions", i, n, sessions)
		}
	}
	if runs > 10 {
		t.Errorf("%d times the next port followed the last one", runs)
	}
}

func TestTheLongestNetworkFindsTheGroup(t *testing.T) {
	nets := func(s ...string) (out []netip.Prefix) {
		for _, p := range s {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	c := config(nat1)
	c.Clients = append(c.Clients, Client{"all", nets("0.0.0.0/0")}, Client{"host", nets("192.0.2.77/32", "10.0.0.1/9")})
	c.Groups = append(c.Groups, Group{Name: "ALL", Client: "all", Pools: []string{"P"}, ALGProfile: "IPSEC"},
		Group{Name: "HOST", Client: "host", Pools: []string{"P"}})
	f := build(t, c)
	for addr, want := range map[frame.Addr]string{
		{192, 0, 2, 1}: "G", {192, 0, 2, 77}: "HOST", {192, 0, 3, 1}: "ALL", {10, 127, 255, 255}: "HOST", {10, 128, 0, 0}: "ALL",
	} {
		if g, ok := f.Client(addr); !ok || g.Name != want {
			t.Errorf("%v is in %v, want %s", addr, g, want)
		}
	}
	if g, _ := f.Client(frame.Addr{1, 1, 1, 1}); g.ALGProfile != "IPSEC" {
		t.Error("the group lost its ALG profile")
	}
	f = build(t, config(nat1))
	if g, ok := f.Client(frame.Addr{192, 0, 3, 1}); ok || g != nil {
		t.Error("a stranger has a group")
	}
}

func TestTheNarrowestPortRangeWins(t *testing.T) {
	f := build(t, config(nat1,
		AppProfile{Name: "all", Proto: frame.ProtoUDP},
		AppProfile{Name: "low", Proto: frame.ProtoUDP, Ports: []PortRange{{1, 1023}, {4500, 4500}}},
		AppProfile{Name: "ike", Proto: frame.ProtoUDP, Ports: []PortRange{{500, 500}}}))
	g, _ := f.Client(subscriber)
	for port, want := range map[uint16]string{500: "ike", 501: "low", 4500: "low", 0: "all", 1024: "all", 65535: "all"} {
		if a, _, _ := g.Profile(frame.ProtoUDP, port); a.Name != want {
			t.Errorf("port %d: profile %q, want %q", port, a.Name, want)
		}
	}
	a, p, ok := g.Profile(frame.ProtoTCP, 80)
	got := fmt.Sprintln(ok, a.Name, a.Pooling, a.Mapping, a.Filtering, p.SessionTimeout, p.FinRstTimeout, p.SynIdleTimeout)
	if want := "true default RANDOM ADDRESS-PORT-DEPENDENT ADDRESS-PORT-DEPENDENT 2m0s 30s 1m0s\n"; got != want {
		t.Errorf("TCP without a profile: %s, want NetScaler's %s", got, want)
	}
	if _, _, ok := g.Profile(47, 0); ok {
		t.Error("GRE has a profile")
	}
}

// All ports below 1024 are in use: one by a mapping for everybody, the others
// towards two servers. The one becomes free and is taken towards the second
// server; towards the first one it still is, whatever an earlier search found.
func TestAPortThatChangedItsWidthIsFoundAgain(t *testing.T) {
	for name, hold := range map[string]time.Duration{"at once": 0, "after its hold-down": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			c := held(config(nat1,
				AppProfile{Name: "cone", Proto: frame.ProtoUDP, Mapping: EIM, Filtering: EIF, Ports: []PortRange{{1000, 1000}}},
				AppProfile{Name: "rest", Proto: frame.ProtoUDP}), hold, 16)
			c.Groups[0].Transports = []TransportProfile{{Name: "T", Proto: frame.ProtoUDP, PreserveRange: true}}
			f := build(t, c)
			cone := f.mustOut(udp(at(subscriber, 7), at(serverY, 1000)), 0, 0)
			y, z := at(serverY, 53), at(serverZ, 53)
			for i := range FirstPort - 2 {
				for _, remote := range []frame.Endpoint{y, z} {
					f.mustOut(udp(at(frame.Addr{192, 0, 2, byte(i % 200)}, uint16(i)), remote), 0, 0)
				}
			}
			late := udp(at(frame.Addr{192, 0, 2, 250}, 9), y)
			if _, why := f.out(late, Hints{}, 1); why != drop.NoFreePort {
				t.Fatalf("%v, want no free port", why)
			}
			f.RemoveMapping(cone.Mapping)
			if b := f.mustOut(udp(at(frame.Addr{192, 0, 2, 250}, 8), z), 0, 6*second); b.Outside != cone.Outside {
				t.Fatalf("on %v, but only %v was free", b.Outside, cone.Outside)
			}
			if b := f.mustOut(late, 0, 6*second); b.Outside != cone.Outside {
				t.Errorf("on %v, but only %v was free towards %v", b.Outside, cone.Outside, y)
			}
			f.check()
		})
	}
}
