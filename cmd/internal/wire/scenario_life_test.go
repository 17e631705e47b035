package wire

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"spigate/board/flash"
	"spigate/board/flash/flashtest"
	"spigate/cmd/internal/control"
)

// life is the daemon's part of a script that applies configurations: slots, and
// the window of one that waits for its confirmation.
func (w *world) life() (*Daemon, error) {
	if w.daemon != nil {
		return w.daemon, nil
	}
	keeper, err := KeepSlots(applyDir, Factory{}, flashtest.New(applyDir))
	if err != nil {
		return nil, err
	}
	text := w.config.Source.Octets()
	if _, err := keeper.Commit(text, flash.Note{}, nil, func() (func() error, error) { return nil, nil }); err != nil {
		return nil, err
	}
	w.daemon = &Daemon{views: newViews(w.config), chassis: w.chassis, log: slog.New(w.log)}
	w.daemon.switches = newSwitches(silent)
	w.daemon.time = Timepiece{w.clock.Now, func(d time.Duration, do func()) func() bool { return w.clock.AfterFunc(d, do).Stop }}
	w.daemon.KeepIn(keeper)
	return w.daemon, nil
}

// alter does something to the configuration, and compares what became of the
// sessions with "kept=N cleared=N refused=N".
func (w *world) alter(in *words, do func(d *Daemon) (control.ConfigApplied, error)) {
	d, err := w.life()
	if err != nil {
		in.fail("%w", err)
		return
	}
	want := fmt.Sprintf("%d kept, %d cleared, %d refused", in.number("kept", 0, 10, 32), in.number("cleared", 0, 10, 32), in.number("refused", 0, 10, 32))
	done, err := do(d)
	code, refused := in.key("refusal")
	var e *control.Error
	switch got := fmt.Sprintf("%d kept, %d cleared, %d refused", done.Sessions.Kept, done.Sessions.Cleared, done.Sessions.Refused); {
	case refused && errors.As(err, &e) && e.Code == code:
	case err != nil || refused:
		in.fail("%w", errors.Join(err, errors.New("the refusal is another, or there is none")))
	case got != want:
		in.fail("%s, want %s", got, want)
	}
	w.config = d.views.config.Load()
	w.collect()
}

// actApply reads "apply [confirm=DURATION] [kept=N] [cleared=N] [refused=N]": as
// "config apply" of next.toml. With "refusal=CODE" it is refused.
func (w *world) actApply(in *words) {
	n := control.ConfigNew{File: "next.toml", Text: []byte(w.next), By: "operator"}
	if text, ok := in.key("confirm"); ok {
		n.Confirm = in.duration(text)
	}
	w.alter(in, func(d *Daemon) (control.ConfigApplied, error) { return d.applyConfig(n) })
}

// actRollback reads "rollback [to N] [kept=N] …".
func (w *world) actRollback(in *words) {
	n := control.RollbackLast
	if in.flag("to") {
		n = int(in.parse("to", in.next("a number"), 10, 31))
	}
	w.alter(in, func(d *Daemon) (control.ConfigApplied, error) { return d.rollbackConfig(n, "operator") })
}

// actConfirm reads "confirm".
func (w *world) actConfirm(in *words) {
	w.alter(in, func(d *Daemon) (control.ConfigApplied, error) {
		_, err := d.confirmConfig("operator")
		return control.ConfigApplied{}, err
	})
}

// checkHistory reads "history STATE …": what "config history" lists, the newest
// first.
func (w *world) checkHistory(in *words) {
	want := in.next("a state")
	for len(in.plain) > 0 {
		want += " " + in.next("a state")
	}
	d, err := w.life()
	if err != nil {
		in.fail("%w", err)
		return
	}
	rows, err := d.views.ConfigHistory()
	var got []string
	for _, r := range rows {
		got = append(got, r.State)
	}
	if text := strings.Join(got, " "); err != nil || text != want {
		in.fail("%s, want %s (%v)", text, want, err)
	}
}
