package netstack

import (
	"slices"
	"testing"
	"time"

	"spigate/alg/ipsec"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// unbind takes the ALG profile from the group.
func (w *world) unbind() {
	groups := testLSN().Groups
	groups[0].ALGProfile = ""
	w.r.SetProfiles(groups, map[string]ipsec.Profile{"P": ipsec.DefaultProfile()})
}

func TestAfterUnbindingAnOpenGateBindsNothing_R11(t *testing.T) {
	w := newWorld(t)
	old, a, b := w.tunnel(client1, 0x1000), w.tunnel(client1, 0x2000), w.tunnel(client2, 0x3000)
	old.up()
	old.traffic()
	a.server, b.server = server2, server2
	a.init()
	b.init()
	w.one(a.ask()) // both gates of a are open
	w.none(b.ask())
	w.wantDrop(drop.IKEFlushed, 1, w.unbind)
	if gates := slices.Collect(w.r.alg.Gates(ipsec.Filter{})); len(gates) != 0 {
		t.Errorf("gates are left: %+v", gates)
	}
	a.reply() // IKE is plain UDP now, on the mapping that it had
	w.wantDrop(drop.ESPNoGateIn, 1, func() { w.fromWAN(a.in()) })
	w.wantDrop(drop.ProtocolUnsupported, 1, func() { w.fromLAN(a.out()) })
	for range 10 { // what was established lives until it is idle
		w.advance(10 * time.Minute)
		old.traffic()
	}
	w.advance(61 * time.Minute)
	w.wantDrop(drop.ESPStaleSPI, 1, func() { w.fromWAN(old.in()) })
}

func TestAfterUnbindingAnIKEMappingHasTheTimerOfPlainUDP_R11(t *testing.T) {
	w := newWorld(t)
	a := w.tunnel(client1, 0x1000)
	a.init()
	w.unbind()
	for range 50 { // past the end of the IKE session that the ALG knew
		w.advance(100 * time.Second)
		w.fromLAN(a.say(2, a.id+1, 37, flagV2Init, 2))
		if p := w.one(w.atWAN()); p.SrcPort != a.nat {
			t.Fatalf("IKE moved from port %d to %d", a.nat, p.SrcPort)
		}
	}
	w.advance(122 * time.Second)
	w.advance(time.Second)
	if n := w.r.lsn.Stats().Mappings; n != [3]int{} {
		t.Errorf("mappings of TCP, UDP and ICMP are left: %v", n)
	}
}

// oneMapping gives all UDP of a subscriber one mapping for each inside port.
func oneMapping(c *Config) {
	c.LSN.Groups[0].Apps = []lsn.AppProfile{{Name: "EIM", Proto: frame.ProtoUDP, Pooling: lsn.Paired, Mapping: lsn.EIM}}
}

func TestTheEndOfIKELeavesPlainUDPOnItsMapping_R47(t *testing.T) {
	initiate := func(k *tunnel) { k.w.fromLAN(k.say(2, 0, ikeSAInit, flagV2Init, 0)) }
	plain := func(to frame.Endpoint) func(w *world) {
		return func(w *world) { w.fromLAN(udpTo(at(client1, 500), to, "no IKE")) }
	}
	for name, c := range map[string]struct {
		use      func(w *world) // of the mapping, beside IKE
		survives bool
	}{
		"nothing else":                       {func(w *world) { w.fromLAN(udpTo(at(client1, 501), at(server, 53), "another mapping")) }, false},
		"another port":                       {plain(at(server2, 7777)), true},
		"port 500 of the server without IKE": {plain(at(server, 500)), true},
	} {
		for end, finish := range map[string]func(w *world){
			"idle":  func(w *world) { w.advance(32 * time.Second) },
			"flush": func(w *world) { w.r.FlushALG(ipsec.Filter{Inside: client1}) },
		} {
			t.Run(name+", "+end, func(t *testing.T) {
				w := newWorld(t, oneMapping)
				k := w.tunnel(client1, 0x1000)
				initiate(k)
				k.nat = w.one(w.atWAN()).SrcPort
				mapping := k.mappingOf()
				w.advance(time.Second)
				c.use(w)
				w.one(w.atWAN())
				finish(w)
				if n := w.r.alg.Counters().IKESessions; n != 0 {
					t.Fatalf("%d IKE sessions", n)
				}
				if _, ok := w.r.lsn.FindMapping(mapping); ok != c.survives {
					t.Fatalf("the mapping lives: %v", ok)
				}
				if !c.survives {
					return
				}
				c.use(w)
				if p := w.one(w.atWAN()); p.SrcPort != k.nat {
					t.Errorf("plain UDP moved from port %d to %d", k.nat, p.SrcPort)
				}
				w.advance(119 * time.Second) // and has its own timer
				c.use(w)
				if p := w.one(w.atWAN()); p.SrcPort != k.nat {
					t.Errorf("plain UDP moved from port %d to %d", k.nat, p.SrcPort)
				}
				w.advance(122 * time.Second)
				w.advance(time.Second)
				if _, ok := w.r.lsn.FindMapping(mapping); ok {
					t.Error("the mapping never ends")
				}
			})
		}
	}
}
