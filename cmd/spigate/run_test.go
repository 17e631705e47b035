package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spigate/cmd/internal/control"
	"spigate/cmd/internal/wire"
	"spigate/configs"
)

// rereading reads a file for a daemon that takes it, or refuses.
func rereading(file string, refused error) func(time.Time) ([]configs.Warning, control.ConfigSessions, error) {
	return func(now time.Time) ([]configs.Warning, control.ConfigSessions, error) {
		_, warnings, err := wire.KeepFile(file).Again(now)
		return warnings, control.ConfigSessions{Kept: 12, Cleared: 3, Refused: 1}, errors.Join(err, refused)
	}
}

func TestAReloadSaysWhatIsOddAboutTheNewConfiguration(t *testing.T) {
	dir := files(t)
	for _, tc := range []struct {
		file    string
		refused error
		want    []string
		not     string
	}{
		{"good.toml", nil, []string{"msg=reloaded", "sessions_kept=12 sessions_cleared=3 sessions_refused=1"}, "WARN"},
		{"warned.toml", nil, []string{"warning: has no effect", "msg=reloaded"}, "still running"},
		{"warned.toml", errors.New("port: changed"), []string{"still running", "port: changed"}, "msg=reloaded"},
		{"bad.toml", nil, []string{"still running", "carrier-pigeon"}, "msg=reloaded"},
	} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		reload(log, tc.file, rereading(filepath.Join(dir, tc.file), tc.refused))
		for _, want := range tc.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is missing in\n%s", tc.file, want, out.String())
			}
		}
		if strings.Contains(out.String(), tc.not) {
			t.Errorf("%s: %q is in\n%s", tc.file, tc.not, out.String())
		}
	}
}

// Selectors that miss their packets are known only to those who ask them: a check
// and a reload say the same.
func TestSelectorsThatMissTheirPacketsAreToldByCheckAndByReload(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tunnel.toml")
	text := strings.NewReplacer(`"192.168.15.2/32"`, `"172.17.1.1/32"`).Replace(configs.IPsecInterface())
	for name, content := range map[string]string{"tunnel.toml": text, "gw2.psk": "correct horse battery staple\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const want = `net.ipsec.selector.my-nat-selector: warning: traffic selector "my-nat-selector": ltm nat "NAT-1" rewrites the destination`
	code, stdout, stderr := spigate(t, "check", file)
	if code != exitOK || stdout != file+": ok\n" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, file+":87:21: ") {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
	if _, stdout, _ := spigate(t, "check", "--json", file); !strings.Contains(stdout, `"path":"net.ipsec.selector.my-nat-selector"`) {
		t.Errorf("as JSON %q", stdout)
	}
	var out bytes.Buffer
	reload(slog.New(slog.NewTextHandler(&out, nil)), file, rereading(file, nil))
	if !strings.Contains(out.String(), `ltm nat \"NAT-1\" rewrites`) || !strings.Contains(out.String(), "msg=reloaded") {
		t.Errorf("a reload: %s", out.String())
	}
}
