package netstack

import (
	"net/netip"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// What is left of a connection after a restart is a segment without SYN. Its
// sender gets the RST that RFC 9293, section 3.10.7.1, has for a closed port.
func TestQ13_ASegmentOfNoConnectionIsAnsweredWithTheRightReset(t *testing.T) {
	c, s := at(near, 40000), at(far, 80)
	for _, tc := range []struct {
		name  string
		flags uint8
		text  string
		want  rst // without addresses
	}{
		{"an acknowledgement", ack, "", rst{seq: 77, flags: frame.TCPRst}},
		{"data", ack, "four", rst{seq: 77, flags: frame.TCPRst}},
		{"a FIN", ack | frame.TCPFin, "x", rst{seq: 77, flags: frame.TCPRst}},
		{"an answer to a SYN", synAck, "", rst{seq: 77, flags: frame.TCPRst}},
		{"data that acknowledges nothing", 0, "four", rst{ack: 9004, flags: frame.TCPRst | ack}},
		{"a lone FIN", frame.TCPFin, "", rst{ack: 9001, flags: frame.TCPRst | ack}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newSites(t, serving(ipsec0()))
			tc.want.from, tc.want.to = s, c
			w.wantDrop(drop.NotSYN, 1, func() { w.fromLAN(segment(c, s, 9000, 77, tc.flags, tc.text)) })
			if got := w.resets(w.atLAN()); len(got) != 1 || got[0] != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			w.none(w.atWAN())
			if n := w.r.conns.Len(); n != 0 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestQ13_SomeSegmentsOfNoConnectionAreNotAnswered(t *testing.T) {
	c, s := at(near, 40000), at(far, 80)
	for _, tc := range []struct {
		name   string
		packet []byte
		world  option
		reason drop.Reason
	}{
		{"a RST", segment(c, s, 1, 1, frame.TCPRst, ""), serving(ipsec0()), drop.NotSYN},
		{"a RST that acknowledges", segment(c, s, 1, 1, frame.TCPRst|ack, ""), serving(ipsec0()), drop.NotSYN},
		{"nobody listens", segment(c, s, 1, 1, ack, ""), serving(ipsec2()), drop.NoListener},
		{"another VLAN", segment(c, s, 1, 1, ack, ""), serving(on(ipsec0(), wanIf)), drop.VLANMiss},
		{"disabled", segment(c, s, 1, 1, ack, ""), serving(change(ipsec0(), func(s *vserver.Server) { s.Disabled = true })), drop.VSDisabled},
		{"tm.rejectunmatched is false", segment(c, s, 1, 1, ack, ""),
			func(c *Config) { serving(ipsec0())(c); c.KeepSilent = true }, drop.NotSYN},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newSites(t, tc.world)
			w.wantDrop(tc.reason, 1, func() { w.fromLAN(tc.packet) })
			w.none(w.atLAN())
			w.none(w.atWAN())
		})
	}
}

func TestQ13_LooseInitializationPicksAConnectionUp(t *testing.T) {
	for _, first := range []vserver.Side{vserver.Client, vserver.Remote} {
		w := newSites(t, serving(ipsec0(), ipsec2()), withFastL4(vserver.FastL4{LooseInitialization: true}))
		w.wantDrop(drop.NotSYN, 1, func() { w.fromLAN(segment(at(near, 40000), at(far, 80), 5, 0, frame.TCPRst, "")) })
		k := w.talk(true, at(near, 40000), at(far, 80))
		k.say(first, ack, "I was here before")
		k.say(1-first, ack, "so was I")
		k.chat(3)
		if w.r.flows.Stats().Hits == 0 {
			t.Error("no segment took the fast path")
		}
		w.wait(302)
		k.resetBoth() // the numbers of the middle are as good as those of a beginning
	}
}

// Both ends are told when 300 s are over, and then whoever still sends.
func TestQ14_AnIdleConnectionIsResetAtBothEndsWithTheirNumbers(t *testing.T) {
	for name, chat := range map[string]func(*talk){
		"by the stack":             func(k *talk) {},
		"one segment":              func(k *talk) { k.say(vserver.Client, ack, "x") },
		"one that is not answered": func(k *talk) { k.say(vserver.Remote, ack, "x") },
		"by the fast path":         func(k *talk) { k.chat(20) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newSites(t, serving(ipsec0()))
			k := w.talk(true, at(near, 40000), at(far, 80)).shake()
			chat(k)
			w.wait(299)
			w.none(w.atLAN())
			w.none(w.atWAN())
			k.say(vserver.Client, ack, "a little late")
			chat(k)
			w.wait(299)
			w.none(w.atLAN())
			w.none(w.atWAN())
			w.wait(3)
			k.resetBoth()
			if n, flows := w.r.conns.Len(), w.r.flows.Stats().Entries; n != 0 || flows != 0 {
				t.Errorf("%d connections and %d flows are left", n, flows)
			}
			w.wantDrop(drop.NotSYN, 1, func() { w.fromLAN(k.segment(vserver.Client, ack, "too late")) })
			want := rst{k.ends[1], k.ends[0], k.next[1], 0, frame.TCPRst}
			if got := w.resets(w.atLAN()); len(got) != 1 || got[0] != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			w.wantDrop(drop.NotSYN, 1, func() { w.fromWAN(k.segment(vserver.Remote, ack, "too late")) })
			want = rst{k.ends[0], k.ends[1], k.next[0], 0, frame.TCPRst}
			if got := w.resets(w.atWAN()); len(got) != 1 || got[0] != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if s := w.stats(vserver.KindServer, "ipsec-0"); s.Expired != 1 || s.Current != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Traffic of the fast path alone keeps a connection, for as long as it lasts.
func TestQ14_TheFastPathKeepsAConnectionAlive(t *testing.T) {
	w := newSites(t, serving(ipsec0()))
	k := w.talk(true, at(near, 40000), at(far, 80)).shake().chat(2)
	for range 12 {
		w.wait(100)
		k.say(vserver.Client, ack, "still here")
	}
	w.wait(302)
	k.resetBoth()
	w.traffic("ipsec-0", k.packets, k.bytes)
}

func TestQ14_NobodyIsToldOfWhatIsNoIdleTCP(t *testing.T) {
	for _, tc := range []struct {
		name string
		p    vserver.FastL4
		do   func(w *world)
	}{
		{"UDP", vserver.FastL4{}, func(w *world) {
			w.fromLAN(udpTo(at(near, 1), at(far, 53), "x"))
			w.fromWAN(udpTo(at(far, 53), at(near, 1), "x"))
		}},
		{"ICMP", vserver.FastL4{}, func(w *world) { w.fromLAN(echo(near, far, 8, 1, "x")) }},
		{"half-open TCP", vserver.FastL4{}, func(w *world) {
			w.fromLAN(segment(at(near, 1), at(far, 80), 1, 0, syn, ""))
			w.fromWAN(segment(at(far, 80), at(near, 1), 1, 2, synAck, ""))
		}},
		{"closed TCP", vserver.FastL4{}, func(w *world) { w.talk(true, at(near, 1), at(far, 80)).shake().part() }},
		{"reset TCP", vserver.FastL4{}, func(w *world) {
			w.talk(true, at(near, 1), at(far, 80)).shake().say(vserver.Remote, frame.TCPRst|ack, "")
		}},
		{"without reset-on-timeout", vserver.FastL4{ResetOnTimeout: vserver.Off}, func(w *world) { w.talk(true, at(near, 1), at(far, 80)).shake() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newSites(t, serving(forwarding("site", "10.1.1.0/24")), withFastL4(tc.p))
			tc.do(w)
			w.atLAN()
			w.atWAN()
			w.wait(302)
			w.none(w.atLAN())
			w.none(w.atWAN())
			if n := w.r.conns.Len(); n != 0 {
				t.Errorf("%d connections are left", n)
			}
		})
	}
}

func TestQ14_IndefiniteNeverEndsAndOthersEndAtTheirTime(t *testing.T) {
	w := newSites(t, serving(ipsec0()), withFastL4(vserver.FastL4{IdleTimeout: vserver.Indefinite}))
	k := w.talk(true, at(near, 40000), at(far, 80)).shake().chat(2)
	w.advance(3 * time.Hour)
	w.wait(2)
	k.chat(1)
	w = newSites(t, serving(ipsec0()), withFastL4(vserver.FastL4{IdleTimeout: 20 * time.Second}))
	k = w.talk(true, at(near, 40000), at(far, 80)).shake().chat(2)
	w.wait(19)
	w.none(w.atLAN())
	w.wait(3)
	k.resetBoth()
}

// Each end is told in the addresses that it knows, whoever translates.
func TestQ14_ATranslatedConnectionIsResetInTheAddressesOfEachSide(t *testing.T) {
	outside := addr("203.0.113.50")
	for _, tc := range []struct {
		name   string
		client frame.Addr
		as     frame.Addr
		world  option
	}{
		{"snat of the server", near, outside, serving(change(ipsec0(), func(s *vserver.Server) {
			s.SourceTranslation, s.Translations = vserver.TranslateSNAT, []netip.Addr{outside.Netip()}
		}))},
		{"automap", near, wanAddr, serving(change(ipsec0(), func(s *vserver.Server) { s.SourceTranslation = vserver.Automap }))},
		{"a subscriber as he is", client1, client1, serving(forwarding("plain", "10.1.1.0/24"))},
	} {
		for _, rounds := range []int{0, 10} {
			t.Run(tc.name, func(t *testing.T) {
				w := newSites(t, tc.world)
				w.neighbor(lanIf, client1)
				k := w.talk(true, at(tc.client, 40000), at(far, 80))
				b := k.segment(vserver.Client, syn, "")
				p := w.one(k.give(vserver.Client, b))
				if p.Src != tc.as {
					t.Fatalf("leaves as %v", p.Src)
				}
				k.sent(vserver.Client, syn, b)
				k.seen[vserver.Client] = at(p.Src, p.SrcPort)
				k.say(vserver.Remote, synAck, "")
				k.say(vserver.Client, ack, "")
				k.chat(rounds)
				w.wait(302)
				k.resetBoth()
			})
		}
	}
}
