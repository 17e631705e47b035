package peers

import (
	"slices"
	"strings"
	"testing"

	"spigate/configs"
)

// ending is one without a guest.
func ending(row EndRow) *Ending {
	g := Gateway()
	return &Ending{Row: row, Far: Far{Kind: row.Kind, Host: g, Seen: g.Address.Addr(), Net: FarHost.Masked(), Users: NearHost.Masked()}}
}

func TestWhatAUserWritesIsTakenWithoutAWarning(t *testing.T) {
	for _, row := range EndRows() {
		e := ending(row)
		text := e.config(ipsec0("tcp"), ipsec2("tcp", e.rightVLAN())).String()
		if _, warnings, err := configs.Parse("spigate.toml", []byte(text)); err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v\n%s", row.Name(), err, warnings, text)
		}
		// The list that lacks the VLAN is what the page warns of, and so does the check.
		text = e.config(ipsec0("tcp"), ipsec2("tcp", e.wrongVLAN())).String()
		if _, warnings, err := configs.Parse("spigate.toml", []byte(text)); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].String(), e.rightVLAN()) {
			t.Errorf("%s: %v %v", row.Name(), err, warnings)
		}
	}
}

func TestEachFaultIsInTheFarEndsFilesAndNothingElse(t *testing.T) {
	for _, k := range []Kind{StrongSwan, Libreswan, OpenIKED} {
		e := ending(EndRow{Kind: k})
		good := writtenFor(e.Far)
		seen := []string{good}
		for _, f := range faults() {
			e.Far.Fault = f.what
			bad := writtenFor(e.Far)
			if slices.Contains(seen, bad) {
				t.Errorf("%v: %s changes nothing, or what another one does", k, f.name)
			}
			seen = append(seen, bad)
			a, b := strings.Split(good, "\n"), strings.Split(bad, "\n")
			if len(a) != len(b) {
				t.Errorf("%v: %s adds or takes lines", k, f.name)
			}
		}
	}
}

// writtenFor is the configuration of a far end, but its private key.
func writtenFor(f Far) string {
	d := f.daemon()
	delete(d.files, "local.key")
	var names []string
	for name := range d.files {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		b.WriteString(d.files[name])
	}
	return b.String()
}

func TestAStreamIsReadFromItsReport(t *testing.T) {
	s, err := parseIperf(`{"intervals":[{"sum":{"bytes":9}},{"sum":{"bytes":0}}],"end":{"sum_sent":{"retransmits":3},"sum_received":{"bytes":7}}}`)
	if err != nil || s != (Stream{Bytes: 7, Retransmits: 3, Stalled: 1}) {
		t.Errorf("%+v %v", s, err)
	}
	if _, err = parseIperf(`{"error":"control socket has closed unexpectedly"}`); err == nil || !strings.Contains(err.Error(), "closed unexpectedly") {
		t.Errorf("a lost connection: %v", err)
	}
	if _, err = parseIperf("no room"); err == nil {
		t.Error("what is no report was taken for one")
	}
}

func TestARowOfAPageIsFound(t *testing.T) {
	const page = "Traffic   ClientSide\n  Packets In     27    0\n  Packets Out     0    0\n"
	if in, out, none := rowOf(page, "Packets In"), rowOf(page, "Packets Out"), rowOf(page, "Bits In"); in != "27" || out != "0" || none != "" {
		t.Errorf("%q %q %q", in, out, none)
	}
}

func TestEveryEndIsPlayedWithEveryKindOfDaemonWhenTimeIsShort(t *testing.T) {
	played := map[string]map[Kind]bool{}
	modes := map[string]map[bool]bool{}
	for _, c := range EndCells(false) {
		if played[c.Scenario.Name] == nil {
			played[c.Scenario.Name], modes[c.Scenario.Name] = map[Kind]bool{}, map[bool]bool{}
		}
		played[c.Scenario.Name][c.Row.Kind], modes[c.Scenario.Name][c.Row.Interface] = true, true
	}
	for _, sc := range EndScenarios() {
		if n := len(played[sc.Name]); n != 3 && sc.Name != "ltm nat" || n == 0 {
			t.Errorf("%s is played with %d kinds of daemon", sc.Name, n)
		}
	}
	if len(modes["page"]) != 2 || len(modes["rekey"]) != 2 || len(modes["NAT-T"]) != 2 {
		t.Errorf("policy modes: %v", modes)
	}
	if got, want := len(EndCells(true)), len(EndRows())*len(EndScenarios()); got != want {
		t.Errorf("soak plays %d cells, not %d", got, want)
	}
}
