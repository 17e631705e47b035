package lsn

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Subscribers with many blocks each get and give back whole blocks, in any
// order.
func TestBlocksComeAndGoInAnyOrder_R17(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		c := blocked(config(frame.Addr{203, 0, 113, 4}, AppProfile{Name: "udp", Proto: frame.ProtoUDP, Mapping: EIM, Pooling: Pooling(seed & 1)}), 256)
		c.Rand = seeded(seed)
		journal := &blockJournal{}
		c.OnEvent = journal.note
		f := build(rt, c)
		r := rand.New(rand.NewPCG(seed, 9))
		live := map[uint16][]Binding{} // by first port of the block, whichever the address
		next := uint16(0)
		for range 4 {
			for range r.IntN(1000) {
				next++
				b := f.mustOut(udp(at(frame.Addr{192, 0, 2, byte(r.IntN(3))}, next), at(serverY, 53)), 0, 0)
				first := b.Outside.Port &^ 255
				live[first] = append(live[first], b)
			}
			f.check()
			for first, all := range live {
				if r.IntN(2) == 0 {
					for _, b := range all {
						f.RemoveMapping(b.Mapping)
					}
					delete(live, first)
				}
			}
			f.check()
		}
		f.Sweep(1000 * second)
		f.check()
		if len(journal.taken) > 0 || journal.fault != "" {
			rt.Fatalf("blocks still taken: %v; %s", journal.taken, journal.fault)
		}
	})
}

// dealtOne is deterministic NAT with one block of 256 ports for each of four
// subscribers.
func dealtOne(apps ...AppProfile) Config {
	c := deterministic(config(nat1, apps...), ByPorts, 256)
	c.Clients[0].Networks = prefixes("192.0.2.0/30")
	return c
}

func TestAPortFreedInAFullBlockIsFoundAgain_R18(t *testing.T) {
	f := build(t, dealtOne())
	var all []Binding
	for port := range uint16(256) {
		for _, server := range []frame.Addr{serverY, serverZ} { // so that no port is ever unused
			all = append(all, f.mustOut(udp(at(subscriber, port), at(server, 53)), 0, 0))
		}
	}
	late := udp(at(subscriber, 999), at(serverY, 53))
	for _, i := range []int{100, 200} {
		if _, why := f.out(late, Hints{}, 0); why != drop.NoFreePort {
			t.Fatalf("%v, want no free port", why)
		}
		f.RemoveMapping(all[i].Mapping)
		b := f.mustOut(late, 0, 0)
		if b.Outside != all[i].Outside {
			t.Errorf("got %v, but only %v was free", b.Outside, all[i].Outside)
		}
		f.RemoveMapping(b.Mapping)
		f.mustOut(all[i].Tuple, 0, 0)
	}
	f.check()
}

func TestAnUnusedPortOfABlockServesEverybody_R18(t *testing.T) {
	eim := AppProfile{Name: "dns", Proto: frame.ProtoUDP, Mapping: EIM, Ports: []PortRange{{53, 53}}}
	f := build(t, dealtOne(eim))
	var all []Binding
	for port := range uint16(256) {
		all = append(all, f.mustOut(udp(at(subscriber, port), at(serverY, 53)), 0, 0))
	}
	late := udp(at(subscriber, 999), at(serverZ, 443)) // of another width: it shares no port with those
	if _, why := f.out(late, Hints{}, 0); why != drop.NoFreePort {
		t.Fatalf("%v, want no free port", why)
	}
	f.RemoveMapping(all[7].Mapping)
	if b := f.mustOut(late, 0, 0); b.Outside != all[7].Outside {
		t.Errorf("got %v, but only %v was free", b.Outside, all[7].Outside)
	}
	f.check()
}

func TestAWellKnownPortFreedTowardsOneServerIsFoundAgain_R16(t *testing.T) {
	f := build(t, preserving(config(nat1), true, true))
	var all []Binding
	for port := uint16(1); port < FirstPort; port++ {
		for _, server := range []frame.Addr{serverY, serverZ} {
			all = append(all, f.mustOut(udp(at(subscriber, port), at(server, 53)), 0, 0))
		}
	}
	late := udp(at(other, 80), at(serverY, 53))
	if _, why := f.out(late, Hints{}, 0); why != drop.NoFreePort {
		t.Fatalf("%v, want no free port", why)
	}
	f.RemoveMapping(all[500].Mapping)
	if b := f.mustOut(late, 0, 0); b.Outside != all[500].Outside {
		t.Errorf("got %v, but only %v was free", b.Outside, all[500].Outside)
	}
	f.check()
}
