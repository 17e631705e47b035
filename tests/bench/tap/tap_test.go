package tap

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/netstack/frame"
	"spigate/tests/bench/path"
	"spigate/tests/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWhoAsksIsAnswered(t *testing.T) {
	ask := append([]byte{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7, 8, 6,
		0, 1, 8, 0, 6, 4, 0, 1,
		2, 0, 0, 0, 0, 7, 203, 0, 113, 2,
		0, 0, 0, 0, 0, 0, 203, 0, 113, 254,
	}, make([]byte, 18)...)
	if !question(ask) {
		t.Fatal("a question is none")
	}
	got := answer(ask, frame.MAC{2, 9, 9, 9, 9, 9})
	want := append([]byte{
		2, 0, 0, 0, 0, 7, 2, 9, 9, 9, 9, 9, 8, 6,
		0, 1, 8, 0, 6, 4, 0, 2,
		2, 9, 9, 9, 9, 9, 203, 0, 113, 254,
		2, 0, 0, 0, 0, 7, 203, 0, 113, 2,
	}, make([]byte, 18)...)
	if string(got) != string(want) {
		t.Errorf("% x, want\n% x", got, want)
	}
	copy(ask[38:], ask[28:32])
	if question(ask) {
		t.Error("an announcement is a question")
	}
	if question(got) {
		t.Error("an answer is a question")
	}
}

func TestPacketsAreCountedByTheirSource(t *testing.T) {
	r := &receiver{target: netip.MustParsePrefix("203.0.113.254/32"), source: netip.MustParsePrefix("203.0.113.3/32")}
	for _, c := range []struct{ src, dst string }{
		{"203.0.113.3", "203.0.113.254"}, {"203.0.113.3", "203.0.113.254"}, {"100.64.0.10", "203.0.113.254"}, {"203.0.113.3", "203.0.113.9"},
	} {
		b := make([]byte, 60)
		b[12] = 8
		copy(b[26:], netip.MustParseAddr(c.src).AsSlice())
		copy(b[30:], netip.MustParseAddr(c.dst).AsSlice())
		if err := r.take(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.take(make([]byte, 10)); err != nil {
		t.Error(err)
	}
	if r.arrived.Load() != 2 || r.wrong.Load() != 1 {
		t.Errorf("%d arrived, %d wrong", r.arrived.Load(), r.wrong.Load())
	}
}

// How much is up to the machine; that there are figures for every way is not.
func TestEveryWayIsMeasuredBetweenTAPDevices(t *testing.T) {
	var built netns.Build
	t.Cleanup(built.Remove)
	binary, err := built.Daemon()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Measure(t.Context(), Options{Binary: binary, Dir: t.TempDir(), Rounds: 2, Each: 50 * time.Millisecond, Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	without := 0 // a kernel may be too old for XDP, and then it is told
	for _, missing := range r.Missing {
		if !strings.HasPrefix(missing, path.XDP) {
			t.Error(missing)
		}
		t.Log(missing)
		without++
	}
	for i := range r.Tables {
		var out strings.Builder
		r.Tables[i].Print(&out)
		t.Log(out.String())
		without += len(r.Tables[i].Rows)
		if strings.Contains(out.String(), "void") {
			t.Error("not all of it went the way that it is about")
		}
	}
	if want := 2 * len(rows()); without != want || len(r.Tables) != 2 {
		t.Errorf("%d rows or reasons, want %d", without, want)
	}
}
