package wire

import (
	"errors"
	"strings"
	"testing"
	"time"

	"spigate/cmd/internal/control"
)

func TestWhatNobodyConfirmsIsRolledBackByItself(t *testing.T) {
	eachKeeper(t, func(t *testing.T, w *windowed) {
		done := w.must(three, 5*time.Minute)
		if done.Applied != control.AppliedLive || done.Confirm == nil || *done.Confirm != 300 {
			t.Errorf("%+v", done)
		}
		w.is(3, seven)
		w.clock.advance(5*time.Minute - time.Second)
		w.is(3, seven)
		if left := w.left(); left == nil || *left != 1 {
			t.Errorf("%v left", left)
		}
		if rows := w.history(); rows[0] != "- pending anna" || !strings.HasPrefix(rows[1], "0 confirmed") {
			t.Errorf("%q", rows)
		}
		w.clock.advance(time.Second)
		w.is(7, seven)
		if w.left() != nil {
			t.Error("it still waits")
		}
		w.wantSaid(`msg="config: rolled back, for nobody has confirmed it" by=anna`, "sessions_kept=")
		if rows := w.history(); !strings.HasPrefix(rows[0], "0 running") || rows[1] != "1 rolled_back anna not_confirmed" {
			t.Errorf("%q", rows)
		}
		var e *control.Error
		if _, err := w.daemon.views.ConfirmConfig("anna"); !errors.As(err, &e) || e.Code != control.CodeNothingPending {
			t.Errorf("%v", err)
		}
		w.clock.advance(time.Hour)
		w.is(7, seven)
	})
}

func TestWhatIsConfirmedStays(t *testing.T) {
	eachKeeper(t, func(t *testing.T, w *windowed) {
		w.must(three, 5*time.Minute)
		w.clock.advance(time.Minute)
		done, err := w.daemon.views.ConfirmConfig("anna")
		if err != nil || done.Left != 240 || done.Comment != three || *done.Sequence == 0 {
			t.Errorf("%+v, %v", done, err)
		}
		w.is(3, three)
		w.clock.advance(time.Hour)
		w.is(3, three)
		if rows := w.history(); rows[0] != "0 running anna" || !strings.HasPrefix(rows[1], "1 previous") || len(rows) != 2 {
			t.Errorf("%q", rows)
		}
	})
}

// As on a Junos: another apply ends the time, or begins it anew.
func TestAnotherApplyWhileOneWaitsEndsTheWaiting(t *testing.T) {
	eachKeeper(t, func(t *testing.T, w *windowed) {
		w.must(three, 5*time.Minute)
		w.must(one, 0) // for good
		w.clock.advance(time.Hour)
		w.is(1, one)
		if rows := w.history(); rows[0] != "0 running anna" || rows[1] != "1 replaced anna" || !strings.HasPrefix(rows[2], "2 previous") {
			t.Errorf("%q", rows)
		}
		w.must(three, 5*time.Minute)
		w.clock.advance(4 * time.Minute)
		w.must(seven, 5*time.Minute)
		w.clock.advance(4 * time.Minute)
		w.is(7, one)
		w.clock.advance(time.Minute)
		w.is(1, one) // the way back is the same
		// The very same again, for good, is a confirmation.
		w.must(three, 5*time.Minute)
		w.must(three, 0)
		w.clock.advance(time.Hour)
		w.is(3, three)
		// What is confirmed already does not wait.
		if done := w.must(three, time.Minute); done.Confirm != nil || w.left() != nil {
			t.Errorf("%+v", done)
		}
	})
}

func TestARefusedApplyLeavesWhatWaitsWaiting(t *testing.T) {
	eachKeeper(t, func(t *testing.T, w *windowed) {
		w.must(three, 5*time.Minute)
		for _, bad := range []string{"nowhere", `203.0.113.3"]` + "\nnat_type = \"SIDEWAYS\"\n#"} {
			if _, err := w.try(bad, 0); err == nil {
				t.Errorf("%q was applied", bad)
			}
		}
		w.is(3, seven)
		w.clock.advance(5 * time.Minute)
		w.is(7, seven)
	})
}

func TestWhatTakesARestartCannotWait(t *testing.T) {
	eachKeeper(t, func(t *testing.T, w *windowed) {
		text := strings.Replace(w.text, "gw1", "gw2", 1)
		apply := func(confirm time.Duration) error {
			_, err := w.daemon.views.ApplyConfig(control.ConfigNew{File: "new.toml", Text: []byte(text), Confirm: confirm})
			return err
		}
		var e *control.Error
		if err := apply(time.Minute); !errors.As(err, &e) || e.Code != control.CodeNeedsStart || !strings.Contains(e.Message, "system: changed") || !strings.Contains(e.Message, "nothing would roll back") {
			t.Errorf("%v", err)
		}
		w.must(three, time.Minute)
		if err := apply(0); !errors.As(err, &e) || e.Code != control.CodeNeedsStart || !strings.Contains(e.Message, "confirm that or roll it back first") {
			t.Errorf("%v", err)
		}
		w.clock.advance(time.Minute)
		w.is(7, seven)
		if err := apply(0); err != nil {
			t.Error(err)
		}
		if rows := w.history(); !strings.HasPrefix(rows[0], "0 next_start") {
			t.Errorf("%q", rows)
		}
	})
}

func TestATimeThatIsNoneIsRefusedHoweverItComes(t *testing.T) {
	w := newWindowed(t, false)
	for _, d := range []time.Duration{-1, -time.Hour, time.Millisecond, 8760 * time.Hour, 1<<63 - 1, -1 << 63} {
		if _, err := w.try(three, d); err == nil || !strings.Contains(err.Error(), "want a time from 1s to 24h") {
			t.Errorf("%v: %v", d, err)
		}
	}
	w.is(7, seven)
}

// A reload by SIGHUP reads what runs, and the time goes on.
func TestAReloadWhileOneWaitsChangesNothing(t *testing.T) {
	eachKeeper(t, func(t *testing.T, w *windowed) {
		w.must(three, 5*time.Minute)
		w.clock.advance(4 * time.Minute)
		if _, _, err := w.daemon.Reread(w.clock.now); err != nil {
			t.Error(err)
		}
		w.is(3, seven)
		w.clock.advance(time.Minute)
		w.is(7, seven)
		if _, _, err := w.daemon.Reread(w.clock.now); err != nil {
			t.Error(err)
		}
		w.is(7, seven)
	})
}

func TestAnOperatorGoesBackAtOnce(t *testing.T) {
	for _, n := range []int{control.RollbackLast, 0} {
		eachKeeper(t, func(t *testing.T, w *windowed) {
			w.must(three, 5*time.Minute)
			done, err := w.daemon.views.RollbackConfig(n, "bert")
			if err != nil || done.Applied != control.AppliedLive || !done.Written {
				t.Errorf("%+v, %v", done, err)
			}
			w.is(7, seven)
			w.clock.advance(time.Hour)
			w.is(7, seven)
			if rows := w.history(); rows[1] != "1 rolled_back anna rolled_back" {
				t.Errorf("%q", rows)
			}
			w.wantSaid(`msg="config: rolled back" by=bert`)
		})
	}
}

func TestEarlierConfigurationsAreAppliedByTheirNumbers(t *testing.T) {
	eachKeeper(t, func(t *testing.T, w *windowed) {
		var missing *control.Error
		if _, err := w.daemon.views.RollbackConfig(control.RollbackLast, "bert"); !errors.As(err, &missing) || missing.Code != control.CodeNotFound {
			t.Errorf("%v", err)
		}
		w.must(three, 0)
		w.must(one, 0)
		w.must(three, time.Minute)
		w.clock.advance(time.Minute) // 1 is what was rolled back; nobody wants that
		if _, err := w.daemon.views.RollbackConfig(control.RollbackLast, "bert"); err != nil {
			t.Error(err)
		}
		w.is(3, three)
		// 0 runs, 1 was rolled back, 2 is one, 3 three, 4 seven
		w.wantHistory("0 running bert", "1 rolled_back anna not_confirmed", "2 previous anna", "3 previous anna", w.history()[4])
		if _, err := w.daemon.views.RollbackConfig(4, "bert"); err != nil {
			t.Error(err)
		}
		w.is(7, seven)
		rows, err := w.daemon.views.ConfigHistory()
		if err != nil || !strings.HasPrefix(rows[0].Comment, "rollback 4") || rows[0].By != "bert" || rows[0].Size != uint64(len(w.text)) || len(rows[0].SHA256) != 64 {
			t.Errorf("%+v, %v", rows[0], err)
		}
		for _, n := range []int{6, 11, 1000, 1 << 62} {
			if _, err := w.daemon.views.RollbackConfig(n, "bert"); !errors.As(err, &missing) || missing.Code != control.CodeNotFound || !strings.Contains(missing.Message, "only 0 to 5") {
				t.Errorf("%d: %v", n, err)
			}
		}
	})
}
