package wire

import (
	"path/filepath"
	"testing"

	"spigate/cmd/internal/control"
)

// A real router without cables: its ports are up (they are memory), nobody has
// needed its gateway, and nothing keeps its configuration.
func TestARealRouterIsLookedOver(t *testing.T) {
	o := newOperated(t)
	states := map[string]string{}
	for c, err := range o.client.Doctor(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Name == nil {
			states[c.Part] = c.State
		}
	}
	for part, want := range map[string]string{
		"ports": control.CheckOK, "addresses": control.CheckOK, "pools": control.CheckOK, "tables": control.CheckOK,
		"nat log": control.CheckOK, "gateways": control.CheckWarn, "flash": control.CheckFail, "switches": control.CheckOK,
	} {
		if states[part] != want {
			t.Errorf("%s is %q, want %s", part, states[part], want)
		}
	}
}

func TestAFileThatCannotBeReplacedIsToldBeforeAnApply(t *testing.T) {
	dir := t.TempDir()
	if err := (&file{path: filepath.Join(dir, "c.toml")}).Health(); err != nil {
		t.Error(err)
	}
	if err := (&file{path: filepath.Join(dir, "gone", "c.toml")}).Health(); err == nil {
		t.Error("its folder is not there, and it says nothing")
	}
}
