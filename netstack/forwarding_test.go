package netstack

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

func TestVR14_AForwardingServerRoutesAndTakesOneFromTheTTL(t *testing.T) {
	w := newSites(t, serving(forwarding("site", "10.1.1.0/24")))
	for range 4 { // the last ones take the fast path
		w.fromLAN(udpTo(at(near, 40000), at(far, 53), "x"))
		if p := w.one(w.atWAN()); p.Src != near || p.SrcPort != 40000 || p.Dst != far || p.DstPort != 53 || p.TTL() != 63 {
			t.Errorf("%v:%d > %v:%d TTL %d", p.Src, p.SrcPort, p.Dst, p.DstPort, p.TTL())
		}
		w.fromWAN(udpTo(at(far, 53), at(near, 40000), "y"))
		if p := w.one(w.atLAN()); p.TTL() != 63 {
			t.Errorf("TTL %d", p.TTL())
		}
	}
	if w.r.flows.Stats().Hits == 0 {
		t.Error("no packet took the fast path")
	}
}

// Every protocol, and nothing in a packet changes but the TTL.
func TestVR14_EveryProtocolPassesBothWays(t *testing.T) {
	for name, b := range map[string][2][]byte{
		"UDP":  {udpTo(at(near, 1), at(far, 2), "x"), udpTo(at(far, 2), at(near, 1), "y")},
		"IKE":  {udpTo(at(near, 500), at(far, 500), "x"), udpTo(at(far, 500), at(near, 500), "y")},
		"ICMP": {echo(near, far, 8, 7, "x"), echo(far, near, 0, 7, "x")},
		"ESP":  {esp(near, far, 0x1000, 1, "x"), esp(far, near, 0x2000, 1, "y")},
		"AH":   {ip(near, far, frame.ProtoAH, make([]byte, 24)), ip(far, near, frame.ProtoAH, make([]byte, 24))},
		"GRE":  {ip(near, far, 47, make([]byte, 8)), ip(far, near, 47, make([]byte, 8))},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSites(t, serving(forwarding("site", "10.1.1.0/24")))
			w.wantDrop(drop.NoListener, 1, func() { w.fromWAN(b[1]) })
			for range 3 {
				w.fromLAN(b[0])
				if p := w.one(w.atWAN()); string(p.Transport()) != string(b[0][20:]) || p.Src != near || p.Dst != far {
					t.Errorf("left as % x", p.Bytes())
				}
				w.fromWAN(b[1])
				if p := w.one(w.atLAN()); string(p.Transport()) != string(b[1][20:]) || p.Src != far || p.Dst != near {
					t.Errorf("came as % x", p.Bytes())
				}
			}
			w.wait(1)
			w.traffic("site", [2]uint64{3, 3}, [2]uint64{3 * uint64(len(b[0])), 3 * uint64(len(b[1]))})
		})
	}
}

func TestVR14_WithoutARouteTheSenderIsToldAndThereIsNoConnection(t *testing.T) {
	w := newSites(t, serving(forwarding("any", "0.0.0.0/0")), func(c *Config) { c.Routes = c.Routes[1:] })
	for _, b := range [][]byte{udpTo(at(near, 1), at(upstream, 53), "x"), segment(at(near, 1), at(upstream, 80), 1, 0, syn, "")} {
		w.fromLAN(b)
		p := w.one(w.atLAN())
		if p.Dst != near || p.ICMPType != 3 || p.ICMPCode != 0 {
			t.Errorf("%v > %v type %d code %d", p.Src, p.Dst, p.ICMPType, p.ICMPCode)
		}
	}
	w.none(w.atWAN())
	if s := w.stats(vserver.KindServer, "any"); w.r.conns.Len() != 0 || s.Total != 0 {
		t.Errorf("%d connections, %+v", w.r.conns.Len(), s)
	}
	if n := w.stackDropped()["stack_no_route"]; n != 2 {
		t.Errorf("counted %v", w.stackDropped())
	}
}

// Of a flow that nobody admits, nobody is told where it would end.
func TestVR14_AnExpiredPacketIsAnsweredOnlyIfItWouldPass(t *testing.T) {
	for _, tc := range []struct {
		name   string
		world  option
		packet []byte
		reason drop.Reason // None: it is answered
	}{
		{"admitted", serving(ipsec0()), segment(at(near, 1), at(far, 80), 1, 0, syn, ""), drop.None},
		{"in pieces", serving(forwarding("site", "10.1.1.0/24")), fragments(udpTo(at(near, 1), at(far, 53), text(200)), 124)[0], drop.None},
		{"nobody listens", serving(ipsec2()), segment(at(near, 1), at(far, 80), 1, 0, syn, ""), drop.NoListener},
		{"nobody listens to pieces", serving(), fragments(udpTo(at(near, 1), at(far, 53), text(200)), 124)[0], drop.NoListener},
		{"another protocol", serving(ipsec0()), udpTo(at(near, 1), at(far, 80), "x"), drop.NoListener},
		{"another VLAN", serving(on(ipsec0(), wanIf)), segment(at(near, 1), at(far, 80), 1, 0, syn, ""), drop.VLANMiss},
		{"disabled", serving(change(ipsec0(), func(s *vserver.Server) { s.Disabled = true })), segment(at(near, 1), at(far, 80), 1, 0, syn, ""), drop.VSDisabled},
		{"rejected", serving(change(ipsec0(), rejecting)), segment(at(near, 1), at(far, 80), 1, 0, syn, ""), drop.VSRejected},
		{"no beginning", serving(ipsec0()), segment(at(near, 1), at(far, 80), 1, 1, ack, ""), drop.NotSYN},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newSites(t, tc.world)
			n := uint64(1)
			if tc.reason == drop.None {
				n = 0
			}
			w.wantDrop(tc.reason, n, func() { w.fromLAN(ttl(tc.packet, 1)) })
			w.none(w.atWAN())
			if n == 1 {
				w.none(w.atLAN())
			} else if p := w.one(w.atLAN()); p.ICMPType != 11 || p.ICMPCode != 0 || p.Dst != near {
				t.Errorf("%v > %v type %d code %d", p.Src, p.Dst, p.ICMPType, p.ICMPCode)
			}
			if n := w.r.conns.Len(); n != 0 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// A traceroute sees us once and the server's side behind us.
func TestVR14_AnExpiredPacketOfAConnectionIsAnsweredInTheSendersAddresses(t *testing.T) {
	w := newSites(t, serving(change(forwarding("site", "10.1.1.0/24"), func(s *vserver.Server) {
		s.SourceTranslation, s.Translations = vserver.TranslateSNAT, []netip.Addr{netip.MustParseAddr("203.0.113.50")}
	})))
	out := udpTo(at(near, 40000), at(far, 53), "x")
	for range 3 {
		w.fromLAN(out)
		left := w.one(w.atWAN())
		w.fromWAN(ttl(udpTo(at(far, 53), at(left.Src, left.SrcPort), "y"), 1))
		p := w.one(w.atWAN())
		q, _ := p.Quote()
		if p.ICMPType != 11 || p.Dst != far || q.Src != far || q.Dst != left.Src || q.DstPort != left.SrcPort {
			t.Errorf("type %d to %v quotes %v > %v:%d", p.ICMPType, p.Dst, q.Src, q.Dst, q.DstPort)
		}
		w.fromLAN(ttl(out, 1))
		p = w.one(w.atLAN())
		if q, _ = p.Quote(); p.ICMPType != 11 || q.Src != near || q.SrcPort != 40000 {
			t.Errorf("type %d quotes %v:%d", p.ICMPType, q.Src, q.SrcPort)
		}
	}
}

func TestIPTTLModePreserveLeavesTheTTLAsItCame(t *testing.T) {
	w := newSites(t, serving(forwarding("site", "10.1.1.0/24")), withFastL4(vserver.FastL4{PreserveTTL: true}))
	for range 4 {
		for _, n := range []uint8{64, 2, 255} {
			w.fromLAN(ttl(udpTo(at(near, 40000), at(far, 53), "x"), n))
			if p := w.one(w.atWAN()); p.TTL() != n {
				t.Errorf("TTL %d, came with %d", p.TTL(), n)
			}
			w.fromWAN(ttl(udpTo(at(far, 53), at(near, 40000), "y"), n))
			if p := w.one(w.atLAN()); p.TTL() != n {
				t.Errorf("TTL %d, came with %d", p.TTL(), n)
			}
		}
	}
	if n := w.r.flows.Stats().Entries; n != 0 {
		t.Errorf("%d flows on the fast path, which takes one from the TTL", n)
	}
	w.fromLAN(ttl(udpTo(at(near, 40000), at(far, 53), "x"), 1)) // or a loop would have no end
	if p := w.one(w.atLAN()); p.ICMPType != 11 {
		t.Errorf("type %d", p.ICMPType)
	}
}

// withTCPOptions puts options into a segment.
func withTCPOptions(b []byte, options ...byte) []byte {
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	t := append(append(append([]byte(nil), b[20:40]...), options...), b[40:]...)
	t[12] = byte(len(t)-len(b)+40) << 2 & 0xf0
	return ip(frame.Addr(b[12:16]), frame.Addr(b[16:20]), frame.ProtoTCP, t)
}

func TestMSSOverrideLowersWhatASYNOffers(t *testing.T) {
	s := segment(at(near, 40000), at(far, 80), 1, 0, syn, "")
	for _, tc := range []struct {
		name    string
		options []byte
		at      int // of the value among the options
		want    uint16
	}{
		{"first", []byte{2, 4, 5, 180}, 2, 1300},
		{"at an odd place", []byte{1, 2, 4, 5, 180}, 3, 1300},
		{"behind others", []byte{8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 4, 2, 1, 2, 4, 255, 255}, 15, 1300},
		{"lower already", []byte{2, 4, 4, 0}, 2, 1024},
		{"the same", []byte{2, 4, 5, 20}, 2, 1300},
		{"behind the end", []byte{0, 0, 0, 0, 2, 4, 5, 180}, 6, 1460},
		{"of a wrong length", []byte{2, 6, 5, 180, 0, 0}, 2, 1460},
		{"behind one without a length", []byte{8, 0, 2, 4, 5, 180}, 4, 1460},
		{"behind one that is too long", []byte{8, 99, 2, 4, 5, 180}, 4, 1460},
		{"cut", []byte{1, 1, 1, 2}, -1, 0},
		{"cut in its length", []byte{1, 1, 2, 4}, -1, 0},
		{"none", nil, -1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newSites(t, serving(ipsec0()), withFastL4(vserver.FastL4{MSSOverride: 1300}))
			b := withTCPOptions(s, tc.options...)
			w.fromLAN(b)
			p := w.one(w.atWAN()) // with the right checksum
			want := append([]byte(nil), b[40:]...)
			if tc.at >= 0 {
				binary.BigEndian.PutUint16(want[tc.at:], tc.want)
			}
			if got := p.Transport()[20:]; string(got) != string(want) {
				t.Errorf("options % x, want % x", got, want)
			}
		})
	}
}

func TestMSSOverrideIsForBothDirectionsAndForSYNsAlone(t *testing.T) {
	mss := func(b []byte) uint16 { return binary.BigEndian.Uint16(b[42:]) }
	for _, as := range []vserver.Translation{vserver.TranslateNone, vserver.Automap} {
		w := newSites(t, serving(change(ipsec0(), func(s *vserver.Server) { s.SourceTranslation = as })), withFastL4(vserver.FastL4{MSSOverride: 1300}))
		w.fromLAN(withTCPOptions(segment(at(near, 40000), at(far, 80), 1, 0, syn, ""), 2, 4, 5, 180))
		left := w.one(w.atWAN())
		w.fromWAN(withTCPOptions(segment(at(far, 80), at(left.Src, left.SrcPort), 1, 2, synAck, ""), 2, 4, 5, 180))
		back := w.one(w.atLAN())
		w.fromLAN(withTCPOptions(segment(at(near, 40000), at(far, 80), 2, 2, ack, "data"), 2, 4, 5, 180))
		data := w.one(w.atWAN())
		if a, b, c := mss(left.Bytes()), mss(back.Bytes()), mss(data.Bytes()); a != 1300 || b != 1300 || c != 1460 {
			t.Errorf("SYN %d, its answer %d, data %d", a, b, c)
		}
	}
	w := newSites(t, serving(ipsec0()))
	w.fromLAN(withTCPOptions(segment(at(near, 40000), at(far, 80), 1, 0, syn, ""), 2, 4, 255, 255))
	p := w.one(w.atWAN())
	if n := mss(p.Bytes()); n != 65535 {
		t.Errorf("%d without mss-override", n)
	}
}

// VR35 is about the path, too: what is too long for it is told (RFC 1191).
func TestVR35_APacketThatMayNotBeCutIsAnsweredWithTheMTU(t *testing.T) {
	w := newSites(t, serving(ipsec0()))
	k := w.talk(true, at(near, 40000), at(far, 80)).shake().chat(2)
	b := k.segment(vserver.Client, ack, text(1500))
	w.fromLAN(b)
	w.none(w.atWAN())
	p := w.one(w.atLAN())
	if mtu := binary.BigEndian.Uint16(p.Transport()[6:]); p.ICMPType != 3 || p.ICMPCode != 4 || mtu != 1500 || p.Dst != near {
		t.Errorf("type %d code %d MTU %d to %v", p.ICMPType, p.ICMPCode, mtu, p.Dst)
	}
	k.chat(2)
}
