package peers

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/tests/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// suiteLimit bounds everything; soak takes longer.
const (
	suiteLimit = 25 * time.Minute
	soakLimit  = 2 * time.Hour
)

// TestMatrix plays rows and scenarios with real daemons in a virtual machine.
// That takes minutes and downloads packages, so it is done only when asked
// for: SPIGATE_PEERS=1, and SPIGATE_SOAK=1 for every cell of the matrix.
// SPIGATE_CELLS=TEXT,TEXT plays only cells whose "row/scenario" contains one of
// the texts, out of all. SPIGATE_LOOK=1 tells everything after each of them.
func TestMatrix(t *testing.T) {
	if os.Getenv("SPIGATE_PEERS") != "1" {
		t.Log("the part with real daemons was not asked for (SPIGATE_PEERS=1): only unit tests run")
		return
	}
	if !netns.Root() {
		t.Fatal("network namespaces and TAP devices need root")
	}
	soak, limit := os.Getenv("SPIGATE_SOAK") == "1", suiteLimit
	if soak {
		limit = soakLimit
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	began := time.Now()
	if out, err := exec.CommandContext(ctx, "sh", "deps.sh").CombinedOutput(); err != nil {
		t.Fatalf("deps.sh: %v\n%s", err, out)
	}
	laps := []Lap{{"host packages", time.Since(began)}}
	bed, err := NewBed(ctx, netns.For(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	bed.Look = os.Getenv("SPIGATE_LOOK") == "1"
	laps = append(laps, bed.Times...)
	results := playAll(ctx, t, bed, soak)
	for _, r := range results {
		laps = append(laps, Lap{r.Row + ": " + r.Scenario, r.Took})
	}
	t.Logf("time of each part\n%s\nmatrix\n%s", TimeTable(laps), Matrix(results))
}

func playAll(ctx context.Context, t *testing.T, bed *Bed, soak bool) []Result {
	only := strings.Split(os.Getenv("SPIGATE_CELLS"), ",")
	var results []Result
	one := func(name string, play func() Result) {
		if !slices.ContainsFunc(only, func(text string) bool { return strings.Contains(name, text) }) {
			return
		}
		t.Run(name, func(t *testing.T) {
			bed.Tell = func(line string) { t.Log(line) }
			r := play()
			results = append(results, r)
			if r.Err != nil {
				t.Error(r.Err)
			}
		})
	}
	for _, c := range Cells(soak || only[0] != "") {
		one(c.Row.Name+"/"+c.Scenario.Name, func() Result { return bed.Play(ctx, c.Row, c.Scenario) })
	}
	for _, row := range Rows() {
		if !row.Beside {
			one(row.Name+"/"+control, func() Result { return bed.Control(ctx, row) })
		}
	}
	for _, c := range EndCells(soak || only[0] != "") {
		one(c.Row.Name()+"/"+c.Scenario.Name, func() Result { return bed.PlayEnd(ctx, c.Row, c.Scenario) })
	}
	if len(results) == 0 {
		t.Errorf("no cell has any of %q in its name", only)
	}
	return results
}
