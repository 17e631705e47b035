package netstack

import (
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frag"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

func TestTheFirstPacketWaitsForItsTunnelAndGetsThere(t *testing.T) {
	b := newTunnelBed(t, nil, nil)
	b.up()
	if n := len(b.here.r.IPsec().List(b.here.r.now())); n != 2 {
		t.Fatalf("%d security associations here, want one each way", n)
	}
	b.fromHere(udpTo(at(near, 9), at(far, 9), "second"))
	b.there.one(b.there.atLAN())
	b.fromThere(udpTo(at(far, 9), at(near, 9), "answer"))
	p := b.here.one(b.here.atLAN())
	if string(p.UDPPayload()) != "answer" || p.Src != far || p.TTL() != 62 {
		t.Fatalf("here came % x, TTL %d", p.Bytes(), p.TTL())
	}
	b.sealed()
	if len(b.here.dropped())+len(b.there.dropped()) != 0 {
		t.Errorf("dropped: %v here, %v there", b.here.dropped(), b.there.dropped())
	}
}

func TestATunnelInterfaceIsARouteAndALabel(t *testing.T) {
	b := newTunnelBed(t, []option{hereTunnel().overIf}, []option{thereTunnel().overIf})
	b.up()
	b.fromThere(udpTo(at(far, 7), at(near, 7), "the other way"))
	b.here.one(b.here.atLAN())
	b.sealed()
}

// Walk-throughs A and B of the specification, in both modes.
func TestTheServerMustListenWhereTheAttemptComesFrom(t *testing.T) {
	syn := func(from, to frame.Addr) []byte { return tcpTo(at(from, 1000), at(to, 80), frame.TCPSyn, "") }
	only := func(servers ...vserver.Server) option { return func(c *Config) { c.Listeners.Servers = servers } }
	for _, tc := range []struct {
		name    string
		mode    option
		back    []vserver.Server
		verdict drop.Reason
	}{
		{"one direction only", nil, nil, drop.NoListener},
		{"tunnel mode, the external VLAN", nil, []vserver.Server{on(ipsec2(), wanIf)}, drop.None},
		{"tunnel mode, the internal VLAN only", nil, []vserver.Server{on(ipsec2(), lanIf)}, drop.VLANMiss},
		{"interface mode, the tunnel", hereTunnel().overIf, []vserver.Server{on(ipsec2(), lanIf, tunnelIf)}, drop.None},
		{"interface mode, the external VLAN does not help", hereTunnel().overIf, []vserver.Server{on(ipsec2(), wanIf)}, drop.VLANMiss},
	} {
		t.Run(tc.name, func(t *testing.T) {
			options := []option{only(append(tc.back, on(ipsec0(), lanIf))...)}
			if tc.mode != nil {
				options = append(options, tc.mode)
			}
			b := newTunnelBed(t, options, nil)
			b.fromHere(syn(near, far))
			b.there.one(b.there.atLAN())
			b.fromThere(tcpTo(at(far, 80), at(near, 1000), frame.TCPSyn|tcpACK, ""))
			b.here.one(b.here.atLAN())
			if tc.verdict == drop.None {
				b.fromThere(syn(far, near))
				b.here.one(b.here.atLAN())
				return
			}
			b.here.wantDrop(tc.verdict, 1, func() { b.fromThere(syn(far, near)) })
			b.here.none(b.here.atLAN())
		})
	}
}

// Walk-through C: NAT-1 and its selector (VR26).
func TestASelectorSpeaksTheAddressesInsideTheTunnel(t *testing.T) {
	hidden, shownAs := addr("192.168.15.2"), addr("172.17.1.1")
	network := func(s *siteTunnel, near, far string) { s.near, s.far = near, far }
	here, there := hereTunnel(), thereTunnel()
	network(&here, "10.1.1.0/24", "192.168.15.2/32")
	network(&there, "192.168.15.0/24", "10.1.1.0/24")
	there.far = "10.1.1.0/24"
	b := &tunnelBed{t: t}
	b.here = newWorld(t, here.site, func(c *Config) {
		c.Listeners.Servers = nil
		c.Listeners.NATs = []vserver.NAT{{Name: "NAT-1", Originating: netipOf(hidden), Translation: netipOf(shownAs), RequireProtection: true}}
	})
	b.there = newWorld(t, there.site, func(c *Config) {
		c.IPsec.Selectors[0].Source = c.IPsec.Selectors[0].Source.Masked()
	})
	user := addr("10.1.1.9")
	b.here.neighbor(wanIf, endThere)
	b.here.neighbor(lanIf, user)
	b.there.neighbor(wanIf, endHere)
	b.there.neighbor(lanIf, hidden)
	b.fromHere(echo(user, shownAs, 8, 7, "to the shown address"))
	got := b.there.one(b.there.atLAN())
	if got.Src != user || got.Dst != hidden {
		t.Fatalf("there came %v > %v", got.Src, got.Dst)
	}
	b.fromThere(echo(hidden, user, 0, 7, "to the shown address"))
	if got = b.here.one(b.here.atLAN()); got.Src != shownAs || got.Dst != user {
		t.Fatalf("back came %v > %v", got.Src, got.Dst)
	}
	b.sealed()
	b.here.fromLAN(echo(user, shownAs, 8, 8, "again")) // it is a listener of its own, and requires protection itself
	b.here.one(b.here.atWAN())
}

// Q7: a selector written with the address from before the NAT.
func TestANATThatRequiresProtectionLeaksNothingThroughAWrongSelector(t *testing.T) {
	hidden, shownAs, user := addr("192.168.15.2"), addr("172.17.1.1"), addr("10.1.1.9")
	here := hereTunnel()
	here.near, here.far = "10.1.1.0/24", "172.17.1.1/32"
	w := newWorld(t, here.site, func(c *Config) {
		c.Listeners.Servers = nil
		c.Listeners.NATs = []vserver.NAT{{Name: "NAT-1", Originating: netipOf(hidden), Translation: netipOf(shownAs), RequireProtection: true}}
	})
	w.neighbor(wanIf, endThere)
	w.neighbor(lanIf, user)
	w.wantDrop(drop.SelectorMiss, 1, func() { w.fromLAN(echo(user, shownAs, 8, 7, "in clear?")) })
	w.none(w.atWAN())
	if n := w.r.Connections().Len(); n != 0 {
		t.Errorf("%d connections began", n)
	}
}

// Walk-through D (VR1): a wildcard server takes neither IKE nor ESP.
func TestAWildcardServerDoesNotTakeIKEOrESP(t *testing.T) {
	wild := func(c *Config) {
		c.Listeners.Servers = append(c.Listeners.Servers, forwarding("wild", "0.0.0.0/0"),
			change(forwarding("at-the-end", "198.51.100.1/32"), func(s *vserver.Server) { s.Role = vserver.Reject })) // Q1
	}
	b := newTunnelBed(t, []option{wild}, []option{wild})
	b.up()
	b.fromThere(udpTo(at(far, 7), at(near, 7), "x"))
	b.here.one(b.here.atLAN())
	b.sealed()
}

func TestARekeyLosesNoPacketFromEitherSide(t *testing.T) {
	b := newTunnelBed(t, nil, nil)
	b.up()
	for i, w := range []*world{b.here, b.there} {
		before := w.r.IPsec().List(w.r.now())
		if err := w.r.Keying().RekeyChild("S"); err != nil {
			t.Fatal(err)
		}
		for n := range 40 {
			b.here.fromLAN(udpTo(at(near, 9), at(far, 9), "there"))
			b.there.fromLAN(udpTo(at(far, 9), at(near, 9), "here"))
			b.settle()
			if n%10 == 9 {
				b.advance(time.Second)
			}
			if got := len(b.there.atLAN()); got != 1 {
				t.Fatalf("side %d, packet %d: %d came there; %v", i, n, got, b.there.dropped())
			}
			if got := len(b.here.atLAN()); got != 1 {
				t.Fatalf("side %d, packet %d: %d came here; %v", i, n, got, b.here.dropped())
			}
		}
		b.advance(10 * time.Second) // slow packets have had their time
		after := w.r.IPsec().List(w.r.now())
		if len(after) != 2 || after[0].SPI == before[0].SPI || after[0].SPI == before[1].SPI {
			t.Fatalf("side %d was not rekeyed: %d SAs", i, len(after))
		}
	}
	b.sealed()
}

func TestAfterARestartOfTheOtherEndTheTunnelComesBack(t *testing.T) {
	b := newTunnelBed(t, nil, nil)
	b.up()
	b.advance(10 * time.Second) // later than what both ends could have begun at once
	b.there.r.Close()           // without a word
	b.there = newWorld(t, thereTunnel().site)
	b.there.neighbor(wanIf, endHere)
	b.there.neighbor(lanIf, far)
	b.there.wantDrop(drop.NoSA, 1, func() { b.fromHere(udpTo(at(near, 9), at(far, 9), "to nobody")) })
	b.fromHere(udpTo(at(near, 9), at(far, 9), "on new keys")) // the other end has begun anew, with INITIAL_CONTACT
	b.there.one(b.there.atLAN())
	b.fromThere(udpTo(at(far, 9), at(near, 9), "and back"))
	b.here.one(b.here.atLAN())
	b.advance(6 * time.Second) // what is slow on its way is waited for
	if n := len(b.here.r.IPsec().List(b.here.r.now())); n != 2 {
		t.Errorf("%d SAs here: the old ones are still there", n)
	}
}

func TestESPOfNobodyMakesUsBeginOnlyWithAPeerWithoutASA(t *testing.T) {
	said := func(w *world) (n int) {
		for _, p := range w.atWAN() {
			if p[9] == frame.ProtoUDP {
				n++
			}
		}
		return n
	}
	spray := func(w *world, from frame.Addr) {
		for n := range uint32(50) {
			w.fromWAN(esp(from, endHere, 0x5000+n, 1, "to nobody"))
		}
	}
	w := newWorld(t, hereTunnel().site)
	w.neighbor(wanIf, endThere)
	w.neighbor(wanIf, stranger)
	if spray(w, stranger); said(w) != 0 {
		t.Error("a stranger makes us speak")
	}
	w.advance(time.Second)
	if spray(w, endThere); said(w) != 1 {
		t.Error("the peer does not get exactly one message")
	}
	w.advance(time.Second)
	if spray(w, endThere); said(w) != 0 {
		t.Error("what is on its way is begun again")
	}
	passive := newWorld(t, hereTunnel().site, func(c *Config) { c.Keying.Peers[0].Passive = true })
	passive.neighbor(wanIf, endThere)
	if spray(passive, endThere); said(passive) != 0 {
		t.Error("to a passive peer we begin")
	}
	e := withEnd(t, nil)
	if spray(e.w, endThere); said(e.w) != 0 {
		t.Error("though there is an SA")
	}
}

func TestATunnelThatLeavesTheConfigurationEnds(t *testing.T) {
	b := newTunnelBed(t, nil, nil)
	b.up()
	settings := Settings{LSN: testLSN(), Profiles: nil, Listeners: vserver.Config{Servers: []vserver.Server{forwarding("out", "10.1.1.0/24")}}}
	n, err := b.here.r.Reload(settings)
	if err != nil {
		t.Fatal(err)
	}
	if n != (Reloaded{Connections: Survival{Kept: 1}, SAs: Survival{Cleared: 2}}) {
		t.Errorf("told %+v", n)
	}
	b.settle()
	b.advance(2 * time.Second)
	if n := len(b.there.r.IPsec().List(b.there.r.now())); n != 0 {
		t.Errorf("%d SAs are left there", n)
	}
	if all := b.here.r.sockets.all(); len(all) != 0 {
		t.Errorf("still listening at %v", all)
	}
	b.wire = nil
	b.here.fromLAN(udpTo(at(near, 9), at(far, 9), "now in clear"))
	if p := b.here.one(b.here.atWAN()); p.Proto != frame.ProtoUDP {
		t.Errorf("protocol %d left", p.Proto)
	}
}

func TestWhatDoesNotFitIntoTheTunnelIsTold(t *testing.T) {
	b := newTunnelBed(t, nil, nil)
	b.up()
	big := udpTo(at(near, 9), at(far, 9), string(make([]byte, 1472))) // DF
	b.here.wantDrop(drop.FrameTooBig, 1, func() { b.fromHere(big) })
	p := b.here.one(b.here.atLAN())
	mtu := int(p.Transport()[6])<<8 | int(p.Transport()[7])
	if p.ICMPType != 3 || p.ICMPCode != 4 || p.Dst != near || p.Src != addr("10.2.1.254") || mtu < 1400 || mtu >= 1500 {
		t.Fatalf("the sender was told % x (mtu %d)", p.Bytes(), mtu)
	}
	b.fromHere(udpTo(at(near, 9), at(far, 9), string(make([]byte, mtu-28))))
	b.there.one(b.there.atLAN())
	// Without DF it is sealed whole, and cut (VR35).
	b.wire = nil
	b.fromHere(mayCut(big))
	if p := b.there.one(b.there.atLAN()); len(p.Bytes()) != 1500 {
		t.Errorf("%d bytes came there", len(p.Bytes()))
	}
	if len(b.wire) != 2 {
		t.Errorf("%d packets on the wire, want two pieces", len(b.wire))
	}
}

func TestInPiecesThroughATunnelForOnePort(t *testing.T) {
	port := func(c *Config) {
		for i := range c.IPsec.Selectors {
			c.IPsec.Selectors[i].Protocol = frame.ProtoUDP
		}
		for i := range c.Keying.Peers[0].Children {
			k := &c.Keying.Peers[0].Children[i]
			k.Local[0].Protocol, k.Remote[0].Protocol = frame.ProtoUDP, frame.ProtoUDP
		}
	}
	toPort := func(c *Config) {
		port(c)
		c.IPsec.Selectors[0].DestinationPort = 9
		r := &c.Keying.Peers[0].Children[0].Remote[0]
		r.PortFrom, r.PortTo = 9, 9
	}
	fromPort := func(c *Config) {
		port(c)
		c.IPsec.Selectors[0].SourcePort = 9
		r := &c.Keying.Peers[0].Children[0].Local[0]
		r.PortFrom, r.PortTo = 9, 9
	}
	b := newTunnelBed(t, []option{toPort}, []option{fromPort})
	b.up()
	whole := mayCut(udpTo(at(near, 9), at(far, 9), string(make([]byte, 2000))))
	for _, piece := range cutTo(t, whole, 1000) {
		b.fromHere(piece)
	}
	if got := b.there.atLAN(); len(got) != 3 {
		t.Fatalf("%d pieces came there, want 3; here %v, there %v", len(got), b.here.dropped(), b.there.dropped())
	}
	b.sealed()
}

func TestAnICMPErrorGoesTheWayOfWhatItReportsOn(t *testing.T) {
	b := newTunnelBed(t, nil, nil)
	b.up()
	router := addr("10.1.1.77") // behind there, but on no selector's account: a router of another network
	b.there.neighbor(lanIf, router)
	b.fromHere(udpTo(at(near, 9), at(far, 33434), "probe"))
	probe := b.there.one(b.there.atLAN())
	b.fromThere(icmpError(router, near, 11, 0, probe.Bytes(), 28))
	if p := b.here.one(b.here.atLAN()); p.ICMPType != 11 || p.Src != router {
		t.Fatalf("here came % x", p.Bytes())
	}
	b.sealed()
}

func TestESPOverUDPPassesWholeAndInPieces(t *testing.T) {
	force := func(c *Config) { c.Keying.Peers[0].NATTraversal = 2 } // NATForce
	b := newTunnelBed(t, []option{force}, []option{force})
	b.up()
	b.fromHere(udpTo(at(near, 9), at(far, 9), "whole"))
	b.there.one(b.there.atLAN())
	b.fromHere(mayCut(udpTo(at(near, 9), at(far, 9), string(make([]byte, 1472)))))
	if p := b.there.one(b.there.atLAN()); len(p.Bytes()) != 1500 {
		t.Errorf("%d bytes came there", len(p.Bytes()))
	}
	b.sealed()
	b.there.wantDrop(drop.ESPMalformed, 1, func() { b.there.fromWAN(udpTo(at(endHere, 4500), at(endThere, 4500), "abc")) })
	b.there.wantDrop(0, 0, func() { b.there.fromWAN(udpTo(at(endHere, 4500), at(endThere, 4500), "\xff")) })
}

func TestPathMTUErrorsAboutESPAreBelieved(t *testing.T) {
	b := newTunnelBed(t, nil, nil)
	b.up()
	b.here.fromLAN(udpTo(at(near, 9), at(far, 9), "sealed"))
	sealed := b.here.one(b.here.atWAN())
	e := icmpError(stranger, endHere, 3, 4, sealed.Bytes(), 28)
	e[20+6], e[20+7] = 1200>>8, 1200&0xff
	b.here.fromWAN(ip(stranger, endHere, frame.ProtoICMP, e[20:]))
	b.here.fromLAN(udpTo(at(near, 9), at(far, 9), string(make([]byte, 1300))))
	p := b.here.one(b.here.atLAN())
	if mtu := int(p.Transport()[6])<<8 | int(p.Transport()[7]); p.ICMPCode != 4 || mtu >= 1200 {
		t.Errorf("the sender was told % x", p.Bytes())
	}
}

// mayCut takes DF off.
func mayCut(b []byte) []byte {
	b[6] &^= 0x40
	return ttl(b, b[8])
}

// cutTo cuts a packet into pieces of at most size bytes.
func cutTo(t testing.TB, b []byte, size int) [][]byte {
	t.Helper()
	var p frame.Packet
	if why := p.Parse(b); why != drop.None {
		t.Fatal(why)
	}
	return frag.Split(&p, size)
}
