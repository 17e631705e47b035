package report

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheMiddleAndTheEdgesOfASample(t *testing.T) {
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, 0},
		{[]float64{7}, 0.5, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 3, 2, 1}, 0.5, 2},
		{[]float64{5, 4, 3, 2, 1}, 0.99, 5},
		{[]float64{5, 4, 3, 2, 1}, 1, 5},
		{[]float64{5, 4, 3, 2, 1}, 0, 1},
	} {
		if got := Quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile %v of %v is %v, want %v", c.q, c.values, got, c.want)
		}
	}
	if s := Spread([]float64{2, 9, 4}); !slices.Equal(s, []float64{2, 9}) {
		t.Errorf("spread %v", s)
	}
}

func TestRatiosAreTakenRoundByRound(t *testing.T) {
	got := Ratios([]float64{2, 30, 8, 5}, []float64{1, 10, 0})
	if !slices.Equal(got, []float64{2, 3}) {
		t.Errorf("%v", got)
	}
}

func TestAGoalIsMetAtItsBound(t *testing.T) {
	least, most := Goal{Bound: 2}, Goal{Bound: 2, AtMost: true}
	for v, want := range map[float64][2]bool{1.99: {false, true}, 2: {true, true}, 2.01: {true, false}} {
		if least.Met(v) != want[0] || most.Met(v) != want[1] {
			t.Errorf("%v: at least %v, at most %v", v, least.Met(v), most.Met(v))
		}
	}
	if least.String() != "≥ 2" || (Goal{Bound: 1.15, AtMost: true}).String() != "≤ 1.15" {
		t.Errorf("%v", least)
	}
}

// example is a document with something of everything.
func example() *Document {
	return &Document{
		Machine: Machine(), Rounds: 3, Each: time.Second,
		Figures: Figures{RingToForward: {1.5, 1.2, 1.4}, HitAllocs: {0, 0, 0}, XDPAt1M: {3, 2.6, 2.7}},
		Tables:  []Table{{Title: "ESP", Head: []string{"way", "kpps"}, Rows: [][]string{{"kernel", "1"}, {"short"}}, Note: "A note."}},
		Missing: []string{"XDP: refused\nby the kernel"},
		Plot: Plot{
			Bars:  []Bars{{Title: "rate <&>", Unit: "Mpps", Bars: []Bar{{Name: "a", Values: []float64{1, 2, 3}, Ours: true}, {Name: "none"}}}},
			Lines: []Lines{{Title: "cost", Unit: "ns", Series: []Series{{Name: "x", Points: []Point{{1, []float64{3}}, {1000, nil}, {1000000, []float64{9, 8}}}}}}},
		},
	}
}

func TestEveryGoalHasAnEntryInTheFile(t *testing.T) {
	dir := t.TempDir()
	if err := example().Write(dir); err != nil {
		t.Fatal(err)
	}
	checkJSON(t, filepath.Join(dir, JSONFile))
	text, err := os.ReadFile(filepath.Join(dir, JSONFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"value": 1.4`, `"met": true`, `"value": null`, `"goal": "≥ 1.3"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
	m := Measures(example().Figures)
	if !m[0].Met || m[9].Met || m[1].Met || !slices.Equal(m[0].Spread, []float64{1.2, 1.5}) {
		t.Errorf("%+v", m)
	}
}

// The result that is kept beside the code has the form that others compare, and
// an entry for each goal of this version.
func TestTheKeptResultHasItsForm(t *testing.T) { checkJSON(t, "../results/"+JSONFile) }

func checkJSON(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var doc struct {
		Version  *int `json:"version"`
		Measures []struct {
			Name   *string    `json:"name"`
			Value  *float64   `json:"value"`
			Goal   *string    `json:"goal"`
			Met    *bool      `json:"met"`
			Spread *[]float64 `json:"spread"`
		} `json:"measures"`
	}
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil || doc.Version == nil || *doc.Version != 1 {
		t.Fatalf("%s: %v, version %v", path, err, doc.Version)
	}
	goals := Goals()
	if len(doc.Measures) != len(goals) {
		t.Fatalf("%s: %d measures for %d goals", path, len(doc.Measures), len(goals))
	}
	for i, m := range doc.Measures {
		switch {
		case m.Name == nil || m.Goal == nil || m.Met == nil || m.Spread == nil:
			t.Errorf("%s: measure %d lacks a field", path, i)
		case *m.Name != goals[i].Name || *m.Goal != goals[i].String():
			t.Errorf("%s: measure %d is %q (%s), expected %q (%s)", path, i, *m.Name, *m.Goal, goals[i].Name, goals[i])
		case *m.Met != (m.Value != nil && goals[i].Met(*m.Value)):
			t.Errorf("%s: %s: %v, met %v", path, *m.Name, m.Value, *m.Met)
		case m.Value != nil && (len(*m.Spread) != 2 || (*m.Spread)[0] > *m.Value || (*m.Spread)[1] < *m.Value):
			t.Errorf("%s: %s: %v is not in %v", path, *m.Name, *m.Value, *m.Spread)
		}
	}
}

func TestGoalsHaveKeysAndNamesOfTheirOwn(t *testing.T) {
	keys, names := map[string]bool{}, map[string]bool{}
	for _, g := range Goals() {
		if g.Key == "" || g.Name == "" || keys[g.Key] || names[g.Name] {
			t.Errorf("%+v", g)
		}
		keys[g.Key], names[g.Name] = true, true
	}
}

func TestTheMarkdownHasEveryTable(t *testing.T) {
	var out strings.Builder
	example().markdown(&out)
	for _, want := range []string{
		"| AF_PACKET fast path ÷ Linux ip_forward, ESP 100 B, 1,000 flows, one forwarding core | ≥ 1.3 | 1.40 | 1.20 to 1.50 | yes |",
		"| XDP: cost per packet at 1,000,000 active flows ÷ at 1,000, uniform | ≤ 2.5 | 2.70 | 2.60 to 3 | no |",
		"| latency p99 at half load ÷ the kernel's | ≤ 2 | not measured |  | no |",
		"## ESP\n\n| way | kpps |\n| --- | --- |\n| kernel | 1 |\n| short |  |\n\nA note.\n",
		"* XDP: refused by the kernel\n", "![plot](latest.svg)", Machine(),
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestThePlotIsXML(t *testing.T) {
	var out strings.Builder
	example().Plot.SVG(&out)
	if strings.Contains(out.String(), "NaN") || strings.Contains(out.String(), "Inf") || !strings.Contains(out.String(), "not measured") {
		t.Errorf("%s", out.String())
	}
	d := xml.NewDecoder(strings.NewReader(out.String()))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
	}
}

func TestATableLinesUpItsColumns(t *testing.T) {
	var out strings.Builder
	tab := Table{Head: []string{"way", "kpps"}}
	tab.Row("kernel", "1000")
	tab.Print(&out)
	if want := "way      kpps\nkernel   1000\n\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestTheMachineHasNoName(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if m := Machine(); strings.Contains(m, host) && len(host) > 2 || !strings.Contains(m, "Linux ") || !strings.Contains(m, "go1") {
		t.Errorf("%q", m)
	}
}
