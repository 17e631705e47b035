package wire

import (
	"fmt"
	"strings"
	"time"

	"spigate/board/flash"
	"spigate/cmd/internal/control"
	"spigate/configs"
)

// An apply with a time to confirm opens a window: the new configuration runs, and
// what the next start reads is as it was. The window ends in one of these ways:
//
//	ConfirmConfig, or an apply without a time      what runs is for good
//	an apply with a time                           another window, with the same way back
//	RollbackConfig, or the time is over            what ran before runs again
//	the router ends, or its power                  the next start boots what ran before
//
// SIGHUP does not end it. What ran before is kept in memory as it was checked, so
// that going back does not depend on a file, nor on the flash.
type window struct {
	until time.Time
	back  *configs.Config // what ran before
	asked control.ConfigNew
	stop  func() bool // the timer
}

// retryRollback is how long after a rollback that failed it is tried again.
const retryRollback = 10 * time.Second

// Timepiece is the daemon's time, for what an operator waits for.
type Timepiece struct {
	Now func() time.Time
	// After calls do once when so long is over, unless stop comes before.
	After func(d time.Duration, do func()) (stop func() bool)
}

// wallClock is the machine's.
func wallClock() Timepiece {
	return Timepiece{time.Now, func(d time.Duration, do func()) func() bool { return time.AfterFunc(d, do).Stop }}
}

// clock is the time; a Daemon that nobody gave a Timepiece has the machine's.
func (d *Daemon) clock() time.Time {
	if d.time.Now == nil {
		d.time = wallClock()
	}
	return d.time.Now()
}

// mayWait says why a configuration cannot be given a time to confirm, or cannot
// be applied while another one waits. tables are those that are read at the start
// only: nothing of them could be rolled back, nor is what runs.
func (d *Daemon) mayWait(confirm time.Duration, tables []string) error {
	switch {
	case confirm != 0 && (confirm < control.MinConfirm || confirm > control.MaxConfirm):
		_, err := control.ParseConfirm(confirm.String())
		return &control.Error{Message: err.Error(), Code: control.CodeBadRequest}
	case len(tables) == 0:
		return nil
	case confirm != 0:
		return &control.Error{Code: control.CodeNeedsStart, Message: fmt.Sprintf(
			"%s: changed, and that takes effect at the next start only, so nothing would roll back by itself: apply it without a time to confirm, then restart the router",
			strings.Join(tables, ", "))}
	case d.window.Load() != nil:
		return &control.Error{Code: control.CodeNeedsStart, Message: fmt.Sprintf(
			"%s: changed, and that takes effect at the next start only, while what runs waits for its confirmation: confirm that or roll it back first", strings.Join(tables, ", "))}
	}
	return nil
}

// wayBack is what a rollback would make run again, when old runs.
func (d *Daemon) wayBack(old *configs.Config) *configs.Config {
	if w := d.window.Load(); w != nil {
		return w.back
	}
	return old
}

// opened ends the window that there was and begins the next, if there is one.
func (d *Daemon) opened(n control.ConfigNew, kept Kept, old *configs.Config) {
	old = d.wayBack(old)
	if before := d.window.Load(); before != nil {
		before.stop()
		d.window.Store(nil)
		d.log.Info("config: what waited for its confirmation was replaced", "by", n.By)
	}
	if !kept.Pending {
		return
	}
	n.Text = nil
	w := &window{until: d.clock().Add(n.Confirm), back: old, asked: n}
	w.stop = d.time.After(n.Confirm, func() { d.expired(w) })
	d.window.Store(w)
	d.log.Info("config: applied, to be confirmed", "by", n.By, "comment", n.Comment, "confirm", n.Confirm, "or", "it is rolled back")
}

// Started is to be called when the router runs what was booted: what the last
// start has left waiting is given up then. An apply that came before has seen to
// that itself, and what it has left waiting is nobody else's.
func (d *Daemon) Started() {
	d.starting.Lock()
	defer d.starting.Unlock()
	d.changing.Lock()
	defer d.changing.Unlock()
	if d.window.Load() == nil && !d.ended {
		d.keeper.Started(d.log)
	}
}

// expired rolls back what nobody has confirmed. If that fails it is tried again:
// it must not stay as it is, and nobody may be there to see it.
func (d *Daemon) expired(w *window) {
	d.changing.Lock()
	defer d.changing.Unlock()
	if d.window.Load() != w || d.ended {
		return
	}
	n, err := d.goBack(w, flash.FateNotConfirmed)
	if d.window.Load() == w {
		d.log.Error("config: the rollback failed and is tried again", "after", retryRollback, "reason", flat(err))
		w.stop = d.time.After(retryRollback, func() { d.expired(w) })
		return
	}
	d.log.Warn("config: rolled back, for nobody has confirmed it", "by", w.asked.By, "comment", w.asked.Comment, "confirm", w.asked.Confirm,
		"sessions_kept", n.Kept, "sessions_cleared", n.Cleared, "sessions_refused", n.Refused)
	if err != nil {
		d.log.Error("config: the rollback could not be written; the next start boots the confirmed configuration all the same", "reason", flat(err))
	}
}

// goBack makes what ran before run again. The window stays if it does not; an
// error without one is of what is kept.
func (d *Daemon) goBack(w *window, fate flash.Fate) (control.ConfigSessions, error) {
	n, err := d.reload(w.back)
	if err != nil {
		return n, err
	}
	w.stop()
	d.window.Store(nil)
	return n, d.keeper.Undo(fate)
}

// left is how long there is to confirm what runs; nil: it is for good.
func (d *Daemon) left() *control.Seconds {
	w := d.window.Load()
	if w == nil {
		return nil
	}
	s := control.Seconds(max(0, w.until.Sub(d.time.Now()).Seconds()))
	return &s
}

// endWindow is for the daemon's end.
func (d *Daemon) endWindow() {
	if w := d.window.Swap(nil); w != nil {
		w.stop()
		d.log.Warn("config: the router ends before it was confirmed: the next start boots the configuration before it", "by", w.asked.By, "comment", w.asked.Comment)
	}
}

// confirmConfig makes what runs the configuration for good.
func (d *Daemon) confirmConfig(by string) (control.ConfigConfirmed, error) {
	if !d.mayChange() {
		return control.ConfigConfirmed{}, errChanging()
	}
	defer d.changing.Unlock()
	w := d.window.Load()
	if w == nil {
		return control.ConfigConfirmed{}, errNotPending()
	}
	i, err := d.keeper.Confirm()
	if err != nil {
		return control.ConfigConfirmed{}, fmt.Errorf("not confirmed, and it is rolled back in %s: %w", *d.left(), err)
	}
	out := control.ConfigConfirmed{Path: d.keeper.Path(), Sequence: &i.Sequence, Comment: i.Note.Comment, Left: *d.left()}
	w.stop()
	d.window.Store(nil)
	d.log.Info("config: confirmed", "by", by, "sequence", i.Sequence, "comment", i.Note.Comment)
	return out, nil
}

func errNotPending() error {
	return &control.Error{Code: control.CodeNothingPending,
		Message: flash.ErrNotPending.Error() + ": what runs is for good, or was rolled back already (see: spigate config history)"}
}

// rollbackConfig applies an earlier configuration.
func (d *Daemon) rollbackConfig(number int, by string) (control.ConfigApplied, error) {
	if !d.mayChange() {
		return control.ConfigApplied{}, errChanging()
	}
	defer d.changing.Unlock()
	if w := d.window.Load(); w != nil && (number == control.RollbackLast || number == 0) {
		return d.giveUp(w, by)
	}
	list, err := d.keeper.Revisions()
	if err != nil {
		return control.ConfigApplied{}, err
	}
	r, number, err := pick(list, number)
	if err != nil {
		return control.ConfigApplied{}, err
	}
	comment := fmt.Sprintf("rollback %d", number)
	if r.Note.Comment != "" {
		comment += ": " + r.Note.Comment
	}
	return d.apply(control.ConfigNew{File: r.path, By: by, Comment: comment, Text: r.Text})
}

// giveUp ends a window before its time.
func (d *Daemon) giveUp(w *window, by string) (control.ConfigApplied, error) {
	n, err := d.goBack(w, flash.FateRolledBack)
	if d.window.Load() == w {
		return control.ConfigApplied{}, fmt.Errorf("not rolled back: %w", err)
	}
	d.log.Warn("config: rolled back", "by", by, "comment", w.asked.Comment, "sessions_kept", n.Kept, "sessions_cleared", n.Cleared, "sessions_refused", n.Refused)
	if err != nil {
		return control.ConfigApplied{}, fmt.Errorf("rolled back, and the next start boots what runs, but this could not be written: %w", err)
	}
	return control.ConfigApplied{Applied: control.AppliedLive, Written: true, Path: d.keeper.Path(), Sessions: n}, nil
}

// pick finds the revision of a number, and for RollbackLast which that is.
func pick(list []revision, number int) (*revision, int, error) {
	n := -1
	for i := range list {
		r := &list[i]
		if !r.numbered() {
			continue
		}
		n++
		last := number == control.RollbackLast && n > 0 && r.state == control.RevisionPrevious
		if !last && n != number {
			continue
		}
		if r.fault != nil {
			return nil, n, fmt.Errorf("revision %d (%s) is damaged: %w", n, r.path, r.fault)
		}
		return r, n, nil
	}
	if number == control.RollbackLast {
		return nil, 0, &control.Error{Message: "there is no earlier configuration: nothing was applied here before", Code: control.CodeNotFound}
	}
	return nil, 0, &control.Error{Message: fmt.Sprintf("there is no revision %d, only 0 to %d (see: spigate config history)", number, max(n, 0)), Code: control.CodeNotFound}
}
