package vserver

import (
	"fmt"
	"net/netip"
	"slices"
	"spigate/netstack/frame"
	"strings"
	"testing"
)

func TestTheEighteenRowsOfPrecedence_VR7(t *testing.T) {
	var rows []Server
	for _, dst := range []string{"10.1.1.5/32", "10.1.1.0/24", "any"} {
		for _, src := range []string{"10.2.1.1/32", "10.2.1.0/24", "any"} {
			for _, port := range []uint16{80, 0} {
				rows = append(rows, vs(fmt.Sprintf("row %d", len(rows)+1), dst, src, frame.ProtoTCP, port))
			}
		}
	}
	if len(rows) != 18 {
		t.Fatal(len(rows))
	}
	a := attempt(lan, frame.ProtoTCP, "10.2.1.1", "10.1.1.5", 80)
	for i := range rows {
		// The order of definition must not matter.
		rest := slices.Clone(rows[i:])
		slices.Reverse(rest)
		wants(t, build(t, Config{Servers: rest}), a, fmt.Sprintf("admit row %d", i+1))
	}
}

func examples() []Server {
	return []Server{
		vs("A", "10.1.1.0/24", "10.2.1.0/24", frame.ProtoTCP, 0), vs("B", "10.1.1.5/32", "any", frame.ProtoTCP, 22),
		vs("C", "any", "any", 0, 0), vs("D", "10.1.1.0/24", "any", frame.ProtoTCP, 80),
	}
}

func TestTheExamplesOfSectionFour(t *testing.T) {
	l := build(t, Config{Servers: examples()})
	wants(t, l, attempt(lan, frame.ProtoTCP, "10.2.1.1", "10.1.1.5", 22), "admit B")
	wants(t, l, attempt(lan, frame.ProtoTCP, "10.2.1.1", "10.1.1.5", 80), "admit A") // Q5: the longest source, before the port
	wants(t, l, attempt(lan, frame.ProtoTCP, "10.9.9.9", "10.1.1.7", 80), "admit D")
	wants(t, l, attempt(lan, frame.ProtoUDP, "10.2.1.1", "10.1.1.7", 80), "admit C")
	off := examples()
	off[2] = disabled(off[2])
	wants(t, build(t, Config{Servers: off}), attempt(lan, frame.ProtoUDP, "10.2.1.1", "10.1.1.7", 80), "vs_disabled C")
	wants(t, build(t, Config{Servers: examples()[:1]}), attempt(lan, frame.ProtoTCP, "10.1.1.1", "10.2.1.1", 80), "no_listener")
}

func TestAnAttemptOnAnotherVLANIsAMissThatNamesTheServer_Q2(t *testing.T) {
	l := build(t, Config{Servers: []Server{on(vs("ipsec-2", "10.2.1.0/24", "10.1.1.0/24", 0, 0), lan, tunnel)}})
	r := l.Match(attempt(external, frame.ProtoTCP, "10.1.1.1", "10.2.1.1", 80))
	if said(r) != "vlan_miss ipsec-2" || fmt.Sprint(r.Listener.VLANs()) != "[1 9]" {
		t.Errorf("%s on %v", said(r), r.Listener.VLANs())
	}
	wants(t, l, attempt(tunnel, frame.ProtoTCP, "10.1.1.1", "10.2.1.1", 80), "admit ipsec-2")
}

func TestADisabledServerWinsAndDiscards_Q4(t *testing.T) {
	c := Config{Servers: []Server{disabled(vs("near", "10.1.1.0/24", "any", 0, 0)), vs("wild", "any", "any", 0, 0)}}
	a := attempt(lan, frame.ProtoUDP, "10.2.1.1", "10.1.1.1", 53)
	wants(t, build(t, c), a, "vs_disabled near")
	c.ContinueMatching = true
	wants(t, build(t, c), a, "admit wild")
	c.Servers = c.Servers[:1]
	wants(t, build(t, c), a, "vs_disabled near")
}

func TestAnEmptyEnabledListNeverMatchesAndIsWarnedOf_Q6(t *testing.T) {
	l := build(t, Config{Servers: []Server{on(vs("nowhere", "any", "any", 0, 0))}})
	wants(t, l, attempt(lan, frame.ProtoUDP, "10.2.1.1", "10.1.1.1", 53), "vlan_miss nowhere")
	if w := l.Warnings(); len(w) != 1 || !strings.Contains(w[0], `"nowhere"`) {
		t.Errorf("warnings %q", w)
	}
}

func TestTwoEqualServersOnDifferentVLANsAreLegal_Q20(t *testing.T) {
	l := build(t, Config{Servers: []Server{
		on(vs("one", "10.1.1.0/24", "any", 0, 0), lan), on(vs("two", "10.1.1.0/24", "any", 0, 0), external), vs("all", "10.1.1.0/24", "any", 0, 0)}})
	wants(t, l, attempt(lan, frame.ProtoUDP, "10.2.1.1", "10.1.1.1", 53), "admit one")
	wants(t, l, attempt(external, frame.ProtoUDP, "10.2.1.1", "10.1.1.1", 53), "admit two")
	wants(t, l, attempt(tunnel, frame.ProtoUDP, "10.2.1.1", "10.1.1.1", 53), "admit all")
}

func TestAPortIsNoPortOfICMPOrESP_VR12(t *testing.T) {
	l := build(t, Config{Servers: []Server{vs("port", "any", "any", 0, 80), vs("esp", "any", "any", frame.ProtoESP, 0)}})
	wants(t, l, attempt(lan, frame.ProtoICMP, "10.2.1.1", "10.1.1.1", 0), "no_listener")
	wants(t, l, attempt(lan, frame.ProtoESP, "10.2.1.1", "10.1.1.1", 0), "admit esp") // Q22
}

func listenerConfig() Config {
	return Config{
		NATs:   []NAT{{Name: "N", Originating: netip.MustParseAddr("192.168.15.2"), Translation: netip.MustParseAddr("172.17.1.1")}},
		SNATs:  []SNAT{{Name: "S", Origins: []netip.Prefix{pfx("192.168.0.0/16")}, Automap: true}},
		Groups: []Group{{Name: "homes", Clients: []netip.Prefix{pfx("100.64.0.0/10"), pfx("192.168.0.0/16")}}},
		Selfs:  []netip.Addr{netip.MustParseAddr("10.0.0.1")},
	}
}

func TestTheOrderOfListeners_VR2_VR3(t *testing.T) {
	c := listenerConfig()
	toNAT, toSelf := attempt(external, frame.ProtoTCP, "10.9.9.9", "172.17.1.1", 80), attempt(lan, frame.ProtoUDP, "10.9.9.9", "10.0.0.1", 53)
	fromNAT, fromSNAT := attempt(lan, 47, "192.168.15.2", "8.8.8.8", 0), attempt(lan, frame.ProtoUDP, "192.168.1.1", "8.8.8.8", 53)
	fromHome := attempt(lan, frame.ProtoUDP, "100.64.1.1", "8.8.8.8", 53)
	l := build(t, c)
	wants(t, l, toNAT, "admit N")
	wants(t, l, toSelf, "admit 10.0.0.1")
	wants(t, l, fromNAT, "admit N") // Q12
	wants(t, l, fromSNAT, "admit S")
	wants(t, l, fromHome, "admit homes")
	wants(t, l, attempt(lan, frame.ProtoUDP, "8.8.8.8", "100.64.1.1", 53), "no_listener")

	// A network in the middle and a wildcard leave hosts alone; the wildcard
	// goes before what else is as wide, and names who translates.
	c.Servers = []Server{vs("wild", "any", "any", 0, 0), vs("net", "172.17.0.0/16", "any", 0, 0)}
	l = build(t, c)
	wants(t, l, toNAT, "admit N")
	wants(t, l, toSelf, "admit 10.0.0.1")
	wants(t, l, fromNAT, "admit wild by N")
	wants(t, l, fromSNAT, "admit wild by S")
	wants(t, l, fromHome, "admit homes") // nobody translates for the wildcard

	// The same host: the server, where it matches at all.
	c.Servers = []Server{vs("host", "172.17.1.1/32", "any", frame.ProtoTCP, 80), vs("self", "10.0.0.1/32", "any", 0, 0)}
	l = build(t, c)
	wants(t, l, toNAT, "admit host")
	wants(t, l, attempt(external, frame.ProtoTCP, "10.9.9.9", "172.17.1.1", 81), "admit N")
	wants(t, l, toSelf, "admit self")
	if w := l.Warnings(); len(w) != 1 || !strings.Contains(w[0], `nat "N"`) {
		t.Errorf("warnings %q", w)
	}
}

func TestAServerElsewhereLeavesTheSubscribersAlone_VR3(t *testing.T) {
	c := listenerConfig()
	c.Servers = []Server{on(vs("web", "10.1.1.0/24", "any", 0, 0), external)}
	l := build(t, c)
	wants(t, l, attempt(lan, frame.ProtoTCP, "100.64.1.1", "8.8.8.8", 80), "admit homes")
	wants(t, l, attempt(lan, frame.ProtoTCP, "100.64.1.1", "10.1.1.1", 80), "admit homes") // a missed VLAN, too
}

func TestAServersOwnTranslationWinsOverASNAT_VR19(t *testing.T) {
	c := listenerConfig()
	s := vs("wild", "any", "any", 0, 0)
	s.SourceTranslation = Automap
	c.Servers = []Server{s}
	wants(t, build(t, c), attempt(lan, frame.ProtoUDP, "192.168.15.2", "8.8.8.8", 53), "admit wild")
}

func TestAServerThatRejects(t *testing.T) {
	s := vs("no", "any", "any", 0, 0)
	s.Role = Reject
	wants(t, build(t, Config{Servers: []Server{s}}), attempt(lan, frame.ProtoUDP, "192.168.15.2", "8.8.8.8", 53), "rejected no")
}
