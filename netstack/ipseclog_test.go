package netstack

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"spigate/netstack/drop"
	tunnels "spigate/netstack/ipsec"
	ikev2 "spigate/netstack/ipsec/ike"
	"spigate/netstack/keying"
)

// lines are those of the log that hold a text.
func (w *world) lines(text string) (out []string) {
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, text) {
			out = append(out, line)
		}
	}
	return out
}

func (w *world) wantLine(holds ...string) {
	w.t.Helper()
	for _, line := range w.lines(holds[0]) {
		all := true
		for _, h := range holds {
			all = all && strings.Contains(line, h)
		}
		if all {
			return
		}
	}
	w.t.Errorf("no line with %q in\n%s", holds, w.log)
}

func TestSPIsOfNobodyAreLoggedAFewTimes(t *testing.T) {
	e := withEnd(t, nil)
	flood := func(n uint32) {
		for i := range n {
			e.w.fromWAN(esp(endThere, endHere, 0x5000+i, 1, "to nobody"))
		}
	}
	e.w.wantDrop(drop.NoSA, 100, func() { flood(100) })
	if n := len(e.w.lines("SPI of nobody")); n != fewLines {
		t.Errorf("%d lines at once, want %d", n, fewLines)
	}
	e.w.wantLine("SPI of nobody", "spi=00005000", "from=198.51.100.200", "to=198.51.100.1", "remedy=")
	e.w.advance(11 * time.Second)
	flood(2)
	if n := len(e.w.lines("SPI of nobody")); n != fewLines+1 {
		t.Errorf("%d lines ten seconds later, want one more", n)
	}
	e.w.wantLine("SPI of nobody", "left_out=95")
	e.w.advance(time.Hour)
	flood(100)
	if n := len(e.w.lines("SPI of nobody")); n != 2*fewLines+1 {
		t.Errorf("%d lines after an hour, want %d more", n, fewLines)
	}
}

// VR32: SPI and 5-tuple.
func TestVR32_WhatAnSAWasNotMadeForIsLoggedWithItsFlow(t *testing.T) {
	e := withEnd(t, nil)
	e.w.fromWAN(e.seals(udpTo(at(server, 53), at(near, 9), "from elsewhere")))
	e.w.wantLine("its SA was not made for", fmt.Sprintf("spi=%08x", uint32(testSPI)), "proto=17", "src="+at(server, 53).String(), "dst="+at(near, 9).String(), "remedy=")
}

func TestVR32_WhatCameInClearIsLoggedWithItsSelector(t *testing.T) {
	e := withEnd(t, nil, func(c *Config) { c.Domain = 7; c.Ports[0].VLANs[0].Domain, c.Ports[1].VLANs[0].Domain = 7, 7 })
	for range 20 {
		e.w.fromWAN(udpTo(at(far, 53), at(near, 9), "in clear"))
	}
	e.w.wantLine("came in clear", "selector=S", "vlan=outside", "proto=17", "src="+at(far, 53).String(), "dst="+at(near, 9).String(), "td=7", "remedy=")
	if n := len(e.w.lines("came in clear")); n != fewLines {
		t.Errorf("%d lines, want %d", n, fewLines)
	}
}

func TestSelectorsCountWhatTheyDecideInARouter(t *testing.T) {
	of := func(name, src, dst string, a tunnels.Action) tunnels.TrafficSelector {
		return tunnels.TrafficSelector{Name: name, Order: -1, Action: a, Source: netip.MustParsePrefix(src), Destination: netip.MustParsePrefix(dst)}
	}
	e := withEnd(t, nil, func(c *Config) {
		c.IPsec.Selectors = append(c.IPsec.Selectors, of("shut", "10.2.1.0/24", "10.1.1.77/32", tunnels.ActDiscard), of("open", "10.2.1.0/24", "10.1.1.78/32", tunnels.ActBypass))
	})
	for range 2 {
		e.w.fromLAN(udpTo(at(near, 9), at(addr("10.1.1.77"), 9), "shut"))
	}
	e.w.fromLAN(udpTo(at(near, 9), at(addr("10.1.1.78"), 9), "open"))
	e.w.fromWAN(udpTo(at(far, 9), at(near, 9), "in clear"))
	e.w.fromLAN(udpTo(at(near, 9), at(far, 9), "sealed"))
	e.w.fromWAN(e.seals(udpTo(at(far, 9), at(near, 9), "opened")))
	got := map[string]tunnels.SelectorInfo{}
	for _, i := range e.w.r.IPsec().Selectors() {
		got[i.Name] = i
	}
	s := got["S"]
	if got["shut"].Discarded != 2 || got["open"].Bypassed != 1 || s.InClear != 1 || s.Out.Packets != 1 || s.In.Packets != 1 {
		t.Errorf("%+v", got)
	}
	if n := e.w.r.IPsec().Totals().Asked; n[tunnels.SelectorMiss] != 0 {
		t.Errorf("misses %v", n)
	}
}

func TestMissesOfWhatNeedsProtectionAreCounted(t *testing.T) {
	wild := withEnd(t, nil, func(c *Config) {
		c.Listeners.Servers = append(c.Listeners.Servers, forwarding("wild", "0.0.0.0/0"))
		required(c)
	})
	wild.w.fromLAN(udpTo(at(near, 9), at(server, 9), "to another place"))
	over := withEnd(t, nil, func(c *Config) {
		hereTunnel().overIf(c)
		c.IPsec.Selectors[0].Destination = netip.MustParsePrefix("10.1.1.128/25")
	})
	over.w.fromLAN(udpTo(at(near, 9), at(far, 9), "into the interface"))
	for name, w := range map[string]*world{"required": wild.w, "interface": over.w} {
		if n := w.r.IPsec().Totals().Asked[tunnels.SelectorMiss]; n != 1 || w.r.drops.Get(drop.SelectorMiss) != 1 {
			t.Errorf("%s: %d misses, dropped %v", name, n, w.dropped())
		}
	}
}

func TestEventsOfIKEAreLoggedWithLevelAndRemedy(t *testing.T) {
	w := newWorld(t)
	from := netip.AddrPortFrom(endThere.Netip(), 500)
	to := netip.AddrPortFrom(endHere.Netip(), 500)
	w.r.logIKE(ikev2.Event{At: w.r.now(), Kind: ikev2.ChildUp, Peer: "gw2", Child: "lan", IKE: 3, Local: to, Remote: from, In: 0x1001, Out: 0x2002, Reason: "aes128-gcm"})
	w.wantLine("CHILD UP", "level=INFO", "peer=gw2", "selector=lan", "ike_sa=3", "spi_in=00001001", "spi_out=00002002", "local=198.51.100.1:500", "remote=198.51.100.200:500")
	for _, kind := range []ikev2.EventKind{ikev2.IKEFailed, ikev2.ChildFailed, ikev2.PeerDead, ikev2.Ignored, ikev2.Refused, ikev2.IKEv1Refused} {
		w.r.logIKE(ikev2.Event{At: w.r.now(), Kind: kind, Peer: "gw2", Local: to, Remote: from, Reason: "it is so", Remedy: "do that"})
		w.wantLine(kind.String(), "level=WARN", `reason="it is so"`, `remedy="do that"`)
	}
	w.r.logIKE(ikev2.Event{At: w.r.now(), Kind: ikev2.ChildFailed, Peer: "roadwarrior", Reason: "the peer has to begin"})
	if lines := w.lines("the peer has to begin"); len(lines) != 1 || strings.Contains(lines[0], "local=") || strings.Contains(lines[0], "remote=") {
		t.Errorf("nobody has spoken yet: %q", lines)
	}
	for range 100 { // whoever that is
		w.r.logIKE(ikev2.Event{At: w.r.now(), Kind: ikev2.IKEv1Refused, Local: to, Remote: netip.AddrPortFrom(stranger.Netip(), 500), Reason: "it speaks IKEv1"})
	}
	if n := len(w.lines(`"it speaks IKEv1"`)); n != fewLines {
		t.Errorf("%d lines about a stranger, want %d", n, fewLines)
	}
	w.r.logIKE(ikev2.Event{At: w.r.now(), Kind: ikev2.IKEUp, Peer: "gw2", Local: to, Remote: from})
	w.wantLine("IKE UP", "peer=gw2")
}

func TestAnIKEFailureOfAPeerReachesTheLogOfItsRouter(t *testing.T) {
	b := newTunnelBed(t, nil, []option{func(c *Config) { c.Keying.Peers[0].Secret = ikev2.Secret("another") }})
	b.fromHere(udpTo(at(near, 9), at(far, 9), "first"))
	b.here.wantLine("IKE FAILED", "level=WARN", "peer=P", "AUTHENTICATION_FAILED", "remedy=", "pre-shared key")
	b.there.wantLine("IKE FAILED", "level=WARN", "peer=P", "remedy=", "pre-shared key")
	if p := b.here.r.Keying().Peers(); len(p) != 1 || p[0].Failure == nil || p[0].Failure.Over {
		t.Errorf("%+v", p)
	}
	if strings.Contains(b.here.log.String()+b.there.log.String(), "another") || strings.Contains(b.here.log.String(), "a secret of the test") {
		t.Error("a secret is in the log")
	}
}

func TestAnOperatorsWordIsCarriedOutAtOnce(t *testing.T) {
	b := newTunnelBed(t, nil, nil)
	if err := b.here.r.AskKeying(func(k *keying.Keyer) error { return k.Initiate("S") }); err != nil {
		t.Fatal(err)
	}
	b.settle() // no clock has moved
	if n := len(b.here.r.IPsec().List(0)); n != 2 {
		t.Errorf("%d SAs", n)
	}
	if err := b.here.r.AskKeying(func(k *keying.Keyer) error { return k.Initiate("nothing") }); err == nil {
		t.Error("of nothing")
	}
}

func TestALineLimitForgetsNothingOfWhatItLeftOut(t *testing.T) {
	l := lineLimit{burst: 2, every: time.Second}
	sec := int64(time.Second)
	for i, c := range []struct {
		at   int64
		ok   bool
		left int
	}{{0, true, 0}, {0, true, 0}, {0, false, 0}, {sec / 2, false, 0}, {sec, true, 2}, {sec, false, 0}, {2 * sec, true, 1}, {100 * sec, true, 0}, {100 * sec, true, 0}, {100 * sec, false, 0}} {
		if ok, left := l.admit(c.at); ok != c.ok || left != c.left {
			t.Errorf("%d at %d: %v, %d left out; want %v, %d", i, c.at, ok, left, c.ok, c.left)
		}
	}
}
