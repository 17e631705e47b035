package wire

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"spigate/board/flash"
	"spigate/board/flash/flashtest"
	"spigate/cmd/internal/control"
)

func TestADamagedRevisionIsToldAndNotApplied(t *testing.T) {
	w := newWindowed(t, false)
	w.must(three, 0)
	w.must(one, 0)
	w.disk.Put(applyDir+"/revision-000002.toml.gz", []byte("\x1f\x8b and no more"))
	w.wantHistory("0 running anna", "1 damaged  "+w.daemonFault(1), "2 previous")
	if _, err := w.daemon.views.RollbackConfig(1, "bert"); err == nil || !strings.Contains(err.Error(), "revision-000002.toml.gz) is damaged") {
		t.Errorf("%v", err)
	}
	if _, err := w.daemon.views.DiffConfig(nil, "1"); err == nil {
		t.Error("it was compared")
	}
	if _, err := w.daemon.views.RollbackConfig(control.RollbackLast, "bert"); err != nil {
		t.Error(err)
	}
	w.is(7, seven)
}

// daemonFault is why a row cannot be read.
func (w *windowed) daemonFault(row int) string {
	rows, err := w.daemon.views.ConfigHistory()
	if err != nil || rows[row].Why == "" {
		w.t.Errorf("%+v, %v", rows, err)
	}
	return rows[row].Why
}

// A flash that fails keeps nobody from going back.
func TestARollbackDoesNotNeedTheFlash(t *testing.T) {
	w := newWindowed(t, false)
	w.must(three, time.Minute)
	w.disk.Fail = func(int, string) error { return syscall.EIO }
	if _, err := w.daemon.views.ConfirmConfig("anna"); err == nil || !strings.Contains(err.Error(), "not confirmed, and it is rolled back in 1m") {
		t.Errorf("%v", err)
	}
	w.clock.advance(time.Minute)
	w.is(7, seven)
	w.wantSaid("rolled back, for nobody has confirmed it", "could not be written; the next start boots the confirmed configuration all the same")
	// SIGHUP does not bring it back, though it is in the running slot still.
	if _, _, err := w.daemon.Reread(w.clock.now); err != nil {
		t.Error(err)
	}
	w.is(7, seven)
}

// A rollback that the router does not take is tried again until it does.
func TestARollbackThatFailsIsToldAndTriedAgain(t *testing.T) {
	w := newWindowed(t, false)
	w.must(three, time.Minute)
	runs := w.daemon.views.config.Load()
	other := *runs
	other.System.Hostname = "gw2" // as if that ran: the way back would take a restart
	w.daemon.views.config.Store(&other)
	w.clock.advance(time.Minute)
	w.is(3, seven)
	w.wantSaid("level=ERROR", "the rollback failed and is tried again")
	if left := w.left(); left == nil || *left != 0 {
		t.Errorf("%v left", left)
	}
	w.daemon.views.config.Store(runs)
	w.clock.advance(retryRollback)
	w.is(7, seven)
	if w.left() != nil {
		t.Error("it still waits")
	}
}

// The power is cut while it waits, and comes back.
func TestAStartWhileOneWaitsBootsWhatWasConfirmedAndSaysSo(t *testing.T) {
	eachKeeper(t, func(t *testing.T, w *windowed) {
		w.must(three, 5*time.Minute)
		w.daemon.end()
		w.clock.advance(time.Hour) // its timer ended with it
		w.wantSaid("the router ends before it was confirmed")
		w.is(3, seven)
		keeper := KeepFile(w.file)
		if w.file == "" {
			var err error
			if keeper, err = KeepSlots(applyDir, Factory{}, w.disk); err != nil {
				t.Fatal(err)
			}
		}
		c, _, err := keeper.Boot(w.clock.now, w.daemon.log)
		if err != nil || string(c.Source.Octets()) != w.text {
			t.Errorf("%v", err)
		}
		if again, _, err := keeper.Again(w.clock.now); err != nil || string(again.Source.Octets()) != w.text {
			t.Errorf("SIGHUP before it has started: %v", err)
		}
		keeper.Started(w.daemon.log)
		w.wantSaid("rolled back, for the router ended before it was confirmed", "by=anna")
		w.daemon.KeepIn(keeper)
		w.daemon.views.config.Store(c)
		if rows := w.history(); !strings.HasPrefix(rows[0], "0 running") || rows[1] != "1 rolled_back anna restarted" || len(rows) != 2 {
			t.Errorf("%q", rows)
		}
	})
}

// What an operator writes into the file beside us is neither lost nor run over.
func TestAFileThatIsEditedMeanwhileIsNotReplacedByAConfirmation(t *testing.T) {
	w := newWindowed(t, true)
	w.must(three, 5*time.Minute)
	edited := strings.ReplaceAll(w.text, seven, one)
	if err := os.WriteFile(w.file, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.daemon.views.ConfirmConfig("anna"); err == nil || !strings.Contains(err.Error(), "was changed meanwhile") {
		t.Errorf("%v", err)
	}
	w.clock.advance(5 * time.Minute)
	w.is(7, one)
	if d, err := w.daemon.views.DiffConfig(nil, "confirmed"); err != nil || d.Same || !strings.Contains(d.Text, "+addresses = [\""+seven) {
		t.Errorf("%+v, %v", d, err)
	}
	w.wantHistory("0 next_start", "1 previous", "2 rolled_back anna not_confirmed")
	w.must(three, 0)
	w.wantHistory("0 running anna", "1 previous", "2 rolled_back anna not_confirmed", "3 previous")
	if _, err := w.daemon.views.RollbackConfig(1, "bert"); err != nil {
		t.Error(err)
	}
	w.is(1, one)
}

// The page has every word that "config history" may show, and quotes the log.
func TestThePageOfTheConfigurationHasAllStates(t *testing.T) {
	text := page(t, "configuration.md")
	for _, state := range []string{
		control.RevisionRunning, control.RevisionPending, control.RevisionConfirmed, control.RevisionNextStart, control.RevisionCandidate,
		control.RevisionPrevious, control.RevisionRolledBack, control.RevisionReplaced, control.RevisionDamaged,
	} {
		if !strings.Contains(text, "| `"+state+"` |") {
			t.Errorf("%s has no line", state)
		}
	}
	for _, fate := range []flash.Fate{flash.FateNotConfirmed, flash.FateRolledBack, flash.FateRestarted} {
		if !strings.Contains(text, "`"+string(fate)+"`: ") {
			t.Errorf("%s is not told", fate)
		}
	}
	if !strings.Contains(text, "`the rollback failed and is tried again`") {
		t.Error("the log is not quoted")
	}
}

func TestThereIsNothingToGoBackToOnAFlashWithoutAConfirmedSlot(t *testing.T) {
	w := newWindowed(t, false)
	disk := flashtest.New(applyDir)
	keeper, err := KeepSlots(applyDir, Factory{}, disk)
	if err != nil {
		t.Fatal(err)
	}
	w.daemon.KeepIn(keeper)
	var e *control.Error
	if _, err := w.try(three, time.Minute); !errors.As(err, &e) || e.Code != control.CodeNeedsStart || !strings.Contains(e.Message, "no confirmed configuration to go back to: apply it without") {
		t.Errorf("%v", err)
	}
	if n := w.addresses(); n != 7 || len(disk.Files()) > 0 {
		t.Errorf("%d addresses, %v", n, disk.Files())
	}
}

func TestADiffComparesWithAllThatIsKept(t *testing.T) {
	eachKeeper(t, func(t *testing.T, w *windowed) {
		w.must(three, 0)
		w.must(one, time.Minute)
		for against, pool := range map[string]string{"": one, "running": one, "confirmed": three, "0": three, "1": seven} {
			text := strings.ReplaceAll(w.text, seven, pool)
			if d, err := w.daemon.views.DiffConfig([]byte(text), against); err != nil || !d.Same || d.Text != "" {
				t.Errorf("%q: %+v, %v", against, d, err)
			}
			d, err := w.daemon.views.DiffConfig([]byte(text+"# more\n"), against)
			if err != nil || d.Same || !strings.HasSuffix(d.Text, "\n+# more\n") || !strings.Contains(d.Text, "+++ new\n") {
				t.Errorf("%q: %+v, %v", against, d, err)
			}
		}
		if d, err := w.daemon.views.DiffConfig(nil, "confirmed"); err != nil || d.Same || !strings.Contains(d.Text, "-addresses = [\""+three) || !strings.Contains(d.Text, "+addresses = [\""+one) {
			t.Errorf("%+v, %v", d, err)
		}
		if d, err := w.daemon.views.DiffConfig([]byte(strings.TrimSuffix(w.text, "\n")), "1"); err != nil || d.Same || !strings.Contains(d.Text, "newline at their end") {
			t.Errorf("%+v, %v", d, err)
		}
		for _, bad := range []string{"confirmd", "2", "-1", "99999999999999999999"} {
			if _, err := w.daemon.views.DiffConfig(nil, bad); !control.IsNotFound(err) {
				t.Errorf("%s: %v", bad, err)
			}
		}
		if _, err := w.daemon.views.DiffConfig([]byte("= ="), ""); err == nil || !strings.Contains(err.Error(), "new: the text is not TOML") {
			t.Errorf("%v", err)
		}
	})
}
