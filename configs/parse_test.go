package configs

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sameConfig compares two configurations, pointers and addresses included.
func sameConfig() cmp.Options {
	return cmp.Options{cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}, netip.AddrPort{}), cmpopts.IgnoreTypes(Places{}), cmpopts.IgnoreFields(Config{}, "Source")}
}

// parse returns the messages of a text: faults, then warnings.
func parse(text string) (*Config, []string) {
	c, warnings, err := Parse("f", []byte(text))
	var out []string
	for _, f := range Faults(err) {
		out = append(out, f.Error())
	}
	for _, w := range warnings {
		out = append(out, w.String())
	}
	return c, out
}

func TestTheReferenceParses(t *testing.T) {
	if _, messages := parse(Reference()); len(messages) > 0 {
		t.Errorf("reference.toml: %s", strings.Join(messages, "\n"))
	}
}

func TestTheReferenceShowsTheTrueDefaults(t *testing.T) {
	plain, _ := parse(Reference())
	commented := regexp.MustCompile(`(?m)^#([a-z])`)
	spelled, messages := parse(commented.ReplaceAllString(Reference(), "$1"))
	if spelled == nil {
		t.Fatalf("with its defaults written out: %s", strings.Join(messages, "\n"))
	}
	if diff := cmp.Diff(plain, spelled, sameConfig()); diff != "" {
		t.Errorf("a default of reference.toml is not the program's (-program +reference):\n%s", diff)
	}
}

func TestTheReferenceHasEveryKey(t *testing.T) {
	doc, err := read("reference.toml", []byte(Reference()))
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{doc: doc}
	refused := map[string]bool{}
	r.seen = func(tab *table) {
		for _, key := range tab.known {
			if !regexp.MustCompile(`(?m)^(# ?)?`+key+` = |^\[([a-z0-9]+\.)*`+key+`[.\]]`).MatchString(Reference()) &&
				!refused[key] {
				t.Errorf("reference.toml lacks %s.%s", tab.here(), key)
			}
		}
	}
	for _, key := range []string{
		"ha", "sipalgprofile", "rtspalgprofile", "ip6profile",
		"tcp", "udp", "http", "node", "monitor", "rule", "policy",
	} {
		refused[key] = true
	}
	r.config()
}

func TestTheExampleIsTheNetScalerPageWithWhatItLacks(t *testing.T) {
	c, messages := parse(IPsecPassthrough())
	want := []string{"f:49:23: ipsecalg.profile.IPSECALGPROFILE-1.connfailover: warning: has no effect without a peer in [ha]"}
	if diff := cmp.Diff(want, messages); diff != "" {
		t.Fatalf("messages (-want +got):\n%s", diff)
	}
	g := c.LSN.Groups[0]
	got := []string{
		g.Name, g.Client.Name, g.Client.Networks[0].String(), g.Pools[0].Ranges[0].String(), g.Apps[0].Pooling.String(),
		g.ALG.IKESessionTimeout.String(), g.ALG.ESPSessionTimeout.String(), g.ALG.ESPGateTimeout.String(),
		c.Routes[0].Via.String(), c.Routes[0].VLAN.Name, c.VLANs[0].Port.Device, c.VLANs[1].Addresses[0].String(),
	}
	want = []string{
		"LSN-GROUP-1", "LSN-CLIENT-1", "192.0.2.0/24", "203.0.113.3-203.0.113.9", "PAIRED",
		"45m0s", "40m0s", "20s", "203.0.113.254", "outside", "eth0", "203.0.113.1/24",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTwentyFaultsGiveTwentyMessages(t *testing.T) {
	for _, name := range []string{"twenty-faults", "tunnel-faults", "switch-faults"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", name+".toml"))
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".golden")
			_, _, err = Parse(name+".toml", text)
			if err == nil {
				t.Fatal("no fault found")
			}
			got := err.Error() + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if n := strings.Count(got, "\n"); n != 20 {
				t.Errorf("%d messages, want 20", n)
			}
		})
	}
}

func TestAFileThatIsNotThereIsNoFaultOfTheConfiguration(t *testing.T) {
	_, _, err := Load(filepath.Join(t.TempDir(), "none.toml"))
	if err == nil || Faults(err) != nil {
		t.Errorf("error %v with faults %v", err, Faults(err))
	}
}

func TestObjectsKeepTheOrderOfTheFile(t *testing.T) {
	var text strings.Builder
	text.WriteString("version = 1\n")
	names := strings.Fields("zulu alpha mike 2nd _x november")
	for _, n := range names {
		text.WriteString("[lsn.client." + n + "]\nnetworks = []\n")
	}
	doc, err := read("f", []byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range (&reader{doc: doc}).config().LSN.Clients {
		got = append(got, c.Name)
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEnumerationsTakeBothFormsInAnyCaseAndPrintTheLongOne(t *testing.T) {
	for _, c := range []struct{ write, want string }{
		{"EIM", "ENDPOINT-INDEPENDENT"}, {"eim", "ENDPOINT-INDEPENDENT"}, {"Endpoint-Independent", "ENDPOINT-INDEPENDENT"},
		{"adm", "ADDRESS-DEPENDENT"}, {"APDM", "ADDRESS-PORT-DEPENDENT"},
	} {
		config, messages := parse("version=1\n[lsn.appsprofile.A]\nprotocol='udp'\nmapping='" + c.write + "'\n")
		if len(messages) > 0 {
			t.Errorf("%s: %v", c.write, messages)
			continue
		}
		if got := config.LSN.Apps[0].Mapping.String(); got != c.want {
			t.Errorf("%s prints %s, want %s", c.write, got, c.want)
		}
	}
}

func TestTheNarrowestPortRangeDecides(t *testing.T) {
	all := &AppsProfile{Name: "all", Protocol: ProtocolUDP}
	some := &AppsProfile{Name: "some", Protocol: ProtocolUDP, Ports: []PortRange{{400, 600}}}
	one := &AppsProfile{Name: "one", Protocol: ProtocolUDP, Ports: []PortRange{{53, 53}, {500, 500}}}
	tcp := &AppsProfile{Name: "tcp", Protocol: ProtocolTCP, Ports: []PortRange{{22, 22}}}
	g := &Group{Apps: []*AppsProfile{all, one, some, tcp}}
	for _, c := range []struct {
		proto Protocol
		port  uint16
		want  *AppsProfile
	}{
		{ProtocolUDP, 500, one}, {ProtocolUDP, 501, some}, {ProtocolUDP, 4500, all},
		{ProtocolTCP, 22, tcp}, {ProtocolTCP, 500, nil}, {ProtocolICMP, 0, nil},
	} {
		if got := g.AppsProfileFor(c.proto, c.port); got != c.want {
			t.Errorf("%s %d: %+v, want %+v", c.proto, c.port, got, c.want)
		}
	}
}
