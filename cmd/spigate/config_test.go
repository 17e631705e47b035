package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spigate/board/flash"
	"spigate/cmd/internal/control"
	"spigate/cmd/internal/wire"
	"spigate/configs"
)

func (h *house) ApplyConfig(n control.ConfigNew) (control.ConfigApplied, error) {
	h.flushed = append(h.flushed, n.File+" "+n.Comment+" "+string(n.Text))
	seven := uint64(7)
	a := control.ConfigApplied{Applied: control.AppliedLive, Path: "/etc/spigate.toml"}
	if n.Confirm > 0 {
		left := control.Seconds(n.Confirm.Seconds())
		a.Written, a.Confirm = true, &left
		a.Sessions.Add(control.ConfigSessionsKind{Kind: "lsn_session", Kept: 40, Cleared: 2, Refused: 1})
	}
	switch {
	case h.refuses != nil:
		return a, h.refuses
	case strings.Contains(string(n.Text), "LSN-POOL-1"):
		a = control.ConfigApplied{Applied: control.AppliedNextStart, Tables: control.Words{"vlan", "route"}, Written: true, Path: "/overlay/spigate/running.toml", Sequence: &seven,
			Warnings: []control.ConfigFinding{{File: n.File, Line: 12, Col: 3, Path: "lsn.pool.P", Text: "is used by nobody"}}}
	}
	return a, nil
}

func (h *house) ShowConfig(slot string) (control.ConfigText, error) {
	if slot != "" && slot != "confirmed" {
		return control.ConfigText{}, control.NotFound("slot", slot, "confirmed")
	}
	slot, at, nine := "confirmed", "2026-03-01T13:05:06Z", uint64(9)
	return control.ConfigText{Slot: &slot, Path: "/overlay/spigate/confirmed.toml", Sequence: &nine, Time: &at, Comment: "second office", Text: "version = 1\n[system]\nhostname = \"<gw1>\""}, nil
}

func TestAnApplySaysWhenItTakesEffectAndWhereItIsKept(t *testing.T) {
	dir := files(t)
	good := filepath.Join(dir, "good.toml")
	plain := filepath.Join(dir, "plain.toml")
	if err := os.WriteFile(plain, []byte("version = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := &house{}
	socket, _ := daemon(t, h)
	code, text, stderr := spigate(t, "config", "apply", good, "--comment", "second office", "--socket", socket)
	if want := "applied: at the next start, because of: vlan, route; kept in /overlay/spigate/running.toml\n"; code != exitOK || text != want ||
		stderr != good+":12:3: lsn.pool.P: warning: is used by nobody\n" {
		t.Errorf("exit %d, %q, %q", code, text, stderr)
	}
	if len(h.flushed) != 1 || !strings.HasPrefix(h.flushed[0], good+" second office # Two ") {
		t.Errorf("sent %.100q", h.flushed)
	}
	code, text, stderr = spigate(t, "config", "apply", plain, "--socket", socket)
	if want := "applied: live; was in /etc/spigate.toml already\nsessions: 0 kept, 0 cleared, 0 refused\n"; code != exitOK || text != want || stderr != "" {
		t.Errorf("exit %d, %q, %q", code, text, stderr)
	}
	_, text, _ = spigate(t, "config", "apply", "--json", good, "--socket", socket)
	golden(t, "config-apply.json", strings.ReplaceAll(text, dir, "DIR"))
	_, text, _ = spigate(t, "config", "apply", "--json", plain, "--socket", socket)
	golden(t, "config-apply-live.json", text)
}

func TestAnApplyThatIsRefusedTellsEveryFaultAsCheckDoes(t *testing.T) {
	bad := filepath.Join(files(t), "bad.toml")
	h := &house{refuses: errors.Join(
		configs.Fault{File: bad, Line: 3, Col: 1, Path: "lsn.client.A.network", Text: "unknown key"},
		configs.Fault{File: bad, Line: 5, Col: 10, Path: "port.lan.driver", Text: "no such driver"})}
	socket, _ := daemon(t, h)
	code, text, stderr := spigate(t, "config", "apply", bad, "--socket", socket)
	if want := bad + ":3:1: lsn.client.A.network: unknown key\n" + bad + ":5:10: port.lan.driver: no such driver\n"; code != exitConfigInvalid || text != "" || stderr != want {
		t.Errorf("exit %d, %q, %q", code, text, stderr)
	}
	code, text, stderr = spigate(t, "config", "apply", bad, "--json", "--socket", socket)
	if code != exitConfigInvalid || strings.Count(text, `"severity":"error"`) != 2 || stderr != "" {
		t.Errorf("exit %d, %q, %q", code, text, stderr)
	}
	h.refuses = &control.Error{Message: "another configuration is being applied", Code: control.CodeBusy}
	if code, text, stderr = spigate(t, "config", "apply", bad, "--socket", socket); code != exitFailed || text != "" || !strings.Contains(stderr, "another configuration") {
		t.Errorf("exit %d, %q, %q", code, text, stderr)
	}
}

func TestTheConfigurationIsShownAsItIsKept(t *testing.T) {
	socket, _ := daemon(t, &house{})
	if code, text, _ := spigate(t, "config", "show", "--socket", socket); code != exitOK || text != "version = 1\n[system]\nhostname = \"<gw1>\"" {
		t.Errorf("exit %d, %q", code, text)
	}
	_, text, _ := spigate(t, "config", "show", "confirmed", "--json", "--socket", socket)
	golden(t, "config-show.json", text)
	for words, want := range map[string]struct {
		code int
		says string
	}{
		"config show confirmd":            {exitNotFound, `did you mean "confirmed"`},
		"config show a b":                 {exitUsage, "at most 1 arg"},
		"config":                          {exitUsage, "one of:\n  apply"},
		"config aply x":                   {exitUsage, `did you mean "apply"`},
		"config apply":                    {exitUsage, "want one FILE"},
		"config apply /nowhere/at/all":    {exitFailed, "no such file"},
		"config apply /dev/null":          {exitFailed, "is empty"},
		"config apply /dev/zero":          {exitFailed, "more than 1048576 bytes"},
		"config show --socket /not/there": {exitNoDaemon, "is the daemon running?"},
	} {
		args := strings.Fields(words)
		if !strings.Contains(words, "--socket") && args[len(args)-1] != "config" {
			args = append(args, "--socket", socket)
		}
		if code, _, stderr := spigate(t, args...); code != want.code || !strings.Contains(stderr, want.says) {
			t.Errorf("%s: exit %d, %s", words, code, stderr)
		}
	}
}

// write makes a file to apply.
func (p place) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnAppliedConfigurationRunsAndIsBootedNext(t *testing.T) {
	p := newPlace(t)
	store := p.put(t, "", "", p.text("gw1"))
	d := start(t, keepSlots(t, p, ""))
	pool := strings.Replace(p.text("gw1"), "203.0.113.9", "203.0.113.5", 1)
	code, text, stderr := spigate(t, "config", "apply", p.write(t, "new.toml", pool), "--comment", "fewer addresses", "--socket", p.socket())
	if code != exitOK || text != "applied: live; kept in "+p.stateDir()+"/running.toml\nsessions: 0 kept, 0 cleared, 0 refused\n" {
		t.Errorf("exit %d, %q, %q", code, text, stderr)
	}
	if _, text, _ := spigate(t, "show", "lsn", "pool", "--socket", p.socket()); !strings.Contains(text, "203.0.113.3-203.0.113.5") {
		t.Errorf("it does not run:\n%s", text)
	}
	for _, slot := range flash.Slots() {
		if i, err := store.Read(slot); err != nil || string(i.Text) != pool || i.Note.Comment != "fewer addresses" || i.Note.Time.IsZero() {
			t.Errorf("%s: %v, %+v", slot, err, i.Note)
		}
	}
	// Another name takes a restart; nothing of it runs before.
	name := strings.Replace(p.text("gw2"), "203.0.113.9", "203.0.113.4", 1)
	code, text, _ = spigate(t, "config", "apply", p.write(t, "new.toml", name), "--socket", p.socket())
	if code != exitOK || text != "applied: at the next start, because of: system; kept in "+p.stateDir()+"/running.toml\n" {
		t.Errorf("exit %d, %q", code, text)
	}
	if _, text, _ := spigate(t, "show", "lsn", "pool", "--socket", p.socket()); !strings.Contains(text, "203.0.113.3-203.0.113.5") {
		t.Errorf("half of it runs:\n%s", text)
	}
	if _, text, _ := spigate(t, "config", "show", "--socket", p.socket()); text != name {
		t.Errorf("shown:\n%s", text)
	}
	d.stop(t)
	d = start(t, keepSlots(t, p, ""))
	if _, text, _ := spigate(t, "show", "lsn", "pool", "--socket", p.socket()); !strings.Contains(text, "203.0.113.3-203.0.113.4") {
		t.Errorf("it was not booted:\n%s\n%s", text, d.log)
	}
}

func TestAFaultyConfigurationIsNotApplied(t *testing.T) {
	p := newPlace(t)
	store := p.put(t, "", p.text("gw1"), p.text("gw1"))
	start(t, keepSlots(t, p, ""))
	bad := p.write(t, "bad.toml", p.text("gw1")+"[lsn.pool.Q]\naddresses = [\"here\"]\n[net.ipsec.peer.gw9]\npsk = \"file:gw9.psk\"\n")
	code, text, stderr := spigate(t, "config", "apply", bad, "--socket", p.socket())
	if code != exitConfigInvalid || text != "" || !strings.Contains(stderr, bad+":17:14: lsn.pool.Q.addresses[0]: ") {
		t.Errorf("exit %d, %q, %q", code, text, stderr)
	}
	// Its files are looked for where it would be kept.
	if !strings.Contains(stderr, p.stateDir()+"/gw9.psk: there is no such file") {
		t.Errorf("%s", stderr)
	}
	if _, err := store.Read(flash.Candidate); err == nil {
		t.Error("it is a candidate")
	}
}

func TestWhatCannotBeKeptIsNotApplied(t *testing.T) {
	p := newPlace(t)
	p.put(t, "", "", p.text("gw1"))
	full := &fullFlash{}
	keeper, err := wire.KeepSlots(p.stateDir(), wire.Factory{}, full)
	if err != nil {
		t.Fatal(err)
	}
	d := start(t, keeper)
	full.full.Store(true)
	pool := p.write(t, "new.toml", strings.Replace(p.text("gw1"), "203.0.113.9", "203.0.113.5", 1))
	code, text, stderr := spigate(t, "config", "apply", pool, "--socket", p.socket())
	if code != exitFailed || text != "" || !strings.Contains(stderr, "no space left on device") || !strings.Contains(stderr, "make room") {
		t.Errorf("exit %d, %q, %q", code, text, stderr)
	}
	if _, text, _ := spigate(t, "show", "lsn", "pool", "--socket", p.socket()); !strings.Contains(text, "203.0.113.3-203.0.113.9") {
		t.Errorf("it runs:\n%s\n%s", text, d.log)
	}
	d.stop(t)
	// A router whose flash is full at its start runs, and says so.
	d = start(t, keeper)
	if !strings.Contains(d.log.String(), "configurations cannot be kept") {
		t.Errorf("not told:\n%s", d.log)
	}
}

func TestARouterOnAFileHasItReplaced(t *testing.T) {
	p := newPlace(t)
	real := p.write(t, "real.toml", p.text("gw1"))
	link := filepath.Join(p.dir, "link.toml")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	start(t, wire.KeepFile(link))
	pool := strings.Replace(p.text("gw1"), "203.0.113.9", "203.0.113.5", 1)
	code, text, stderr := spigate(t, "config", "apply", p.write(t, "new.toml", pool), "--socket", p.socket())
	if code != exitOK || text != "applied: live; kept in "+link+"\nsessions: 0 kept, 0 cleared, 0 refused\n" {
		t.Errorf("exit %d, %q, %q", code, text, stderr)
	}
	now, err := os.ReadFile(real)
	info, err2 := os.Lstat(link)
	if err := errors.Join(err, err2); err != nil || string(now) != pool || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("%v, %v:\n%s", err, info.Mode(), now)
	}
	if info, err := os.Stat(real); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if code, _, stderr := spigate(t, "config", "show", "running", "--socket", p.socket()); code != exitNotFound || !strings.Contains(stderr, "runs on the file "+link) {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if _, text, _ := spigate(t, "config", "show", "--json", "--socket", p.socket()); !strings.Contains(text, `"slot":null,"path":"`+link) {
		t.Errorf("%s", text)
	}
}
