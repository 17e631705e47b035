package lsn

import (
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// preserving is config with a UDP transport profile.
func preserving(c Config, parity, keepRange bool) Config {
	c.Groups[0].Transports = []TransportProfile{{Name: "T", Proto: frame.ProtoUDP, PreserveParity: parity, PreserveRange: keepRange}}
	return c
}

// allocations are the ways to deal out ports, each with one address.
func allocations(apps ...AppProfile) map[string]Config {
	dealt := deterministic(config(nat1, apps...), ByPorts, 16128)
	dealt.Clients[0].Networks = prefixes("192.0.2.0/30")
	return map[string]Config{
		"single ports": config(nat1, apps...),
		"blocks":       blocked(config(nat1, apps...), 1024), "deterministic": dealt,
	}
}

// RFC 4787 REQ-4.
func TestAnEvenPortGetsAnEvenPort_R16(t *testing.T) {
	for name, c := range allocations(udpAll) {
		f := build(t, preserving(c, true, false))
		for port := range uint16(3000) {
			if b := f.mustOut(udp(at(subscriber, port), at(serverY, 53)), 0, 0); (b.Outside.Port^port)&1 != 0 || b.Outside.Port < FirstPort {
				t.Fatalf("%s: port %d got %d", name, port, b.Outside.Port)
			}
		}
		f.check()
	}
}

func TestWithoutAnEvenPortLeftAnOddOneDoes_R16(t *testing.T) {
	f := build(t, preserving(config(nat1, udpAll), true, false))
	odd := 0
	for i := range 40000 {
		if f.mustOut(udp(at(frame.Addr{192, 0, 2, byte(i & 1)}, uint16(i&^1)), at(serverY, 53)), 0, 0).Outside.Port&1 == 1 {
			odd++
		}
	}
	if odd != 40000-numPorts/2 {
		t.Errorf("%d even ports got odd ones, want the %d for which no even one was left", odd, 40000-numPorts/2)
	}
	f.check()
}

func TestAPortOfTheOtherParityIsNotPreservedForICMP(t *testing.T) {
	c := config(nat1)
	c.Groups[0].Transports = []TransportProfile{{Name: "T", Proto: frame.ProtoICMP, PreserveParity: true, PreserveRange: true}}
	f := build(t, c)
	same := 0
	for id := range uint16(200) {
		b := f.mustOut(Tuple{frame.ProtoICMP, at(subscriber, id), at(serverY, 0)}, 0, 0)
		if b.Outside.Port < FirstPort {
			t.Fatalf("identifier %d got %d", id, b.Outside.Port)
		}
		if (b.Outside.Port^id)&1 == 0 {
			same++
		}
	}
	if same < 50 || same > 150 {
		t.Errorf("%d of 200 identifiers kept their parity", same)
	}
}

// RFC 4787 REQ-3a, table 1.1.
func TestAWellKnownPortGetsAWellKnownPortOrNone_R16(t *testing.T) {
	for name, c := range allocations(udpAll) {
		f := build(t, preserving(c, false, true))
		seen := map[uint16]bool{}
		var last Binding
		for port := uint16(1); port < FirstPort; port++ {
			last = f.mustOut(udp(at(subscriber, port), at(serverY, 53)), 0, 0)
			if p := last.Outside.Port; p == 0 || p >= FirstPort || seen[p] {
				t.Fatalf("%s: port %d got %d (again: %v)", name, port, p, seen[p])
			}
			seen[last.Outside.Port] = true
		}
		late := udp(at(other, 80), at(serverY, 53))
		if pl, why := f.DecideOut(late, Hints{}, 0); why != drop.NoFreePort || pl.Ports != (PortRange{1, 1023}) {
			t.Errorf("%s: the 1024th: decided %v of %v", name, why, pl.Ports)
		}
		if _, why := f.out(late, Hints{}, 0); why != drop.NoFreePort {
			t.Errorf("%s: the 1024th: %v, want it dropped", name, why)
		}
		if b := f.mustOut(udp(at(other, 1024), at(serverY, 53)), 0, 0); b.Outside.Port < FirstPort {
			t.Errorf("%s: a port from the upper range got %d", name, b.Outside.Port)
		}
		f.RemoveMapping(last.Mapping)
		if b := f.mustOut(late, 0, 1); b.Outside != last.Outside {
			t.Errorf("%s: got %v, but only %v was free", name, b.Outside, last.Outside)
		}
		f.check()
	}
}

func TestRangeAndParityTogether_R16(t *testing.T) {
	f := build(t, preserving(config(nat1, udpAll), true, true))
	for port := uint16(2); port < FirstPort; port += 2 {
		if p := f.mustOut(udp(at(subscriber, port), at(serverY, 53)), 0, 0).Outside.Port; p&1 == 1 || p >= FirstPort {
			t.Fatalf("port %d got %d", port, p)
		}
	}
	if p := f.mustOut(udp(at(other, 2), at(serverY, 53)), 0, 0).Outside.Port; p&1 == 0 || p >= FirstPort {
		t.Errorf("when the even ones are used up, 2 got %d, want an odd one below 1024", p)
	}
	f.check()
}

func TestPort500IsKeptOutsideEveryBlock_R39(t *testing.T) {
	for name, c := range allocations(AppProfile{Name: "IKE", Proto: frame.ProtoUDP}) {
		f := build(t, c)
		ask := func(inside frame.Addr, port uint16) uint16 {
			t.Helper()
			b, why := f.out(udp(at(inside, 500), at(serverY, 500)), Hints{Port: port}, 0)
			if why != drop.None {
				t.Fatal(why)
			}
			return b.Outside.Port
		}
		if got := ask(subscriber, 500); got != 500 {
			t.Errorf("%s: the first got %d", name, got)
		}
		if got := ask(other, 500); got < FirstPort {
			t.Errorf("%s: the second got %d", name, got)
		}
		f.check()
	}
}

func TestAWishFromTheUpperRangeIsHeardWithinTheBlockOnly_R39(t *testing.T) {
	for name, c := range allocations(AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM, Pooling: Paired}) {
		f := build(t, c)
		b := f.mustOut(udp(at(subscriber, 1), at(serverY, 1)), 0, 0)
		near := b.Outside.Port ^ 1 // in the same block, whatever its size
		if got, _ := f.out(udp(at(subscriber, 2), at(serverY, 1)), Hints{Port: near}, 0); got.Outside.Port != near {
			t.Errorf("%s: got %d, wished for %d", name, got.Outside.Port, near)
		}
		far := FirstPort + (b.Outside.Port-FirstPort+numPorts/2)%numPorts
		got, why := f.out(udp(at(subscriber, 3), at(serverY, 1)), Hints{Port: far}, 0)
		if why != drop.None || (got.Outside.Port == far) != (name == "single ports") {
			t.Errorf("%s: %v, got %d, wished for %d in somebody else's block", name, why, got.Outside.Port, far)
		}
		f.check()
	}
}

// Deciding must not refuse what committing would grant.
func TestAWishIsHeardOnAnExhaustedAddress_R39(t *testing.T) {
	for name, c := range allocations(AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM}) {
		f := build(t, c)
		for i := 0; ; i++ {
			if _, why := f.out(udp(at(subscriber, uint16(i)), at(serverY, 53)), Hints{}, 0); why == drop.NoFreePort {
				break
			}
		}
		late := udp(at(subscriber, 65535), at(serverY, 500))
		if _, why := f.DecideOut(late, Hints{Port: 500}, 0); why != drop.None {
			t.Errorf("%s: decided %v although port 500 is free", name, why)
		}
		if b, why := f.out(late, Hints{Port: 500}, 0); why != drop.None || b.Outside.Port != 500 {
			t.Errorf("%s: %v, got %d", name, why, b.Outside.Port)
		}
		if _, why := f.DecideOut(udp(at(subscriber, 65534), at(serverY, 500)), Hints{Port: 500}, 0); why != drop.NoFreePort {
			t.Errorf("%s: decided %v although nothing is free", name, why)
		}
		f.check()
	}
}

// 64,512 UDP mappings of one subscriber on one address.
func TestOneSubscriberMayHaveAllPortsOfTheAddress(t *testing.T) {
	for name, c := range map[string]Config{
		"single ports": config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM, Pooling: Paired}),
		"blocks":       blocked(config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM, Pooling: Paired}), 256),
	} {
		f := build(t, c)
		seen := make([]bool, 1<<16)
		for i := range numPorts {
			b := f.mustOut(udp(at(subscriber, uint16(FirstPort+i)), at(serverY, 53)), 0, 0)
			if seen[b.Outside.Port] || b.Outside.Port < FirstPort {
				t.Fatalf("%s: port %d was given twice, or is too low", name, b.Outside.Port)
			}
			seen[b.Outside.Port] = true
		}
		for range 3 {
			if _, why := f.out(udp(at(subscriber, 9), at(serverY, 53)), Hints{}, 0); why != drop.NoFreePort {
				t.Errorf("%s: the 64513th: %v, want no free port", name, why)
			}
		}
		f.mustOut(tcp(at(subscriber, 9), at(serverY, 53)), syn, 0) // nothing else breaks
		f.mustOut(udp(at(subscriber, 2000), at(serverZ, 99)), 0, 0)
		f.check()
	}
}

func TestASetOfPortsIsWhatItsArithmeticSays(t *testing.T) {
	for _, source := range []uint16{6, 7} {
		for _, base := range []portSet{highPorts, {1, 1023, 1, kindLow}} {
			set := base.parity(source)
			count := [numLanes]int32{}
			for i := range set.size() {
				p := set.at(i)
				if (p^source)&1 != 0 || p < base.first || p > base.last || p == 0 {
					t.Fatalf("%d is in the set of %d", p, source)
				}
				count[laneOf(p)]++
			}
			set.kind.lanes(func(lane int) {
				if count[lane] != laneSize[lane] || uint32(count[lane]) != set.size() {
					t.Errorf("lane %d: %d ports, want %d of %d", lane, count[lane], laneSize[lane], set.size())
				}
			})
			in := set.within(600, 2001)
			if p := in.at(in.size() - 1); p != in.last || (in.first^source)&1 != 0 || in.first < 600 || in.last > 2001 {
				t.Errorf("cut to %d-%d", in.first, in.last)
			}
		}
	}
}
