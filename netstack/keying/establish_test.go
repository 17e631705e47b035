package keying

import (
	"testing"
	"time"

	"spigate/netstack/ipsec"
	"spigate/netstack/ipsec/ike"
)

func TestAPacketBringsItsTunnelUpAndIsNotLost(t *testing.T) {
	w, a, b := tunnel(t, nil)
	if len(a.released) != 1 || len(b.released) != 1 || a.released[0] != "net" {
		t.Errorf("released %v and %v", a.released, b.released)
	}
	if lost := w.stream(a, b, time.Second, 10*time.Millisecond, nil); lost != 0 {
		t.Fatalf("%d packets were lost\n%s", lost, w.history())
	}
	if a.refused[ipsec.Held] != 1 || len(a.refused)+len(b.refused) != 1 {
		t.Errorf("refused %v and %v", a.refused, b.refused)
	}
}

// The responder has its SAs before the initiator: what it sends must not
// overtake its answer.
func TestTheResponderSendsNothingBeforeItsAnswer(t *testing.T) {
	w := newWorld(t, 7)
	sa, sb := ends()
	a, b := w.add(sa), w.add(sb)
	b.send(a)
	a.send(b)
	waiting := 0
	w.tap = func(p *parcel) bool {
		g := a
		if p.from.Addr() == b.addr {
			g = b
		}
		if p.esp {
			waiting++
		}
		// Others may send while the answer is on its way to the wire.
		if is(p, 35, true) && len(g.selector("net").Info().Outbound) != 0 {
			t.Error("there was an outbound SA before the answer")
		}
		return true
	}
	w.run(10 * time.Second)
	if waiting == 0 || w.lateArrival != 0 {
		t.Fatalf("%d packets, %d of them came to nothing\n%s", waiting, w.lateArrival, w.history())
	}
}

func TestEveryCipherIsInstalledAtBothEnds(t *testing.T) {
	var all []ike.Proposal
	for _, c := range []ike.Cipher{ike.AESGCM128, ike.AESGCM192, ike.AESGCM256} {
		all = append(all, ike.Proposal{Ciphers: []ike.Cipher{c}, ESN: true})
	}
	for _, c := range []ike.Cipher{ike.AESCBC128, ike.AESCBC192, ike.AESCBC256, ike.NullCipher} {
		for _, i := range []ike.Integrity{ike.HMACSHA256, ike.HMACSHA384, ike.HMACSHA512} {
			all = append(all, ike.Proposal{Ciphers: []ike.Cipher{c}, Integrity: []ike.Integrity{i}})
		}
	}
	seen := map[ipsec.Suite]bool{}
	for _, p := range all {
		w, a, b := tunnel(t, func(a, b *setup) {
			a.config.Peers[0].Children[0].Proposals, b.config.Peers[0].Children[0].Proposals = []ike.Proposal{p}, []ike.Proposal{p}
		})
		if lost := w.stream(a, b, 100*time.Millisecond, 10*time.Millisecond, nil); lost != 0 {
			t.Fatalf("%v: %d packets were lost\n%s", p, lost, w.history())
		}
		i := a.db.List(w.now)[0]
		seen[i.Suite] = true
		if i.ESN != p.ESN {
			t.Errorf("%v: extended sequence numbers: %v", p, i.ESN)
		}
	}
	if len(seen) != len(all) {
		t.Errorf("%d suites of %d: %v", len(seen), len(all), seen)
	}
}

func TestLimitsAndLifetimeReachTheDatabase(t *testing.T) {
	w, a, b := tunnel(t, func(a, b *setup) {
		a.config.Limits["net"] = Limits{Window: 1024, Bytes: 8_000_000}
		a.config.Peers[0].Children[0].Lifetime = 30 * time.Minute
	})
	for _, i := range a.db.List(w.now) {
		if want := (ipsec.Lifetime{HardTime: 32 * time.Minute, SoftBytes: 7_000_000, HardBytes: 8_000_000}); i.Lifetime != want {
			t.Errorf("lifetime %+v; want %+v", i.Lifetime, want)
		}
		if !i.Outbound && i.Window != 1024 {
			t.Errorf("window %d", i.Window)
		}
	}
	for _, i := range b.db.List(w.now) {
		if want := (ipsec.Lifetime{HardTime: 62 * time.Minute}); i.Lifetime != want || !i.Outbound && i.Window != ipsec.DefaultWindow {
			t.Errorf("%+v, window %d", i.Lifetime, i.Window)
		}
	}
}

func TestTransportModeBetweenTwoHosts(t *testing.T) {
	host := func(s *setup, here, there string) {
		s.policies.Policies[0].Mode = ipsec.Transport
		s.policies.Selectors[0].Source, s.policies.Selectors[0].Destination = net4(here+"/32"), net4(there+"/32")
		s.inside = addr(here)
		k := &s.config.Peers[0].Children[0]
		k.Mode = ike.Transport
		k.Local, k.Remote = []ike.Selector{ike.PrefixSelector(net4(here + "/32"))}, []ike.Selector{ike.PrefixSelector(net4(there + "/32"))}
	}
	w, a, b := tunnel(t, func(a, b *setup) {
		host(a, "192.0.2.1", "198.51.100.1")
		host(b, "198.51.100.1", "192.0.2.1")
	})
	if i := a.db.List(w.now)[0]; i.Mode != ipsec.Transport {
		t.Errorf("mode %v", i.Mode)
	}
	if lost := w.stream(a, b, time.Second, 100*time.Millisecond, nil); lost != 0 {
		t.Fatalf("%d packets were lost\n%s", lost, w.history())
	}
}

func TestANarrowerPeerGivesANarrowerScope(t *testing.T) {
	w, a, _ := tunnel(t, func(a, b *setup) {
		b.config.Peers[0].Children[0].Local = []ike.Selector{ike.PrefixSelector(net4("10.2.0.0/24")), {From: addr("10.2.9.1"), To: addr("10.2.9.5"), Protocol: 17, PortFrom: 53, PortTo: 53}}
	})
	pairs := a.db.List(w.now)[0].Scope
	if len(pairs) != 2 || pairs[0].Remote.Last != addr("10.2.0.255").As4() || pairs[1].Proto != 17 || pairs[1].Remote.FirstPort != 53 {
		t.Fatalf("%+v", pairs)
	}
}

func TestBehindANATAndItsPortsMove(t *testing.T) {
	w := newWorld(t, 7)
	sa, sb := ends()
	outside := addr("203.0.113.7")
	w.nat[sa.local] = outside
	sb.config.Peers[0].Remote = addr("0.0.0.0") // wherever it may be
	a, b := w.add(sa), w.add(sb)
	n := a.send(b)
	w.run(10 * time.Second)
	if b.got[n] != 1 {
		t.Fatalf("the packet did not come\n%s", w.history())
	}
	for _, i := range b.db.List(w.now) {
		if i.Local.Port != 4500 || i.Remote.Port != 5500 || i.Remote.Addr != outside.As4() {
			t.Fatalf("%+v", i)
		}
	}
	// What it asks for comes from another port: the old pair follows.
	w.natShift = 2000
	a.order(a.keys.Rekey("b.example"))
	w.run(10 * time.Second)
	if len(b.said(ike.PeerMoved)) != 1 {
		t.Fatalf("the peer has not moved\n%s", w.history())
	}
	w.agree(a, b, 1)
	if lost := w.stream(a, b, time.Second, 100*time.Millisecond, nil); lost != 0 {
		t.Fatalf("%d packets were lost\n%s", lost, w.history())
	}
	for _, i := range b.db.List(w.now) {
		if i.Remote.Port != 6500 {
			t.Errorf("%+v", i)
		}
	}
}

// A half that is held back has no SA that could follow.
func TestAHalfThatIsHeldBackMovesToo(t *testing.T) {
	w := newWorld(t, 7)
	sa, sb := ends()
	w.nat[sa.local] = addr("203.0.113.7")
	sb.config.Peers[0].Remote = addr("0.0.0.0")
	a, b := w.add(sa), w.add(sb)
	a.send(b)
	w.run(10 * time.Second)
	a.order(a.keys.RekeyChild("net"))
	w.run(15 * time.Millisecond)
	if !b.keys.Waiting() {
		t.Fatalf("nothing is held back\n%s", w.history())
	}
	w.run(5 * time.Millisecond) // the answer is there, the delete of the old pair is not
	w.natShift, w.wire = 2000, nil
	w.run(10 * time.Second) // the delete is repeated, from another port
	w.agree(a, b, 1)
	for _, i := range b.db.List(w.now) {
		if i.Remote.Port != 6500 {
			t.Errorf("%+v\n%s", i, w.history())
		}
	}
}
