package wire

import (
	"crypto/sha256"
	"encoding/hex"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

// ConfigObjects implements control.Editor.
func (v *views) ConfigObjects(path ...string) (control.ConfigObjects, error) {
	text, base, err := v.running()
	if err != nil {
		return control.ConfigObjects{}, err
	}
	objects, err := configs.Objects(text, path...)
	return control.ConfigObjects{Base: base, Objects: objects}, err
}

// running is the text that runs, with its secrets, and its name.
func (v *views) running() (text []byte, base string, err error) {
	if v.daemon == nil {
		return nil, "", errKeepsNone()
	}
	shown, err := v.daemon.keeper.Show("")
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(shown.Text)
	return shown.Text, hex.EncodeToString(sum[:]), nil
}

// EditConfig implements control.Editor. Looking and changing are one, so that of
// two who edit the same text the second is told.
func (v *views) EditConfig(e control.ConfigEdit) (control.ConfigEdited, error) {
	if v.daemon == nil {
		return control.ConfigEdited{}, errKeepsNone()
	}
	if !v.daemon.mayChange() {
		return control.ConfigEdited{}, errChanging()
	}
	defer v.daemon.changing.Unlock()
	out, err := v.daemon.edit(e)
	if e.Apply {
		_, err = v.tallies.note(control.ConfigApplied{}, err)
	}
	return out, err
}

func (d *Daemon) edit(e control.ConfigEdit) (out control.ConfigEdited, err error) {
	was, base, err := d.views.running()
	if err != nil {
		return out, err
	}
	if e.Base != base {
		return out, &control.Error{Message: "another configuration has been applied meanwhile: look at it, and edit again", Code: control.CodeOutdated}
	}
	text, err := configs.Edit(was, e.Changes)
	if err != nil {
		return out, &control.Error{Message: err.Error(), Code: control.CodeBadRequest}
	}
	_, warnings, err := LoadText(d.keeper.Path(), text, d.clock())
	if err != nil {
		return out, err
	}
	for _, w := range warnings {
		out.Warnings = append(out.Warnings, control.ConfigFinding(w))
	}
	if out.Diff, err = d.views.DiffConfig(text, ""); err != nil || !e.Apply {
		return out, err
	}
	applied, err := d.apply(control.ConfigNew{File: d.keeper.Path(), Comment: e.Comment, By: e.By, Confirm: e.Confirm, Text: text})
	if err != nil {
		return out, err
	}
	out.Applied = &applied
	return out, nil
}
