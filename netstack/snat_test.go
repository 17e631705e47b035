package netstack

import (
	"slices"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// automapping is a SNAT of the inside to the egress interface's address.
func automapping() option { return snatting(func(s *vserver.SNAT) { s.Automap = true }) }

// asks sends a question and returns what the server sees.
func (w *world) asks(b []byte) frame.Packet {
	w.t.Helper()
	w.fromLAN(b)
	return w.one(w.atWAN())
}

// isAnswered sends the answer to what the server saw and fails unless the one
// who asked gets it.
func (w *world) isAnswered(saw frame.Packet, asked []byte) {
	w.t.Helper()
	var q frame.Packet
	q.Parse(asked)
	w.fromWAN(answerTo(saw.Bytes()))
	p := w.one(w.atLAN())
	if p.Dst != q.Src || p.DstPort != q.SrcPort || p.Src != q.Dst || p.SrcPort != q.DstPort || p.ICMPID != q.ICMPID {
		w.t.Fatalf("the answer went %v:%d > %v:%d (id %d)", p.Src, p.SrcPort, p.Dst, p.DstPort, p.ICMPID)
	}
}

func TestASNATTranslatesEveryProtocolAndTheAnswersComeBack_VR19(t *testing.T) {
	for address, option := range map[frame.Addr]option{snatOut: snatting(to(snatOut)), wanAddr: automapping()} {
		for name, out := range everyProtocol(client1, server) {
			t.Run(address.String()+" "+name, func(t *testing.T) {
				w := office(t, option)
				saw := w.asks(out)
				if saw.Src != address || saw.Dst != server || saw.TTL() != 63 {
					t.Fatalf("left as %v > %v ttl %d", saw.Src, saw.Dst, saw.TTL())
				}
				ike := name == "IKE" && address == wanAddr
				if kept := saw.SrcPort == 40000 || saw.SrcPort == 0 || saw.SrcPort == 500; kept == ike {
					t.Errorf("left from port %d (VR1: 500 of our own address is ours)", saw.SrcPort)
				}
				w.isAnswered(saw, out)
				if len(w.dropped()) != 0 {
					t.Errorf("drops: %v", w.dropped())
				}
			})
		}
	}
}

// Two clients with the same port, or identifier, to the same server.
func TestTwoClientsOfOnePortAreToldApart(t *testing.T) {
	for address, option := range map[frame.Addr]option{snatOut: snatting(to(snatOut)), wanAddr: automapping()} {
		for _, name := range []string{"TCP", "UDP", "ping", "IKE"} {
			t.Run(address.String()+" "+name, func(t *testing.T) {
				w := office(t, option)
				out1, out2 := everyProtocol(client1, server)[name], everyProtocol(client2, server)[name]
				saw1, saw2 := w.asks(out1), w.asks(out2)
				if saw1.SrcPort == saw2.SrcPort && saw1.ICMPID == saw2.ICMPID {
					t.Fatalf("both left from port %d, id %d", saw1.SrcPort, saw1.ICMPID)
				}
				w.isAnswered(saw2, out2) // in whatever order
				w.isAnswered(saw1, out1)
				if again := w.asks(out2); again.SrcPort != saw2.SrcPort || again.ICMPID != saw2.ICMPID {
					t.Errorf("second's port went from %d to %d, id %d to %d", saw2.SrcPort, again.SrcPort, saw2.ICMPID, again.ICMPID)
				}
				if len(w.dropped()) != 0 {
					t.Errorf("drops: %v", w.dropped())
				}
			})
		}
	}
}

func TestASourcePortIsPreservedOrChangedAsTheSNATSays(t *testing.T) {
	for _, tc := range []struct {
		ports  vserver.SourcePort
		first  bool // it keeps its own
		second bool // another client with the same port passes
	}{
		{vserver.PreservePort, true, true},
		{vserver.PreserveStrict, true, false},
		{vserver.ChangePort, false, true},
	} {
		w := office(t, snatting(func(s *vserver.SNAT) { to(snatOut)(s); s.SourcePort = tc.ports }))
		if saw := w.asks(udpTo(at(client1, 40000), at(server, 53), "x")); (saw.SrcPort == 40000) != tc.first {
			t.Errorf("%v: first left from %d", tc.ports, saw.SrcPort)
		}
		if !tc.second {
			w.wantDrop(drop.NoFreePort, 1, func() { w.fromLAN(udpTo(at(client2, 40000), at(server, 53), "x")) })
			w.none(w.atWAN())
		} else if saw := w.asks(udpTo(at(client2, 40000), at(server, 53), "x")); saw.SrcPort == 40000 || saw.SrcPort < 1024 {
			t.Errorf("%v: second left from %d", tc.ports, saw.SrcPort)
		}
		// The same port towards another server is another 5-tuple.
		if saw := w.asks(udpTo(at(client2, 40000), at(server2, 53), "x")); (saw.SrcPort == 40000) != tc.first {
			t.Errorf("%v: towards another server from %d", tc.ports, saw.SrcPort)
		}
	}
}

func TestTwoClientsOfAProtocolWithoutPortsNeedTwoAddresses(t *testing.T) {
	w := office(t, snatting(to(snatOut)))
	w.asks(esp(client1, server, 0x1000, 1, "x"))
	w.wantDrop(drop.NoFreePort, 1, func() { w.fromLAN(esp(client2, server, 0x2000, 1, "x")) })
	w = office(t, snatting(to(snatOut, snatOut2)))
	one, two := esp(client1, server, 0x1000, 1, "x"), esp(client2, server, 0x2000, 1, "x")
	saw1, saw2 := w.asks(one), w.asks(two)
	if saw1.Src == saw2.Src {
		t.Fatalf("both left from %v", saw1.Src)
	}
	w.isAnswered(saw2, two)
	w.isAnswered(saw1, one)
}

func TestAPoolOfAddressesIsExhaustedWithItsLastPort(t *testing.T) {
	strict := func(s *vserver.SNAT) { to(snatOut, snatOut2)(s); s.SourcePort = vserver.PreserveStrict }
	w := office(t, snatting(strict))
	third := addr("192.0.2.13")
	seen := map[frame.Addr]bool{}
	for _, c := range []frame.Addr{client1, client2} {
		seen[w.asks(udpTo(at(c, 40000), at(server, 53), "x")).Src] = true
	}
	if len(seen) != 2 {
		t.Fatalf("two clients of one port left from %v", seen)
	}
	w.wantDrop(drop.NoFreePort, 1, func() { w.fromLAN(udpTo(at(third, 40000), at(server, 53), "x")) })
	w.advance(302 * time.Second) // the first two are over
	w.asks(udpTo(at(third, 40000), at(server, 53), "x"))
}

func TestAClientOfAPoolKeepsItsFirstAddress(t *testing.T) {
	w := office(t, snatting(to(snatOut, snatOut2)))
	first := map[frame.Addr]frame.Addr{}
	used := map[frame.Addr]int{}
	for n := range 32 {
		c := frame.Addr{192, 0, 2, byte(20 + n)}
		w.neighbor(lanIf, c)
		for port := range uint16(4) {
			saw := w.asks(udpTo(at(c, 30000+port), at(server, 53), "x"))
			if was, ok := first[c]; ok && was != saw.Src {
				t.Fatalf("%v left from %v and from %v", c, was, saw.Src)
			}
			first[c] = saw.Src
			used[saw.Src]++
		}
	}
	if used[snatOut] == 0 || used[snatOut2] == 0 {
		t.Errorf("the pool is used one-sidedly: %v", used)
	}
}

// The neighbour decides which of several addresses on the way out it is.
func TestAutomapTakesTheAddressInTheNeighboursNetwork(t *testing.T) {
	second := addr("198.18.0.1")
	w := office(t, automapping(), func(c *Config) {
		c.Ports[1].VLANs[0].Addresses = prefixes("203.0.113.1/24", "198.18.0.1/24")
	})
	w.neighbor(wanIf, addr("198.18.0.9"))
	for remote, want := range map[frame.Addr]frame.Addr{server: wanAddr, upstream: wanAddr, addr("198.18.0.9"): second} {
		if saw := w.asks(udpTo(at(client1, 40000), at(remote, 53), "x")); saw.Src != want {
			t.Errorf("towards %v from %v, want %v", remote, saw.Src, want)
		}
	}
}

// What our own addresses receive for themselves is left alone (VR1): whatever
// port is drawn, it is neither 500 nor 4500.
func TestIKEOfOurOwnAddressesIsNoClients_VR1(t *testing.T) {
	var draws []uint32
	w := office(t, automapping(), func(c *Config) {
		c.LSN.Rand = func(n uint32) uint32 {
			if len(draws) == 0 {
				return 0
			}
			x := draws[0]
			draws = draws[1:]
			return x % n
		}
	})
	draws = []uint32{4500 - 1024, 4500 - 1024, 7000, 4500 - 1024, 7001}
	for _, port := range []uint16{500, 4500} {
		if saw := w.asks(udpTo(at(client1, port), at(server, 500), "x")); saw.SrcPort == 500 || saw.SrcPort == 4500 {
			t.Errorf("from port %d it left from %d", port, saw.SrcPort)
		}
	}
	if len(draws) != 0 {
		t.Errorf("%v were not drawn: this test shows nothing", draws)
	}
	if saw := w.asks(tcpTo(at(client1, 4500), at(server, 80), frame.TCPSyn, "")); saw.SrcPort != 4500 {
		t.Errorf("TCP left from %d: it is not IKE", saw.SrcPort)
	}
}

func TestPingsOfTheRouterItselfGoOnBesideAutomap(t *testing.T) {
	w := office(t, automapping())
	saw := w.asks(echo(client1, server, 8, 77, "through"))
	if saw.Src != wanAddr || saw.ICMPID != 77 {
		t.Fatalf("left as %v id %d", saw.Src, saw.ICMPID)
	}
	w.fromWAN(echo(server, wanAddr, 8, 77, "are you there?")) // the same identifier
	if p := w.one(w.atWAN()); p.Src != wanAddr || p.Dst != server || p.ICMPType != 0 || p.ICMPID != 77 {
		t.Fatalf("%v > %v type %d id %d", p.Src, p.Dst, p.ICMPType, p.ICMPID)
	}
	w.none(w.atLAN())
	w.fromWAN(echo(server, wanAddr, 0, 77, "through"))
	if p := w.one(w.atLAN()); p.Dst != client1 {
		t.Fatalf("the answer went to %v", p.Dst)
	}
	w.fromLAN(echo(client1, lanAddr, 8, 77, "and you?"))
	if p := w.one(w.atLAN()); p.Src != lanAddr || p.ICMPType != 0 {
		t.Fatalf("%v type %d", p.Src, p.ICMPType)
	}
	if len(w.dropped()) != 0 {
		t.Errorf("drops: %v", w.dropped())
	}
}

// A server that pings back with the identifier that it is pinged with begins a
// flow of its own (VR4).
func TestAPingBackNeedsAListenerOfItsOwn_VR4(t *testing.T) {
	w := office(t, serving(forwarding("out", "203.0.113.0/24")))
	w.asks(echo(client1, server, 8, 77, "ping"))
	w.wantDrop(drop.NoListener, 1, func() { w.fromWAN(echo(server, client1, 8, 77, "and you?")) })
	w.fromWAN(echo(server, client1, 0, 77, "pong"))
	w.one(w.atLAN())
}

// A flow from outside that shows what a translated one shows inside cannot be
// told apart from its answers there: it is refused, and the other goes on.
func TestAFlowWithTheEndsOfATranslatedOneIsRefused(t *testing.T) {
	w := office(t, snatting(to(snatOut)), serving(forwarding("in", "192.0.2.0/24")))
	out := udpTo(at(client1, 40000), at(server, 53), "question")
	saw := w.asks(out)
	w.wantDrop(drop.TupleBusy, 1, func() { w.fromWAN(udpTo(at(server, 53), at(client1, 40000), "x")) })
	w.isAnswered(saw, out)
	if s := w.listenerStats(vserver.KindSNAT, "s"); s.PacketsIn != 1 || s.PacketsOut != 1 {
		t.Errorf("SNAT: %+v", s)
	}
}

func TestAServersOwnTranslationGoesBeforeASNAT_VR19(t *testing.T) {
	own := forwarding("own", "203.0.113.0/24")
	own.SourceTranslation, own.Translations = vserver.TranslateSNAT, netips(snatOut2)
	w := office(t, snatting(to(snatOut)), serving(own))
	if saw := w.asks(udpTo(at(client1, 40000), at(server, 53), "x")); saw.Src != snatOut2 {
		t.Errorf("by the server: from %v", saw.Src)
	}
	if saw := w.asks(udpTo(at(client1, 40000), at(upstream, 53), "x")); saw.Src != snatOut {
		t.Errorf("by the SNAT: from %v", saw.Src)
	}
	plain := forwarding("plain", "203.0.113.0/24")
	w = office(t, snatting(to(snatOut)), serving(plain))
	if saw := w.asks(udpTo(at(client1, 40000), at(server, 53), "x")); saw.Src != snatOut {
		t.Errorf("none means a matching SNAT: from %v", saw.Src)
	}
	for _, l := range []struct {
		kind vserver.Kind
		name string
	}{{vserver.KindServer, "plain"}, {vserver.KindSNAT, "s"}} {
		if s := w.listenerStats(l.kind, l.name); s.PacketsIn != 1 || s.Total != 1 {
			t.Errorf("%v %s: %+v", l.kind, l.name, s)
		}
	}
	if got := w.r.translatedAddresses(); !slices.Equal(got, []frame.Addr{snatOut}) {
		t.Errorf("translated addresses %v", got)
	}
}
