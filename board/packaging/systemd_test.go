package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const unitFile = "systemd/spigate.service"

// unit reads the unit: values by section and directive.
func unit(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	all, section := map[string][]string{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		key, value, assigns := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		case assigns && section != "":
			all[section+"."+key] = append(all[section+"."+key], value)
		default:
			t.Errorf("%s: %q is no directive", unitFile, line)
		}
	}
	return all
}

// directive returns the one value of a directive.
func directive(t *testing.T, section, key string) string {
	t.Helper()
	values := unit(t)[section+"."+key]
	if len(values) != 1 {
		t.Fatalf("[%s] %s= stands there %d times", section, key, len(values))
	}
	return values[0]
}

func TestTheUnitIsWhatTheRouterKnows(t *testing.T) {
	for key, want := range map[string]string{
		"Service.Type": "notify", "Service.NotifyAccess": "main", "Service.WatchdogSec": "30s", "Service.Restart": "on-failure",
		"Service.ExecReload": "/bin/kill -HUP $MAINPID", "Service.StateDirectory": "spigate", "Service.StateDirectoryMode": "0700",
		"Service.CapabilityBoundingSet": "CAP_NET_RAW CAP_NET_ADMIN CAP_BPF CAP_PERFMON", "Service.NoNewPrivileges": "yes",
		"Service.ProtectSystem": "strict", "Service.MemoryDenyWriteExecute": "yes", "Service.DeviceAllow": "/dev/net/tun rw", "Service.Nice": "-10",
		"Install.WantedBy": "multi-user.target",
	} {
		section, name, _ := strings.Cut(key, ".")
		if got := directive(t, section, name); got != want {
			t.Errorf("%s=%s, want %s", key, got, want)
		}
	}
	families := strings.Fields(directive(t, "Service", "RestrictAddressFamilies"))
	for _, f := range []string{"AF_PACKET", "AF_NETLINK", "AF_UNIX", "AF_INET"} {
		if !slices.Contains(families, f) {
			t.Errorf("no %s in %v", f, families)
		}
	}
	for key, values := range unit(t) {
		if len(values) > 1 {
			t.Errorf("%s= is given %d times", key, len(values))
		}
	}
}

// systemd itself judges the unit, with a program where its command is.
func TestSystemdAcceptsTheUnit(t *testing.T) {
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "spigate.service")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "/usr/sbin/spigate", "/bin/true")), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", file).CombinedOutput(); err != nil || strings.Contains(string(out), "spigate.service") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	bad := strings.Replace(string(text), "WatchdogSec=30s", "WatchdogSec=often", 1)
	if err := os.WriteFile(file, []byte(bad), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _ := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", file).CombinedOutput(); !strings.Contains(string(out), "often") {
		t.Errorf("a wrong value was not noticed:\n%s", out)
	}
}

// The exposure is what systemd counts of 10 for all that a service may do. It
// is 9.6 for one that restricts nothing.
func TestTheServiceMayDoLittle(t *testing.T) {
	out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=35", unitFile).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}
