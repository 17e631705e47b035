package netstack

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

func TestVR3_NothingPassesByDefaultInEitherDirection(t *testing.T) {
	w := newSites(t)
	for _, b := range [][]byte{
		tcpTo(at(near, 1), at(far, 80), syn, ""), udpTo(at(near, 1), at(far, 53), "x"), echo(near, far, 8, 1, "x"),
		esp(near, far, 0x1000, 1, "x"), ip(near, far, 47, make([]byte, 8)),
		fragments(udpTo(at(near, 1), at(far, 53), text(200)), 124)[0],
	} {
		w.wantDrop(drop.NoListener, 1, func() { w.fromLAN(b) })
	}
	for _, b := range [][]byte{
		tcpTo(at(far, 1), at(near, 80), syn, ""), udpTo(at(far, 1), at(near, 53), "x"), echo(far, near, 8, 1, "x"),
		udpTo(at(far, 1), at(upstream, 53), "x"), // back where it came from
	} {
		w.wantDrop(drop.NoListener, 1, func() { w.fromWAN(b) })
	}
	w.none(w.atLAN())
	w.none(w.atWAN())
	if n := w.r.conns.Len(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// Walk-through A: one server is one direction.
func TestVR3_WalkThroughA_OneServerAdmitsOneDirection(t *testing.T) {
	w := newSites(t, serving(ipsec0()))
	k := w.talk(true, at(near, 40000), at(far, 80)).shake()
	k.chat(5)
	hits := w.r.flows.Stats().Hits
	k.chat(5)
	if n := w.r.flows.Stats().Hits - hits; n != 10 {
		t.Errorf("%d of 10 segments took the fast path", n)
	}
	k.say(vserver.Client, frame.TCPFin|ack, "")
	w.traffic("ipsec-0", k.packets, k.bytes) // exact at once: a FIN credits what the fast path carried
	k.say(vserver.Remote, frame.TCPFin|ack, "")
	k.say(vserver.Client, ack, "")
	w.wait(6)
	s := w.stats(vserver.KindServer, "ipsec-0")
	if s.Current != 0 || s.Maximum != 1 || s.Total != 1 || s.Closed != 1 {
		t.Errorf("connections: %+v", s)
	}
	w.wantDrop(drop.NoListener, 3, func() {
		w.fromWAN(tcpTo(at(far, 40000), at(near, 80), syn, ""))
		w.fromWAN(tcpTo(at(far, 80), at(near, 40000), syn, "")) // the old ports, turned round
		w.fromLAN(udpTo(at(near, 1), at(far, 80), "it is for TCP"))
	})
	w.none(w.atLAN())
	w.none(w.atWAN())
	w.traffic("ipsec-0", k.packets, k.bytes)
}

// Walk-through B, without tunnels: the second server is the other direction.
func TestVR20_WalkThroughB_EachDirectionIsCountedOnTheServerThatAdmittedIt(t *testing.T) {
	w := newSites(t, serving(ipsec0(), ipsec2()))
	a := w.talk(true, at(near, 40000), at(far, 80)).shake().chat(3)
	b := w.talk(false, at(far, 40001), at(near, 22)).shake().chat(7)
	w.wait(1)
	w.traffic("ipsec-0", a.packets, a.bytes)
	w.traffic("ipsec-2", b.packets, b.bytes)
	a.part()
	b.part()
	w.wait(1)
	w.traffic("ipsec-0", a.packets, a.bytes)
	w.traffic("ipsec-2", b.packets, b.bytes)
	if d := w.dropped(); len(d) != 0 {
		t.Errorf("dropped %v", d)
	}
}

// A server at one of our own addresses does not take what is for us: the
// addresses of tunnels are such.
func TestQ1_AServerAtOurOwnAddressLeavesUsOurPing(t *testing.T) {
	for _, options := range [][]option{{}, {serving(forwarding("self", "203.0.113.1/32"), forwarding("own", "192.0.2.1/32"))}} {
		w := newSites(t, options...)
		w.fromWAN(echo(server, wanAddr, 8, 7, "x"))
		if p := w.one(w.atWAN()); p.Src != wanAddr || p.Dst != server || p.ICMPType != 0 {
			t.Errorf("%v > %v type %d", p.Src, p.Dst, p.ICMPType)
		}
		w.fromLAN(echo(client1, lanAddr, 8, 7, "x"))
		if p := w.one(w.atLAN()); p.Src != lanAddr || p.ICMPType != 0 {
			t.Errorf("%v > %v type %d", p.Src, p.Dst, p.ICMPType)
		}
		if n := w.r.conns.Len(); n != 0 {
			t.Errorf("%d connections", n)
		}
	}
}

func TestQ2_AnAttemptOnAnotherVLANIsMissedByNameAndVLAN(t *testing.T) {
	w := newSites(t, serving(ipsec0(), on(ipsec2(), lanIf)))
	w.wantDrop(drop.VLANMiss, 1, func() { w.fromWAN(tcpTo(at(far, 1), at(near, 22), syn, "")) })
	w.none(w.atLAN())
	w.none(w.atWAN()) // nobody is told
	m := w.r.VLANMisses()
	if len(m) != 1 || m[0].Server != "ipsec-2" || m[0].In != wanIf || len(m[0].Listens) != 1 || m[0].Listens[0] != lanIf {
		t.Errorf("missed %+v", m)
	}
	for _, says := range []string{`listener="virtual server ipsec-2"`, "vlan=outside", "listens_on=inside", "from=10.1.1.1:1", "to=10.2.1.1:22"} {
		if !strings.Contains(w.log.String(), says) {
			t.Errorf("the log does not say %s:\n%s", says, w.log)
		}
	}
	// Answers do not ask for the VLAN (VR5).
	w.talk(true, at(near, 40000), at(far, 80)).shake().part()
}

func TestQ3_ADisabledServerKeepsWhatItHasAndAdmitsNothingNew(t *testing.T) {
	w := newSites(t, serving(ipsec0(), forwarding("any", "0.0.0.0/0")))
	k := w.talk(true, at(near, 40000), at(far, 80)).shake().chat(2)
	s := w.on(natAddr)
	s.Listeners.Servers = []vserver.Server{change(ipsec0(), func(s *vserver.Server) { s.Disabled = true }), forwarding("any", "0.0.0.0/0")}
	hits := w.r.flows.Stats().Hits
	w.reload(s)
	k.chat(3)
	if n := w.r.flows.Stats().Hits - hits; n != 6 {
		t.Errorf("%d of 6 segments took the fast path", n)
	}
	w.wantDrop(drop.VSDisabled, 1, func() { w.fromLAN(tcpTo(at(near, 40001), at(far, 80), syn, "")) })
	w.none(w.atWAN())
	k.part()
	w.wait(1)
	w.traffic("ipsec-0", k.packets, k.bytes)
}

func TestQ4_ADisabledServerHidesAWiderOneUnlessMatchingContinues(t *testing.T) {
	off := change(forwarding("site", "10.1.1.0/24"), func(s *vserver.Server) { s.Disabled = true })
	w := newSites(t, serving(off, forwarding("any", "0.0.0.0/0")))
	w.wantDrop(drop.VSDisabled, 1, func() { w.fromLAN(tcpTo(at(near, 1), at(far, 80), syn, "")) })
	w.none(w.atWAN())
	w.none(w.atLAN())
	w = newSites(t, serving(off, forwarding("any", "0.0.0.0/0")), func(c *Config) { c.Listeners.ContinueMatching = true })
	w.talk(true, at(near, 1), at(far, 80)).shake()
	if n := w.stats(vserver.KindServer, "any").Total; n != 1 {
		t.Errorf("the wider one has %d connections", n)
	}
}

func TestQ5_TheLongerSourceWinsBeforeThePort(t *testing.T) {
	w := newSites(t, serving(
		change(forwarding("wide", "10.1.1.0/24"), func(s *vserver.Server) { s.Source = netip.MustParsePrefix("10.0.0.0/8") }),
		change(forwarding("long", "10.1.1.0/24"), func(s *vserver.Server) { s.Source = netip.MustParsePrefix("10.2.1.1/32") }),
		change(forwarding("port", "10.1.1.0/24"), func(s *vserver.Server) { s.Port, s.Protocol = 80, frame.ProtoTCP }),
	))
	w.talk(true, at(near, 1), at(far, 80)).shake()
	w.talk(true, at(near2, 1), at(far, 80)).shake()
	for name, want := range map[string]uint64{"long": 1, "wide": 1, "port": 0} {
		if n := w.stats(vserver.KindServer, name).Total; n != want {
			t.Errorf("%s has %d connections, want %d", name, n, want)
		}
	}
}

func TestQ6_AServerOnNoVLANNeverAdmits(t *testing.T) {
	w := newSites(t, serving(on(forwarding("nowhere", "10.1.1.0/24"))))
	w.wantDrop(drop.VLANMiss, 1, func() { w.fromLAN(tcpTo(at(near, 1), at(far, 80), syn, "")) })
	w.none(w.atWAN())
	if m := w.r.VLANMisses(); len(m) != 1 || len(m[0].Listens) != 0 {
		t.Errorf("missed %+v", m)
	}
	if warned := w.r.conns.Listeners().Warnings(); len(warned) == 0 {
		t.Error("nobody is warned")
	}
}

func TestQ10_AnAnswerMayComeOnAnotherVLANThanTheRequestLeftBy(t *testing.T) {
	w := newSites(t, serving(ipsec0()))
	w.fromLAN(segment(at(near, 40000), at(far, 80), 1, 0, syn, ""))
	w.one(w.atWAN())
	w.tagged(otherTag, segment(at(far, 80), at(near, 40000), 500, 2, synAck, ""))
	w.one(w.atLAN())
	for range 3 {
		w.fromLAN(segment(at(near, 40000), at(far, 80), 2, 501, ack, "data"))
		w.one(w.atWAN())
		w.tagged(otherTag, segment(at(far, 80), at(near, 40000), 501, 6, ack, "data"))
		w.one(w.atLAN())
	}
	if n := w.r.flows.Stats().Hits; n != 4 {
		t.Errorf("%d segments took the fast path, want 4", n)
	}
	// And back to the first way.
	w.fromWAN(segment(at(far, 80), at(near, 40000), 501, 6, ack, "data"))
	w.one(w.atLAN())
	w.wait(1)
	w.traffic("ipsec-0", [2]uint64{4, 5}, [2]uint64{40 + 3*44, 40 + 4*44})
}

func TestQ11_TheAnswerToANATedFlowIsRewrittenBackOnce(t *testing.T) {
	w := newSites(t, func(c *Config) {
		c.Listeners.NATs = []vserver.NAT{{Name: "n", Originating: near.Netip(), Translation: netip.MustParseAddr("10.2.1.77")}}
	})
	k := w.talk(true, at(near, 40000), at(far, 80))
	k.seen[vserver.Client] = at(addr("10.2.1.77"), 40000)
	k.shake().chat(4).part()
	w.wait(1)
	s := w.stats(vserver.KindNAT, "n")
	if s.PacketsIn != k.packets[0] || s.PacketsOut != k.packets[1] || s.BytesIn != k.bytes[0] || s.BytesOut != k.bytes[1] {
		t.Errorf("counted %+v of %d and %d packets", s, k.packets[0], k.packets[1])
	}
}

func TestQ12_AHostsNATGoesBeforeTheSNATOfItsNetwork(t *testing.T) {
	w := newSites(t, func(c *Config) {
		c.Listeners.NATs = []vserver.NAT{{Name: "n", Originating: near.Netip(), Translation: netip.MustParseAddr("10.2.1.77")}}
		c.Listeners.SNATs = []vserver.SNAT{{Name: "s", Origins: prefixes("10.2.1.0/24"), Translations: []netip.Addr{netip.MustParseAddr("10.2.1.88")}}}
	})
	for client, as := range map[frame.Addr]frame.Addr{near: addr("10.2.1.77"), near2: addr("10.2.1.88")} {
		k := w.talk(true, at(client, 40000), at(far, 80))
		k.seen[vserver.Client] = at(as, 40000)
		k.shake().chat(2)
	}
}

func TestQ15_AConnectionLimitBoundsFlowsOfOnePacket(t *testing.T) {
	w := newSites(t, serving(change(forwarding("dns", "10.1.1.0/24"), func(s *vserver.Server) { s.ConnectionLimit = 3 })))
	ask := func(port uint16) { w.fromLAN(udpTo(at(near, port), at(far, 53), "x")) }
	for port := range uint16(3) {
		ask(port + 1)
	}
	if n := len(w.atWAN()); n != 3 {
		t.Fatalf("%d left", n)
	}
	w.wantDrop(drop.ConnectionLimit, 1, func() { ask(4) })
	if p := w.one(w.atLAN()); p.ICMPType != 3 || p.ICMPCode != 13 {
		t.Errorf("type %d code %d", p.ICMPType, p.ICMPCode)
	}
	ask(2) // the old ones are kept
	w.one(w.atWAN())
	w.wait(301)
	ask(4)
	w.one(w.atWAN())
	if s := w.stats(vserver.KindServer, "dns"); s.Limited != 1 || s.Maximum != 3 || s.Total != 4 || s.Expired != 3 || s.Current != 1 {
		t.Errorf("%+v", s)
	}
}

func TestQ15_AFullTableRefusesNewFlowsAndKeepsTheOld(t *testing.T) {
	w := newSites(t, serving(forwarding("any", "0.0.0.0/0")), func(c *Config) { c.MaxConnections = 2 })
	ask := func(port uint16) { w.fromLAN(udpTo(at(near, port), at(far, 53), "x")) }
	ask(1)
	ask(2)
	w.wantDrop(drop.ConnectionTableFull, 2, func() { ask(3); ask(4) })
	w.none(w.atLAN())
	ask(1)
	if n := len(w.atWAN()); n != 3 {
		t.Errorf("%d left, want 3", n)
	}
	w.advance(301 * time.Second)
	w.advance(time.Second)
	ask(3)
	w.one(w.atWAN())
}

func TestQ20_OfTwoServersThatDifferInTheirVLANsTheVLANPicks(t *testing.T) {
	w := newSites(t, serving(on(forwarding("outside", "10.2.1.0/24"), wanIf), on(forwarding("other", "10.2.1.0/24"), otherIf)))
	w.fromWAN(udpTo(at(far, 1), at(near, 53), "x"))
	w.one(w.atLAN())
	w.tagged(otherTag, udpTo(at(far, 2), at(near, 53), "x"), udpTo(at(far, 3), at(near, 53), "x"))
	if n := len(w.atLAN()); n != 2 {
		t.Errorf("%d came in", n)
	}
	if a, b := w.stats(vserver.KindServer, "outside").Total, w.stats(vserver.KindServer, "other").Total; a != 1 || b != 2 {
		t.Errorf("%d and %d connections, want 1 and 2", a, b)
	}
}
