package ike

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// tunnel makes two hosts with changed configurations and lets the first begin.
func tunnel(t *testing.T, change func(a, b *Config)) (w *world, a, b *host) {
	t.Helper()
	w = newWorld(t, 7)
	ca, cb := pairOf()
	if change != nil {
		change(&ca, &cb)
	}
	a, b = w.add(ca), w.add(cb)
	a.initiate("b", "net")
	w.run(10 * time.Second)
	return w, a, b
}

func one(h *host) *ChildSA {
	for _, c := range h.children {
		return c
	}
	return nil
}

func TestATunnelComesUpInFourMessages(t *testing.T) {
	w, a, b := tunnel(t, nil)
	w.agree(a, b, 1)
	if a.sent != 2 || b.sent != 2 || a.count(IKEUp) != 1 || b.count(ChildUp) != 1 || len(w.queue) != 0 {
		t.Fatalf("%d and %d messages\n%s", a.sent, b.sent, w.history())
	}
	if c := one(a); c.UDP || c.Local.Port() != Port || c.Peer != "b" || c.Name != "net" {
		t.Fatalf("%+v", *c)
	}
}

func TestEveryAlgorithmWorks(t *testing.T) {
	var ikes, esps []Proposal
	for _, g := range []Group{MODP2048, MODP3072, MODP4096, ECP256, ECP384, X25519} {
		ikes = append(ikes, Proposal{Ciphers: []Cipher{AESGCM256}, PRFs: []PRF{PRFSHA384}, Groups: []Group{g}})
	}
	for _, c := range []Cipher{AESGCM128, AESGCM192, AESGCM256} {
		ikes = append(ikes, Proposal{Ciphers: []Cipher{c}, PRFs: []PRF{PRFSHA512}, Groups: []Group{X25519}})
		esps = append(esps, Proposal{Ciphers: []Cipher{c}, ESN: true})
	}
	for _, c := range []Cipher{AESCBC128, AESCBC192, AESCBC256, NullCipher} {
		for _, i := range []Integrity{HMACSHA256, HMACSHA384, HMACSHA512} {
			esps = append(esps, Proposal{Ciphers: []Cipher{c}, Integrity: []Integrity{i}, Groups: []Group{ECP384}})
			if c != NullCipher {
				ikes = append(ikes, Proposal{Ciphers: []Cipher{c}, Integrity: []Integrity{i}, PRFs: []PRF{PRFSHA256}, Groups: []Group{X25519}})
			}
		}
	}
	for i := range max(len(ikes), len(esps)) {
		p, q := ikes[i%len(ikes)], esps[i%len(esps)]
		t.Run(p.String()+" "+q.String(), func(t *testing.T) {
			w, a, b := tunnel(t, func(a, b *Config) {
				for _, c := range []*Config{a, b} {
					c.Peers[0].Proposals, c.Peers[0].Children[0].Proposals = []Proposal{p}, []Proposal{q}
				}
			})
			w.agree(a, b, 1)
			a.do(a.e.RekeyChild(one(a).In, w.now))
			b.do(b.e.Rekey("a", w.now))
			w.run(10 * time.Second)
			w.agree(a, b, 1)
			if c := one(a); c.Cipher != q.Ciphers[0] || c.ESN != q.ESN || a.e.ChildRekey == 0 || a.e.IKERekeys != 1 {
				t.Fatalf("%+v %+v", *c, a.e.Counters)
			}
		})
	}
}

func TestManyHalfOpenOnesAreAskedForACookie(t *testing.T) {
	w, a, b := tunnel(t, func(_, b *Config) { b.CookiesFrom = -1 })
	w.agree(a, b, 1)
	if b.e.CookiesAsked != 1 || b.sent != 3 {
		t.Fatalf("%d cookies, %d messages", b.e.CookiesAsked, b.sent)
	}
}

func TestAnOldOrForeignCookieIsNotTaken(t *testing.T) {
	e := &Engine{cfg: Config{Random: newWorld(t, 1).add(first(pairOf())).e.cfg.Random}, now: second}
	from, nonce := netip.MustParseAddrPort("192.0.2.7:500"), make([]byte, 32)
	c := e.jar.bake(e, from, 5, nonce)
	if !e.jar.good(e, c, from, 5, nonce) {
		t.Fatal("ours is not taken")
	}
	for _, bad := range []bool{e.jar.good(e, c, from, 6, nonce), e.jar.good(e, c, netip.MustParseAddrPort("192.0.2.8:500"), 5, nonce),
		e.jar.good(e, c, from, 5, nonce[1:]), e.jar.good(e, nil, from, 5, nonce), e.jar.good(e, append([]byte{9}, c[1:]...), from, 5, nonce)} {
		if bad {
			t.Fatal("a wrong one is taken")
		}
	}
	e.now += cookieTime
	if !e.jar.good(e, c, from, 5, nonce) {
		t.Fatal("after a minute it is not taken any more")
	}
	e.now += 2 * cookieTime
	if e.jar.good(e, c, from, 5, nonce) {
		t.Fatal("after three minutes it is still taken")
	}
}

func first(a, _ Config) Config { return a }

func TestAnotherGroupIsTriedWhenAskedFor(t *testing.T) {
	w, a, b := tunnel(t, func(a, b *Config) {
		a.Peers[0].Proposals[0].Groups = []Group{X25519, ECP256, ECP384}
		b.Peers[0].Proposals[0].Groups = []Group{ECP384}
		a.Peers[0].Children[0].Proposals = []Proposal{{Ciphers: []Cipher{AESGCM128}, Groups: []Group{X25519, ECP256}}}
		b.Peers[0].Children[0].Proposals = []Proposal{{Ciphers: []Cipher{AESGCM128}, Groups: []Group{ECP256}}}
	})
	w.agree(a, b, 1)
	if a.sent != 3 {
		t.Fatalf("%d messages", a.sent)
	}
	a.do(a.e.RekeyChild(one(a).In, w.now))
	w.run(10 * time.Second)
	w.agree(a, b, 1)
	if a.e.ChildRekey != 1 {
		t.Fatal("the child was not rekeyed")
	}
}

func TestBehindANATItFloatsAndFollows(t *testing.T) {
	w := newWorld(t, 3)
	outside := netip.MustParseAddr("203.0.113.9")
	ca, cb := pairOf()
	cb.Peers[0].Remote = netip.Addr{}
	w.nat[addrA] = outside
	a, b := w.add(ca), w.add(cb)
	a.initiate("b", "net")
	w.run(5 * time.Second)
	w.agree(a, b, 1)
	if c, d := one(a), one(b); !c.UDP || c.Local.Port() != NATPort || d.Remote != netip.AddrPortFrom(outside, NATPort+natPorts) || d.Local.Port() != NATPort {
		t.Fatalf("%+v\n%+v", *c, *d)
	}
	sent := a.sent
	w.run(25 * time.Second)
	if a.sent == sent {
		t.Fatal("no keepalive")
	}
	// The NAT forgets and gives another address; the next request shows it.
	moved := netip.MustParseAddr("203.0.113.10")
	w.nat[addrA] = moved
	a.do(a.e.RekeyChild(one(a).In, w.now))
	w.run(10 * time.Second)
	w.agree(a, b, 1)
	if b.count(PeerMoved) != 1 || one(b).Remote.Addr() != moved {
		t.Fatalf("not followed: %+v\n%s", *one(b), w.history())
	}
}

func TestBothEndsFindOutWhereTheNATIs(t *testing.T) {
	for name, x := range map[string]struct {
		nat          netip.Addr // in front of whom
		a, b         NATTraversal
		aHere, bHere bool
	}{
		"no nat":                 {},
		"the initiator's":        {nat: addrA, aHere: true},
		"the initiator pretends": {a: NATForce, aHere: true},
		"the responder pretends": {b: NATForce, bHere: true},
		"both pretend":           {a: NATForce, b: NATForce, aHere: true, bHere: true},
	} {
		w := newWorld(t, 3)
		ca, cb := pairOf()
		cb.Peers[0].Remote = netip.Addr{}
		ca.Peers[0].NATTraversal, cb.Peers[0].NATTraversal = x.a, x.b
		if x.nat.IsValid() {
			w.nat[x.nat] = netip.MustParseAddr("203.0.113.9")
		}
		a, b := w.add(ca), w.add(cb)
		a.initiate("b", "net")
		w.run(5 * time.Second)
		w.agree(a, b, 1)
		if v := a.e.View(w.now)[0]; v.NATHere != x.aHere || v.NATThere != x.bHere {
			t.Errorf("%s: the initiator sees one here %v, there %v", name, v.NATHere, v.NATThere)
		}
		if v := b.e.View(w.now)[0]; v.NATHere != x.bHere || v.NATThere != x.aHere {
			t.Errorf("%s: the responder sees one here %v, there %v", name, v.NATHere, v.NATThere)
		}
	}
}

func TestNATTraversalCanBeOffOrForced(t *testing.T) {
	for _, x := range []struct {
		a, b NATTraversal
		nat  bool
		udp  bool
	}{{NATOff, NATOn, false, false}, {NATOn, NATOff, true, false}, {NATForce, NATOn, false, true}, {NATOn, NATForce, false, true}, {NATOff, NATOff, true, false}} {
		w := newWorld(t, 3)
		ca, cb := pairOf()
		cb.Peers[0].Remote = netip.Addr{}
		ca.Peers[0].NATTraversal, cb.Peers[0].NATTraversal = x.a, x.b
		if x.nat {
			w.nat[addrA] = netip.MustParseAddr("203.0.113.9")
		}
		a, b := w.add(ca), w.add(cb)
		a.initiate("b", "net")
		w.run(5 * time.Second)
		w.agree(a, b, 1)
		if one(a).UDP != x.udp || (one(a).Local.Port() == NATPort) != x.udp {
			t.Errorf("%+v: %+v", x, *one(a))
		}
	}
}

func TestSelectorsAreNarrowed(t *testing.T) {
	w, a, b := tunnel(t, func(a, b *Config) {
		a.Peers[0].Children[0].Remote = net4("0.0.0.0/0")
		b.Peers[0].Children[0].Local = []Selector{{From: netip.MustParseAddr("10.2.0.0"), To: netip.MustParseAddr("10.2.0.9"), Protocol: 17, PortFrom: 53, PortTo: 53},
			PrefixSelector(netip.MustParsePrefix("10.3.0.0/24"))}
	})
	w.agree(a, b, 1)
	if got := selectorText(one(a).RemoteSelectors); got != "10.2.0.0-10.2.0.9[17]:53 10.3.0.0/24" {
		t.Fatal(got)
	}
}

func TestTransportModeIsAgreedOn(t *testing.T) {
	host := func(a, b *Config) {
		for _, c := range []*Config{a, b} {
			k := &c.Peers[0].Children[0]
			k.Mode, k.Local, k.Remote = Transport, net4(c.Peers[0].Local.String()+"/32"), net4(c.Peers[0].Remote.String()+"/32")
		}
	}
	w, a, b := tunnel(t, host)
	w.agree(a, b, 1)
	if one(a).Mode != Transport {
		t.Fatal("tunnel mode")
	}
	w, a, b = tunnel(t, func(a, b *Config) { host(a, b); b.Peers[0].Children[0].Mode = Tunnel })
	w.agree(a, b, 0)
	if v := a.said(ChildFailed); v == nil || !strings.Contains(v.Reason, "configured is transport") {
		t.Fatal(w.history())
	}
	w, a, b = tunnel(t, func(a, b *Config) { host(a, b); a.Peers[0].Children[0].Mode = Tunnel })
	w.agree(a, b, 0)
	if v := b.said(ChildFailed); v == nil || !strings.Contains(v.Reason, "configured is transport") {
		t.Fatal(w.history())
	}
}

func TestFragmentsComeThroughTheWorstNetwork(t *testing.T) {
	w := newWorld(t, 5)
	ca, cb := pairOf()
	for _, c := range []*Config{&ca, &cb} {
		c.MessageLimit = 576
		k := &c.Peers[0].Children[0]
		for i := range 40 { // long selectors make long messages
			s := net4(fmt.Sprintf("172.16.%d.0/24", 2*i))
			k.Local, k.Remote = append(k.Local, s...), append(k.Remote, s...)
		}
	}
	w.loss, w.dup, w.delay = 0.3, 0.3, second
	longest := 0
	w.tap = func(p packet) bool { longest = max(longest, len(p.b)); return true }
	a, b := w.add(ca), w.add(cb)
	a.initiate("b", "net")
	w.run(time.Minute)
	w.loss = 0
	w.run(2 * time.Minute)
	w.agree(a, b, 1)
	if longest > 576-28 || a.sent < 5 || len(one(a).LocalSelectors) != 41 {
		t.Fatalf("longest message %d, %d sent, %d selectors", longest, a.sent, len(one(a).LocalSelectors))
	}
}

func TestManyPeersAndChildren(t *testing.T) {
	w := newWorld(t, 9)
	var cb Config
	var clients []*host
	for i := range 20 {
		ca, c := pairOf()
		name := fmt.Sprintf("client%d", i)
		p := &ca.Peers[0]
		p.Local, p.LocalID = netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i+1)), ident(name)
		p.Children[0].Local = net4(fmt.Sprintf("10.1.%d.0/24", i))
		p.Children = append(p.Children, p.Children[0])
		p.Children[1].Name, p.Children[1].Local = "second", net4(fmt.Sprintf("10.5.%d.0/24", i))
		q := c.Peers[0]
		q.Name, q.Remote, q.RemoteID = name, netip.Addr{}, ident(name)
		q.Children[0].Remote = slices.Concat(p.Children[0].Local, p.Children[1].Local)
		cb.Peers = append(cb.Peers, q)
		clients = append(clients, w.add(ca))
	}
	cb.MaxHalfOpen = 4
	b := w.add(cb)
	for _, a := range clients {
		a.initiate("b", "net")
		a.initiate("b", "second")
	}
	w.run(2 * time.Minute)
	if len(b.e.list) != 20 || len(b.children) != 40 {
		t.Fatalf("%d IKE SAs, %d children\n%s", len(b.e.list), len(b.children), w.history())
	}
	if b.e.HalfOpenRefused == 0 {
		t.Fatal("the limit of half-open SAs was never met")
	}
	for in, c := range b.children {
		if !strings.HasPrefix(c.Peer, "client") || c.RemoteSelectors[0].From.As4()[2] != byte(slices.IndexFunc(cb.Peers, func(p Peer) bool { return p.Name == c.Peer })) {
			t.Fatalf("child %08x of %s has %s", in, c.Peer, selectorText(c.RemoteSelectors))
		}
	}
	b.sound()
}
