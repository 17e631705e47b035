package control

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func filterOf(t *testing.T, pairs ...string) Filter {
	t.Helper()
	var f Filter
	for i := 0; i < len(pairs); i += 2 {
		if err := f.Set(pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func TestAFilterChoosesTheRowsItNames(t *testing.T) {
	session := sample
	session.Client = "A"
	lsn := LSNSession{SubscriberIP: ip("192.0.2.10"), NATIP: ip("203.0.113.3"), NATPort: 6234, DestIP: ip("198.51.100.9"), Client: "A"}
	gate := IPsecGate{NATIP: ip("203.0.113.3"), DestIP: ip("198.51.100.9"), Holder: Addr{ip("192.0.2.10")},
		Waiters: []GateWaiter{{SourceIP: ip("192.0.2.77")}}, Client: "A"}
	free := IPsecGate{NATIP: ip("203.0.113.3"), DestIP: ip("198.51.100.9"), Client: "A"}
	out := Flow{SourceIP: ip("192.0.2.10"), DestIP: ip("198.51.100.9"), Side: SideSource, NewIP: Addr{ip("203.0.113.3")}}
	in := Flow{SourceIP: ip("198.51.100.9"), DestIP: ip("203.0.113.3"), Side: SideDestination, NewIP: Addr{ip("192.0.2.10")}}
	for _, c := range []struct {
		name, text                        string
		session, lsn, gate, free, out, in bool
	}{
		{"", "", true, true, true, true, true, true},
		{BySourceIP, "*", true, true, true, true, true, true},
		{BySourceIP, "192.0.2.10", true, true, true, false, true, false},
		{BySourceIP, "192.0.2.77", false, false, true, false, false, false},
		{BySourceIP, "198.51.100.9", false, false, false, false, false, true},
		{ByNATIP, "203.0.113.3", true, true, true, true, true, true},
		{ByNATIP, "203.0.113.4", false, false, false, false, false, false},
		{ByDestIP, "198.51.100.9", true, true, true, true, true, false},
		{ByDestIP, "198.51.100.8", false, false, false, false, false, false},
		{ByNATPort, "6234", true, true, true, true, true, true},
		{ByNATPort, "6235", true, false, true, true, true, true},
		{ByClient, "A", true, true, true, true, true, true},
		{ByClient, "B", false, false, false, false, true, true},
		{ByNetwork, "192.0.2.0/24", true, true, true, false, true, true},
		{ByNetwork, "192.0.2.64/26", false, false, true, false, false, false},
		{ByTD, "0", true, true, true, true, true, true},
		{ByTD, "7", false, false, false, false, false, false},
	} {
		var f Filter
		if c.name != "" {
			f = filterOf(t, c.name, c.text)
		}
		got := []bool{session.passes(&f), lsn.passes(&f), gate.passes(&f), free.passes(&f), out.passes(&f), in.passes(&f)}
		want := []bool{c.session, c.lsn, c.gate, c.free, c.out, c.in}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %s (session lsn gate free out in):\n%s", c.name, c.text, diff)
		}
	}
	red := filterOf(t, ByTD, "7")
	session.TD, lsn.SubscriberTD, gate.TD, out.TD = 7, 7, 7, 7
	if !session.passes(&red) || !lsn.passes(&red) || !gate.passes(&red) || !out.passes(&red) {
		t.Error("rows of traffic domain 7 do not pass its filter")
	}
	for _, object := range []row{LSNClient{TD: 7}, LSNPool{TD: 7}, LSNGroup{TD: 7}} {
		if blue := filterOf(t, ByTD, "0"); !object.passes(&red) || object.passes(&blue) {
			t.Errorf("%T: not chosen by its traffic domain", object)
		}
	}
	if both := filterOf(t, BySourceIP, "192.0.2.10", ByDestIP, "198.51.100.8"); session.passes(&both) {
		t.Error("two filters are not combined with and")
	}
}

func TestAFilterSaysWhatItWants(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{BySourceIP, "", `source_ip: "" is not an IPv4 address`},
		{BySourceIP, "2001:db8::1", "not an IPv4 address"},
		{ByNATIP, "1.2.3.4/8", "not an IPv4 address"},
		{ByDestIP, "1.2.3", "not an IPv4 address"},
		{ByNATPort, "0", "1-65535"},
		{ByNATPort, "65536", "1-65535"},
		{ByNATPort, "*", "1-65535"},
		{ByClient, "", "1 to 127"},
		{ByClient, strings.Repeat("x", 128), "1 to 127"},
		{ByNetwork, "192.0.2.0", "like 192.0.2.0/24"},
		{ByNetwork, "2001:db8::/32", "like 192.0.2.0/24"},
		{BySourceIP, "0.0.0.0", "nobody's address; any is *"},
		{ByName, "", "1 to 127"},
		{ByVirtual, "", "1 to 127"},
		{ByTD, "4095", "0-4094"},
		{ByTD, "-1", "0-4094"},
		{"natip", "1.2.3.4", `unknown filter "natip"`},
	} {
		var f Filter
		err := f.Set(c.name, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: %v, want %q", c.name, c.text, err, c.want)
		}
	}
}

func TestAFilterSurvivesTheWayOverTheSocket(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	want := filterOf(t, BySourceIP, "192.0.2.10", ByNATIP, "203.0.113.3", ByDestIP, "198.51.100.9",
		ByNATPort, "500", ByClient, "LSN-CLIENT-1", ByNetwork, "192.0.2.0/24", ByTD, "0")
	collect(t, c.LSNSessions(t.Context(), want))
	if diff := cmp.Diff(want, b.asked, cmpopts.EquateComparable(want.SourceIP, want.Network)); diff != "" {
		t.Errorf("(-asked +arrived):\n%s", diff)
	}
}

// FuzzFilter reads a request's query: whatever is accepted must come back as
// the same filter.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"", "source_ip=192.0.2.10&nat_port=500", "network=192.0.2.9%2F24&td=0", "client=a+b%00",
		"in=lan&frame=udp,192.0.2.10:500,198.51.100.9:500&size=1400&df=true", "frame=esp,1.2.3.4,5.6.7.8,c0ffee01&ttl=1&unsealed=true",
		"frame=icmp-reply,1.2.3.4,5.6.7.8,7", "frame=47,1.2.3.4,5.6.7.8&payload=0x00ff", "frame=tcp,1.2.3.4:1,5.6.7.8:2&flags=syn|ack",
		"nat_ip=*", "virtual=ipsec-2&td=7", "dest_ip=::ffff:1.2.3.4", "td=99999", "source_ip=1.2.3.4&source_ip=1.2.3.4", "%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		query, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		allowed := slices.Concat(FiltersOfLSN(), []string{ByVirtual}, FiltersOfExplain())
		first, err := parseFilter(query, allowed)
		if err != nil {
			return
		}
		if first.SourceIP.IsValid() && !first.SourceIP.Is4() || first.Network != first.Network.Masked() {
			t.Fatalf("%q gives %+v", text, first)
		}
		again, err := parseFilter(first.Values(), allowed)
		if err != nil {
			t.Fatalf("%q gives %q: %v", text, first.Values().Encode(), err)
		}
		if diff := cmp.Diff(first, again, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
			t.Errorf("%q (-first +again):\n%s", text, diff)
		}
	})
}
