package keying

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"spigate/netstack/ipsec"
	"spigate/netstack/ipsec/ike"
)

func TestAPeerThatLostItsMemoryIsFoundAgain(t *testing.T) {
	for name, first := range map[string]bool{"it begins": true, "we begin": false} {
		t.Run(name, func(t *testing.T) {
			w, a, b := tunnel(t, nil)
			b.begin() // a power cut: nothing was said
			if first {
				b.send(a)
			}
			w.run(3 * time.Minute) // the other end is asked whether it lives
			n, m := a.send(b), b.send(a)
			w.run(10 * time.Second)
			if b.got[n] != 1 || a.got[m] != 1 {
				t.Fatalf("packets did not come\n%s", w.history())
			}
			w.agree(a, b, 1)
		})
	}
}

// The engine draws an SPI that a manual SA of the same address has.
func TestAnSPIThatIsTakenIsGivenUpAndDrawnAnew(t *testing.T) {
	const taken = 0x4711_0815
	manual := func(a, _ *setup) {
		a.policies.Policies = append(a.policies.Policies, ipsec.Policy{Name: "hand", Mode: ipsec.Tunnel, Local: a.local, Remote: addr("203.0.113.99")})
		a.policies.Selectors = append(a.policies.Selectors, ipsec.TrafficSelector{Name: "hand", Source: net4("10.1.0.0/16"), Destination: net4("10.9.0.0/16"), Policy: "hand"})
		a.policies.Manual = []ipsec.ManualSA{{Name: "in", Policy: "hand", Source: addr("203.0.113.99"), Destination: a.local, SPI: taken,
			Suite: ipsec.Suite{Cipher: ipsec.Null, Auth: ipsec.HMACSHA256}, Keys: ipsec.Keys{Auth: make([]byte, 32)}}}
	}
	for _, responder := range []bool{false, true} {
		w := newWorld(t, 7)
		sa, sb := ends()
		manual(&sa, &sb)
		a, b := w.add(sa), w.add(sb)
		w.tap = func(*parcel) bool {
			if len(a.said(ike.ChildFailed)) == 0 {
				a.random.forced = slices.Repeat([]uint32{taken}, 8)
			} else {
				a.random.forced = nil
			}
			return true
		}
		from, to := a, b
		if responder {
			from, to = b, a
		}
		from.send(to)
		w.run(20 * time.Second)
		failed := a.said(ike.ChildFailed)
		if len(failed) != 1 || !strings.Contains(failed[0].Reason, "47110815") {
			t.Fatalf("responder %v: %d failures\n%s", responder, len(failed), w.history())
		}
		n := from.send(to)
		w.run(10 * time.Second)
		if to.got[n] != 1 {
			t.Fatalf("responder %v: no tunnel\n%s", responder, w.history())
		}
		for _, g := range []*gate{a, b} {
			if ours := len(g.keys.pairs); ours != 1 {
				t.Errorf("%v has %d pairs", g.addr, ours)
			}
		}
		if sa := a.db.Find(taken, a.addr.As4()); sa == nil || !sa.Manual {
			t.Error("the manual SA is gone")
		}
	}
}

func TestAReloadLeavesAloneWhatStaysAsItIs(t *testing.T) {
	w, a, b := tunnel(t, nil)
	before := a.keys.sorted()[0].in
	lost := w.stream(a, b, 10*time.Second, 10*time.Millisecond, func(i int) {
		if i%100 == 50 {
			a.config.Limits["net"] = Limits{Window: 128}
			a.apply()
			b.apply()
		}
	})
	if lost != 0 || a.keys.sorted()[0].in != before || len(a.said(ike.ChildDown)) != 0 {
		t.Fatalf("%d packets were lost\n%s", lost, w.history())
	}
	a.order(a.keys.RekeyChild("net"))
	w.run(10 * time.Second)
	w.agree(a, b, 1)
	for _, i := range a.db.List(w.now) {
		if !i.Outbound && i.Window != 128 {
			t.Errorf("the new window is %d", i.Window)
		}
	}
}

func TestAReloadWithAnotherPeerEndsItsSAsAndBeginsAnew(t *testing.T) {
	w, a, b := tunnel(t, nil)
	for _, g := range []*gate{a, b} {
		g.config.Peers = slices.Clone(g.config.Peers)
		g.config.Peers[0].Secret = ike.Secret("quite another secret of both")
		g.apply()
	}
	if len(a.db.List(w.now)) != 0 || len(b.db.List(w.now)) != 0 {
		t.Fatalf("old SAs are still there\n%s", w.history())
	}
	w.run(10 * time.Second)
	n := a.send(b)
	w.run(10 * time.Second)
	if b.got[n] != 1 {
		t.Fatalf("nothing came up\n%s", w.history())
	}
	w.agree(a, b, 1)
}

func TestASelectorThatLeavesIsDeletedAtTheOtherEnd(t *testing.T) {
	w := newWorld(t, 7)
	sa, sb := ends()
	second := func(s *setup, here, there string) {
		k := s.config.Peers[0].Children[0]
		k.Name, k.Local, k.Remote, k.Up = "more", []ike.Selector{ike.PrefixSelector(net4(here))}, []ike.Selector{ike.PrefixSelector(net4(there))}, true
		s.config.Peers[0].Children = append(s.config.Peers[0].Children, k)
		s.policies.Selectors = append(s.policies.Selectors, ipsec.TrafficSelector{Name: "more", Source: net4(here), Destination: net4(there), Policy: "tunnel"})
	}
	second(&sa, "10.11.0.0/16", "10.12.0.0/16")
	second(&sb, "10.12.0.0/16", "10.11.0.0/16")
	sb.config.Peers[0].Children[1].Up = false // one of them begins
	a, b := w.add(sa), w.add(sb)
	a.send(b)
	w.run(10 * time.Second)
	w.agree(a, b, 2)
	// The database lets go of it; IKE's configuration is still the old one: as
	// if the other half of the reload had been refused.
	a.policies.Selectors = a.policies.Selectors[:1]
	p, err := ipsec.NewPolicies(a.policies)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := a.db.Apply(p, w.now)
	if err != nil || len(gone) != 2 {
		t.Fatalf("%d gone, %v", len(gone), err)
	}
	bad := a.config
	bad.Limits = map[string]Limits{"net": {Window: -1}}
	has(t, a.keys.Apply(bad, gone, w.now), "net", "window is -1")
	if len(a.keys.pairs) != 1 || len(a.keys.bySA) != 2 {
		t.Fatalf("the pair is still here\n%s", w.history())
	}
	w.run(time.Second)
	if len(b.keys.pairs) != 1 || len(b.db.List(w.now)) != 2 {
		t.Fatalf("the pair is still at the other end\n%s", w.history())
	}
	// The child should be up, so that it comes again and again; each time it is
	// refused, told and deleted. Then the configuration is put right.
	w.run(time.Minute)
	a.sound()
	if n := len(a.said(ike.ChildFailed)); n < 2 || n > 20 || !strings.Contains(a.said(ike.ChildFailed)[0].Reason, "more") {
		t.Errorf("%d failures in a minute\n%s", n, w.history())
	}
	for _, g := range []*gate{a, b} {
		g.config.Peers = slices.Clone(g.config.Peers)
		g.config.Peers[0].Children = g.config.Peers[0].Children[:1]
		g.policies.Selectors = g.policies.Selectors[:1]
		g.apply()
	}
	w.run(10 * time.Second)
	n := a.send(b)
	w.run(10 * time.Second)
	if b.got[n] != 1 {
		t.Fatalf("nothing came up\n%s", w.history())
	}
	w.agree(a, b, 1)
}

// Nobody told Apply what is gone: it looks for itself.
func TestAPairWhoseSelectorChangedIsFound(t *testing.T) {
	w, a, b := tunnel(t, nil)
	a.policies.Selectors = slices.Clone(a.policies.Selectors)
	a.policies.Selectors[0].Source = net4("10.1.0.0/17")
	p, err := ipsec.NewPolicies(a.policies)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.db.Apply(p, w.now); err != nil {
		t.Fatal(err)
	}
	if err := a.keys.Apply(a.config, nil, w.now); err != nil {
		t.Fatal(err)
	}
	w.run(time.Second)
	a.sound()
	if len(a.keys.pairs) != 0 || len(b.keys.pairs) != 0 {
		t.Fatalf("it stays\n%s", w.history())
	}
}

func TestTheEndTellsThePeersAndLeavesNothing(t *testing.T) {
	w, a, b := tunnel(t, nil)
	b.order(b.keys.RekeyChild("net"))
	w.run(25 * time.Millisecond) // an old pair, a new one
	a.keys.Acquire("net")
	a.keys.End(w.now)
	if len(a.db.List(w.now)) != 0 || len(a.keys.pairs)+len(a.keys.bySA)+len(a.keys.named)+len(a.keys.rests)+len(a.keys.View(w.now)) != 0 || a.keys.Due(w.now) || a.keys.Waiting() {
		t.Fatalf("something is left\n%s", w.history())
	}
	has(t, a.keys.Initiate("net"), "net")
	w.run(10 * time.Second)
	if len(b.keys.pairs) != 0 || len(b.db.List(w.now)) != 0 {
		t.Fatalf("the peer was not told\n%s", w.history())
	}
	if n := a.keys.Counters(); n.IKEUps != 1 {
		t.Errorf("the counters are gone: %+v", n)
	}
	// It can begin anew.
	a.apply()
	n := a.send(b)
	w.run(10 * time.Second)
	if b.got[n] != 1 {
		t.Fatalf("it does not begin anew\n%s", w.history())
	}
	w.agree(a, b, 1)
}

func TestOperatorsHearOfWrongNamesAndPassivePeers(t *testing.T) {
	w, a, b := tunnel(t, func(_, b *setup) { b.config.Peers[0].Passive = true })
	has(t, a.keys.Initiate("nothing"), "nothing", "no IKE peer")
	has(t, a.keys.RekeyChild("nothing"), "nothing", "no IKE peer")
	has(t, a.keys.Rekey("nobody"), "no IKE peer", "nobody")
	has(t, a.keys.Terminate("nobody"), "no IKE peer", "nobody")
	has(t, b.keys.Initiate("net"), "a.example", "passive")
	a.order(a.keys.Terminate("b.example"))
	w.run(10 * time.Second)
	if len(a.keys.pairs)+len(b.keys.pairs) != 0 {
		t.Fatalf("it was not ended\n%s", w.history())
	}
	a.order(a.keys.Initiate("net"))
	w.run(10 * time.Second)
	w.agree(a, b, 1)
}

// An operator's peer with two addresses of ours is two to IKE.
func TestAPeerOfTwoAddressesIsMeantByItsName(t *testing.T) {
	w, a, b := tunnel(t, func(a, _ *setup) {
		other := a.config.Peers[0]
		a.config.Peers[0].Name = "office/192.0.2.1"
		other.Name, other.Local, other.Children = "office/192.0.2.9", addr("192.0.2.9"), nil
		a.config.Peers = append(a.config.Peers, other)
	})
	has(t, a.keys.Rekey("off"), "no IKE peer")
	a.order(a.keys.Rekey("office"))
	w.run(time.Second)
	if len(a.said(ike.IKERekeyed)) != 1 {
		t.Errorf("it was not rekeyed\n%s", w.history())
	}
	a.order(a.keys.Terminate("office/192.0.2.1"))
	w.run(time.Second)
	if len(a.keys.pairs)+len(b.keys.pairs) != 0 {
		t.Errorf("it was not ended\n%s", w.history())
	}
}

func TestCommandsAreBounded(t *testing.T) {
	w := newWorld(t, 7)
	sa, _ := ends()
	for i := range 100 {
		p := sa.config.Peers[0]
		p.Name, p.Children, p.Remote = fmt.Sprint("peer", i), nil, netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})
		sa.config.Peers = append(sa.config.Peers, p)
	}
	a := w.add(sa)
	var last error
	for i := range 100 {
		last = a.keys.Rekey(fmt.Sprint("peer", i))
		_ = a.keys.Rekey("peer1") // the same one twice is one
	}
	has(t, last, "64 commands")
}

func TestAPassivePeerIsNotAskedAndItIsSaidNowAndThen(t *testing.T) {
	for name, change := range map[string]func(a *setup){
		"passive":        func(a *setup) { a.config.Peers[0].Passive = true },
		"at any address": func(a *setup) { a.config.Peers[0].Remote = netip.Addr{} },
		"nobody":         func(a *setup) { a.config.Peers = nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 7)
			sa, sb := ends()
			change(&sa)
			a, b := w.add(sa), w.add(sb)
			for range 300 {
				a.send(b)
				w.run(time.Second)
			}
			failed := a.said(ike.ChildFailed)
			if len(failed) != 5 || len(a.events) != 5 || failed[0].Remedy == "" || failed[0].Child != "net" || len(b.events) != 0 {
				t.Fatalf("%d lines in five minutes\n%s", len(failed), w.history())
			}
		})
	}
}

func TestAPeerThatRefusesIsAskedLessAndLess(t *testing.T) {
	w := newWorld(t, 7)
	sa, sb := ends()
	sb.config.Peers[0].Secret = ike.Secret("mistyped")
	a, b := w.add(sa), w.add(sb)
	for range 600 {
		a.send(b)
		w.run(time.Second)
	}
	if n := len(a.said(ike.IKEFailed)); n < 8 || n > 20 {
		t.Fatalf("%d failures in ten minutes\n%s", n, w.history())
	}
	b.config.Peers = slices.Clone(b.config.Peers)
	b.config.Peers[0].Secret = a.config.Peers[0].Secret
	b.apply()
	w.run(time.Minute)
	n := a.send(b)
	w.run(10 * time.Second)
	if b.got[n] != 1 {
		t.Fatalf("it is not asked any more\n%s", w.history())
	}
	if len(a.keys.tries) != 0 {
		t.Error("its patience is still short")
	}
}

func TestAFloodIsBoundedAndWhatIsDueIsDone(t *testing.T) {
	w, a, b := tunnel(t, nil)
	sent := a.keys.Counters().Sent
	w.run(31 * time.Second) // the peer will be asked whether it lives
	junk := make([]byte, 1200)
	local, remote := netip.AddrPortFrom(a.addr, 500), netip.MustParseAddrPort("203.0.113.66:500")
	for range 5000 {
		a.keys.Datagram(local, remote, junk, false)
	}
	if got, lost := len(a.keys.queue.messages), a.keys.Lost(); got != maxOctets/1200 || uint64(got)+lost != 5000 {
		t.Fatalf("%d are kept, %d lost", got, lost)
	}
	works := 0
	for ; a.keys.queue.filled.Load(); works++ {
		a.keys.Work(w.now)
	}
	if works != 14 { // of 64 each
		t.Errorf("%d times worked", works)
	}
	small := make([]byte, 28)
	for range 5000 {
		a.keys.Datagram(local, remote, small, false)
	}
	if len(a.keys.queue.messages) != maxMessages {
		t.Errorf("%d are kept", len(a.keys.queue.messages))
	}
	w.run(time.Second)
	if a.keys.Counters().Sent == sent || len(a.keys.queue.messages) != 0 || a.keys.queue.octets != 0 {
		t.Errorf("%d messages, %d octets wait", len(a.keys.queue.messages), a.keys.queue.octets)
	}
	if lost := w.stream(a, b, time.Second, 10*time.Millisecond, nil); lost != 0 {
		t.Errorf("%d packets were lost", lost)
	}
	w.agree(a, b, 1)
}

func TestWhatIsWrongIsToldAtOnce(t *testing.T) {
	sa, _ := ends()
	if err := Check(sa.config); err != nil {
		t.Fatal(err)
	}
	c := sa.config
	twin := c.Peers[0]
	twin.Name, twin.Secret = "twin", nil
	c.Peers = append(slices.Clone(c.Peers), twin)
	c.Limits = map[string]Limits{"net": {Window: ipsec.MaxWindow + 1}}
	has(t, Check(c), `peers "b.example" and "twin" negotiate`, "window is 4097", "twin", "no pre-shared key")
	_, err := New(Deps{})
	has(t, err, "database")
	k, err := New(Deps{Database: ipsec.NewDatabase(ipsec.Options{}), Send: func(ike.Datagram) {}})
	if err != nil {
		t.Fatal(err)
	}
	has(t, k.Apply(c, nil, 1), "twin")
	if k.Due(1 << 60) {
		t.Error("nothing is configured, and something is due")
	}
	k.Work(1)
	k.End(2)
}
