package ipsec

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/netstack/frame"
)

// listed is the selector of this name among all.
func (g *gate) listed(name string) SelectorInfo {
	g.t.Helper()
	for _, i := range g.db.Selectors() {
		if i.Name == name {
			return i
		}
	}
	g.t.Fatalf("no selector %q is listed", name)
	return SelectorInfo{}
}

func TestASelectorCountsWhatItsSAsCarriedAlsoWhenTheyAreGone(t *testing.T) {
	near, far := newGate(t, false), newGate(t, true)
	out := near.add(near.config(0x1001, true), 0)
	in := far.add(far.config(0x1001, false), 0)
	var last []byte
	for range 3 {
		_, last = near.send(udpPacket(60), 0)
		far.receive(last, 0)
	}
	far.receive(last, 0) // replayed
	check := func(when string) {
		t.Helper()
		if i := near.listed("lan"); i.Out.Packets != 3 || i.Out.Bytes != out.bytes.Load() || i.Out.Bytes == 0 || i.In != (Traffic{}) {
			t.Errorf("%s: near: out %+v, in %+v", when, i.Out, i.In)
		}
		if i := far.listed("lan"); i.In.Packets != 3 || i.In.Bytes != in.bytes.Load() || i.Out != (Traffic{}) || i.Failures[Replay] != 1 || i.Failures[Pass] != 0 {
			t.Errorf("%s: far: in %+v, out %+v, failures %v", when, i.In, i.Out, i.Failures)
		}
	}
	check("live")
	if d := cmp.Diff([]uint32{0x1001}, far.listed("lan").Inbound); d != "" {
		t.Error(d)
	}
	near.db.Remove(out)
	far.db.Remove(in)
	check("removed")
	if i := far.listed("lan"); i.Inbound != nil {
		t.Errorf("SPIs of nobody: %x", i.Inbound)
	}

	// A successor counts on from there, and a reload that ends it keeps it all.
	near.add(near.config(0x1002, true), 0)
	near.send(udpPacket(60), 0)
	wider := rioConfig(false)
	wider.Selectors[0].Source = pfx("10.1.0.0/16")
	near.apply(wider, 0)
	if i := near.listed("lan"); i.Out.Packets != 4 || i.Outbound != nil {
		t.Errorf("after a reload: %+v", i)
	}
	near.apply(Config{}, 0)
	near.apply(rioConfig(false), 0)
	if i := near.listed("lan"); i.Out.Packets != 0 {
		t.Errorf("a selector that was gone begins anew: %+v", i.Out)
	}
}

func TestWhatASelectorDecidesWithoutAnSAIsCountedWhenItIsSaid(t *testing.T) {
	c := rioConfig(false)
	c.Selectors = append(c.Selectors,
		TrafficSelector{Name: "open", Source: pfx("10.2.0.0/16"), Destination: pfx("10.3.0.0/16"), Action: ActBypass},
		TrafficSelector{Name: "shut", Source: pfx("10.4.0.0/16"), Destination: pfx("10.5.0.0/16"), Action: ActDiscard})
	g := newGate(t, false)
	g.apply(c, 0)
	p := g.db.Policies()
	open, shut := udpFlow("10.2.0.1", "10.3.0.1"), udpFlow("10.4.0.1", "10.5.0.1")
	inside := udpFlow("10.1.1.9", "192.168.15.2").Reversed()
	for _, l := range []Lookup{p.Out(open), p.Out(shut), p.Out(shut), p.In(inside), p.Out(udpFlow("10.9.9.9", "10.9.9.8"))} {
		g.db.Count(l)
	}
	p.Out(shut) // asking alone counts nothing
	if a, b, c := g.listed("open"), g.listed("shut"), g.listed("lan"); a.Bypassed != 1 || b.Discarded != 2 || c.InClear != 1 || c.Bypassed+c.Discarded+a.InClear != 0 {
		t.Errorf("open %+v\nshut %+v\nlan %+v", a, b, c)
	}
	if n := g.db.Totals().Asked; n[Clear] != 1 || n[SelectorDiscard] != 2 || n[SelectorReject] != 1 || n[SelectorMiss] != 1 {
		t.Errorf("asked: %v", n)
	}
	again := c
	again.Selectors[1].Action = ActDiscard
	g.apply(again, 0)
	if i := g.listed("open"); i.Bypassed != 1 || i.Action != ActDiscard {
		t.Errorf("what it counted stays when it says something else: %+v", i)
	}
}

func TestSPIsOfNobodyAreToldApartFromPacketsWithoutAnSA(t *testing.T) {
	near, far := newGate(t, false), newGate(t, true)
	near.add(near.config(0x1001, true), 0)
	_, sealed := near.send(udpPacket(60), 0)
	far.receive(sealed, 0)
	far.send(inner{src: "192.168.15.2", dst: "10.1.1.9", proto: frame.ProtoUDP, size: 60}.packet(), 0) // waits
	for range 2 {
		far.send(inner{src: "192.168.15.2", dst: "10.1.1.9", proto: frame.ProtoUDP, size: 60}.packet(), 0)
	}
	n := far.db.Totals()
	if n.Received[NoSA] != 1 || n.Sent[NoSA] != 2 || n.Sent[Held] != 1 {
		t.Errorf("received %v\nsent %v", n.Received, n.Sent)
	}
	if all := far.db.Counts(); all[NoSA] != 3 {
		t.Errorf("together: %v", all)
	}
}

func TestManualSAsCountForTheFirstOfTheirSelectors(t *testing.T) {
	c := manualConfig(false)
	c.Selectors = append(c.Selectors, protect("more", 20, "10.2.0.0/16", "192.168.15.0/24"))
	g := newGate(t, false)
	g.apply(c, 0)
	g.send(udpPacket(60), 0)
	a, b := g.listed("lan"), g.listed("more")
	if !a.Manual || !b.Manual || a.Out.Packets != 1 || b.Out.Packets != 0 {
		t.Errorf("lan %+v\nmore %+v", a, b)
	}
	if d := cmp.Diff([][]uint32{{0x3002}, {0x3002}, {0x3001}, {0x3001}}, [][]uint32{a.Inbound, b.Inbound, a.Outbound, b.Outbound}); d != "" {
		t.Errorf("both have its SAs: %s", d)
	}
}
