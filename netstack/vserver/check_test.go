package vserver

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"spigate/netstack/frame"
)

func TestAllFaultsAreToldAtOnce(t *testing.T) {
	ip := netip.MustParseAddr
	bad := Config{
		Servers: []Server{
			{Name: "roleless", Destination: pfx("any")},
			{Name: "nowhere", Role: Forward},
			{Name: "six", Role: Forward, Destination: netip.MustParsePrefix("2001:db8::/32")},
			{Name: "ping", Role: Forward, Destination: pfx("any"), Protocol: frame.ProtoICMP, Port: 80},
			{Name: "limit", Role: Forward, Destination: pfx("any"), ConnectionLimit: -1},
			{Name: "profile", Role: Forward, Destination: pfx("any"), Profile: "fast"},
			{Name: "poor", Role: Forward, Destination: pfx("any"), SourceTranslation: TranslateSNAT},
			{Name: "group", Role: Forward, Destination: pfx("any"), SourceTranslation: TranslateLSN, Group: "G"},
			vs("first", "10.0.0.0/8", "any", 6, 80), vs("second", "10.0.0.0/8", "any", 6, 80), vs("second", "11.0.0.0/8", "any", 6, 80),
		},
		Profiles: []FastL4{{Name: "back", IdleTimeout: -3}},
		NATs: []NAT{
			{Name: "n1", Originating: ip("10.0.0.1"), Translation: ip("192.0.2.1")}, {Name: "n2", Originating: ip("10.0.0.1"), Translation: ip("192.0.2.2")},
			{Name: "n3", Originating: ip("10.0.0.3"), Translation: ip("192.0.2.1")}, {Name: "n4", Originating: ip("10.0.0.4"), Translation: ip("192.0.2.9")},
			{Name: "n5"},
		},
		SNATs:  []SNAT{{Name: "s1", Automap: true}, {Name: "s2", Origins: []netip.Prefix{pfx("10.0.0.0/8")}}},
		Groups: []Group{{Name: "g1", Clients: []netip.Prefix{pfx("10.0.0.0/8")}}, {Name: "g2", Clients: []netip.Prefix{pfx("10.0.0.0/8")}}},
		Selfs:  []netip.Addr{ip("192.0.2.9"), {}},
	}
	_, err := New(bad)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`"roleless": needs one of`, `"nowhere": destination`, `"six": destination`, `"ping": IP protocol 1 has no port 80`, `"limit": a limit`,
		`"profile": there is no profile fastl4 "fast"`, `"poor": source address translation`, `"group": there is no LSN group "G"`,
		`"second": conflicts with virtual server "first"`, `"second": the name is used twice`, `fastl4 "back": a time`,
		`nat "n2": originating address 10.0.0.1 is that of nat "n1"`, `nat "n3": translation address 192.0.2.1 is that of nat "n1"`,
		`nat "n4": translation address 192.0.2.9 is an own address`, `nat "n5": originating and`, `snat "s1": has no origins`,
		`snat "s2": needs one of`, `lsn group "g2": 10.0.0.0/8 is already a network of lsn group "g1"`, `self address`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %s", want)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 19 {
		t.Errorf("%d faults, want 19:\n%v", n, err)
	}
}

func TestWhatWouldHaveNoEffectIsRefused(t *testing.T) {
	s := vs("s", "any", "any", 0, 0)
	s.Mirror, s.AutoLasthop = true, On
	_, err := New(Config{
		Servers:  []Server{s},
		Profiles: []FastL4{{Name: "p", ReassembleFragments: true, KeepAliveInterval: 1}},
		NATs:     []NAT{{Name: "n", Originating: netip.MustParseAddr("10.0.0.1"), Translation: netip.MustParseAddr("192.0.2.1"), AutoLasthop: On}},
		SNATs:    []SNAT{{Name: "t", Origins: []netip.Prefix{pfx("10.0.0.0/8")}, Automap: true, Mirror: true}},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, option := range []string{
		`virtual server "s": mirror`, `virtual server "s": auto-lasthop`,
		`profile fastl4 "p": reassemble-fragments`, `profile fastl4 "p": keep-alive-interval`, `nat "n": auto-lasthop`, `snat "t": mirror`,
	} {
		if !strings.Contains(err.Error(), option+" is not supported (") {
			t.Errorf("nothing says that %s is not supported", option)
		}
	}
	if n, left := strings.Count(err.Error(), "\n")+1, strings.Count(err.Error(), ": leave it out"); n != 6 || left != 6 {
		t.Errorf("%d faults with %d remedies, want 6:\n%v", n, left, err)
	}
	off := Config{Servers: []Server{vs("s", "any", "any", 0, 0)}, Profiles: []FastL4{{Name: "p", ClientTimeout: 30 * time.Second}}}
	off.Servers[0].AutoLasthop = Off
	if w := build(t, off).Warnings(); len(w) != 0 {
		t.Errorf("the defaults are warned of: %q", w)
	}
	off.Profiles[0].ClientTimeout = time.Minute
	if w := build(t, off).Warnings(); len(w) != 1 || !strings.Contains(w[0], "client-timeout has no effect") {
		t.Errorf("warnings %q", w)
	}
}

func TestEqualServersConflictOnlyOnACommonVLAN_VR10(t *testing.T) {
	a, b := vs("a", "10.1.1.7/24", "any", 0, 0), vs("b", "10.1.1.0/24", "any", 0, 0) // host bits are ignored
	conflict := func(a, b Server) bool {
		_, err := New(Config{Servers: []Server{a, b}})
		return err != nil && strings.Contains(err.Error(), `"b": conflicts with virtual server "a"`)
	}
	but := func(s Server, vlans ...frame.Interface) Server {
		s.VLANs = VLANs{List: vlans}
		return s
	}
	for name, c := range map[string]struct {
		a, b Server
		want bool
	}{
		"all and all":                {a, b, true},
		"the same list":              {on(a, lan), on(b, lan, external), true},
		"other lists":                {on(a, lan), on(b, external), false},
		"all and a list":             {a, on(b, lan), false}, // VR7, step 5
		"a list and all but it":      {on(a, lan), but(b, lan), false},
		"a list and all but another": {on(a, lan), but(b, external), true},
		"one is disabled":            {disabled(a), b, true},
		"another port":               {a, vs("b", "10.1.1.0/24", "any", 0, 80), false},
		"another source":             {a, vs("b", "10.1.1.0/24", "10.0.0.0/8", 0, 0), false},
	} {
		if got := conflict(c.a, c.b); got != c.want {
			t.Errorf("%s: conflict is %v", name, got)
		}
	}
}

func TestAServerOnATunnelsOwnAddressIsWarnedOf_Q1(t *testing.T) {
	l := build(t, Config{Servers: []Server{vs("mine", "203.0.113.1/32", "any", 0, 0)}, TunnelLocals: []netip.Addr{netip.MustParseAddr("203.0.113.1")}})
	if w := l.Warnings(); len(w) != 1 || !strings.Contains(w[0], `"mine"`) || !strings.Contains(w[0], "IKE and ESP still go to the tunnel") {
		t.Errorf("warnings %q", w)
	}
}

func TestTheDefaultsOfTheTables(t *testing.T) {
	l := build(t, Config{Servers: []Server{vs("net", "10.1.1.0/24", "any", 0, 0)}}).Find(KindServer, "net")
	p := l.Profile
	if p.IdleTimeout != 300*time.Second || p.HandshakeTimeout != 5*time.Second || p.CloseTimeout != 5*time.Second || p.ClientTimeout != 30*time.Second ||
		p.LooseInitialization || p.LooseClose || !p.ResetOnTimeout.Is(true) || p.Name != "fastL4" {
		t.Errorf("profile %+v", p)
	}
	if n := len(l.VLANs()); n != 256 {
		t.Errorf("on %d VLANs, want all", n)
	}
	s := Server{Destination: pfx("10.1.1.1/32"), Role: Reject}
	if !s.TranslatesAddress() || !s.TranslatesPort() {
		t.Error("a host's address is not translated by default")
	}
	if l.Server.TranslatesAddress() || l.Server.TranslatesPort() || l.Server.Disabled {
		t.Error("a network's address is translated by default")
	}
}
