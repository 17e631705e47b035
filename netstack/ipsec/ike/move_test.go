package ike

import (
	"net/netip"
	"testing"
	"time"
)

var (
	outside = netip.MustParseAddr("203.0.113.9")
	moved   = netip.MustParseAddr("203.0.113.10")
)

// behindNAT brings up a tunnel to b from an a behind a NAT, which then changes
// its mind.
func behindNAT(t *testing.T, change func(a, b *Config)) (w *world, a, b *host) {
	t.Helper()
	w = newWorld(t, 3)
	ca, cb := pairOf()
	cb.Peers[0].Remote = netip.Addr{}
	if change != nil {
		change(&ca, &cb)
	}
	w.nat[addrA] = outside
	a, b = w.add(ca), w.add(cb)
	a.initiate("b", "net")
	w.run(5 * time.Second)
	w.agree(a, b, 1)
	w.nat[addrA] = moved
	return w, a, b
}

// esp is a packet of ESP that came to h on its only pair.
func (h *host) esp(from netip.AddrPort) {
	h.do(h.e.PeerSeen(one(h).In, from, h.w.now))
}

var newPlace = netip.AddrPortFrom(moved, NATPort+natPorts)

func TestESPShowsWhereThePeerIsNow(t *testing.T) {
	w, a, b := behindNAT(t, nil)
	if !one(b).Follow || one(a).Follow {
		t.Fatalf("to be followed: here %v, there %v", one(a).Follow, one(b).Follow)
	}
	b.esp(newPlace)
	b.esp(newPlace)
	if v := b.said(PeerMoved); b.count(PeerMoved) != 1 || v.Remote != newPlace || v.Reason != "from 203.0.113.9:5500" || one(b).Remote != newPlace {
		t.Fatalf("%+v\n%s", *one(b), w.history())
	}
	// What this end begins arrives.
	b.do(b.e.RekeyChild(one(b).In, w.now))
	w.run(time.Second)
	w.agree(a, b, 1)
	if b.e.ChildRekey != 1 || b.e.Retransmits != 0 || one(b).Remote != newPlace || !one(b).Follow {
		t.Fatal(w.history())
	}
}

func TestWhoIsNotFollowed(t *testing.T) {
	force := func(c *Config) { c.Peers[0].NATTraversal = NATForce }
	for name, x := range map[string]struct {
		change func(a, b *Config)
		who    func(a, b *host) *host
	}{
		"by an end behind a nat":               {nil, func(a, _ *host) *host { return a }},
		"by ends of which both are behind one": {func(_, b *Config) { force(b) }, func(_, b *host) *host { return b }},
		"without udp":                          {func(a, b *Config) { a.Peers[0].NATTraversal, b.Peers[0].NATTraversal = NATOff, NATOff }, func(_, b *host) *host { return b }},
	} {
		w, a, b := behindNAT(t, x.change)
		h := x.who(a, b)
		before := *one(h)
		h.esp(newPlace)
		if one(h).Remote != before.Remote || one(h).Follow || h.count(PeerMoved) != 0 {
			t.Errorf("%s: followed\n%s", name, w.history())
		}
	}
}

func TestWhatIsNoPlaceIsNotFollowed(t *testing.T) {
	w, _, b := behindNAT(t, nil)
	before := *one(b)
	for _, from := range []netip.AddrPort{before.Remote, netip.AddrPortFrom(moved, 0), {}, netip.MustParseAddrPort("[2001:db8::1]:4500")} {
		b.esp(from)
	}
	b.do(b.e.PeerSeen(before.In+1, newPlace, w.now))
	b.do(b.e.PeerSeen(before.Out, newPlace, w.now))
	if one(b).Remote != before.Remote || b.count(PeerMoved) != 0 {
		t.Fatal(w.history())
	}
	b.do(b.e.Close("a", w.now))
	b.do(b.e.PeerSeen(before.In, newPlace, w.now))
	if b.count(PeerMoved) != 0 {
		t.Fatalf("an SA that ends\n%s", w.history())
	}
}

// A request that is repeated is not read again: its answer has to know by
// itself where the peer is.
func TestAnAnswerThatIsRepeatedGoesToTheNewPlace(t *testing.T) {
	w, a, b := behindNAT(t, nil)
	w.nat[addrA] = outside
	lost := 0
	w.tap = func(p packet) bool {
		if p.from.Addr() == addrB && lost == 0 {
			lost++
			return false
		}
		return true
	}
	a.do(a.e.RekeyChild(one(a).In, w.now))
	w.run(100 * time.Millisecond)
	if lost != 1 {
		t.Fatal("there was no answer")
	}
	w.nat[addrA] = moved
	b.do(b.e.PeerSeen(b.inbound()[0], newPlace, w.now))
	w.run(10 * time.Second)
	w.agree(a, b, 1)
	if a.e.ChildRekey != 1 || a.e.Retransmits != 1 {
		t.Fatalf("%d rekeyed, %d requests sent again\n%s", a.e.ChildRekey, a.e.Retransmits, w.history())
	}
}

func TestAnIKESAThatWasReplacedMovesWithItsSuccessor(t *testing.T) {
	w, a, b := behindNAT(t, nil)
	w.nat[addrA] = outside
	rekeyed := false
	w.tap = func(p packet) bool { // the delete of the old one is lost once
		again := rekeyed && p.to.Addr() == addrB
		rekeyed = rekeyed && !again || p.from.Addr() == addrB
		return !again
	}
	a.do(a.e.Rekey("b", w.now))
	w.run(100 * time.Millisecond)
	if len(b.e.list) != 2 {
		t.Fatalf("%d IKE SAs\n%s", len(b.e.list), w.history())
	}
	w.tap = nil
	w.nat[addrA] = moved
	b.esp(newPlace)
	for _, sa := range b.e.list {
		if sa.remote != newPlace {
			t.Errorf("IKE SA %d is with %v", sa.number, sa.remote)
		}
	}
	w.run(10 * time.Second)
	w.agree(a, b, 1)
	if b.count(PeerMoved) != 1 {
		t.Errorf("it moved %d times\n%s", b.count(PeerMoved), w.history())
	}
}
