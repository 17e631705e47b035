package wire

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spigate/board/flash"
	"spigate/cmd/internal/control"
)

// handClock is moved by the test.
type handClock struct {
	now    time.Time
	timers []*handTimer
}

type handTimer struct {
	at   time.Time
	do   func()
	over bool
}

func (c *handClock) timepiece() Timepiece {
	return Timepiece{func() time.Time { return c.now }, func(d time.Duration, do func()) func() bool {
		t := &handTimer{c.now.Add(d), do, false}
		c.timers = append(c.timers, t)
		return func() bool { was := t.over; t.over = true; return !was }
	}}
}

func (c *handClock) advance(d time.Duration) {
	c.now = c.now.Add(d)
	for _, t := range slices.Clone(c.timers) {
		if !t.over && !t.at.After(c.now) {
			t.over = true
			t.do()
		}
	}
}

// windowed is a daemon with a clock, on slots or on a file.
type windowed struct {
	*applied
	clock *handClock
	said  strings.Builder
	file  string // "" on slots
}

// eachKeeper runs a test on slots and on a file.
func eachKeeper(t *testing.T, test func(t *testing.T, w *windowed)) {
	t.Run("slots", func(t *testing.T) { test(t, newWindowed(t, false)) })
	t.Run("file", func(t *testing.T) { test(t, newWindowed(t, true)) })
}

func newWindowed(t *testing.T, onFile bool) *windowed {
	t.Helper()
	w := &windowed{applied: newApplied(t), clock: &handClock{now: time.Unix(1<<31, 0)}}
	w.daemon.time = w.clock.timepiece()
	w.daemon.log = slog.New(slog.NewTextHandler(&w.said, nil))
	if onFile {
		w.file = filepath.Join(t.TempDir(), "spigate.toml")
		if err := os.WriteFile(w.file, []byte(w.text), 0o600); err != nil {
			t.Fatal(err)
		}
		w.daemon.KeepIn(KeepFile(w.file))
	}
	return w
}

const seven, three, one = "203.0.113.3-203.0.113.9", "203.0.113.3-203.0.113.5", "203.0.113.3"

// try applies another pool, to be confirmed if confirm is not 0.
func (w *windowed) try(pool string, confirm time.Duration) (control.ConfigApplied, error) {
	return w.daemon.views.ApplyConfig(control.ConfigNew{
		File: "new.toml", Text: []byte(strings.ReplaceAll(w.text, seven, pool)), Confirm: confirm, By: "anna", Comment: pool})
}

func (w *windowed) must(pool string, confirm time.Duration) control.ConfigApplied {
	w.t.Helper()
	done, err := w.try(pool, confirm)
	if err != nil {
		w.t.Fatal(err)
	}
	return done
}

// boots is the text that a start would find.
func (w *windowed) boots() string {
	w.t.Helper()
	if w.file == "" {
		return w.slot(flash.Confirmed)
	}
	text, err := os.ReadFile(w.file)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// is says what runs and what a start would boot, in addresses of the pool.
func (w *windowed) is(runs int, boots string) {
	w.t.Helper()
	if n := w.addresses(); n != runs {
		w.t.Errorf("%d addresses run, want %d", n, runs)
	}
	if want := strings.ReplaceAll(w.text, seven, boots); w.boots() != want {
		w.t.Errorf("a start boots\n%s", w.boots())
	}
}

// history is that of the daemon, in words.
func (w *windowed) history() (out []string) {
	w.t.Helper()
	rows, err := w.daemon.views.ConfigHistory()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range rows {
		number := "-"
		if r.Number != nil {
			number = fmt.Sprint(*r.Number)
		}
		out = append(out, strings.TrimSpace(number+" "+r.State+" "+r.By+" "+r.Why))
	}
	return out
}

func (w *windowed) wantHistory(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.history()); diff != "" {
		w.t.Error(diff)
	}
}

func (w *windowed) left() *control.Seconds { return w.daemon.left() }

func (w *windowed) wantSaid(words ...string) {
	w.t.Helper()
	for _, want := range words {
		if !strings.Contains(w.said.String(), want) {
			w.t.Errorf("the log has not %q:\n%s", want, w.said.String())
		}
	}
}
