package lsn

import (
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func TestAWishedPortGoesToOneSubscriberForEachServer_R39(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Name: "IKE", Proto: frame.ProtoUDP}))
	ask := func(inside, server frame.Addr, now int64) uint16 {
		t.Helper()
		b, why := f.out(udp(at(inside, 500), at(server, 500)), Hints{Port: 500}, now)
		if why != drop.None {
			t.Fatal(why)
		}
		return b.Outside.Port
	}
	if got := ask(subscriber, serverY, 0); got != 500 {
		t.Errorf("the first got port %d", got)
	}
	if got := ask(other, serverY, 1); got < FirstPort {
		t.Errorf("the second got port %d towards the same server", got)
	}
	if got := ask(other, serverZ, 2); got != 500 {
		t.Errorf("the second got port %d towards another server", got)
	}
	if got := f.Stats().Pools[0].Used[1]; got != 1 {
		t.Errorf("%d ports of the pool are in use, want the one that was not wished for", got)
	}
	f.check()
}

func TestAFullAddressStillHasTheWishedPort_R39(t *testing.T) {
	for name, mapping := range map[string]Mapping{"EIM": EIM, "APDM": APDM} {
		t.Run(name, func(t *testing.T) {
			f := build(t, config(nat1, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: mapping}))
			ike := at(serverY, 500)
			fill(t, f, ike, 0)
			x := udp(at(frame.Addr{192, 0, 2, 250}, 500), ike)
			if _, why := f.DecideOut(x, Hints{}, 1); mapping == EIM && why != drop.NoFreePort {
				t.Errorf("without a wish: decided %v, want no free port", why)
			}
			pl, why := f.DecideOut(x, Hints{Port: 500}, 1)
			if why != drop.None {
				t.Fatalf("decided %v, but 500 is free", why)
			}
			b, why := f.CommitOut(&pl, 1)
			if why != drop.None || b.Outside.Port != 500 {
				t.Fatalf("got port %d, %v", b.Outside.Port, why)
			}
			late := udp(at(frame.Addr{192, 0, 2, 251}, 500), ike)
			if _, why := f.out(late, Hints{Port: 500}, 1); why != drop.NoFreePort {
				t.Errorf("the second client: %v, want no free port", why)
			}
			f.RemoveMapping(b.Mapping)
			if b, why := f.out(late, Hints{Port: 500}, 2); why != drop.None || b.Outside.Port != 500 {
				t.Errorf("when 500 is free again: port %d, %v", b.Outside.Port, why)
			}
			f.check()
		})
	}
}
