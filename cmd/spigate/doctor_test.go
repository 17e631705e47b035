package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spigate/cmd/internal/control"
	"spigate/cmd/internal/doctor"
)

// Doctor is what a daemon would say of the house: the real checks.
func (h *house) Doctor() []control.Check {
	yes := true
	return doctor.Examine(h, doctor.Host{Now: time.Unix(1700000000, 0), Synced: &yes, Memory: 40 << 20, MemoryLimit: 128 << 20, KeptIn: "/overlay/spigate/running.toml"})
}

func TestDoctorPrintsTheTreeAndFailsOnlyIfSomethingDoes(t *testing.T) {
	well := &house{status: healthy(), up: func() bool { return true }}
	socket, _ := daemon(t, well)
	code, stdout, _ := spigate(t, "doctor", "--socket", socket)
	golden(t, "doctor.txt", stdout)
	if fails := strings.Contains(stdout, "FAIL"); fails != (code == exitUnhealthy) || !fails && code != exitOK {
		t.Errorf("exit %d", code)
	}
	_, stdout, _ = spigate(t, "doctor", "--json", "--socket", socket)
	golden(t, "doctor.json", stdout)

	sick := healthy()
	sick.Ports[1].Up = false
	socket, _ = daemon(t, &house{status: sick})
	code, stdout, stderr := spigate(t, "doctor", "--socket", socket)
	if code != exitUnhealthy || !strings.Contains(stdout, "FAIL    wan: the link is down\n          -> plug in the cable") || !strings.Contains(stderr, "unhealthy") {
		t.Errorf("a port is down: exit %d, %s%s", code, stdout, stderr)
	}
}

func TestDoctorWithoutADaemonLooksAtWhatThereIs(t *testing.T) {
	dir := t.TempDir()
	file, slots := filepath.Join(dir, "c.toml"), filepath.Join(dir, "slots")
	for path, text := range map[string]string{file: "version = 1\n[sistem]\n", filepath.Join(slots, "confirmed.toml"): ""} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := spigate(t, "doctor", "--socket", filepath.Join(dir, "none"), "--config", file, "--state-dir", slots)
	if code != exitUnhealthy {
		t.Errorf("exit %d, %s", code, stderr)
	}
	for _, want := range []string{"FAIL  daemon", "-> start it: ", "it is not there", "1 fault, the first: ", "did you mean \"system\"", "-> mend it; spigate check " + file, "slots: confirmed.toml"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
}
