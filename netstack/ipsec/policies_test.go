package ipsec

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spigate/netstack/frame"
)

// rio is the tunnel of the seed's example.
func rio() Policy {
	return Policy{Name: "Rio", Mode: Tunnel, Local: ip("198.51.100.1"), Remote: ip("198.51.100.200")}
}

// protect is a selector of Rio's.
func protect(name string, order int, src, dst string) TrafficSelector {
	return TrafficSelector{Name: name, Order: order, Source: pfx(src), Destination: pfx(dst), Policy: "Rio"}
}

func policies(t testing.TB, c Config) *Policies {
	t.Helper()
	p, err := NewPolicies(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func udpFlow(src, dst string) Flow {
	return Flow{Src: addr(src), Dst: addr(dst), SrcPort: 1000, DstPort: 80, Proto: frame.ProtoUDP, Ports: true}
}

func said(l Lookup) string {
	if l.Selector == nil {
		return l.Verdict.String()
	}
	return l.Verdict.String() + " " + l.Selector.Name
}

func TestTheFirstSelectorByOrderThenNameDecides(t *testing.T) {
	web := protect("web", 5, "10.1.1.0/24", "192.168.15.0/24")
	web.Protocol, web.DestinationPort = frame.ProtoTCP, 80
	bypass := protect("printer", 3, "10.1.1.7/32", "192.168.15.0/24")
	bypass.Action, bypass.Policy = ActBypass, ""
	discard := protect("attic", 20, "10.1.2.0/24", "0.0.0.0/0")
	discard.Action, discard.Policy = ActDiscard, ""
	in := protect("in-only", 1, "10.9.0.0/16", "0.0.0.0/0")
	in.Direction = In
	out := protect("out-only", 1, "10.8.0.0/16", "0.0.0.0/0")
	out.Direction = Out
	p := policies(t, Config{Policies: []Policy{rio()}, Selectors: []TrafficSelector{
		protect("zulu", 10, "10.1.1.0/24", "192.168.15.0/24"), protect("alpha", 10, "10.1.1.0/24", "192.168.15.0/24"),
		web, bypass, discard, in, out,
	}})
	port80 := udpFlow("10.1.1.9", "192.168.15.2")
	port80.Proto = frame.ProtoTCP
	later := port80
	later.Ports, later.DstPort, later.SrcPort = false, 0, 0
	for name, c := range map[string]struct {
		f       Flow
		out, in string
	}{
		"same order: the name":              {udpFlow("10.1.1.9", "192.168.15.2"), "protect alpha", "selector_reject alpha"},
		"the smaller order":                 {port80, "protect web", "selector_reject web"},
		"a later fragment has no port":      {later, "protect alpha", "selector_reject alpha"},
		"bypass":                            {udpFlow("10.1.1.7", "192.168.15.2"), "clear printer", "clear printer"},
		"discard":                           {udpFlow("10.1.2.7", "8.8.8.8"), "selector_discard attic", "selector_discard attic"},
		"nobody":                            {udpFlow("10.1.1.9", "192.168.16.2"), "selector_miss", "selector_miss"},
		"the other way is nobody's":         {udpFlow("192.168.15.2", "10.1.1.9"), "selector_miss", "selector_miss"},
		"direction in":                      {udpFlow("10.9.1.1", "8.8.8.8"), "selector_miss", "selector_reject in-only"},
		"direction out":                     {udpFlow("10.8.1.1", "8.8.8.8"), "protect out-only", "selector_miss"},
		"the first address of a network":    {udpFlow("10.1.1.0", "192.168.15.0"), "protect alpha", "selector_reject alpha"},
		"the last address of a network":     {udpFlow("10.1.1.255", "192.168.15.255"), "protect alpha", "selector_reject alpha"},
		"one before the first":              {udpFlow("10.1.0.255", "192.168.15.2"), "selector_miss", "selector_miss"},
		"one behind the last of everything": {udpFlow("10.8.255.255", "255.255.255.255"), "protect out-only", "selector_miss"},
	} {
		if got := said(p.Out(c.f)); got != c.out {
			t.Errorf("%s: out: %s, want %s", name, got, c.out)
		}
		if got := said(p.In(c.f.Reversed())); got != c.in {
			t.Errorf("%s: in: %s, want %s", name, got, c.in)
		}
	}
}

func TestTheFlowOfAPacket(t *testing.T) {
	first := inner{src: "10.1.1.9", dst: "192.168.15.2", proto: frame.ProtoUDP, size: 60, more: true}.packet()
	bare := Flow{Src: addr("10.1.1.9"), Dst: addr("192.168.15.2"), Proto: frame.ProtoUDP}
	var p frame.Packet
	p.Parse(first)
	if got := FlowOf(&p); got != bare {
		t.Errorf("a fragment shows no ports until somebody opens it: %v", got)
	}
	p.OpenFirst()
	if got := FlowOf(&p); got != udpFlow("10.1.1.9", "192.168.15.2") {
		t.Errorf("a first fragment that was opened: %v", got)
	}
	p.Parse(inner{src: "10.1.1.9", dst: "192.168.15.2", proto: frame.ProtoICMP, size: 60}.packet())
	bare.Proto = frame.ProtoICMP
	if got := FlowOf(&p); got != bare || got.String() != "1 10.1.1.9 192.168.15.2" {
		t.Errorf("ICMP: %v", got)
	}
	if got := udpFlow("10.1.1.9", "192.168.15.2").String(); got != "17 10.1.1.9:1000 192.168.15.2:80" {
		t.Error(got)
	}
}

// The seed's example (VR26): a NAT shows the remote host 192.168.15.2 as
// 172.17.1.1. Selectors speak of what is inside the tunnel.
func TestSelectorsSpeakOfAddressesInsideTheTunnel(t *testing.T) {
	c := Config{Policies: []Policy{rio()}, Selectors: []TrafficSelector{protect("my-nat-selector", 0, "10.1.1.0/24", "192.168.15.2/32")}}
	nat := Translation{Name: `ltm nat "NAT-1"`, Original: pfx("192.168.15.2/32"), Translated: []netip.Prefix{pfx("172.17.1.1/32")}, Destinations: true}
	p := policies(t, c)
	if got := said(p.Out(udpFlow("10.1.1.9", "192.168.15.2"))); got != "protect my-nat-selector" {
		t.Error(got)
	}
	if w := p.WarnTranslations([]Translation{nat}); len(w) != 0 {
		t.Errorf("the right selector: %q", w)
	}
	c.Selectors[0].Destination = pfx("172.17.1.1/32")
	p = policies(t, c)
	if got := said(p.Out(udpFlow("10.1.1.9", "192.168.15.2"))); got != "selector_miss" {
		t.Error(got)
	}
	want := []string{`traffic selector "my-nat-selector": ltm nat "NAT-1" rewrites the destination 172.17.1.1/32 to 192.168.15.2/32 before selectors are asked: destination-address 172.17.1.1/32 misses it`}
	if d := gocmp.Diff(want, texts(p.WarnTranslations([]Translation{nat}))); d != "" {
		t.Error(d)
	}
}

func TestSourcesThatANATRewritesAreWarnedOf(t *testing.T) {
	local := Translation{Name: `ltm nat "mail"`, Original: pfx("10.1.1.7/32"), Translated: []netip.Prefix{pfx("172.17.1.7/32")}, Destinations: true}
	snat := Translation{Name: `ltm snat "S1"`, Original: pfx("10.0.0.0/8"), Translated: []netip.Prefix{pfx("203.0.113.20/32"), pfx("203.0.113.21/32")}}
	inPlace := Translation{Name: "lsn group G", Original: pfx("10.0.0.0/8"), Translated: []netip.Prefix{pfx("10.1.1.0/24")}}
	for name, c := range map[string]struct {
		src, dst string
		t        Translation
		warnings int
	}{
		"its own address (VR27)":         {"10.1.1.7/32", "192.168.15.0/24", local, 1},
		"a network around it":            {"10.1.1.0/24", "192.168.15.0/24", local, 1},
		"the translated one":             {"172.17.1.7/32", "192.168.15.0/24", local, 0},
		"everything":                     {"0.0.0.0/0", "192.168.15.0/24", local, 0},
		"another network":                {"10.1.2.0/24", "192.168.15.0/24", local, 0},
		"a SNAT":                         {"10.1.2.0/24", "192.168.15.0/24", snat, 1},
		"one of a SNAT's two addresses":  {"203.0.113.20/32", "192.168.15.0/24", snat, 0},
		"both of them":                   {"203.0.113.20/31", "192.168.15.0/24", snat, 0},
		"a part of what it becomes":      {"10.1.1.7/32", "192.168.15.0/24", inPlace, 1},
		"all of what it becomes":         {"10.1.0.0/16", "192.168.15.0/24", inPlace, 0},
		"a SNAT rewrites no destination": {"172.30.0.0/16", "203.0.113.20/32", snat, 0},
	} {
		p := policies(t, Config{Policies: []Policy{rio()}, Selectors: []TrafficSelector{protect("s", 0, c.src, c.dst)}})
		if w := p.WarnTranslations([]Translation{c.t}); len(w) != c.warnings {
			t.Errorf("%s: %q", name, w)
		}
	}
}

func TestAWideSelectorBeforeANarrowOneIsWarnedOf(t *testing.T) {
	for name, c := range map[string]struct {
		first, second TrafficSelector
		want          string
	}{
		"wide first":    {protect("wide", 1, "10.0.0.0/8", "0.0.0.0/0"), protect("narrow", 2, "10.1.1.0/24", "192.168.15.0/24"), `"narrow" is never reached: "wide" (order 1)`},
		"the same":      {protect("a", 1, "10.0.0.0/8", "0.0.0.0/0"), protect("b", 1, "10.0.0.0/8", "0.0.0.0/0"), `"b" is never reached: "a" (order 1)`},
		"crossing":      {protect("a", 1, "10.0.0.0/8", "192.168.15.0/24"), protect("b", 2, "10.1.0.0/16", "192.168.0.0/16"), `"a" and "b" overlap: where both match, "a" decides`},
		"narrow first":  {protect("narrow", 1, "10.1.1.0/24", "192.168.15.0/24"), protect("wide", 2, "10.0.0.0/8", "0.0.0.0/0"), ""},
		"apart":         {protect("a", 1, "10.1.0.0/16", "0.0.0.0/0"), protect("b", 2, "10.2.0.0/16", "0.0.0.0/0"), ""},
		"other port":    {withPort(protect("a", 1, "10.1.0.0/16", "0.0.0.0/0"), 80), withPort(protect("b", 2, "10.1.0.0/16", "0.0.0.0/0"), 81), ""},
		"port after":    {protect("a", 1, "10.1.0.0/16", "0.0.0.0/0"), withPort(protect("b", 2, "10.1.0.0/16", "0.0.0.0/0"), 81), `"b" is never reached`},
		"in and out":    {directed(protect("a", 1, "10.1.0.0/16", "0.0.0.0/0"), In), directed(protect("b", 2, "10.1.0.0/16", "0.0.0.0/0"), Out), ""},
		"both and in":   {protect("a", 1, "10.1.0.0/16", "0.0.0.0/0"), directed(protect("b", 2, "10.1.0.0/16", "0.0.0.0/0"), In), `"b" is never reached`},
		"by protocol":   {withProto(protect("a", 1, "10.1.0.0/16", "0.0.0.0/0"), 6), withProto(protect("b", 2, "10.1.0.0/16", "0.0.0.0/0"), 17), ""},
		"any to one is": {protect("a", 1, "10.1.0.0/16", "0.0.0.0/0"), withProto(protect("b", 2, "10.1.0.0/16", "0.0.0.0/0"), 17), `"b" is never reached`},
	} {
		w := policies(t, Config{Policies: []Policy{rio()}, Selectors: []TrafficSelector{c.second, c.first}}).Warnings()
		if c.want == "" && len(w) != 0 || c.want != "" && (len(w) != 1 || !strings.Contains(w[0].Text, c.want)) {
			t.Errorf("%s: %q, want %q", name, w, c.want)
		}
	}
}

func texts(all []Warning) (out []string) {
	for _, w := range all {
		out = append(out, w.Text)
	}
	return out
}

func withPort(s TrafficSelector, port uint16) TrafficSelector {
	s.Protocol, s.DestinationPort = frame.ProtoTCP, port
	return s
}

func withProto(s TrafficSelector, proto uint8) TrafficSelector {
	s.Protocol = proto
	return s
}

func directed(s TrafficSelector, d Direction) TrafficSelector {
	s.Direction = d
	return s
}

func TestInInterfaceModeTheRouteDecides(t *testing.T) {
	q := rio()
	q.Name, q.Mode = "Rio-if", Interface
	other := q
	other.Name, other.Remote = "Sao-if", ip("198.51.100.201")
	idle := other
	idle.Name = "idle"
	narrow := protect("narrow", 1, "10.1.0.0/16", "10.2.0.0/16")
	narrow.Policy = "Rio-if"
	p := policies(t, Config{
		Policies: []Policy{q, other, idle}, Selectors: []TrafficSelector{narrow},
		Tunnels: []TunnelInterface{{"ipsec-tunnel", 9, "Rio-if"}, {"ipsec-wide", 10, "Sao-if"}},
	})
	f := udpFlow("10.1.1.9", "10.2.1.1")
	for what, c := range map[string][2]string{
		"Out asks no selector of an interface":   {said(p.Out(f)), "selector_miss"},
		"nor does In":                            {said(p.In(f.Reversed())), "selector_miss"},
		"by its interface":                       {said(p.Via(9, f)), "protect narrow"},
		"what the peer did not agree to":         {said(p.Via(9, udpFlow("10.3.1.9", "10.2.1.1"))), "selector_miss"},
		"a tunnel without a selector":            {said(p.Via(10, udpFlow("1.2.3.4", "5.6.7.8"))), "protect ipsec-wide"},
		"an interface that is none":              {said(p.Via(11, f)), "selector_miss"},
		"a policy without a tunnel is warned of": {strings.Join(texts(p.Warnings()), ""), `ipsec policy "idle": its mode is interface and no tunnel names it: nothing is routed to it`},
		"labels":                                 {fmt.Sprint(p.Label("Rio-if"), p.Label("Sao-if"), p.Label("idle")), "9 10 0"},
		"listeners for IKE and ESP":              {fmt.Sprint(p.Locals()), "[198.51.100.1]"},
		"in the order of asking":                 {p.Selectors()[0].Name + " " + p.Selectors()[1].Name, "ipsec-wide narrow"},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %s, want %s", what, c[0], c[1])
		}
	}
	if s, ok := p.Selector("ipsec-wide"); !ok || s.Pair() != wide()[0] {
		t.Error("a tunnel's own selector carries everything")
	}
	if q, ok := p.Policy("idle"); !ok || q.Remote != other.Remote {
		t.Error("policies are found by their names")
	}
}

// naiveFind is VR29 word by word.
func naiveFind(all []TrafficSelector, f Flow, not Direction) string {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b TrafficSelector) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Name, b.Name))
	})
	for _, s := range all {
		port := func(want, got uint16) bool { return want == 0 || f.Ports && want == got }
		if s.Direction != not && s.Source.Contains(f.Src.Netip()) && s.Destination.Contains(f.Dst.Netip()) &&
			(s.Protocol == 0 || s.Protocol == f.Proto) && port(s.SourcePort, f.SrcPort) && port(s.DestinationPort, f.DstPort) {
			return s.Name
		}
	}
	return ""
}

func TestTheLookupAgreesWithANaiveScan(t *testing.T) {
	prefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
		a := netip.AddrFrom4([4]byte{rapid.SampledFrom([]byte{0, 10, 255}).Draw(t, "a"), rapid.ByteRange(0, 3).Draw(t, "b"), 0, rapid.ByteRange(0, 255).Draw(t, "d")})
		return netip.PrefixFrom(a, rapid.SampledFrom([]int{0, 8, 14, 15, 16, 24, 30, 31, 32}).Draw(t, "bits"))
	})
	port := rapid.SampledFrom([]uint16{0, 0, 80, 443})
	rapid.Check(t, func(t *rapid.T) {
		var all []TrafficSelector
		n := rapid.SampledFrom([]int{1, 5, 63, 64, 65, 150}).Draw(t, "selectors")
		for i := range n {
			all = append(all, TrafficSelector{
				Name: fmt.Sprintf("s%03d", i*7919%1000), Order: rapid.IntRange(0, 20).Draw(t, "order"), Policy: "Rio",
				Source: prefix.Draw(t, "src"), Destination: prefix.Draw(t, "dst"),
				Protocol: rapid.SampledFrom([]uint8{0, 6, 17}).Draw(t, "proto"), SourcePort: port.Draw(t, "sport"), DestinationPort: port.Draw(t, "dport"),
				Direction: Direction(rapid.IntRange(0, 2).Draw(t, "direction")), Action: Action(rapid.IntRange(0, 2).Draw(t, "action")),
			})
		}
		p := policies2(t, Config{Policies: []Policy{rio()}, Selectors: all})
		for range 50 {
			f := Flow{
				Src: prefix.Draw(t, "from").Addr().As4(), Dst: prefix.Draw(t, "to").Addr().As4(), Proto: rapid.SampledFrom([]uint8{1, 6, 17}).Draw(t, "p"),
				SrcPort: port.Draw(t, "fp"), DstPort: port.Draw(t, "tp"), Ports: rapid.Bool().Draw(t, "ports"),
			}
			for _, c := range []struct {
				got  Lookup
				want string
				does [3]Verdict
			}{
				{p.Out(f), naiveFind(all, f, In), [3]Verdict{Protect, Clear, SelectorDiscard}},
				{p.In(f.Reversed()), naiveFind(all, f, Out), [3]Verdict{SelectorReject, Clear, SelectorDiscard}},
			} {
				name, verdict := "", SelectorMiss
				if c.got.Selector != nil {
					name, verdict = c.got.Selector.Name, c.does[c.got.Selector.Action]
				}
				if name != c.want || c.got.Verdict != verdict {
					t.Fatalf("%v: %s, want %q", f, said(c.got), c.want)
				}
			}
		}
	})
}

func policies2(t *rapid.T, c Config) *Policies {
	p, err := NewPolicies(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestASelectorThatIsItsOwnMirrorIsWarnedOf(t *testing.T) {
	for _, tc := range []struct {
		source, destination string
		mode                Mode
		warned              bool
	}{
		{"0.0.0.0/0", "0.0.0.0/0", Tunnel, true},
		{"10.0.0.0/8", "10.0.0.0/8", Tunnel, true},
		{"10.0.0.0/8", "10.1.0.0/16", Tunnel, false},
		{"10.2.1.0/24", "0.0.0.0/0", Tunnel, false},
		{"0.0.0.0/0", "0.0.0.0/0", Interface, false},
	} {
		c := Config{
			Policies:  []Policy{{Name: "P", Mode: tc.mode, Local: ip("198.51.100.1"), Remote: ip("198.51.100.200")}},
			Selectors: []TrafficSelector{{Name: "S", Source: pfx(tc.source), Destination: pfx(tc.destination), Policy: "P"}},
		}
		if tc.mode == Interface {
			c.Tunnels = []TunnelInterface{{Name: "T", ID: 9, Policy: "P"}}
		}
		p, err := NewPolicies(c)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(p.Warnings()) > 0; got != tc.warned {
			t.Errorf("%s to %s in %v mode: warned %v: %v", tc.source, tc.destination, tc.mode, got, p.Warnings())
		}
	}
}
