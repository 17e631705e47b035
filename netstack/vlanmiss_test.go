package netstack

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

func TestVR46_AMissSaysWhatCameLastAndHowOften(t *testing.T) {
	w := newSites(t, serving(on(forwarding("site", "10.2.1.0/24"), lanIf, otherIf)))
	w.advance(5 * time.Second)
	for i := range 7 {
		w.fromWAN(udpTo(at(far, uint16(i)), at(near, 53), "x"))
		w.advance(time.Second)
	}
	w.fromWAN(esp(far, near2, 0x1000, 1, "x"))
	m := w.r.VLANMisses()
	if len(m) != 1 {
		t.Fatalf("missed %+v", m)
	}
	want := fmt.Sprintf("%+v", VLANMiss{
		Kind: vserver.KindServer, Server: "site", In: wanIf, Listens: []frame.Interface{lanIf, otherIf}, Proto: frame.ProtoESP,
		Src: netip.AddrPortFrom(far.Netip(), 0), Dst: netip.AddrPortFrom(near2.Netip(), 0), Count: 8, At: w.r.now(),
	})
	if got := fmt.Sprintf("%+v", m[0]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Everything that has VLANs can be missed, and is by its kind and name.
func TestVR46_NATsAndSNATsAreMissedToo(t *testing.T) {
	only := vserver.VLANs{Enabled: true, List: []frame.Interface{otherIf}}
	for kind, world := range map[vserver.Kind]option{
		vserver.KindNAT: func(c *Config) {
			c.Listeners.NATs = []vserver.NAT{{Name: "x", Originating: near.Netip(), Translation: netip.MustParseAddr("203.0.113.77"), VLANs: only}}
		},
		vserver.KindSNAT: func(c *Config) {
			c.Listeners.SNATs = []vserver.SNAT{{Name: "x", Origins: prefixes("10.2.1.0/24"), Automap: true, VLANs: only}}
		},
	} {
		w := newSites(t, world)
		w.wantDrop(drop.VLANMiss, 1, func() { w.fromLAN(udpTo(at(near, 1), at(far, 53), "x")) })
		if m := w.r.VLANMisses(); len(m) != 1 || m[0].Kind != kind || m[0].Server != "x" || m[0].In != lanIf {
			t.Errorf("%v: missed %+v", kind, m)
		}
	}
}

// A wildcard server does not hide that the NAT of the address was missed.
func TestVR46_ANATThatIsMissedIsNamedThoughAWildcardServerIsThere(t *testing.T) {
	w := newSites(t, serving(forwarding("any", "0.0.0.0/0")), func(c *Config) {
		c.Listeners.NATs = []vserver.NAT{{
			Name: "n", Originating: near.Netip(), Translation: netip.MustParseAddr("203.0.113.77"),
			VLANs: vserver.VLANs{Enabled: true, List: []frame.Interface{otherIf}},
		}}
	})
	w.wantDrop(drop.VLANMiss, 1, func() { w.fromWAN(udpTo(at(server, 1), at(addr("203.0.113.77"), 53), "x")) })
	if m := w.r.VLANMisses(); len(m) != 1 || m[0].Kind != vserver.KindNAT || m[0].Server != "n" {
		t.Errorf("missed %+v", m)
	}
	w.tagged(otherTag, udpTo(at(server, 1), at(addr("203.0.113.77"), 53), "x"))
	if p := w.one(w.atLAN()); p.Dst != near {
		t.Errorf("for %v", p.Dst)
	}
}

// One that loses to somebody who admits is not missed.
func TestVR46_WhatIsAdmittedElsewhereIsNoMiss(t *testing.T) {
	w := newSites(t, serving(on(forwarding("site", "10.2.1.0/24"), lanIf), forwarding("any", "0.0.0.0/0")))
	w.fromWAN(udpTo(at(far, 1), at(near, 53), "x"))
	w.one(w.atLAN())
	if m := w.r.VLANMisses(); len(m) != 0 {
		t.Errorf("missed %+v", m)
	}
}

func TestVR46_MissesCostBoundedMemoryAndALogLineAMinute(t *testing.T) {
	var servers []vserver.Server
	for i := range 100 {
		servers = append(servers, on(forwarding(fmt.Sprint("s", i), fmt.Sprintf("10.2.1.%d/32", i+100)), lanIf))
	}
	w := newSites(t, serving(servers...))
	lines := func() int { return strings.Count(w.log.String(), "does not listen on") }
	for range 5 {
		for i := range 100 {
			w.fromWAN(udpTo(at(far, 1), at(frame.Addr{10, 2, 1, byte(i + 100)}, 53), "x"))
		}
	}
	if m := w.r.VLANMisses(); len(m) != maxMisses || lines() != maxMisses {
		t.Errorf("%d are kept, %d lines in the log", len(m), lines())
	}
	w.advance(61 * time.Second)
	for range 3 {
		w.fromWAN(udpTo(at(far, 1), at(frame.Addr{10, 2, 1, 100}, 53), "x"))
	}
	if n := lines(); n != maxMisses+1 {
		t.Errorf("%d lines in the log after a minute", n)
	}
	if n := w.dropped()["vlan_miss"]; n != 503 {
		t.Errorf("%d counted", n)
	}
}

func TestVR46_AReloadForgetsTheMisses(t *testing.T) {
	w := newSites(t, serving(on(ipsec2(), lanIf)))
	w.fromWAN(tcpTo(at(far, 1), at(near, 22), syn, ""))
	s := w.on(natAddr)
	s.Listeners.Servers = []vserver.Server{ipsec2()}
	w.reload(s)
	if m := w.r.VLANMisses(); len(m) != 0 {
		t.Errorf("missed %+v", m)
	}
	w.fromWAN(tcpTo(at(far, 1), at(near, 22), syn, ""))
	w.one(w.atLAN())
}

func TestVR46_AnExpiredAttemptIsAMissAsWell(t *testing.T) {
	w := newSites(t, serving(on(ipsec2(), lanIf)))
	w.wantDrop(drop.VLANMiss, 1, func() { w.fromWAN(ttl(tcpTo(at(far, 1), at(near, 22), syn, ""), 1)) })
	if m := w.r.VLANMisses(); len(m) != 1 {
		t.Errorf("missed %+v", m)
	}
}
