package wire

import "spigate/cmd/internal/control"

// ConfirmConfig implements control.Lifecycle.
func (v *views) ConfirmConfig(string) (control.ConfigConfirmed, error) {
	return control.ConfigConfirmed{}, errKeepsNone()
}

// RollbackConfig implements control.Lifecycle.
func (v *views) RollbackConfig(int, string) (control.ConfigApplied, error) {
	return control.ConfigApplied{}, errKeepsNone()
}

// ConfigHistory implements control.Lifecycle.
func (v *views) ConfigHistory() ([]control.ConfigRevision, error) { return nil, errKeepsNone() }

// DiffConfig implements control.Lifecycle.
func (v *views) DiffConfig([]byte, string) (control.ConfigDiff, error) {
	return control.ConfigDiff{}, errKeepsNone()
}
