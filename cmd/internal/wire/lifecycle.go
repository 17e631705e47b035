package wire

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strconv"

	"spigate/board/flash"
	"spigate/cmd/internal/control"
	"spigate/configs"
)

// ConfirmConfig implements control.Lifecycle.
func (v *views) ConfirmConfig(by string) (control.ConfigConfirmed, error) {
	if v.daemon == nil {
		return control.ConfigConfirmed{}, errKeepsNone()
	}
	return v.daemon.confirmConfig(by)
}

// RollbackConfig implements control.Lifecycle.
func (v *views) RollbackConfig(n int, by string) (control.ConfigApplied, error) {
	if v.daemon == nil {
		return control.ConfigApplied{}, errKeepsNone()
	}
	return v.tallies.note(v.daemon.rollbackConfig(n, by))
}

// ConfigHistory implements control.Lifecycle.
func (v *views) ConfigHistory() ([]control.ConfigRevision, error) {
	if v.daemon == nil {
		return nil, errKeepsNone()
	}
	list, err := v.daemon.keeper.Revisions()
	if err != nil {
		return nil, err
	}
	waits := v.daemon.window.Load() != nil
	out := make([]control.ConfigRevision, 0, len(list))
	number := 0
	for i := range list {
		row := v.revision(&list[i], waits)
		if list[i].numbered() {
			n := number
			row.Number = &n
			number++
		}
		out = append(out, row)
	}
	return out, nil
}

// revision is the row of one.
func (v *views) revision(r *revision, waits bool) control.ConfigRevision {
	row := control.ConfigRevision{State: r.state, By: r.Note.By, Comment: r.Note.Comment, Size: uint64(len(r.Text))}
	if r.Sequence > 0 {
		row.Sequence = &r.Sequence
	}
	if r.fault != nil {
		row.Why = r.fault.Error()
		return row
	}
	if at := written(r.Note.Time); at != "" {
		row.Time = &at
	}
	if shown, err := configs.Conceal(valid(r.Text)); err == nil {
		row.SHA256 = fmt.Sprintf("%x", sha256.Sum256([]byte(shown)))
	}
	if row.State == control.RevisionRolledBack {
		row.Why = string(r.Note.Fate)
	}
	if row.State == control.RevisionConfirmed && !waits {
		row.State = control.RevisionNextStart
		if bytes.Equal(v.config.Load().Source.Octets(), r.Text) {
			row.State = control.RevisionRunning
		}
	}
	return row
}

// DiffConfig implements control.Lifecycle.
func (v *views) DiffConfig(text []byte, against string) (control.ConfigDiff, error) {
	if v.daemon == nil {
		return control.ConfigDiff{}, errKeepsNone()
	}
	name := "new"
	if text == nil {
		text, name = v.config.Load().Source.Octets(), "running"
	}
	old, oldName, err := v.kept(against)
	if err != nil {
		return control.ConfigDiff{}, err
	}
	if bytes.Equal(old, text) {
		return control.ConfigDiff{Same: true}, nil
	}
	shown, err := configs.Compare(valid(old), valid(text), oldName, name)
	if err != nil {
		return control.ConfigDiff{}, &control.Error{Message: err.Error(), Code: control.CodeBadRequest}
	}
	if shown == "" {
		shown = fmt.Sprintf("%s and %s differ in the newline at their end alone\n", oldName, name)
	}
	return control.ConfigDiff{Text: shown}, nil
}

// valid makes a text printable.
func valid(text []byte) string { return string(bytes.ToValidUTF8(text, []byte("?"))) }

// kept returns the text that a word or a number names, with a name for it.
func (v *views) kept(against string) (text []byte, name string, err error) {
	if against == "" || against == "running" {
		return v.config.Load().Source.Octets(), "running", nil
	}
	list, err := v.daemon.keeper.Revisions()
	if err != nil {
		return nil, "", err
	}
	if n, err := strconv.Atoi(against); err == nil && n >= 0 {
		r, _, err := pick(list, n)
		if err != nil {
			return nil, "", err
		}
		return r.Text, "revision " + against, nil
	}
	if against == flash.Candidate.String() {
		shown, err := v.daemon.keeper.Show(against)
		return shown.Text, against, err
	}
	for i := range list {
		if against == flash.Confirmed.String() && list[i].state == control.RevisionConfirmed {
			return list[i].Text, filepath.Base(list[i].path), nil
		}
	}
	return nil, "", control.NotFound("configuration", against, "running", "confirmed", "candidate")
}
