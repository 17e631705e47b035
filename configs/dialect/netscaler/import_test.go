package netscaler

import (
	"flag"
	"os"
	"path/filepath"
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

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/page.txt")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheSampleOfThePageAsItStandsPassesCheck(t *testing.T) {
	r := Import([]byte(page(t)))
	golden(t, "page.toml", r.TOML)
	golden(t, "page.err", told(r))
	c := parse(t, r.TOML)
	g := c.LSN.Groups[0]
	if g.Name != "LSN-GROUP-1" || g.Client.Name != "LSN-CLIENT-1" || g.ALG == nil || g.ALG.ESPGateTimeout.Seconds() != 20 || g.ALG.ESPSessionTimeout.Minutes() != 40 {
		t.Errorf("the group is %+v with %+v", g, g.ALG)
	}
	if r.Has(dialect.Unknown, dialect.Left, dialect.Fault) || !r.Has(dialect.Missing) {
		t.Error(told(r))
	}
}

// What a screen, a web page or a mail does to the text changes nothing but notes.
func TestPromptsWrappedLinesAndTypographyDoNotMatter(t *testing.T) {
	want := Import([]byte(page(t))).TOML
	mangle := map[string]func(string) string{
		"a prompt":           func(s string) string { return strings.ReplaceAll(s, "\nadd ", "\n> add ") },
		"a prompt of a user": func(s string) string { return strings.ReplaceAll(s, "\nbind ", "\nroot@ns1> bind ") },
		"a prompt with #":    func(s string) string { return strings.ReplaceAll(s, "\nbind ", "\nns# bind ") },
		"line ends":          func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"hard blanks":        func(s string) string { return strings.ReplaceAll(s, " 192", "\u00a0192") },
		"quotation marks":    func(s string) string { return strings.ReplaceAll(s, " LSN-POOL-1", " “LSN-POOL-1”") },
		"em dashes":          func(s string) string { return strings.ReplaceAll(s, " -net", " —net") },
		"wrapped":            func(s string) string { return strings.ReplaceAll(s, " -connfailover", "\n   -connfailover") },
		"wrapped at a value": func(s string) string { return strings.ReplaceAll(s, "-poolname ", "-poolname\n") },
		"wrapped at a word":  func(s string) string { return strings.ReplaceAll(s, "LSN-POOL-1 203", "LSN-POOL-1\n203") },
		"a backslash":        func(s string) string { return strings.ReplaceAll(s, " UDP", " \\\nUDP") },
		"abbreviated":        func(s string) string { return strings.ReplaceAll(s, "-ikeSessionTimeout", "-ikeSess") },
		"in another case":    func(s string) string { return strings.ReplaceAll(s, "-appsprofilename", "-APPSPROFILENAME") },
		"colours":            func(s string) string { return strings.ReplaceAll(s, "Done", "\x1b[1mDone\x1b[0m") },
		"no width":           func(s string) string { return strings.ReplaceAll(s, "LSN-", "LSN\u200b-") },
		"a byte order mark":  func(s string) string { return "\ufeff" + s },
		"shows in between":   func(s string) string { return strings.ReplaceAll(s, "\nDone", "\nshow lsn group\nDone") },
		"a comment":          func(s string) string { return "#NS13.0 Build 47.24\n# Last modified Tue\n" + s },
	}
	for what, how := range mangle {
		text := how(page(t))
		r := Import([]byte(text))
		if diff := cmp.Diff(want, r.TOML); diff != "" || text == page(t) {
			t.Errorf("%s (-want +got):\n%s\n%s", what, diff, told(r))
		}
		if r.Has(dialect.Unknown, dialect.Left) {
			t.Errorf("%s:\n%s", what, told(r))
		}
	}
}

// complete is a group with all that it needs.
const complete = `add lsn client C
bind lsn client C -network 10.0.0.0 -netmask 255.0.0.0
add lsn pool P
bind lsn pool P 203.0.113.3
add lsn appsprofile A UDP -ippooling PAIRED
add ipsecalg profile I
add lsn group G -clientname C
bind lsn group G -poolname P -appsprofilename A -ipsecAlgProfile I
`

func TestWhatIsDefinedNeedsNothingMadeUp(t *testing.T) {
	r := Import([]byte(complete))
	parse(t, r.TOML)
	if len(r.Findings) > 0 || strings.Contains(r.TOML, "made up") {
		t.Errorf("%s\n%s", told(r), r.TOML)
	}
}

func TestWhatCannotBeCarriedOverIsSaidByItsLine(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"add lsn grup X", `unknown: add lsn grup: no such command is known here; did you mean "lsn group"?`},
		{"set lsn pool P -natype DYNAMIC", `unknown: -natype is no option of this command: it is left out; did you mean "nattype"?`},
		{"set lsn pool P -p 3", "unknown: -p is no option of this command: it is left out"},
		{"set ipsecalg profile I -espGateTimeout soon", `unknown: -espGateTimeout: "soon" is no whole number of seconds: it is left out`},
		{"set ipsecalg profile I -espGateTimeout", "unknown: -espGateTimeout has no value"},
		{"set ipsecalg profile I -espGateTimeout 2", "fault: ipsecalg.profile.I.esp_gate_timeout: must be from 3s to 1200s"},
		{"set ipsecalg profile I -connfailover MAYBE", `unknown: -connfailover: "MAYBE" is neither ENABLED nor DISABLED`},
		{"set ipsecalg profile I 7", `unknown: "7" stands behind no option`},
		{"bind lsn group G -ipsecAlgProfile J", "left out: -ipsecAlgProfile J: the group has I already, and may have one (rule R9)"},
		{"set lsn group G -sipalg ENABLED", "left out: -sipalg ENABLED: on is not supported"},
		{"set lsn group G -ip6profile X", "left out: -ip6profile X: not supported: DS-Lite and NAT64"},
		{"bind lsn group G -pcpServer X", "left out: -pcpServer X: not supported"},
		{"add lsn ip6profile X", "left out: add lsn ip6profile: DS-Lite and NAT64"},
		{"set rnat 10.0.0.0 255.0.0.0", "left out: set rnat: RNAT and the IPsec ALG do not go together (rule R12)"},
		{"bind lsn client C -network6 2001:db8::/32", "left out: -network6"},
		{"bind lsn client C -aclname X", "left out: -aclname X"},
		{"bind lsn client C -network 10.0.0.7 -netmask 255.255.255.0", "note: 10.0.0.7 with mask 255.255.255.0 has host bits: read as 10.0.0.0/24"},
		{"bind lsn client C -network 10.0.0.0 -netmask 255.0.255.0", "unknown: 255.0.255.0 is no mask: it has holes"},
		{"bind lsn client C -network 11.0.0.0 -netmask 255.0.0.0 -td x", `unknown: -td: "x" is no whole number`},
		{"add lsn client C", "left out: add: line 1 has added it already"},
		{"rm lsn pool Q", "left out: rm: the text has no such object so far"},
		{"unbind lsn pool P 203.0.113.4", "left out: unbind 203.0.113.4: it was not bound so far"},
		{"unset lsn pool P -nattype", "left out: unset -nattype: it was not set so far"},
		{"set lsn appsprofile A -ippooling RANDOM", "fault: lsn.group.G.ipsecalg_profile: rule R5, code 3520"},
		{"add lsn static S TCP 10.0.0.9 80", "left out: a mapping names its NAT address here"},
		{"hello there", `unknown: "hello there" is no command that changes a configuration`},
		{"add lsn", "unknown: add lsn: no such command is known here"},
		{"add lsn pool", "unknown: add: the name is missing"},
		{"enable ns feature LSN", "left out: enable ns feature: what the configuration has is on"},
		{"add lsn pool [-nattype X]", "is to be filled in: this is a command's syntax, not a command"},
		{"add route 0.0.0.0 0.0.0.0 null", `left out: add route: "null" is no address`},
		{"add ns ip 10.9.9.9 255.255.255.0 -type MIP", "left out: -type MIP: only a SNIP"},
	} {
		r := Import([]byte(complete + test.line + "\n"))
		found := false
		for _, f := range r.Findings {
			place := f.Line == 9 || f.Kind == dialect.Fault && f.Line > 0
			found = found || place && strings.HasPrefix(f.String(), strings.SplitN(test.want, "is to be", 2)[0]) || strings.Contains(f.String(), test.want)
		}
		if !found {
			t.Errorf("%s: want %q, got:\n%s", test.line, test.want, told(r))
		}
		if r.Has(dialect.Note) == r.Has(dialect.Unknown, dialect.Left, dialect.Fault) {
			t.Errorf("%s: kinds of\n%s", test.line, told(r))
		}
	}
}

func TestObjectsAreTakenBackByRmUnbindAndUnset(t *testing.T) {
	c := parse(t, Import([]byte(complete+`bind lsn pool P 203.0.113.9
unbind lsn pool P 203.0.113.3
set lsn group G -snmptraplimit 7 -ftp DISABLED
unset lsn group G -snmptraplimit
add lsn pool Q
bind lsn pool Q 203.0.113.5
bind lsn group G -poolname Q
unbind lsn group G -poolname Q
rm lsn pool Q
bind lsn client C -network 11.0.0.0 -netmask 255.0.0.0
unbind lsn client C -network 10.0.0.0 -netmask 255.0.0.0
unbind lsn group G -ipsecAlgProfile I
`)).TOML)
	g := c.LSN.Groups[0]
	if len(c.LSN.Pools) != 1 || g.Pools[0].Ranges[0].String() != "203.0.113.9" || g.TrapLimit != 100 || g.FTP || g.ALG != nil || g.Client.Networks[0].String() != "11.0.0.0/8" {
		t.Errorf("%+v", g)
	}
}

func TestVLANsAddressesAndRoutesAreCarriedOver(t *testing.T) {
	r := Import([]byte(`add vlan 20 -aliasName inside
bind vlan 20 -ifnum 1/2 -tagged
bind vlan 20 -IPAddress 10.1.0.1 255.255.255.0
add vlan 30
bind vlan 30 -ifnum 1/3
bind vlan 30 -IPAddress 10.2.0.1 255.255.255.0
add ns ip 10.1.0.1 255.255.255.0 -vServer DISABLED
add ns ip 10.2.0.1 255.255.255.0 -type SNIP -td 7
add ns trafficDomain 7
bind ns trafficDomain 7 -vlan 30
add route 0.0.0.0 0.0.0.0 10.1.0.254
add route 0.0.0.0 0.0.0.0 10.2.0.254 -td 7
add ns ip 10.3.0.1 255.255.255.0
add route 10.8.0.0 255.255.0.0 10.7.0.254
`))
	c := parse(t, r.TOML)
	golden(t, "network.toml", r.TOML)
	if len(c.VLANs) != 4 || len(c.Routes) != 3 || len(c.Ports) != 4 || c.VLANs[0].ID != 20 || c.VLANs[1].ID != 0 || c.VLANs[1].Domain != 7 {
		t.Errorf("%d VLANs, %d routes, %d ports:\n%s", len(c.VLANs), len(c.Routes), len(c.Ports), told(r))
	}
}

// FuzzImport: whatever the text, the answer is TOML, the same twice, its
// findings are in the text, and faults are told if there are any.
func FuzzImport(f *testing.F) {
	f.Add(complete)
	if text, err := os.ReadFile("testdata/page.txt"); err == nil {
		f.Add(string(text))
	}
	f.Add("add vlan 20\nbind vlan 20 -ifnum 1/2 -tagged\nadd ns ip 10.1.0.1 255.255.255.0 -td 7\nadd route 0 0 10.1.0.254\nadd route 10.0.0.0 255.0.0.0 10.1.0.254 -td 9\n")
	f.Add("bind lsn group \"a b\" –poolname “x”\n- \n-\n\\\nrm lsn group \"a b\"\nadd lsn static s ALL 1.2.3.4 * 5.6.7.8\n")
	f.Add("add lsn pool \x00\xff\u2028\nset lsn parameter -sessionSync off -memLimit 2\nunset lsn pool P\nunbind lsn pool P -x\nadd lsn appsattributes '' -port 1,2,a\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := Import([]byte(text))
		if again := Import([]byte(text)); again.TOML != r.TOML {
			t.Fatalf("two answers:\n%s\n%s", r.TOML, again.TOML)
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
