package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pasted makes a file of a text that somebody pasted.
func pasted(t *testing.T, text string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("pasted.txt", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "pasted.txt"
}

// sample is the sample configuration of a dialect's page as it stands there.
func sample(t *testing.T, dialect string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../configs/dialect", dialect, "testdata/page.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func dialects() []string { return []string{"netscaler", "tmsh"} }

func TestBothPagesAsTheyStandBecomeWhatCheckPasses(t *testing.T) {
	for _, dialect := range dialects() {
		t.Run(dialect, func(t *testing.T) {
			file := pasted(t, sample(t, dialect))
			code, stdout, stderr := spigate(t, "import", dialect, file)
			if code != exitOK || !strings.Contains(stdout, "# ---- Not in the text") || !strings.Contains(stderr, ": missing: ") {
				t.Fatalf("exit %d:\n%s\n%s", code, stderr, stdout)
			}
			for line := range strings.Lines(stderr) {
				if !strings.HasPrefix(line, "pasted.txt:") {
					t.Errorf("no file in front of %q", line)
				}
			}
			if err := os.WriteFile("out.toml", []byte(stdout), 0o600); err != nil {
				t.Fatal(err)
			}
			if code, stdout, stderr := spigate(t, "check", "out.toml"); code != exitOK || stdout != "out.toml: ok\n" {
				t.Errorf("check: exit %d, %s", code, stderr)
			}
		})
	}
}

func TestStrictPrintsNothingThatIsMadeUp(t *testing.T) {
	for _, dialect := range dialects() {
		t.Run(dialect, func(t *testing.T) {
			code, stdout, stderr := spigate(t, "import", dialect, pasted(t, sample(t, dialect)), "--strict", "--output", "out.toml")
			if code != exitFailed || stdout != "" || !strings.Contains(stderr, ": missing: ") || !strings.HasSuffix(stderr, "--strict prints nothing\n") {
				t.Errorf("exit %d, %q, %s", code, stdout, stderr)
			}
			if _, err := os.Stat("out.toml"); err == nil {
				t.Error("a file is written")
			}
		})
	}
}

// whole is understood and complete, but for a dash.
const whole = "add lsn client C\nbind lsn client C –network 10.0.0.0 -netmask 255.0.0.0\n"

func TestStrictPassesWhatIsCompleteAndUnderstood(t *testing.T) {
	code, stdout, stderr := spigate(t, "import", "netscaler", "--strict", pasted(t, whole))
	if code != exitOK || stdout != "version = 1\n\n[lsn.client.C]\nnetworks = [\"10.0.0.0/8\"]\n" ||
		stderr != "pasted.txt:2: note: a dash that is none of a keyboard is read as -\n" {
		t.Errorf("exit %d\n%s\n%s", code, stdout, stderr)
	}
}

func TestFindingsAreRowsWithJSONAndTheTOMLGoesToAFile(t *testing.T) {
	file := pasted(t, whole+"add lsn pool P\nset lsn pool P -natype DYNAMIC\n")
	code, stdout, stderr := spigate(t, "import", "netscaler", file, "--json", "-o", "out.toml")
	info, err := os.Stat("out.toml")
	t.Chdir("..") // the golden files are elsewhere
	if code != exitOK || stderr != "" || err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("exit %d, %v, %s", code, err, stderr)
	}
	if stdout != `{"version":1,"items":[`+"\n"+
		`{"severity":"note","file":"pasted.txt","line":2,"text":"a dash that is none of a keyboard is read as -"},`+"\n"+
		`{"severity":"missing","file":"pasted.txt","line":3,"command":"bind lsn pool P ADDRESS-ADDRESS","text":"made up: addresses = [\"198.51.100.1\"]"},`+"\n"+
		`{"severity":"unknown","file":"pasted.txt","line":4,"text":"-natype is no option of this command: it is left out; did you mean \"nattype\"?"}`+"\n]}\n" {
		t.Errorf("%s", stdout)
	}
}

func TestAFaultOfTheTextIsToldAtItsLine(t *testing.T) {
	file := pasted(t, whole+"add ipsecalg profile I -espGateTimeout 2\n")
	code, stdout, stderr := spigate(t, "import", "netscaler", file)
	if code != exitConfigInvalid || !strings.Contains(stdout, `"2s"`) || !strings.Contains(stderr, "pasted.txt:3: fault: ipsecalg.profile.I.esp_gate_timeout: must be from 3s to 1200s") {
		t.Errorf("exit %d\n%s\n%s", code, stdout, stderr)
	}
}

func TestATextOfAnotherKindIsRefused(t *testing.T) {
	for _, dialect := range dialects() {
		code, stdout, stderr := spigate(t, "import", dialect, pasted(t, "Dear all,\nsee below.\n"))
		if code != exitFailed || stdout != "" || !strings.Contains(stderr, "is it the right dialect?") || !strings.Contains(stderr, "pasted.txt:2: unknown: ") {
			t.Errorf("%s: exit %d, %q, %s", dialect, code, stdout, stderr)
		}
		if code, _, stderr := spigate(t, "import", dialect, "nowhere.txt"); code != exitFailed || !strings.Contains(stderr, "nowhere.txt") {
			t.Errorf("%s: exit %d, %s", dialect, code, stderr)
		}
	}
}
