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
