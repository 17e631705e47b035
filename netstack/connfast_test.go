package netstack

import (
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

func TestAnEstablishedConnectionTakesTheFastPathAndIsCountedExactly_VR39(t *testing.T) {
	for _, tr := range everyTranslation() {
		t.Run(tr.name, func(t *testing.T) {
			w := tr.world(t)
			k := w.dialog(tr.from, tr.client, tr.remote)
			if k.peer[0].Addr != tr.outside {
				t.Fatalf("the remote side sees %v, want %v", k.peer[0], tr.outside)
			}
			k.chat(2)
			if n := w.hits(func() { k.chat(5) }); n != 10 {
				t.Errorf("%d hits of 10 packets", n)
			}
			k.counted(tr.kind, tr.listener)
			k.chat(3)
			k.closes()
			k.counted(tr.kind, tr.listener)
			w.advance(7 * time.Second) // tcp-close-timeout
			k.counted(tr.kind, tr.listener)
			if n := w.r.conns.Len(); n != 0 {
				t.Errorf("%d connections left", n)
			}
			if owners := w.flowOwners(); len(owners) != 0 {
				t.Errorf("flows left of %v", owners)
			}
			if len(w.dropped()) != 0 {
				t.Errorf("drops: %v", w.dropped())
			}
		})
	}
}

// A RST ends the connection, and with it the flows, at the packet: what the fast
// path had counted is not lost (VR16, VR17).
func TestARSTBehindFastPathDataIsBelievedInItsWindowOnly_VR17(t *testing.T) {
	for _, tr := range everyTranslation() {
		for side := range 2 {
			t.Run(tr.name+map[int]string{0: " of the client", 1: " of the remote side"}[side], func(t *testing.T) {
				w := tr.world(t)
				k := w.dialog(tr.from, tr.client, tr.remote)
				k.chat(2)
				if n := w.hits(func() { k.chat(20) }); n != 40 {
					t.Fatalf("%d hits of 40 packets", n)
				}
				lives := func() bool {
					n := 0
					w.r.conns.Walk(w.r.now(), func(vserver.Info) bool { n++; return true })
					return n == 1
				}
				forged := *k
				forged.next[side] -= 1000 // before all that was acknowledged
				b := forged.segment(side, frame.TCPRst, "")
				k.out(side, b)
				k.count[side].Packets++
				k.count[side].Bytes += uint64(len(b))
				if !lives() {
					t.Fatal("a RST from long ago ended it")
				}
				k.sends(side, frame.TCPRst, "")
				if lives() {
					t.Fatal("the RST was not believed")
				}
				k.counted(tr.kind, tr.listener)
				if owners := w.flowOwners(); len(owners) != 0 {
					t.Errorf("flows left of %v", owners)
				}
				if s := w.listenerStats(tr.kind, tr.listener); s.Resets != 1 || s.Current != 0 {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

// Q14: idle for 300 s, both ends get a RST with the number that each one wants
// next, after data that only the fast path has seen.
func TestIdleForTooLongBothEndsGetTheRightRST_Q14(t *testing.T) {
	for _, tr := range everyTranslation() {
		if tr.kind == vserver.KindNAT {
			continue // it resets none
		}
		t.Run(tr.name, func(t *testing.T) {
			w := tr.world(t)
			k := w.dialog(tr.from, tr.client, tr.remote)
			k.chat(2)
			if n := w.hits(func() { k.chat(20) }); n != 40 {
				t.Fatalf("%d hits of 40 packets", n)
			}
			k.sends(0, ack, "not acknowledged")
			w.lan.Drain()
			w.wan.Drain()
			w.advance(303 * time.Second)
			seq, acked := k.resetIn(w.atLAN(), 0)
			if seq != k.next[1] || acked != k.next[0] {
				t.Errorf("the client got seq %d ack %d, want %d, %d", seq, acked, k.next[1], k.next[0])
			}
			seq, acked = k.resetIn(w.atWAN(), 1)
			if want := k.next[0] - uint32(len("not acknowledged")); seq != want || acked != k.next[1] {
				t.Errorf("the remote side got seq %d ack %d, want %d, %d", seq, acked, want, k.next[1])
			}
			k.counted(tr.kind, tr.listener)
			if len(w.dropped()) != 0 {
				t.Errorf("drops: %v", w.dropped())
			}
		})
	}
}

// VR11: the server goes, and with it the connection, at once.
func TestAConnectionWhoseListenerIsGoneIsResetWithTheRightNumbers_VR11(t *testing.T) {
	for _, tr := range everyTranslation() {
		t.Run(tr.name, func(t *testing.T) {
			var c Config
			w := tr.world(t, func(full *Config) { c = *full })
			k := w.dialog(tr.from, tr.client, tr.remote)
			k.chat(2)
			if n := w.hits(func() { k.chat(20) }); n != 40 {
				t.Fatalf("%d hits of 40 packets", n)
			}
			k.sends(0, ack, "")
			l := w.r.conns.Listeners().Find(tr.kind, tr.listener)
			gone := Settings{LSN: c.LSN, Profiles: c.Profiles}
			w.lan.Drain()
			w.wan.Drain()
			w.reload(gone)
			lan, wan := ipv4In(w.lan.Drain()), ipv4In(w.wan.Drain())
			if tr.kind == vserver.KindNAT {
				w.none(lan)
				w.none(wan)
			} else {
				for side, got := range [][][]byte{lan, wan} {
					if seq, acked := k.resetIn(got, side); seq != k.next[1-side] || acked != k.next[side] {
						t.Errorf("side %d got seq %d ack %d, want %d, %d", side, seq, acked, k.next[1-side], k.next[side])
					}
				}
			}
			if owners := w.flowOwners(); len(owners) != 0 {
				t.Errorf("flows left of %v", owners)
			}
			s := l.Counters().Stats()
			in, out := vserver.Traffic{Packets: s.PacketsIn, Bytes: s.BytesIn}, vserver.Traffic{Packets: s.PacketsOut, Bytes: s.BytesOut}
			if in != k.count[0] || out != k.count[1] {
				t.Errorf("counted %+v, %+v, sent %+v", in, out, k.count)
			}
			if tr.name == "lsn" {
				return // the group has its subscribers: the packet is its own
			}
			why := drop.NotSYN // and told once more
			if tr.kind == vserver.KindNAT {
				why = drop.NoListener
			}
			w.wantDrop(why, 1, func() { w.none(k.out(0, k.segment(0, ack, "x"))) })
		})
	}
}

// A client that uses a port again at once opens a new connection, whose
// translated side is free for it.
func TestAClosedConnectionsPortsOpenAnother_VR16(t *testing.T) {
	for _, tr := range everyTranslation() {
		t.Run(tr.name, func(t *testing.T) {
			w := tr.world(t)
			k := w.dialog(tr.from, tr.client, tr.remote)
			k.chat(3)
			k.closes()
			again := w.dialog(tr.from, tr.client, tr.remote)
			if again.peer[0] != k.peer[0] {
				t.Errorf("seen as %v and then as %v", k.peer[0], again.peer[0])
			}
			again.chat(3)
			for side := range 2 {
				again.count[side].Packets += k.count[side].Packets
				again.count[side].Bytes += k.count[side].Bytes
			}
			again.counted(tr.kind, tr.listener)
			if s := w.listenerStats(tr.kind, tr.listener); s.Total != 2 || s.Current != 1 {
				t.Errorf("%+v", s)
			}
			if len(w.dropped()) != 0 {
				t.Errorf("drops: %v", w.dropped())
			}
		})
	}
}

// Two domains have the same addresses everywhere: their connections, and the
// flows of these, are told apart.
func TestConnectionsOfTwoDomainsHaveNothingInCommon(t *testing.T) {
	d, err := newTwoDomains(t, func(_ *ChassisConfig, routers []RouterConfig) {
		for i := range routers {
			s := vserver.SNAT{Name: "s", Origins: prefixes("192.0.2.0/24"), Translations: netips(snatOut)}
			routers[i].LSN, routers[i].Listeners.SNATs = lsn.Config{}, []vserver.SNAT{s}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	out, in := udpTo(at(client1, 40000), at(server, 53), "question"), udpTo(at(server, 53), at(snatOut, 40000), "answer")
	before := d.ch.Flows().Stats().Hits
	for n := range 4 {
		for _, tag := range []uint16{0, red} {
			d.put(0, tag, out)
			if b := got(d.wan)[tag]; len(b) != 1 || view(b[0][14:]).Src != snatOut {
				t.Fatalf("%d of tag %d: % x", n, tag, b)
			}
			d.put(1, tag, in)
			if b := got(d.lan)[tag]; len(b) != 1 || view(b[0][14:]).Dst != client1 {
				t.Fatalf("answer %d of tag %d: % x", n, tag, b)
			}
		}
	}
	if n := d.ch.Flows().Stats().Hits - before; n < 8 {
		t.Errorf("%d hits", n)
	}
	one, other := d.ch.Routers()[0], d.ch.Routers()[1]
	if n := one.Connections().Remove(func(vserver.Info) bool { return true }, one.Now(), nil); n != 1 {
		t.Errorf("%d connections ended", n)
	}
	if n := d.ch.Flows().Stats().Entries; n != 2 || other.Connections().Len() != 1 {
		t.Errorf("%d flows and %d connections are left of the other domain", n, other.Connections().Len())
	}
	d.clock.Advance(time.Second)
	for i, r := range []*Router{one, other} {
		s := r.Connections().Listeners().Find(vserver.KindSNAT, "s").Counters().Stats()
		if s.PacketsIn != 4 || s.PacketsOut != 4 || s.Current != int64(i) {
			t.Errorf("router %d: %+v", i, s)
		}
	}
}

func TestAutomapWithoutAnAddressOnTheWayOutRefuses(t *testing.T) {
	w := office(t, automapping())
	if g := w.r.automap(way{out: 99, next: server}, vserver.PreservePort); !g.none {
		t.Errorf("%+v", g)
	}
}
