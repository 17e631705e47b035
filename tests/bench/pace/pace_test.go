package pace

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/tests/bench/path"
	"spigate/tests/bench/report"
	"spigate/tests/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(t *testing.T, each time.Duration) Options {
	t.Helper()
	var built netns.Build
	t.Cleanup(built.Remove)
	binary, err := built.Daemon()
	if err != nil {
		t.Fatal(err)
	}
	return Options{Binary: binary, Dir: t.TempDir(), Rounds: 2, Each: each, Progress: t.Output()}
}

// show prints what was measured with -v, and fails for what was not. A kernel
// may be too old for XDP, which then has no row of the two that it should have.
func show(t *testing.T, r Result, tables, rows int) {
	t.Helper()
	for _, missing := range r.Missing {
		if !strings.Contains(missing, path.XDP) {
			t.Error(missing)
		}
		t.Log(missing)
		rows -= 2
	}
	for i := range r.Tables {
		var out strings.Builder
		r.Tables[i].Print(&out)
		t.Log(out.String())
		rows -= len(r.Tables[i].Rows)
	}
	if len(r.Tables) != tables || rows != 0 {
		t.Errorf("%d tables, and %d rows missing", len(r.Tables), rows)
	}
}

// How much is up to the machine; that there are figures for every way is not.
func TestLatencyIsMeasuredOnEveryWay(t *testing.T) {
	f := report.Figures{}
	r, err := Latency(t.Context(), options(t, 30*time.Millisecond), f)
	if err != nil {
		t.Fatal(err)
	}
	all := len(judged()) + len(beside())
	show(t, r, 3, 2*all-2) // a limit does not answer pings
	if v := f[report.LatencyToKernel]; len(v) != 2 || v[0] <= 0 {
		t.Errorf("%v times the kernel's", v)
	}
}

func TestNewFlowsAreCountedOnEveryWay(t *testing.T) {
	f := report.Figures{}
	r, err := SetUp(t.Context(), options(t, 100*time.Millisecond), f)
	if err != nil {
		t.Fatal(err)
	}
	show(t, r, 1, len(setUpLines()))
	if v := f[report.SetUpRate]; len(v) != 2 || v[0] <= 0 {
		t.Errorf("%v new flows a second", v)
	}
}
