package tmsh

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/configs"
	"spigate/configs/dialect"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// told is what was found, a line each.
func told(r *dialect.Result) string {
	var b strings.Builder
	for _, f := range r.Findings {
		b.WriteString(f.In("page.txt") + "\n")
	}
	return b.String()
}

func parse(t *testing.T, text string) *configs.Config {
	t.Helper()
	c, _, err := configs.Parse("imported", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheConfigurationsOfThePageAsTheyStandPassCheck(t *testing.T) {
	r := Import([]byte(read(t, "page.txt")))
	golden(t, "page.toml", r.TOML)
	golden(t, "page.err", told(r))
	c := parse(t, r.TOML)
	v, s := c.LTM.Virtuals[0], c.IPsec.Selectors[0]
	if v.Name != "ipsec-0" || !v.VLANs.Enabled || len(v.VLANs.List) != 2 || v.Destination.String() != "10.1.1.0/24" || c.LTM.NATs[0].Name != "NAT-1" {
		t.Errorf("%+v", v)
	}
	if s.Policy.Name != "Rio" || s.Policy.Peer == nil || !s.Policy.Peer.Disabled {
		t.Errorf("%+v", s.Policy)
	}
	if r.Has(dialect.Unknown, dialect.Left, dialect.Fault) || !r.Has(dialect.Missing) {
		t.Error(told(r))
	}
}

func TestHowTheTextIsBrokenDoesNotMatter(t *testing.T) {
	page := read(t, "page.txt")
	want := Import([]byte(page)).TOML
	blanks := regexp.MustCompile(`\s+`)
	prompts := regexp.MustCompile(`(?m)^(ltm|net) `)
	for what, text := range map[string]string{
		"one line":          strings.ReplaceAll(blanks.ReplaceAllString(strings.ReplaceAll(page, "# tmsh", "\n# tmsh"), " "), "} ltm", "}\nltm"),
		"a prompt":          strings.ReplaceAll(page, "# tmsh list", "admin@(bigip1)(cfg-sync Standalone)(Active)(/Common)(tmos)# list"),
		"prompts of a list": prompts.ReplaceAllString(page, "(tmos)# $1 "),
		"line ends":         strings.ReplaceAll(page, "\n", "\r\n"),
		"hard blanks":       strings.ReplaceAll(page, " 10.", "\u00a010."),
		"quotation marks":   strings.ReplaceAll(page, "ltm virtual ipsec-2", "ltm virtual “ipsec-2”"),
		"dashes":            strings.ReplaceAll(page, "ip-forward", "ip–forward"),
		"indented":          strings.ReplaceAll(page, "\n", "\n    "),
		"tight braces":      strings.ReplaceAll(page, "fastL4 { }", "fastL4{}"),
		"a file's head":     "#TMSH-VERSION: 15.1.0\n\n" + page,
	} {
		if what == "one line" {
			text = regexp.MustCompile(`# tmsh list ltm virtual [a-z-]+ `).ReplaceAllString(text, "\n")
		}
		r := Import([]byte(text))
		if diff := cmp.Diff(want, r.TOML); diff != "" || text == page || r.Has(dialect.Unknown, dialect.Left) {
			t.Errorf("%s (-want +got):\n%s\n%s", what, diff, told(r))
		}
	}
}

func TestCommandsGiveWhatListsGive(t *testing.T) {
	list := parse(t, Import([]byte(read(t, "page.txt"))).TOML)
	r := Import([]byte(`tmsh create ltm virtual ipsec-0 destination 10.1.1.0:any mask 255.255.255.0 source 10.2.1.0/24 ip-protocol tcp ip-forward profiles add { fastL4 }
tmsh create ltm virtual ipsec-2 destination 10.2.1.0:any mask 255.255.255.0 \
  source 10.1.1.0/24 ip-protocol tcp
  ip-forward translate-address disabled translate-port disabled
modify ltm virtual ipsec-0 vlans-enabled vlans add { ipsec-tunnel wrong }
modify ltm virtual ipsec-0 vlans delete { wrong } vlans add { vlan-internal-2-0 }
create ltm nat NAT-1 originating-address 192.168.15.2 translation-address 172.17.1.1
create ltm nat NAT-2 originating-address 192.168.15.3 translation-address 172.17.1.2
delete ltm nat NAT-2
create net ipsec traffic-selector my-nat-selector source-address 10.1.1.0/24 destination-address 192.168.15.2/32 ipsec-policy Rio
save sys config
`))
	if r.Has(dialect.Unknown, dialect.Left) {
		t.Error(told(r))
	}
	if diff := cmp.Diff(facts(list), facts(parse(t, r.TOML))); diff != "" {
		t.Errorf("(-list +commands):\n%s", diff)
	}
}

// facts are some of what a configuration says, in a form that can be compared.
func facts(c *configs.Config) (out []string) {
	for _, v := range c.LTM.Virtuals {
		out = append(out, strings.Join([]string{v.Name, v.Destination.String(), v.Source.String(), v.Protocol.String(), v.Profile.Name, strings.Join(v.VLANs.Names(), " ")}, ", "))
	}
	for _, n := range c.LTM.NATs {
		out = append(out, n.Name+", "+n.Originating.String()+", "+n.Translation.String())
	}
	for _, s := range c.IPsec.Selectors {
		out = append(out, s.Name+", "+s.Source.String()+", "+s.Destination.String()+", "+s.Policy.Name)
	}
	return out
}

func TestATunnelWithAllItsPartsIsCarriedOver(t *testing.T) {
	r := Import([]byte(read(t, "tunnel.txt")))
	golden(t, "tunnel.toml", r.TOML)
	golden(t, "tunnel.err", told(r))
	c := parse(t, r.TOML)
	if len(c.Tunnels) != 1 || c.Tunnels[0].Policy.Peer == nil || c.Tunnels[0].Policy.Peer.Name != "gw2" || len(c.Routes) != 2 || c.VLANs[1].ID != 30 || c.DB.RejectUnmatched {
		t.Errorf("%+v\n%s", c.Tunnels, told(r))
	}
}

func TestWhatCannotBeCarriedOverIsSaidByItsLine(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"ltm virtual v {\ndestination 10.0.0.1:80\npool web\n}", "3: left out: pool: no load is balanced: here a server forwards (ip-forward) or rejects: ltm virtual v is left out"},
		{"ltm virtual v {\ndestination 10.0.0.1:80\nip-forward\ndestinatoin x\n}", `4: unknown: destinatoin is no property that is known here: it is left out; did you mean "destination"?`},
		{"ltm virtual v {\nip-forward\ndestination\n}", "3: unknown: destination has no value"},
		{"ltm virtual v {\nip-forward\ndestination 10.0.0.7:any\nmask 255.255.255.0\n}", "3: fault: ltm.virtual.v.destination: 10.0.0.7/24 has host bits"},
		{"ltm virtual v {\nip-forward\ndestination 10.0.0.7:any\nconnection-limit few\n}", `4: unknown: connection-limit: "few" is no whole number: it is left out`},
		{"ltm virtual v {\nip-forward\ndestination 10.0.0.7:any\nprofiles { tcp { } http { } }\n}", "4: left out: profile http: servers have a profile of kind fastl4 alone"},
		{"ltm virtual v {\nip-forward\ndestination 10.0.0.7%3:any\nsource 10.0.0.0%4/8\n}", "4: left out: %4: this object is in route domain 3 already"},
		{"ltm virtual v {\nvlans-enabled\n}", "1: missing: create ltm virtual v destination ADDRESS:PORT ip-forward: the text has some of its properties only"},
		{"ltm nat n {\noriginating-address 10.0.0.1\ntranslation-address 10.1.0.1\ndisabled\n}", "4: left out: ltm nat n is disabled"},
		{"ltm pool p {\nmembers {\n10.0.0.1:80 { }\n}\n}\n", "1: left out: ltm pool p: no load is balanced here"},
		{"ltm rule r {\nwhen HTTP_REQUEST { a }\n}\nhello\n", `4: unknown: "hello" is neither a command nor an object`},
		{"security firewall x { }", "1: unknown: security firewall x: objects of this kind are not known here"},
		{"sys db ui.x { value 1 }", "1: left out: sys db ui.x: this variable has no counterpart"},
		{"create ltm snat s origins add { 10.0.0.0/8 } automap\ncreate ltm snat s automap", "2: left out: create ltm snat s: line 1 has it already"},
		{"delete ltm snat s", "1: left out: delete ltm snat s: the text has no such object so far"},
		{"net route r { network default blackhole }", "1: left out: net route r: routes lead to a neighbour (gw), or into a tunnel (interface)"},
		{"net vlan v { interfaces { 1.1 { tagged } 1.2 { } } tag 7 }", "1: left out: vlan v has 2 interfaces"},
		{"net ipsec ike-peer p {\nremote-address 198.51.100.7\npreshared-key-encrypted $M$xy\nversion { v1 }\n}", "4: fault: net.ipsec.peer.p.version: IKEv1 is not spoken"},
		{"net ipsec ike-peer p {\nremote-address 198.51.100.7\npreshared-key-encrypted $M$xy\n}", "3: missing: psk cannot be read from the text: write the key into the file p.psk"},
		{"net ipsec ipsec-policy p { mode tunnel tunnel-remote-address 198.51.100.7 tunnel-local-address 192.0.2.1 ike-phase2-encrypt-algorithm 3des }", `1: fault: net.ipsec.policy.p.ike_phase2_encrypt_algorithm[0]: "3des" has blocks of 64 bits`},
		{"ltm virtual {", "1: unknown: ltm virtual: objects of this kind are not known here"},
		{"ltm virtual v {\ndestination 10.0.0.1:any\nip-forward\n", "the text ends within braces"},
		{"}\n", "1: note: a brace closes nothing"},
	} {
		r := Import([]byte(test.text))
		if !strings.Contains(told(r), test.want) {
			t.Errorf("%s\nwant %q, got:\n%s", test.text, test.want, told(r))
		}
	}
}

// FuzzImport: whatever the text, the answer is TOML, the same twice, its
// findings are in the text, and faults are told if there are any.
func FuzzImport(f *testing.F) {
	for _, name := range []string{"page.txt", "tunnel.txt"} {
		if text, err := os.ReadFile(filepath.Join("testdata", name)); err == nil {
			f.Add(string(text))
		}
	}
	f.Add("create ltm snat s origins add { 10.0.0.0%3/8 default } automap\nmodify ltm snat s vlans replace-all-with { a b } vlans-enabled\ndelete ltm snat s\n")
	f.Add("net route r { network default%7 gw 1.2.3.4%7 }\nnet self s { address 1.2.3.4%7/24 vlan v }\nnet route-domain 7 { id 7 vlans { v w } }\n")
	f.Add("net ipsec manual-security-association m { spi 0x100 encrypt-key abc ipsec-policy p }\nltm virtual \"\" { { } }\nltm virtual x { vlans {{{{ } source-address-translation { type snat pool\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := Import([]byte(text))
		if again := Import([]byte(text)); again.TOML != r.TOML || told(again) != told(r) {
			t.Fatalf("two answers:\n%s\n%s\n%s\n%s", r.TOML, again.TOML, told(r), told(again))
		}
		if _, err := configs.Conceal(r.TOML); err != nil {
			t.Fatalf("%v:\n%s", err, r.TOML)
		}
		_, _, err := configs.Parse("imported", []byte(r.TOML))
		if (err != nil) != r.Has(dialect.Fault) {
			t.Fatalf("%v, and findings:\n%s", err, told(r))
		}
		for _, one := range r.Findings {
			if one.Line < 0 || one.Line > strings.Count(text, "\n")+1 {
				t.Fatalf("line %d of %q: %s", one.Line, text, one)
			}
		}
	})
}
