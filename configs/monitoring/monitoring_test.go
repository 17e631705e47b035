package monitoring

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// scrapeFile is a scrape of a router with one of everything; the test of
// cmd/internal/metrics holds it to what the handler says.
const scrapeFile = "../../cmd/internal/metrics/testdata/scrape.txt"

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// missing names the metrics of a text that a scrape does not have.
func missing(text, scrape string) (out []string) {
	for _, name := range regexp.MustCompile(`\bspigate_[a-z0-9_]+`).FindAllString(text, -1) {
		if !strings.Contains(scrape, "# TYPE "+name+" ") {
			out = append(out, name)
		}
	}
	return out
}

func TestEveryMetricThatIsNamedIsInAScrape(t *testing.T) {
	scrape := read(t, scrapeFile)
	for _, file := range []string{"alerts.yaml", "alerts_test.yaml", "dashboard.json"} {
		text := read(t, file)
		if !strings.Contains(text, "spigate_nat_pool_ports") {
			t.Errorf("%s does not look at pools", file)
		}
		for _, name := range missing(text, scrape) {
			t.Errorf("%s names %s, which no scrape has", file, name)
		}
	}
	if got := missing("rate(spigate_nat_pools[5m])", scrape); len(got) != 1 {
		t.Errorf("a name that is wrong passes: %q", got)
	}
}

// A label that is wrong selects nothing, and an alert that selects nothing is
// silent: values that the files compare with must be in the scrape.
func TestEveryLabelThatIsSelectedIsInAScrape(t *testing.T) {
	scrape := read(t, scrapeFile)
	selected := regexp.MustCompile(`\b(spigate_[a-z0-9_]+)\{\\?([a-z]+)=\\?"([a-z_0-9]+)\\?"`)
	for _, file := range []string{"alerts.yaml", "dashboard.json"} {
		found := selected.FindAllStringSubmatch(read(t, file), -1)
		if len(found) < 5 {
			t.Errorf("%s: only %d selections were found", file, len(found))
		}
		for _, m := range found {
			if !regexp.MustCompile(m[1] + `\{[^}]*` + m[2] + `="` + m[3] + `"`).MatchString(scrape) {
				t.Errorf("%s selects %s, which no scrape has", file, m[0])
			}
		}
	}
}

func TestTheDashboardIsOneThatGrafanaImports(t *testing.T) {
	var d struct {
		Title, UID    string
		SchemaVersion int
		Panels        []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, RefID string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q: its number is taken, or it is empty or too wide", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := cells[at]; other != "" {
					t.Fatalf("%q lies over %q", p.Title, other)
				}
				cells[at] = p.Title
			}
		}
	}
	if d.Title == "" || d.UID == "" || d.SchemaVersion == 0 || len(d.Panels) < 15 {
		t.Errorf("title %q, uid %q, schema %d, %d panels", d.Title, d.UID, d.SchemaVersion, len(d.Panels))
	}
}

// promtool is Prometheus' own; tests/deps.sh gets it.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v (is it installed? tests/deps.sh does it)\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPrometheusTakesTheRulesAndTheyTellWhatTheyAreFor(t *testing.T) {
	promtool(t, "", "check", "rules", "alerts.yaml")
	promtool(t, "", "test", "rules", "alerts_test.yaml")
	promtool(t, read(t, scrapeFile), "check", "metrics")
}

// The expressions of the dashboard are PromQL: as rules they are read by the
// same parser. What Grafana puts in is put in by hand.
func TestTheDashboardsExpressionsArePromQL(t *testing.T) {
	var d struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal([]byte(read(t, "dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			expr, err := json.Marshal(strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(target.Expr))
			if err != nil {
				t.Fatal(err)
			}
			rules.WriteString("  - {record: \"x:y:z" + strings.Repeat("z", rules.Len()%97) + "\", expr: " + string(expr) + "}\n")
		}
	}
	file := t.TempDir() + "/rules.yaml"
	if err := os.WriteFile(file, []byte(rules.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", "--lint=none", file)
}
