package netstack

import (
	"net/netip"
	"slices"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// The addresses that the NATs and SNATs of these tests translate to.
var (
	natOut   = addr("203.0.113.9")
	snatOut  = addr("203.0.113.8")
	snatOut2 = addr("203.0.113.7")
)

// office is a world without an LSN: what passes has a virtual server, NAT or
// SNAT.
func office(t testing.TB, options ...option) *world {
	t.Helper()
	noLSN := func(c *Config) { c.LSN = lsn.Config{Rand: c.LSN.Rand} }
	return newWorld(t, append([]option{noLSN}, options...)...)
}

// natting adds NATs of client1 to a world, each with what change makes of it.
func natting(change ...func(*vserver.NAT)) option {
	n := vserver.NAT{Name: "n", Originating: client1.Netip(), Translation: natOut.Netip()}
	for _, f := range change {
		f(&n)
	}
	return func(c *Config) { c.Listeners.NATs = append(c.Listeners.NATs, n) }
}

// snatting adds a SNAT of the whole inside.
func snatting(change func(*vserver.SNAT)) option {
	s := vserver.SNAT{Name: "s", Origins: prefixes("192.0.2.0/24")}
	change(&s)
	return func(c *Config) { c.Listeners.SNATs = append(c.Listeners.SNATs, s) }
}

// to makes a SNAT translate to addresses.
func to(addrs ...frame.Addr) func(*vserver.SNAT) {
	return func(s *vserver.SNAT) { s.Translations = netips(addrs...) }
}

func netips(addrs ...frame.Addr) (out []netip.Addr) {
	for _, a := range addrs {
		out = append(out, a.Netip())
	}
	return out
}

// listenerStats are the counters of a listener.
func (w *world) listenerStats(k vserver.Kind, name string) vserver.Stats {
	w.t.Helper()
	l := w.r.conns.Listeners().Find(k, name)
	if l == nil {
		w.t.Fatalf("there is no %v %q", k, name)
	}
	return l.Counters().Stats()
}

// everyProtocol is one packet of each protocol that a NAT carries.
func everyProtocol(src, dst frame.Addr) map[string][]byte {
	return map[string][]byte{
		"TCP":  tcpTo(at(src, 40000), at(dst, 443), frame.TCPSyn, ""),
		"UDP":  udpTo(at(src, 40000), at(dst, 53), "question"),
		"IKE":  udpTo(at(src, 500), at(dst, 500), ike(2, 7, 0, ikeSAInit, flagV2Init, 0, 100)),
		"ping": echo(src, dst, 8, 77, "ping"),
		"ESP":  esp(src, dst, 0x1000, 1, "outbound"),
		"GRE":  ip(src, dst, 47, []byte("generic routing")),
	}
}

// answerTo is the packet that the other side sends back.
func answerTo(b []byte) []byte {
	var p frame.Packet
	p.Parse(b)
	switch p.Proto {
	case frame.ProtoTCP:
		return tcpTo(at(p.Dst, p.DstPort), at(p.Src, p.SrcPort), frame.TCPSyn|0x10, "")
	case frame.ProtoUDP:
		return udpTo(at(p.Dst, p.DstPort), at(p.Src, p.SrcPort), "answer")
	case frame.ProtoICMP:
		return echo(p.Dst, p.Src, 0, p.ICMPID, "ping")
	}
	return ip(p.Dst, p.Src, p.Proto, append([]byte(nil), p.Transport()...))
}

// withAddresses is b with other ends, made anew.
func withAddresses(b []byte, src, dst frame.Addr, hops int) []byte {
	return ttl(ip(src, dst, b[9], append([]byte(nil), b[20:]...)), uint8(64-hops))
}

func TestANATTranslatesTheAddressAloneInEveryProtocol_VR22(t *testing.T) {
	for name, out := range everyProtocol(client1, server) {
		t.Run("outwards "+name, func(t *testing.T) {
			w := office(t, natting())
			w.fromLAN(out)
			left := w.atWAN()
			w.one(left)
			if want := withAddresses(out, natOut, server, 1); !slices.Equal(left[0], want) {
				t.Fatalf("left as % x\nwant    % x", left[0], want)
			}
			back := answerTo(left[0])
			w.fromWAN(back) // Q11: rewritten once
			came := w.atLAN()
			w.one(came)
			if want := withAddresses(back, server, client1, 1); !slices.Equal(came[0], want) {
				t.Fatalf("came as % x\nwant    % x", came[0], want)
			}
			if s := w.listenerStats(vserver.KindNAT, "n"); s.PacketsIn != 1 || s.PacketsOut != 1 ||
				s.BytesIn != uint64(len(out)) || s.BytesOut != uint64(len(back)) || s.Total != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
	for name, in := range everyProtocol(server, natOut) {
		t.Run("inwards "+name, func(t *testing.T) { // VR23: it is its own listener
			w := office(t, natting())
			w.fromWAN(in)
			came := w.atLAN()
			w.one(came)
			if want := withAddresses(in, server, client1, 1); !slices.Equal(came[0], want) {
				t.Fatalf("came as % x\nwant    % x", came[0], want)
			}
			back := answerTo(came[0])
			w.fromLAN(back)
			left := w.atWAN()
			w.one(left)
			if want := withAddresses(back, natOut, server, 1); !slices.Equal(left[0], want) {
				t.Fatalf("left as % x\nwant    % x", left[0], want)
			}
			if n := w.r.conns.Len(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestANATRefusesWhatItCannotTranslate_R36(t *testing.T) {
	w := office(t, natting())
	ah := func(src, dst frame.Addr) []byte { return ip(src, dst, frame.ProtoAH, make([]byte, 24)) }
	w.wantDrop(drop.AH, 2, func() {
		w.fromLAN(ah(client1, server))
		w.fromWAN(ah(server, natOut))
	})
	record := func(b []byte) []byte { return options(b, 7, 11, 8, 192, 0, 2, 55, 0, 0, 0, 0) }
	w.wantDrop(drop.IPOptions, 2, func() {
		w.fromLAN(record(udpTo(at(client1, 1), at(server, 1), "x")))
		w.fromWAN(record(udpTo(at(server, 1), at(natOut, 1), "x")))
	})
	if n := w.listenerStats(vserver.KindNAT, "n").Total; n != 0 || w.r.conns.Len() != 0 {
		t.Errorf("%d connections of packets that nobody could translate", n)
	}
}

func TestANATAdmitsItsHostAlone_VR23(t *testing.T) {
	w := office(t, natting())
	w.wantDrop(drop.NoListener, 1, func() { w.fromLAN(udpTo(at(client2, 1), at(server, 1), "x")) })
	w.wantDrop(drop.NoListener, 1, func() { w.fromWAN(udpTo(at(server, 1), at(client1, 1), "x")) })
	w.none(w.atLAN())
	w.none(w.atWAN())
}

func TestARPIsAnsweredForATranslationAddressUnlessItSaysNot(t *testing.T) {
	for _, arp := range []vserver.Switch{vserver.Default, vserver.Off} {
		w := office(t, natting(func(n *vserver.NAT) { n.ARP = arp }), snatting(to(snatOut)))
		w.r.announce() // what Run begins with
		told := announced(w.wan.Drain())
		if got := slices.Contains(told, natOut); got != arp.Is(true) {
			t.Errorf("arp %v: announced at the start: %v", arp, told)
		}
		if !slices.Contains(told, snatOut) {
			t.Errorf("the SNAT's address is not announced: %v", told)
		}
		if got := w.answersFor(natOut); got != arp.Is(true) {
			t.Errorf("arp %v: answered: %v", arp, got)
		}
		if !w.answersFor(snatOut) || w.answersFor(server) {
			t.Error("ARP is answered for others, or not for the SNAT")
		}
	}
}

func TestANATOnNamedVLANsIsNoneElsewhere(t *testing.T) {
	w := office(t, natting(func(n *vserver.NAT) { n.VLANs = vserver.VLANs{Enabled: true, List: []frame.Interface{lanIf}} }))
	w.fromLAN(udpTo(at(client1, 40000), at(server, 53), "question"))
	out := w.one(w.atWAN())
	w.fromWAN(udpTo(at(server, 53), at(out.Src, out.SrcPort), "an answer may come from anywhere (Q10)"))
	w.one(w.atLAN())
	w.wantDrop(drop.VLANMiss, 1, func() { w.fromWAN(udpTo(at(server, 1), at(natOut, 1), "an attempt may not")) })
	w.none(w.atLAN())
}

// An originating host behind a SNAT as well (Q12), behind a virtual server of
// its own (VR19), and behind one that translates by itself.
func TestWhoTranslatesTheOriginatingHost_VR19_VR24(t *testing.T) {
	any := forwarding("any", "0.0.0.0/0")
	automap := any
	automap.SourceTranslation = vserver.Automap
	for _, tc := range []struct {
		name   string
		option option
		want   frame.Addr
	}{
		{"a SNAT of its network", snatting(to(snatOut)), natOut},
		{"a virtual server that translates nothing", serving(any), natOut},
		{"a virtual server with automap", serving(automap), wanAddr},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := office(t, natting(), tc.option)
			w.fromLAN(udpTo(at(client1, 40000), at(server, 53), "question"))
			out := w.one(w.atWAN())
			if out.Src != tc.want || out.SrcPort != 40000 {
				t.Fatalf("left as %v:%d, want %v:40000", out.Src, out.SrcPort, tc.want)
			}
			w.fromWAN(udpTo(at(server, 53), at(out.Src, out.SrcPort), "answer"))
			if in := w.one(w.atLAN()); in.Dst != client1 || in.DstPort != 40000 || in.Src != server {
				t.Errorf("came back as %v > %v:%d", in.Src, in.Dst, in.DstPort)
			}
			if len(w.dropped()) != 0 {
				t.Errorf("drops: %v", w.dropped())
			}
		})
	}
}

func TestNobodyBehindAVirtualServerIsTranslatedByAnothersNAT(t *testing.T) {
	w := office(t, natting(), serving(forwarding("any", "0.0.0.0/0")))
	w.fromLAN(udpTo(at(client2, 40000), at(server, 53), "question"))
	if p := w.one(w.atWAN()); p.Src != client2 {
		t.Errorf("left as %v", p.Src)
	}
}

func TestATranslationAddressIsNobodysSource(t *testing.T) {
	w := office(t, natting(), snatting(to(snatOut)), openHouse)
	for _, a := range []frame.Addr{natOut, snatOut} {
		w.wantDrop(drop.NATAddressSpoofed, 2, func() {
			w.fromLAN(udpTo(at(a, 1), at(server, 1), "x"))
			w.fromWAN(udpTo(at(a, 1), at(client1, 1), "x"))
		})
	}
}

func TestASNATsAddressTakesAnswersAlone_VR23(t *testing.T) {
	any := forwarding("any", "0.0.0.0/0")
	for name, option := range map[string]option{
		"nobody else": func(*Config) {}, "a wildcard server": serving(any),
		"a server of the network": serving(forwarding("net", "203.0.113.0/24")),
	} {
		t.Run(name, func(t *testing.T) {
			w := office(t, snatting(to(snatOut)), option)
			w.fromLAN(udpTo(at(client1, 40000), at(server, 53), "question"))
			w.one(w.atWAN())
			w.wantDrop(drop.NoListener, 3, func() {
				w.fromWAN(udpTo(at(server, 53), at(snatOut, 40001), "not what was asked"))
				w.fromWAN(udpTo(at(server2, 53), at(snatOut, 40000), "not who was asked"))
				w.fromLAN(udpTo(at(client2, 1), at(snatOut, 40000), "from inside"))
			})
			w.none(w.atLAN())
			w.none(w.atWAN())
		})
	}
}

// A NAT's address is a host: it goes before a server for everything, and behind
// one of that very host (VR2).
func TestANATsAddressGoesBeforeAWildcardServer_VR2(t *testing.T) {
	w := office(t, natting(), openHouse)
	w.fromWAN(udpTo(at(server, 1), at(natOut, 9), "x"))
	if p := w.one(w.atLAN()); p.Dst != client1 {
		t.Errorf("went to %v", p.Dst)
	}
	refusing := vserver.Server{Name: "no", Destination: netip.PrefixFrom(natOut.Netip(), 32), Role: vserver.Reject}
	w = office(t, natting(), serving(refusing))
	w.wantDrop(drop.VSRejected, 1, func() { w.fromWAN(udpTo(at(server, 1), at(natOut, 9), "x")) })
	w.none(w.atLAN())
}

func TestASubscribersPacketToASNATsAddressIsNotForwarded(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Listeners.SNATs = []vserver.SNAT{{Name: "s", Origins: prefixes("10.0.0.0/8"), Translations: netips(snatOut)}}
	})
	w.wantDrop(drop.NoListener, 1, func() { w.fromLAN(udpTo(at(client1, 1), at(snatOut, 9), "x")) })
	w.none(w.atWAN())
}

// A reload brings a NAT and takes another: ARP, announcements and what passes
// follow at once.
func TestAReloadExchangesTranslationAddresses_VR11(t *testing.T) {
	w := office(t, natting())
	udp := func(to frame.Addr) []byte { return udpTo(at(server, 1), at(to, 9), "x") }
	w.fromWAN(udp(natOut))
	w.one(w.atLAN())
	n := vserver.NAT{Name: "n", Originating: client1.Netip(), Translation: snatOut.Netip()}
	w.wan.Drain()
	w.reload(Settings{Listeners: vserver.Config{NATs: []vserver.NAT{n}}})
	if got := announced(w.wan.Drain()); !slices.Equal(got, []frame.Addr{snatOut}) {
		t.Errorf("announced %v", got)
	}
	if w.answersFor(natOut) || !w.answersFor(snatOut) {
		t.Error("ARP is not answered for the addresses there are now")
	}
	w.wantDrop(drop.NoListener, 1, func() { w.fromWAN(udp(natOut)) })
	w.fromWAN(udp(snatOut))
	if p := w.one(w.atLAN()); p.Dst != client1 {
		t.Errorf("went to %v", p.Dst)
	}
	if n := w.r.conns.Len(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
