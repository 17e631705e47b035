package netstack

import (
	"bytes"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// cone gives every protocol of a world endpoint-independent mapping, and the
// filtering that is asked for.
func cone(filtering lsn.Filtering) option {
	return func(c *Config) {
		for _, proto := range []uint8{frame.ProtoTCP, frame.ProtoUDP, frame.ProtoICMP} {
			c.LSN.Groups[0].Apps = append(c.LSN.Groups[0].Apps, lsn.AppProfile{Name: "cone", Proto: proto, Mapping: lsn.EIM, Filtering: filtering})
		}
	}
}

// outsideOf returns where client2 is reached: the mapping of its port 7000.
func (w *world) outsideOf(proto uint8) frame.Endpoint {
	w.t.Helper()
	if proto == frame.ProtoTCP {
		w.fromLAN(tcpTo(at(client2, 7000), at(server, 80), frame.TCPSyn, ""))
	} else {
		w.fromLAN(udpTo(at(client2, 7000), at(server, 80), "hello"))
	}
	p := w.one(w.atWAN())
	return at(p.Src, p.SrcPort)
}

func TestRFC4787_REQ9a_HairpinningShowsTheOutsideAddressAndPort(t *testing.T) {
	w := newWorld(t, cone(lsn.EIF))
	far := w.outsideOf(frame.ProtoUDP)
	w.fromLAN(udpTo(at(client1, 5000), far, "turn round"))
	p := w.one(w.atLAN())
	if p.Src != natAddr || p.SrcPort < 1024 || p.Dst != client2 || p.DstPort != 7000 || p.TTL() != 63 {
		t.Fatalf("%v:%d > %v:%d ttl %d", p.Src, p.SrcPort, p.Dst, p.DstPort, p.TTL())
	}
	near := at(p.Src, p.SrcPort)
	w.fromLAN(udpTo(at(client2, 7000), near, "and back"))
	if p := w.one(w.atLAN()); p.Src != far.Addr || p.SrcPort != far.Port || p.Dst != client1 || p.DstPort != 5000 {
		t.Fatalf("back: %v:%d > %v:%d", p.Src, p.SrcPort, p.Dst, p.DstPort)
	}
	w.none(w.atWAN())
	w.fromLAN(udpTo(at(client1, 5000), at(server, 53), "elsewhere"))
	if p := w.one(w.atWAN()); p.SrcPort != near.Port {
		t.Errorf("another mapping (RFC 4787 REQ-1): %d, not %d", p.SrcPort, near.Port)
	}
	if n := len(w.dropped()); n != 0 {
		t.Errorf("dropped %v", w.dropped())
	}
}

func TestRFC5382_REQ8_HairpinningForTCP(t *testing.T) {
	w := newWorld(t, cone(lsn.EIF))
	far := w.outsideOf(frame.ProtoTCP)
	w.fromLAN(tcpTo(at(client1, 5000), far, frame.TCPSyn, ""))
	syn := w.one(w.atLAN())
	w.fromLAN(tcpTo(at(client2, 7000), at(syn.Src, syn.SrcPort), frame.TCPSyn|tcpACK, ""))
	if p := w.one(w.atLAN()); p.Dst != client1 || p.Src != far.Addr || p.SrcPort != far.Port {
		t.Fatalf("answer %v:%d > %v", p.Src, p.SrcPort, p.Dst)
	}
	w.fromLAN(tcpTo(at(client1, 5000), far, tcpACK, "data"))
	if p := w.one(w.atLAN()); p.Dst != client2 {
		t.Fatalf("data to %v", p.Dst)
	}
}

// Both subscribers learn each other's outside endpoint from a server and send
// at once: the first SYN dies at the other's filter, the second passes.
func TestRFC5382_REQ2_SimultaneousOpenThroughAHairpin(t *testing.T) {
	w := newWorld(t, cone(lsn.APDF))
	far := w.outsideOf(frame.ProtoTCP)
	w.fromLAN(tcpTo(at(client1, 5000), at(server, 80), frame.TCPSyn, ""))
	out := w.one(w.atWAN())
	near := at(out.Src, out.SrcPort)
	w.wantDrop(drop.Filtered, 1, func() { w.fromLAN(tcpTo(at(client1, 5000), far, frame.TCPSyn, "")) })
	w.none(w.atLAN())
	w.fromLAN(tcpTo(at(client2, 7000), near, frame.TCPSyn, ""))
	if p := w.one(w.atLAN()); p.Dst != client1 || p.DstPort != 5000 || p.Src != far.Addr || p.SrcPort != far.Port {
		t.Fatalf("%v:%d > %v:%d", p.Src, p.SrcPort, p.Dst, p.DstPort)
	}
	w.fromLAN(tcpTo(at(client1, 5000), far, frame.TCPSyn|tcpACK, ""))
	w.one(w.atLAN())
	w.advance(7 * time.Second) // no ICMP about the first SYN either (R24 is about the outside)
	w.none(w.atLAN())
}

func TestTheFarSubscribersFilterHoldsForTheNearOne(t *testing.T) {
	w := newWorld(t, cone(lsn.ADF))
	far := w.outsideOf(frame.ProtoUDP)
	w.wantDrop(drop.Filtered, 1, func() { w.fromLAN(udpTo(at(client1, 5000), far, "stranger")) })
	w.fromLAN(udpTo(at(client1, 5000), at(server, 53), "shows its port"))
	near := w.one(w.atWAN())
	w.fromLAN(udpTo(at(client2, 7000), at(near.Src, near.SrcPort), "the near one has sent here, and so opens itself"))
	if p := w.one(w.atLAN()); p.Dst != client1 {
		t.Fatalf("to %v", p.Dst)
	}
	w.fromLAN(udpTo(at(client1, 5000), far, "no stranger any more"))
	if p := w.one(w.atLAN()); p.Dst != client2 {
		t.Fatalf("to %v", p.Dst)
	}
}

func TestNoSessionIsMadeTowardsAPortThatNobodyHas(t *testing.T) {
	w := newWorld(t, cone(lsn.EIF))
	w.wantDrop(drop.NoMapping, 100, func() {
		for port := range uint16(100) {
			w.fromLAN(udpTo(at(client1, 5000), at(natAddr, port), "scan"))
		}
	})
	if st := w.r.lsn.Stats(); st.Created != [3]uint64{} {
		t.Errorf("sessions were made: %v", st.Created)
	}
}

func TestASubscriberReachesItsOwnMapping(t *testing.T) {
	w := newWorld(t, cone(lsn.EIF))
	far := w.outsideOf(frame.ProtoUDP)
	w.fromLAN(udpTo(at(client2, 7001), far, "to myself"))
	p := w.one(w.atLAN())
	if p.Dst != client2 || p.DstPort != 7000 || p.Src != natAddr {
		t.Fatalf("%v:%d > %v:%d", p.Src, p.SrcPort, p.Dst, p.DstPort)
	}
	w.fromLAN(udpTo(at(client2, 7000), at(p.Src, p.SrcPort), "from myself"))
	if p := w.one(w.atLAN()); p.DstPort != 7001 || p.SrcPort != far.Port {
		t.Fatalf("%d > %d", p.SrcPort, p.DstPort)
	}
}

// An identifier names no second mapping, so that only a 1:1 address can be
// pinged by a subscriber (RFC 5508 REQ-7 asks for no more).
func TestRFC5508_REQ7_QueriesAreTurnedRoundToA1to1Address(t *testing.T) {
	own := addr("203.0.113.40")
	w := newWorld(t, func(c *Config) {
		c.LSN.Statics = []lsn.Static{{Name: "one", Inside: at(client2, 0), Outside: at(own, 0)}}
	})
	w.fromLAN(echo(client1, own, 8, 77, "ping"))
	p := w.one(w.atLAN())
	if p.Src != natAddr || p.Dst != client2 || p.ICMPType != 8 {
		t.Fatalf("%v > %v type %d", p.Src, p.Dst, p.ICMPType)
	}
	w.fromLAN(echo(client2, natAddr, 0, p.ICMPID, "ping"))
	if p := w.one(w.atLAN()); p.Src != own || p.Dst != client1 || p.ICMPType != 0 || p.ICMPID != 77 {
		t.Fatalf("answer %v > %v type %d id %d", p.Src, p.Dst, p.ICMPType, p.ICMPID)
	}
}

func TestRFC5508_REQ7_AnErrorAboutATurnedPacketIsTranslatedOnBothSides(t *testing.T) {
	w := newWorld(t, cone(lsn.EIF))
	far := w.outsideOf(frame.ProtoUDP)
	sent := udpTo(at(client1, 5000), far, "turn round")
	w.fromLAN(sent)
	came := w.atLAN()
	w.one(came)
	for name, src := range map[string]frame.Addr{"from the far subscriber": client2, "from a router on the way": addr("192.0.2.200")} {
		w.fromLAN(icmpError(src, natAddr, 3, 3, came[0], 60))
		p := w.one(w.atLAN())
		if p.Src != far.Addr || p.Dst != client1 || p.ICMPType != 3 || p.ICMPCode != 3 {
			t.Fatalf("%s: %v > %v", name, p.Src, p.Dst)
		}
		if quote, want := p.Transport()[8:], ttl(sent, 63); !bytes.Equal(quote, want) {
			t.Errorf("%s: quotes % x\n want % x", name, quote, want)
		}
	}
}

// The stack itself finds that the packet is too long for the way on, or that
// the far subscriber is not there.
func TestRFC5508_REQ7_OurOwnErrorsAboutATurnedPacket(t *testing.T) {
	w := newWorld(t, cone(lsn.EIF))
	far := w.outsideOf(frame.ProtoUDP)
	w.r.stack.SetNICMTU(1, 1300)
	sent := udpTo(at(client1, 5000), far, text(1400))
	w.fromLAN(sent)
	p := w.one(w.atLAN())
	q, _ := p.Quote()
	if p.Dst != client1 || p.ICMPType != 3 || p.ICMPCode != 4 {
		t.Fatalf("%v > %v type %d code %d", p.Src, p.Dst, p.ICMPType, p.ICMPCode)
	}
	if q.Src != client1 || q.SrcPort != 5000 || q.Dst != far.Addr || q.DstPort != far.Port {
		t.Errorf("quotes %v:%d > %v:%d", q.Src, q.SrcPort, q.Dst, q.DstPort)
	}
}

func TestATurnedDatagramInPiecesComesWhole(t *testing.T) {
	for name, order := range map[string]func([][]byte) [][]byte{"in order": inOrder, "last first": reversed} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, cone(lsn.EIF))
			far := w.outsideOf(frame.ProtoUDP)
			w.fromLAN(order(fragments(udpTo(at(client1, 5000), far, text(3000)), 1500))...)
			p := w.parsed(w.joined(w.atLAN()))
			if p.Src != natAddr || p.Dst != client2 || p.DstPort != 7000 || string(p.UDPPayload()) != text(3000) {
				t.Fatalf("%v:%d > %v:%d", p.Src, p.SrcPort, p.Dst, p.DstPort)
			}
			if n := len(w.dropped()); n != 0 {
				t.Errorf("dropped %v", w.dropped())
			}
		})
	}
}

func TestALongTurnedPacketIsCutUnderAnIDOfItsOwn(t *testing.T) {
	w := newWorld(t, cone(lsn.EIF))
	far := w.outsideOf(frame.ProtoUDP)
	w.r.stack.SetNICMTU(1, 1300)
	b := udpTo(at(client1, 5000), far, text(1400))
	frame.SetFragment(b, 0, false) // DF off
	w.fromLAN(b)
	got := w.atLAN()
	if p := w.parsed(w.joined(got)); p.Dst != client2 || header.IPv4(got[0]).ID() == 0 {
		t.Errorf("to %v", p.Dst)
	}
}

func TestN33_IKEIsTurnedRoundAsPlainUDPAndESPIsNot_R26(t *testing.T) {
	own := addr("203.0.113.40")
	w := newWorld(t, func(c *Config) {
		c.LSN.Statics = []lsn.Static{{Name: "gw", Proto: frame.ProtoUDP, Inside: at(client2, 500), Outside: at(own, 500)}}
	})
	for range 20 { // the ALG would stop at five half-open sessions (R41)
		w.fromLAN(udpTo(at(client1, 500), at(own, 500), ike(2, 1, 0, ikeSAInit, flagV2Init, 0, 100)))
		if p := w.one(w.atLAN()); p.Dst != client2 || p.Src != natAddr {
			t.Fatalf("%v > %v", p.Src, p.Dst)
		}
	}
	if c := w.r.alg.Counters(); c.IKESessions != 0 {
		t.Errorf("the ALG saw it: %+v", c)
	}
	w.wantDrop(drop.ESPHairpin, 1, func() { w.fromLAN(esp(client1, own, 0x1000, 1, "x")) })
	w.none(w.atLAN())
}

func TestTurnedPacketsNeverTakeTheFastPath(t *testing.T) {
	w := newWorld(t, cone(lsn.EIF))
	far := w.outsideOf(frame.ProtoUDP)
	before := w.r.flows.Stats().Entries
	hits := w.hits(func() {
		for range 10 {
			w.fromLAN(udpTo(at(client1, 5000), far, "turn round"))
			near := w.one(w.atLAN())
			w.fromLAN(udpTo(at(client2, 7000), at(near.Src, near.SrcPort), "and back"))
			w.one(w.atLAN())
		}
	})
	if n := w.r.flows.Stats().Entries; hits != 0 || n != before {
		t.Errorf("%d hits, %d flows, %d before", hits, n, before)
	}
	w.r.flows.Walk(func(in flow.Info) bool {
		if in.Key.Src == natAddr {
			t.Errorf("a flow from a NAT address: %+v", in.Key)
		}
		return true
	})
}

func TestARefusedHairpinIsAnsweredLikeAnyOther(t *testing.T) {
	w := newWorld(t, cone(lsn.EIF), withUDP(lsn.TransportProfile{SessionQuota: 1}))
	far := w.outsideOf(frame.ProtoUDP)
	w.fromLAN(udpTo(at(client1, 5000), at(server, 53), "the one"))
	w.one(w.atWAN())
	sent := udpTo(at(client1, 5000), far, "one too many")
	w.wantDrop(drop.SessionQuota, 1, func() { w.fromLAN(sent) })
	p := w.one(w.atLAN())
	if q, _ := p.Quote(); p.Dst != client1 || p.ICMPType != 3 || q.Dst != far.Addr || q.Src != client1 {
		t.Errorf("%v type %d quotes %v > %v", p.Dst, p.ICMPType, q.Src, q.Dst)
	}
}
