package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

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

// EditConfig implements control.Editor. An apply that came in between has another
// text, and the base tells; one that comes between that look and ours is as if it
// had come before us, and is in the history.
func (v *views) EditConfig(e control.ConfigEdit) (out control.ConfigEdited, err error) {
	was, base, err := v.running()
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
	_, warnings, err := LoadText(v.daemon.keeper.Path(), text, time.Now())
	if err != nil {
		return out, err
	}
	for _, w := range warnings {
		out.Warnings = append(out.Warnings, control.ConfigFinding(w))
	}
	if out.Diff, err = v.DiffConfig(text, ""); err != nil || !e.Apply {
		return out, err
	}
	applied, err := v.ApplyConfig(control.ConfigNew{
		File: v.daemon.keeper.Path(), Comment: e.Comment, By: e.By, Confirm: e.Confirm, Text: text,
	})
	if err != nil {
		return out, err
	}
	out.Applied = &applied
	return out, nil
}
