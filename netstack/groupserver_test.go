package netstack

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"spigate/alg/ipsec"
	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// tally counts what the test sends through a listener.
type tally struct{ in, out vserver.Traffic }

func count(t *vserver.Traffic, packets ...[]byte) {
	for _, b := range packets {
		t.Packets++
		t.Bytes += uint64(len(b))
	}
}

func TestAServerLetsTheGroupTranslate_VR19(t *testing.T) {
	w := newWorld(t, serving(byGroup("v")))
	var n tally
	for name, out := range map[string][]byte{
		"UDP": udpTo(at(client1, 40000), at(upstream, 53), "question"), "ping": echo(client1, upstream, 8, 77, "ping"),
	} {
		saw := w.asks(out)
		if saw.Src != natAddr {
			t.Fatalf("%s left as %v", name, saw.Src)
		}
		w.isAnswered(saw, out)
		back := answerTo(saw.Bytes())
		w.asks(out)
		w.isAnswered(saw, out)
		if hits := w.hits(func() { w.asks(out); w.isAnswered(saw, out) }); hits != 2 {
			t.Errorf("%s: %d hits of 2 packets", name, hits)
		}
		count(&n.in, out, out, out)
		count(&n.out, back, back, back)
	}
	w.counted(vserver.KindServer, "v", n.in, n.out)
	if s := w.listenerStats(vserver.KindServer, "v"); s.Total != 2 || s.Current != 2 {
		t.Errorf("%+v", s)
	}
	if o := w.flowOwners(); o[flow.OwnerLSN] != 4 || len(o) != 1 {
		t.Errorf("flows of %v", o)
	}
	w.wantDrop(drop.NoMapping, 1, func() { w.fromWAN(udpTo(at(upstream, 53), at(natAddr, 9), "x")) })
}

// A tunnel with IKE and ESP through the group's ALG: held messages included,
// every packet is counted once, when it leaves.
func TestTunnelsThroughAServerOfAGroupAreCountedOnTheInside(t *testing.T) {
	w := newWorld(t, serving(byGroup("v")))
	a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
	a.init()
	b.init()
	w.one(a.ask())
	w.none(b.ask()) // held: the gate of the first is open
	s := w.listenerStats(vserver.KindServer, "v")
	if s.PacketsIn != 3 {
		t.Errorf("%d packets in, with one that is held", s.PacketsIn)
	}
	a.reply()
	w.fromLAN(a.out())
	w.fromWAN(a.in())
	w.lan.Drain()
	w.wan.Drain()
	b.reply()
	b.traffic()
	if hits := w.hits(func() {
		for range 5 {
			a.traffic()
			b.traffic()
		}
	}); hits < 16 {
		t.Errorf("%d hits of 20 packets", hits)
	}
	w.advance(time.Second)
	s = w.listenerStats(vserver.KindServer, "v")
	// Each client: two messages and six of ESP, or seven.
	const want = 2*2 + 6 + 6
	if s.PacketsIn != want || s.PacketsOut != want || s.Total != 4 {
		t.Errorf("%d packets in, %d out, want %d; %d connections", s.PacketsIn, s.PacketsOut, want, s.Total)
	}
	var n tally
	ike := func(k *tunnel) {
		count(&n.in, k.say(2, 0, ikeSAInit, flagV2Init, 0), k.say(2, k.id+1, ikeAuth, flagV2Init, 1))
		count(&n.out, k.answer(2, ikeSAInit, flagV2Resp, 0), k.answer(2, ikeAuth, flagV2Resp, 1))
	}
	for _, k := range []*tunnel{a, b} {
		ike(k)
		for range 6 {
			count(&n.in, esp(k.client, k.server, k.spiOut, 1, "outbound"))
			count(&n.out, esp(k.server, natAddr, k.spiIn, 1, "inbound"))
		}
	}
	w.counted(vserver.KindServer, "v", n.in, n.out)
	if len(w.dropped()) != 0 {
		t.Errorf("drops: %v", w.dropped())
	}
}

// The server goes: the LSN's session leaves the fast path with the connection,
// and the next packet is judged anew, by the group or by what is there instead.
func TestAServerThatIsGoneTakesItsSessionsOffTheFastPath_VR11(t *testing.T) {
	refusing := vserver.Server{Name: "no", Destination: netip.MustParsePrefix("0.0.0.0/0"), Role: vserver.Reject}
	for name, tc := range map[string]struct {
		instead vserver.Config
		dies    bool
	}{
		"the group has it":  {vserver.Config{}, false},
		"another refuses":   {vserver.Config{Servers: []vserver.Server{refusing}}, true},
		"the same is there": {vserver.Config{Servers: []vserver.Server{byGroup("v")}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var c Config
			w := newWorld(t, serving(byGroup("v")), func(full *Config) { c = *full })
			out := udpTo(at(client1, 40000), at(server, 53), "question")
			saw := w.asks(out)
			w.isAnswered(saw, out)
			k := w.tunnel(client2, 0x1000)
			k.up()
			k.traffic()
			w.asks(out)
			if o := w.flowOwners(); o[flow.OwnerLSN] == 0 || o[flow.OwnerESP] == 0 {
				t.Fatalf("flows of %v", o)
			}
			w.reload(Settings{LSN: c.LSN, Profiles: c.Profiles, Listeners: tc.instead})
			w.lan.Drain()
			w.wan.Drain()
			same := len(tc.instead.Servers) > 0 && !tc.dies
			if o := w.flowOwners(); (len(o) != 0) != same {
				t.Errorf("flows of %v", o)
			}
			if tc.dies {
				w.wantDrop(drop.VSRejected, 2, func() { w.fromLAN(out, k.out()) })
				w.none(w.atWAN())
				return
			}
			if again := w.asks(out); again.SrcPort != saw.SrcPort {
				t.Errorf("its port went from %d to %d", saw.SrcPort, again.SrcPort)
			}
			w.isAnswered(saw, out)
			k.traffic()
			if len(w.dropped()) != 0 {
				t.Errorf("drops: %v", w.dropped())
			}
		})
	}
}

// A live connection stays what it is when its server changes its translation.
func TestAConnectionKeepsItsTranslationWhenItsServerChanges_VR11(t *testing.T) {
	plain := forwarding("v", "0.0.0.0/0")
	plain.Source = netip.MustParsePrefix("192.0.2.0/24")
	group := plain
	group.SourceTranslation, group.Group = vserver.TranslateLSN, "G"
	for name, tc := range map[string]struct {
		before, after vserver.Server
		outside       frame.Addr
	}{
		"from lsn to none": {group, plain, natAddr},
		"from none to lsn": {plain, group, client1},
	} {
		t.Run(name, func(t *testing.T) {
			var c Config
			w := newWorld(t, serving(tc.before), func(full *Config) { c = *full })
			k := w.dialog(0, at(client1, 40000), at(server, 443))
			if k.peer[0].Addr != tc.outside {
				t.Fatalf("seen as %v", k.peer[0])
			}
			w.reload(Settings{LSN: c.LSN, Profiles: c.Profiles, Listeners: vserver.Config{Servers: []vserver.Server{tc.after}}})
			k.chat(4) // sends fails if anything is seen otherwise
			k.counted(vserver.KindServer, "v")
			k.closes()
			k.counted(vserver.KindServer, "v")
			if len(w.dropped()) != 0 {
				t.Errorf("drops: %v", w.dropped())
			}
		})
	}
}

func TestALimitOfAServerRefusesSubscribers_VR18(t *testing.T) {
	v := byGroup("v")
	v.ConnectionLimit = 1
	w := newWorld(t, serving(v))
	first := udpTo(at(client1, 40000), at(server, 53), "x")
	saw := w.asks(first)
	w.wantDrop(drop.ConnectionLimit, 1, func() { w.fromLAN(udpTo(at(client2, 40000), at(server, 53), "x")) })
	w.none(w.atWAN())
	if p := w.one(w.atLAN()); p.ICMPType != 3 || p.ICMPCode != 13 || p.Dst != client2 {
		t.Errorf("told %v type %d code %d", p.Dst, p.ICMPType, p.ICMPCode)
	}
	w.isAnswered(saw, first)
}

func TestAServerOfAGroupAdmitsItsSubscribersAlone(t *testing.T) {
	w := newWorld(t, serving(byGroup("v")), func(c *Config) { c.LSN.Clients[0].Networks = prefixes("192.0.2.0/28") })
	w.wantDrop(drop.NoListener, 2, func() {
		w.fromLAN(udpTo(at(addr("192.0.2.77"), 1), at(server, 53), "nobody would translate it"))
		w.fromWAN(udpTo(at(server, 1), at(addr("192.0.2.77"), 53), "x"))
	})
	w.none(w.atWAN())
	w.none(w.atLAN())
	w.asks(udpTo(at(client1, 1), at(server, 53), "x"))
}

func TestWhatTheGroupRefusesHoldsNoConnection(t *testing.T) {
	w := newWorld(t, serving(byGroup("v")), withUDP(lsn.TransportProfile{PortQuota: 1}))
	w.asks(udpTo(at(client1, 1), at(server, 53), "x"))
	w.wantDrop(drop.PortQuota, 3, func() {
		for port := range uint16(3) {
			w.fromLAN(udpTo(at(client1, 100+port), at(server, 53), "x"))
		}
	})
	if n := w.r.conns.Len(); n != 1 {
		t.Errorf("%d connections, with one session", n)
	}
}

func TestActiveFTPPassesThroughAServerOfAGroup(t *testing.T) {
	w := newWorld(t, withHelpers(), serving(byGroup("v")))
	c := w.ftpClient()
	p := c.says("PORT 192,0,2,11,156,65\r\n")
	asked := named(t, said(p))
	if asked.Addr != natAddr {
		t.Fatalf("asks for %v", asked)
	}
	w.active(at(server, 20), asked, at(client1, 40001))
	if len(w.dropped()) != 0 {
		t.Errorf("drops: %v", w.dropped())
	}
}

// The inside address shows in no error either.
func TestAnErrorAboutAServersSubscriberIsTheGroups(t *testing.T) {
	w := newWorld(t, serving(byGroup("v")))
	out := udpTo(at(client1, 40000), at(server, 53), "question")
	w.fromLAN(out)
	left := w.atWAN()
	nat := w.one(left)
	router := addr("198.51.100.1")
	w.fromWAN(icmpError(router, natAddr, 3, 1, left[0], 60))
	p := w.one(w.atLAN())
	if q, _ := p.Quote(); p.Src != router || p.Dst != client1 || q.Src != client1 || q.SrcPort != 40000 {
		t.Errorf("came as %v > %v, quotes %v:%d", p.Src, p.Dst, q.Src, q.SrcPort)
	}
	w.fromWAN(udpTo(at(server, 53), at(nat.Src, nat.SrcPort), "answer"))
	came := w.atLAN()
	w.one(came)
	w.fromLAN(icmpError(client1, server, 3, 3, came[0], 60))
	p = w.one(w.atWAN())
	if q, _ := p.Quote(); p.Src != natAddr || q.Dst != natAddr || q.DstPort != nat.SrcPort {
		t.Errorf("left from %v, quotes > %v:%d", p.Src, q.Dst, q.DstPort)
	}
}

func TestNumbersAloneKeepNoSessionAlive_VR17(t *testing.T) {
	w := newWorld(t)
	s := at(server, 443)
	nat := w.conversation(s)
	k := w.tunnel(client2, 0x1000)
	k.up()
	k.traffic()
	var reports []flow.Report
	w.r.flows.Walk(func(i flow.Info) bool {
		reports = append(reports, flow.Report{Owner: i.Owner, Key: i.Key, Side: i.Side, Addr: i.Addr, Port: i.Port})
		return true
	})
	if len(reports) < 4 {
		t.Fatalf("%d flows", len(reports))
	}
	esp := func() int {
		return len(slices.Collect(w.r.alg.Sessions(ipsec.Filter{})))
	}
	tell := func() {
		for _, f := range reports {
			f.Now = w.r.now()
			w.r.flowActive(f)
		}
	}
	w.advance(100 * time.Second)
	tell()
	w.advance(22 * time.Second)
	w.wantDrop(drop.NoMapping, 1, func() { w.fromWAN(udpTo(s, nat, "too late")) })
	if esp() != 1 {
		t.Fatalf("%d ESP sessions", esp())
	}
	w.advance(58 * time.Minute)
	tell()
	w.advance(5 * time.Minute)
	if esp() != 0 {
		t.Error("the ESP session is kept alive by nothing")
	}
}

// VR5: an answer from inside asks no server, whoever let the question in.
func TestAnswersOfAGroupsOwnFlowsAskNoServer_VR5(t *testing.T) {
	for name, server := range map[string]vserver.Server{
		"lsn": byGroup("v"), "reject": {Name: "v", Destination: netip.MustParsePrefix("0.0.0.0/0"), Role: vserver.Reject},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, serving(server), withStatic(lsn.Static{Name: "web", Proto: frame.ProtoTCP, Inside: at(client1, 80), Outside: at(natAddr, 8080)}))
			k := w.dialog(1, at(addr("203.0.113.254"), 50000), at(natAddr, 8080))
			k.chat(3)
			k.closes()
			w.counted(vserver.KindServer, "v", vserver.Traffic{}, vserver.Traffic{})
			if len(w.dropped()) != 0 {
				t.Errorf("drops: %v", w.dropped())
			}
		})
	}
}

// A server that is added takes new flows only (VR4): those that the group has
// stay as they are, and so does their NAT address.
func TestAServerThatIsAddedLeavesAGroupsFlowsAlone_VR4(t *testing.T) {
	var c Config
	w := newWorld(t, func(full *Config) { c = *full })
	k := w.dialog(0, at(client1, 40000), at(server, 443))
	k.chat(2)
	w.reload(Settings{LSN: c.LSN, Profiles: c.Profiles, Listeners: vserver.Config{Servers: []vserver.Server{forwarding("v", "203.0.113.0/24")}}})
	k.chat(2)
	w.r.flows.Flush() // and as slow as it may be
	k.chat(2)
	k.closes()
	if p := w.asks(tcpTo(at(client1, 40001), at(server, 443), frame.TCPSyn, "")); p.Src != client1 {
		t.Errorf("a new flow left as %v", p.Src)
	}
	if p := w.asks(tcpTo(at(client1, 40000), at(server, 443), frame.TCPSyn, "")); p.Src != client1 {
		t.Errorf("one from the same port left as %v", p.Src)
	}
	if len(w.dropped()) != 0 {
		t.Errorf("drops: %v", w.dropped())
	}
}

// The message that opens a connection is held by the ALG: it is counted when it
// leaves, as every other.
func TestAHeldMessageThatOpensAConnectionIsCountedOnce(t *testing.T) {
	var c Config
	w := newWorld(t, serving(byGroup("v")), func(full *Config) { c = *full })
	a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
	a.init()
	b.init()
	for _, l := range []vserver.Config{{}, c.Listeners} { // the server goes, and comes again
		w.reload(Settings{LSN: c.LSN, Profiles: c.Profiles, Listeners: l})
	}
	w.one(a.ask())
	w.none(b.ask())
	s := w.listenerStats(vserver.KindServer, "v")
	if s.PacketsIn != 1 || s.Total != 2 {
		t.Errorf("%d packets in of %d connections", s.PacketsIn, s.Total)
	}
	a.reply()
	w.fromLAN(a.out())
	w.fromWAN(a.in())
	w.lan.Drain()
	w.one(w.atWAN()[1:]) // behind the ESP: what was held
	var n tally
	count(&n.in, a.say(2, a.id+1, ikeAuth, flagV2Init, 1), b.say(2, b.id+1, ikeAuth, flagV2Init, 1), esp(client1, server, a.spiOut, 1, "outbound"))
	count(&n.out, a.answer(2, ikeAuth, flagV2Resp, 1), esp(server, natAddr, a.spiIn, 1, "inbound"))
	w.counted(vserver.KindServer, "v", n.in, n.out)
}
