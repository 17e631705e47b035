package arm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"spigate/tests/netns"
)

// cuts is how often the power is cut.
const cuts = 3

// A power cut at any moment of an apply leaves the configuration from before
// or the new one, whole. What the guest had not made its disk write is lost
// with it: that is what a router's synced writes are for.
func TestAPowerCutDuringAnApplyLosesNoConfiguration(t *testing.T) {
	if !asked(t) {
		return
	}
	ctx := limited(t, 6*time.Minute)
	dir := imageDir(t, ctx)
	c := imageConfig(dir, flashOf(t, dir), namespace(t), Card{}, Card{})
	r := startRouter(t, ctx, c)
	if answer := r.apply(factory(t, `"gw1"`, `"cut-0"`)); answer == "" || r.hostname() != "cut-0" {
		t.Fatalf("the first apply: %s", answer)
	}
	random := rand.New(rand.NewPCG(7, 7))
	last := 0
	for n := range cuts {
		// From the middle of the typing to after the answer.
		last = applyUntilCut(t, ctx, r, last, 0.4+0.7*random.Float64())
		r = startRouter(t, ctx, c)
		got := r.hostname()
		before, during := fmt.Sprintf("cut-%d", last), fmt.Sprintf("cut-%d", last+1)
		if got != before && got != during {
			t.Errorf("cut %d: the configuration is %q, want %s or %s", n, got, before, during)
		}
		t.Logf("cut %d: %s was kept, %s was being applied: booted %s", n, before, during, got)
		last += 2 // a name that nobody had before
		if answer := r.apply(factory(t, `"gw1"`, fmt.Sprintf(`"cut-%d"`, last))); r.hostname() != fmt.Sprintf("cut-%d", last) {
			t.Errorf("cut %d: no configuration can be applied afterwards: %s", n, answer)
		}
	}
	r.cleanEnd()
}

// applyUntilCut applies two configurations and takes the power away in the
// second: after a share of the time that the first one took. It returns the
// number of the first.
func applyUntilCut(t *testing.T, ctx context.Context, r *router, last int, share float64) int {
	t.Helper()
	begun := netns.Monotonic()
	if answer := r.apply(factory(t, `"gw1"`, fmt.Sprintf(`"cut-%d"`, last+1))); !strings.HasPrefix(answer, "applied: ") {
		t.Fatalf("config apply: %s", answer)
	}
	took := netns.Monotonic() - begun
	r.typed("config apply -")
	r.typed(factory(t, `"gw1"`, fmt.Sprintf(`"cut-%d"`, last+2)) + "\x04")
	until := netns.Monotonic() + int64(share*float64(took))
	if err := netns.Poll(ctx, time.Millisecond, func() bool { return netns.Monotonic() >= until }); err != nil {
		t.Fatal(err)
	}
	if err := r.m.Cut(); err != nil {
		t.Fatal(err)
	}
	return last + 1
}
