package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

// files writes configurations for the test and returns their folder.
func files(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.toml":   strings.Replace(configs.IPsecPassthrough(), "connfailover        = true", "connfailover        = false", 1),
		"warned.toml": configs.IPsecPassthrough(),
		"bad.toml":    "version = 1\n[lsn.client.A]\nnetwork = [\"192.0.2.0/24\"]\n[port.lan]\ndriver = \"carrier-pigeon\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestExitCodes(t *testing.T) {
	up, _ := daemon(t, &house{status: healthy()})
	sick := healthy()
	sick.Ports[1].Up = false
	down, _ := daemon(t, &house{status: sick})
	gone, stop := daemon(t, &house{})
	stop()
	dir := files(t)
	words := strings.NewReplacer("UP", up, "SICK", down, "GONE", gone, "DIR", dir)
	for _, c := range []struct {
		args   string
		code   int
		stderr string // what it must say, "" for nothing at all
	}{
		{"show flow --socket UP", exitOK, ""},
		{"show lsn client LSN-CLIENT-2 --socket UP", exitOK, ""},
		{"stat ipsecalg --detail --socket UP", exitOK, ""},
		{"flush ipsecalg session --source-ip=* --dest-ip * --socket UP", exitOK, ""},
		{"version", exitOK, ""},
		{"--version", exitOK, ""},
		{"--help", exitOK, ""},
		{"help show lsn", exitOK, ""},
		{"show lsn session --help", exitOK, ""},
		{"completion bash", exitOK, ""},
		{"check DIR/good.toml", exitOK, ""},
		{"check DIR/warned.toml", exitOK, "warning: has no effect"},

		{"check DIR/missing.toml", exitFailed, "no such file"},
		{"show flow --socket DIR/good.toml", exitNoDaemon, "connection refused"},

		{"", exitUsage, "one of:\n  capture"},
		{"shw", exitUsage, `did you mean "show"`},
		{"show", exitUsage, "  ipsecalg "},
		{"show lsn", exitUsage, "one of:\n  appsprofile"},
		{"show lsn sesion --nat-ip 203.0.113.3", exitUsage, `did you mean "session"`},
		{"show ipsecalg counters", exitUsage, `unknown word "counters" after "spigate show ipsecalg", want one of:`},
		{"show lsn session extra", exitUsage, "extra"},
		{"show lsn session --nat-ip here", exitUsage, `--nat-ip" flag: "here" is not an IPv4 address`},
		{"show lsn session --nat-pi 203.0.113.3", exitUsage, "unknown flag: --nat-pi"},
		{"show flow --client LSN-CLIENT-1", exitUsage, "unknown flag: --client"},
		{"show flow --watch soon", exitUsage, "soon"},
		{"show flow --watch 2", exitUsage, "with its unit, like 2s"},
		{"check", exitUsage, "want one FILE"},
		{"check a b", exitUsage, "want one FILE"},
		{"flush lsn session --network 192.0.2.7/24", exitUsage, "write 192.0.2.0/24, or 192.0.2.7/32"},
		{"show flow --watch 1ms", exitUsage, "at least 100ms"},
		{"show flow --watch -2s", exitUsage, "at least 100ms"},
		{"run", exitUsage, "config"},
		{"version 2", exitUsage, "See: spigate version --help"},

		{"stat", exitUsage, "one of:\n  ipsecalg"},
		{"stat ipsecalgo", exitUsage, `did you mean "ipsecalg"`},
		{"stat ipsecalg UNUSED OTHER", exitUsage, "at most 1 arg"},
		{"stat ipsecalg --clear-stats all", exitUsage, "basic or full"},
		{"stat ipsecalg --clear-stats full --watch 2s --socket UP", exitUsage, "not with --watch"},
		{"flush", exitUsage, "  lsn "},
		{"flush ipsecalg", exitUsage, "one of:\n  session"},
		{"flush ipsecalg sessions --source-ip 192.0.2.10", exitUsage, `did you mean "session"`},
		{"flush ipsecalg session 192.0.2.10", exitUsage, "192.0.2.10"},
		{"flush ipsecalg session --source-ip 0.0.0.0", exitUsage, "nobody's address"},
		{"flush ipsecalg session --source-ip 192.0.2.0/24", exitUsage, "not an IPv4 address"},
		{"flush ipsecalg session --client LSN-CLIENT-1", exitUsage, "unknown flag: --client"},
		{"flush lsn session --netmask 255.255.255.0", exitUsage, "unknown flag: --netmask"},
		{"flush lsn session --network 192.0.2.0", exitUsage, "like 192.0.2.0/24"},
		{"flush lsn session --dest-ip 198.51.100.9", exitUsage, "unknown flag: --dest-ip"},
		{"flush lsn session --watch 2s", exitUsage, "unknown flag: --watch"},
		{"show lsn pool LSN-POOL-1 LSN-POOL-2", exitUsage, "at most 1 arg"},

		{"show drops --socket GONE", exitNoDaemon, "is the daemon running? start it with: spigate run --config FILE"},
		{"show flow --json --socket GONE", exitNoDaemon, goneMessage},
		{"show flow --watch 2s --socket GONE", exitNoDaemon, goneMessage},
		{"stat ipsecalg --socket GONE", exitNoDaemon, goneMessage},
		{"flush ipsecalg session --socket GONE", exitNoDaemon, goneMessage},
		{"flush lsn session --json --socket GONE", exitNoDaemon, goneMessage},
		{"stat ipsecalg NOBODY --clear-stats full --socket UP", exitNotFound, `no ipsecalg profile "NOBODY"`},
		{"stat ipsecalg NOBODY --socket UP", exitNotFound, `no ipsecalg profile "NOBODY"`},
		{"show ipsecalg profile NOBODY --socket UP", exitNotFound, `no ipsecalg profile "NOBODY"`},
		{"show lsn pool LSN-POOL-2 --socket UP", exitNotFound, `no lsn pool "LSN-POOL-2"`},
		{"flush lsn session --client NOBODY --socket UP", exitNotFound, `no lsn client "NOBODY"`},
		{"show lsn session --client NOBODY --socket UP", exitNotFound, `no lsn client "NOBODY"`},
		{"check DIR/bad.toml", exitConfigInvalid, "bad.toml:5:"},
		{"check --json DIR/bad.toml", exitConfigInvalid, ""},
		{"show status --socket SICK", exitUnhealthy, "unhealthy: port down: wan"},
	} {
		code, stdout, stderr := spigate(t, strings.Fields(words.Replace(c.args))...)
		if code != c.code {
			t.Errorf("%s: exit %d, want %d\n%s", c.args, code, c.code, stderr)
		}
		if !strings.Contains(stderr, c.stderr) || c.stderr == "" && stderr != "" {
			t.Errorf("%s: stderr %q, want %q", c.args, stderr, c.stderr)
		}
		results := code == exitOK || code == exitUnhealthy || strings.Contains(c.args, "check --json")
		if results != (stdout != "") {
			t.Errorf("%s: exit %d and stdout %q", c.args, code, stdout)
		}
	}
}

// goneMessage is in what is said without a daemon.
const goneMessage = "is the daemon running?"

func TestCheckTellsEveryFaultOnALineOfItsOwn(t *testing.T) {
	bad := filepath.Join(files(t), "bad.toml")
	code, stdout, stderr := spigate(t, "check", bad)
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	if code != exitConfigInvalid || stdout != "" || len(lines) < 2 {
		t.Fatalf("exit %d, stdout %q, stderr:\n%s", code, stdout, stderr)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, bad+":") {
			t.Errorf("a line without its place: %q", line)
		}
	}
}

func TestCheckOfAGoodFileSaysOk(t *testing.T) {
	good := filepath.Join(files(t), "good.toml")
	if _, stdout, _ := spigate(t, "check", good); stdout != good+": ok\n" {
		t.Errorf("stdout %q", stdout)
	}
	if _, stdout, _ := spigate(t, "check", "--json", good); !strings.HasPrefix(stdout, `{"version":1,"items":[`) {
		t.Errorf("stdout %q", stdout)
	}
}

func TestWarningsAreNotFaults(t *testing.T) {
	var errs bytes.Buffer
	printWarnings(&errs, []configs.Warning{{File: "f.toml", Line: 3, Col: 1, Path: "a.b", Text: "odd"}})
	if errs.String() != "f.toml:3:1: a.b: warning: odd\n" {
		t.Errorf("got %q", errs.String())
	}
}

func TestAReaderThatHasHadEnoughIsNotAFailure(t *testing.T) {
	socket, _ := daemon(t, &house{status: healthy(), lsn: sessions(20_000)})
	for _, args := range []string{"show lsn session", "show lsn session --json", "show flow --watch 1s", "version", "--help"} {
		var errs bytes.Buffer
		fields := strings.Fields(args)
		if fields[0] == "show" {
			fields = append(fields, "--socket", socket)
		}
		if code := execute(t.Context(), fields, closedPipe(t), &errs, false); code != exitOK || errs.Len() != 0 {
			t.Errorf("%s: exit %d, stderr %q", args, code, &errs)
		}
	}
}

func TestAFullDiskIsAFailure(t *testing.T) {
	socket, _ := daemon(t, &house{status: healthy()})
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, words := range views {
		for _, flag := range []string{"--json=false", "--json"} {
			var errs bytes.Buffer
			args := append(strings.Fields(words), flag, "--socket", socket)
			if code := execute(t.Context(), args, full, &errs, false); code != exitFailed || !strings.Contains(errs.String(), "no space left") {
				t.Errorf("%s: exit %d, stderr %q", words, code, &errs)
			}
		}
	}
}

// cutOff is a terminal that ends the command after some pictures.
type cutOff struct {
	bytes.Buffer
	after  int
	cancel func()
	each   func(n int)
	seen   int
}

func (c *cutOff) Write(b []byte) (int, error) {
	n, err := c.Buffer.Write(b)
	if bytes.Contains(b, []byte("To do: Buy")) { // the end of "show drops"
		if c.seen++; c.each != nil {
			c.each(c.seen)
		}
		if c.seen == c.after {
			c.cancel()
		}
	}
	return n, err
}

func TestWatchDrawsAgainUntilItIsEnded(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for _, terminal := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		out := &cutOff{after: 3, cancel: cancel}
		args := []string{"show", "drops", "--watch", "100ms", "--socket", socket}
		if code := execute(ctx, args, out, io.Discard, terminal); code != exitOK {
			t.Errorf("exit %d", code)
		}
		text := out.String()
		if n := strings.Count(text, "esp_no_gate_in: "); n != 3 {
			t.Errorf("terminal %v: %d pictures, want 3", terminal, n)
		}
		if redrawn := strings.Count(text, "\x1b[Hspigate show drops  every 100ms  "); terminal != (redrawn == 3) {
			t.Errorf("terminal %v: redrawn %d times:\n%q", terminal, redrawn, text)
		}
	}
}

func TestWatchGoesOnWhenTheDaemonIsAwayForAWhile(t *testing.T) {
	socket, stop := daemon(t, &house{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs := &onWrite{do: cancel}
	out := &cutOff{after: -1, each: func(int) { stop() }}
	args := []string{"show", "drops", "--watch", "100ms", "--socket", socket}
	if code := execute(ctx, args, out, errs, false); code != exitOK {
		t.Errorf("exit %d", code)
	}
	if !strings.Contains(errs.String(), goneMessage) {
		t.Errorf("stderr %q", errs)
	}
}

// onWrite calls do when something is written.
type onWrite struct {
	bytes.Buffer
	do func()
}

func (o *onWrite) Write(b []byte) (int, error) {
	defer o.do()
	return o.Buffer.Write(b)
}

func TestAnInterruptedQuestionLeavesNothingRunning(t *testing.T) {
	asked := make(chan struct{})
	release := make(chan struct{})
	socket, _ := daemon(t, &house{lsn: func(func(control.LSNSession) bool) {
		close(asked)
		<-release
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if code := execute(ctx, []string{"show", "lsn", "session", "--socket", socket}, io.Discard, io.Discard, false); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	close(release)
}
