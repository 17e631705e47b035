package wire

import (
	"bytes"
	"errors"
	"strings"

	"spigate/board/flash"
	"spigate/cmd/internal/control"
	"spigate/configs"
)

// KeepIn says where the daemon's configuration is kept: without it there is no
// "config apply". It is called before Run.
func (d *Daemon) KeepIn(k Keeper) { d.keeper, d.views.daemon = k, d }

// applyConfig makes a text the configuration. If all of what changes can change
// live, it does; else nothing does before the next start: parts of one
// configuration with parts of another are neither, and nobody has checked them.
// The order, and what a crash or a failure in between leaves, is the Keeper's.
func (d *Daemon) applyConfig(n control.ConfigNew) (control.ConfigApplied, error) {
	if !d.mayChange() {
		return control.ConfigApplied{}, errChanging()
	}
	defer d.changing.Unlock()
	return d.apply(n)
}

// mayChange takes changing, unless somebody else is changing the configuration.
// Started does not change it, and is waited for.
func (d *Daemon) mayChange() bool {
	d.starting.Lock()
	defer d.starting.Unlock()
	return d.changing.TryLock()
}

// errChanging is what of two who want to change it the second is told.
func errChanging() error {
	return &control.Error{Message: "another configuration is being applied: try again when it is done", Code: control.CodeBusy}
}

func (d *Daemon) apply(n control.ConfigNew) (control.ConfigApplied, error) {
	now := d.clock()
	c, warnings, err := LoadText(d.keeper.Path(), n.Text, now)
	if err != nil {
		return control.ConfigApplied{}, inFile(n.File, d.keeper.Path(), err)
	}
	old := d.views.config.Load()
	out := control.ConfigApplied{Applied: control.AppliedLive, Tables: d.waiting(c), Path: d.keeper.Path()}
	if err := d.mayWait(n.Confirm, out.Tables); err != nil {
		return control.ConfigApplied{}, err
	}
	live := func() (func() error, error) {
		sessions, err := d.reload(c)
		out.Sessions = sessions
		return func() error { _, err := d.reload(old); return err }, err
	}
	if len(out.Tables) > 0 {
		out.Applied = control.AppliedNextStart
		live = func() (func() error, error) { return nil, nil }
	}
	note := flash.Note{Time: now, By: short(n.By, flash.MaxBy), Comment: short(n.Comment, flash.MaxComment), Confirm: n.Confirm}
	kept, err := d.keeper.Commit(n.Text, note, d.wayBack(old).Source.Octets(), live)
	if errors.Is(err, flash.ErrNothingConfirmed) {
		err = &control.Error{Message: err.Error() + ": apply it without a time to confirm", Code: control.CodeNeedsStart}
	}
	if err != nil {
		return control.ConfigApplied{}, err
	}
	d.opened(n, kept, old)
	if kept.Pending {
		left := control.Seconds(n.Confirm.Seconds())
		out.Confirm = &left
	}
	out.Written = kept.Written
	if kept.Sequence > 0 {
		out.Sequence = &kept.Sequence
	}
	for _, w := range warnings {
		w.File = fileOf(n.File, d.keeper.Path(), w.File)
		out.Warnings = append(out.Warnings, control.ConfigFinding(w))
	}
	if kept.PutBack {
		out.Warnings = append(out.Warnings, control.ConfigFinding{File: d.keeper.Path(), Line: 1, Col: 1,
			Text: "has what ran before again, so that a restart rolls back, too: confirm writes this text there"})
	}
	return out, nil
}

// short cuts a text to a number of bytes, at the end of a character.
func short(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}

// inFile gives faults the name of the file that the operator knows.
func inFile(name, path string, err error) error {
	faults := configs.Faults(err)
	if len(faults) == 0 {
		return err
	}
	errs := make([]error, len(faults))
	for i, f := range faults {
		f.File = fileOf(name, path, f.File)
		errs[i] = f
	}
	return errors.Join(errs...)
}

func fileOf(name, path, file string) string {
	if file == path {
		return name
	}
	return file
}

// errKeepsNone is what a daemon says that nobody gave a Keeper.
func errKeepsNone() error {
	return &control.Error{Message: "this daemon keeps no configuration", Code: control.CodeInternal}
}

// ApplyConfig implements control.Configurer.
func (v *views) ApplyConfig(n control.ConfigNew) (control.ConfigApplied, error) {
	if v.daemon == nil {
		return control.ConfigApplied{}, errKeepsNone()
	}
	return v.tallies.note(v.daemon.applyConfig(n))
}

// ShowConfig implements control.Configurer.
func (v *views) ShowConfig(slot string) (control.ConfigText, error) {
	if v.daemon == nil {
		return control.ConfigText{}, errKeepsNone()
	}
	shown, err := v.daemon.keeper.Show(slot)
	if err != nil {
		return control.ConfigText{}, err
	}
	text, err := configs.Conceal(string(bytes.ToValidUTF8(shown.Text, []byte("?"))))
	if err != nil {
		return control.ConfigText{}, err
	}
	out := control.ConfigText{Path: shown.Path, Comment: shown.Note.Comment, Text: text}
	if shown.Slot != "" {
		out.Slot, out.Sequence = &shown.Slot, &shown.Sequence
	}
	if at := written(shown.Note.Time); at != "" {
		out.Time = &at
	}
	return out, nil
}
