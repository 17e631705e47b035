package wire

import (
	"errors"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"spigate/board/flash"
	"spigate/cmd/internal/control"
	"spigate/configs"
)

// edit is an operator's, in the file itself.
func (w *windowed) edit(pool string) {
	w.t.Helper()
	if err := os.WriteFile(w.file, []byte(strings.ReplaceAll(w.text, seven, pool)), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// The usual way with --config: the file is edited in place, then applied.
func TestAFileThatWasEditedInPlaceWaitsForItsConfirmationToo(t *testing.T) {
	w := newWindowed(t, true)
	w.edit(three)
	done := w.must(three, 5*time.Minute)
	if done.Confirm == nil || len(done.Warnings) != 2 || done.Warnings[1].File != w.file || !strings.Contains(done.Warnings[1].Text, "has what ran before again") {
		t.Errorf("%+v", done)
	}
	w.is(3, seven)
	w.wantHistory("- pending anna", "0 confirmed")
	w.clock.advance(5 * time.Minute)
	w.is(7, seven)
	w.wantHistory("0 running", "1 rolled_back anna not_confirmed")

	// The second in place while the first waits: the way back is the same.
	w.edit(three)
	w.must(three, 5*time.Minute)
	w.edit(one)
	w.must(one, 5*time.Minute)
	w.is(1, seven)
	if _, err := w.daemon.views.RollbackConfig(control.RollbackLast, "bert"); err != nil {
		t.Error(err)
	}
	w.is(7, seven)

	w.edit(one)
	w.must(one, 5*time.Minute)
	if _, err := w.daemon.views.ConfirmConfig("anna"); err != nil {
		t.Error(err)
	}
	w.clock.advance(time.Hour)
	w.is(1, one)
	if done := w.must(one, time.Minute); done.Confirm != nil || w.left() != nil {
		t.Errorf("what runs and is booted waits: %+v", done)
	}
}

// A power cut while it waits boots what ran before.
func TestAFileThatWasEditedInPlaceIsNotBootedUnconfirmed(t *testing.T) {
	w := newWindowed(t, true)
	w.edit(three)
	w.must(three, 5*time.Minute)
	keeper := KeepFile(w.file)
	c, _, err := keeper.Boot(w.clock.now, w.daemon.log)
	if err != nil || string(c.Source.Octets()) != w.text {
		t.Errorf("%v", err)
	}
	keeper.Started(w.daemon.log)
	w.wantSaid("rolled back, for the router ended before it was confirmed")
}

// The factory configuration runs, and a slot is there: it would be booted anyway.
func TestWhatIsBootedAlreadyCannotWaitBehindTheFactoryConfiguration(t *testing.T) {
	w := newWindowed(t, false)
	factory, _, err := configs.Parse("factory.toml", []byte(strings.ReplaceAll(w.text, seven, one)))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.daemon.Reload(factory); err != nil {
		t.Fatal(err)
	}
	var e *control.Error
	if _, err := w.try(seven, time.Minute); !errors.As(err, &e) || e.Code != control.CodeNeedsStart || !strings.Contains(e.Message, "confirmed.toml: the next start takes this very text already") {
		t.Errorf("%v", err)
	}
	w.is(1, seven)
	w.must(three, time.Minute)
	w.is(3, seven)
	w.clock.advance(time.Minute)
	w.is(1, seven)
	w.must(seven, 0)
	w.is(7, seven)
}

// An apply may come as soon as the router is ready.
func TestAnApplyBeforeTheStartWasToldWaitsAllTheSame(t *testing.T) {
	eachKeeper(t, func(t *testing.T, w *windowed) {
		if s, is := w.daemon.keeper.(*slots); is {
			s.booted, s.some = flash.Confirmed, true
		}
		w.must(three, 5*time.Minute)
		w.daemon.Started()
		w.wantHistory("- pending anna", w.history()[1])
		if _, err := w.daemon.views.ConfirmConfig("anna"); err != nil {
			t.Error(err)
		}
		w.is(3, three)
	})
}

// slowStart is a keeper whose flash takes its time when the router has started.
type slowStart struct {
	Keeper
	begun, end chan struct{}
}

func (s slowStart) Started(log *slog.Logger) {
	s.begun <- struct{}{}
	<-s.end
	s.Keeper.Started(log)
}

func TestAnApplyWhileTheStartIsToldIsNotRefused(t *testing.T) {
	w := newWindowed(t, false)
	s := slowStart{w.daemon.keeper, make(chan struct{}), make(chan struct{})}
	w.daemon.KeepIn(s)
	go w.daemon.Started()
	<-s.begun
	applied := make(chan error)
	go func() {
		_, err := w.try(three, time.Minute)
		applied <- err
	}()
	for range 1000 {
		runtime.Gosched() // it would be refused now
	}
	close(s.end)
	if err := <-applied; err != nil {
		t.Error(err)
	}
	w.is(3, seven)
}

func TestARefusedApplyLeavesWhatWaitsAlsoIfTheFileWasEdited(t *testing.T) {
	w := newWindowed(t, true)
	w.must(three, 5*time.Minute)
	w.edit(one)
	before := w.history()
	refused := errors.New("the router takes none")
	for _, confirm := range []time.Duration{0, time.Minute} {
		_, err := w.daemon.keeper.Commit([]byte(w.text+"# more\n"), flash.Note{Confirm: confirm}, []byte(w.text), func() (func() error, error) { return nil, refused })
		if !errors.Is(err, refused) {
			t.Error(err)
		}
		w.is(3, one)
		w.wantHistory(append([]string{"- candidate"}, before...)...) // that was tried in vain
	}
	w.edit(seven)
	if _, err := w.daemon.views.ConfirmConfig("anna"); err != nil {
		t.Error(err)
	}
	w.is(3, three)
}

func TestAFileIsTheConfirmedOneAlsoIfTheSlotIsDamaged(t *testing.T) {
	w := newWindowed(t, true)
	w.must(three, 0)
	w.must(one, 0)
	slot := w.file + historyEnd + "/confirmed.toml"
	if err := os.WriteFile(slot, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := w.history()
	if err := os.Remove(slot); err != nil {
		t.Fatal(err)
	}
	for _, rows := range [][]string{damaged, w.history()} {
		if len(rows) != 3 || rows[0] != "0 running" || rows[1] != "1 previous anna" {
			t.Errorf("%q", rows)
		}
	}
	if _, err := w.daemon.views.RollbackConfig(0, "bert"); err != nil {
		t.Error(err)
	}
	w.is(1, one)
}
