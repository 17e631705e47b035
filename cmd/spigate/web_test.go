package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sys/unix"

	"spigate/configs"
)

// withInput runs the command line with something on stdin.
func withInput(t *testing.T, in string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before := os.Stdin
	os.Stdin = f
	defer func() { os.Stdin = before }()
	return spigate(t, args...)
}

func TestAPasswordBecomesAHashThatTheConfigurationTakes(t *testing.T) {
	code, hash, stderr := withInput(t, "correct horse battery\nanother line\n", "web", "password", "--cost", "10")
	hash = strings.TrimSpace(hash)
	if code != exitOK || bcrypt.CompareHashAndPassword([]byte(hash), []byte("correct horse battery")) != nil {
		t.Fatalf("exit %d, %q %q", code, hash, stderr)
	}
	text := "version = 1\n[control]\nhttp = \":8443\"\n[web.user.admin]\npassword = \"" + hash + "\"\n"
	if _, _, err := configs.Parse("f", []byte(text)); err != nil {
		t.Error(err)
	}
	if strings.Contains(stderr, "horse") {
		t.Errorf("it is shown: %q", stderr)
	}
}

func TestPasswordsThatAreNone(t *testing.T) {
	for in, want := range map[string]string{"": "has 8 to 72 bytes, this one has 0", "short\n": "this one has 5", strings.Repeat("x", 200): "has 8 to 72 bytes"} {
		if code, stdout, stderr := withInput(t, in, "web", "password"); code != exitFailed || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit %d, %q %q", in, code, stdout, stderr)
		}
	}
	if code, _, stderr := withInput(t, "correct horse battery\n", "web", "password", "--cost", "31"); code != exitUsage || !strings.Contains(stderr, "10 to 14") {
		t.Errorf("exit %d %q", code, stderr)
	}
}

// At a terminal it is asked for twice, and what is typed is not shown.
func TestAPasswordIsTypedTwiceAndNotShown(t *testing.T) {
	for _, c := range []struct{ typed, want string }{
		{"correct horse battery\ncorrect horse battery\n", ""},
		{"correct horse battery\ncorrect horse bettary\n", "the two are not the same"},
	} {
		master, terminal := newTerminal(t)
		if _, err := master.WriteString(c.typed); err != nil {
			t.Fatal(err)
		}
		var talk bytes.Buffer
		password, err := askPassword(terminal, &talk)
		if c.want == "" && (err != nil || string(password) != "correct horse battery") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q, %v", password, err)
		}
		if talk.String() != "Password: \nOnce more: \n" {
			t.Errorf("it says %q", talk.String())
		}
		if state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS); err != nil || state.Lflag&unix.ECHO == 0 {
			t.Errorf("the terminal is left silent: %v", err)
		}
	}
}

// newTerminal returns both ends of a pseudo-terminal.
func newTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}
