package netns

import (
	"bytes"
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rewrite replaces text in the daemon's file and sends SIGHUP.
func rewrite(t *testing.T, d *Daemon, from, to string) {
	t.Helper()
	text, err := os.ReadFile(d.Config)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(from)) {
		t.Fatalf("%s has no %q:\n%s", d.Config, from, text)
	}
	if err := os.WriteFile(d.Config, bytes.ReplaceAll(text, []byte(from), []byte(to)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// said waits for a line of the daemon's log.
func said(t *testing.T, ctx context.Context, d *Daemon, want string) {
	t.Helper()
	if err := Poll(ctx, 20*time.Millisecond, func() bool {
		return strings.Contains(strings.Join(d.Output(), "\n"), want)
	}); err != nil {
		t.Fatalf("%q was never logged: %v", want, err)
	}
}

func TestSIGHUPChangesTheALGAtOnceAndSaysWhatItCannotChange(t *testing.T) {
	s := site(t)
	d := router(t, s)
	ctx := deadline(t)
	rewrite(t, d, `"20s"`, `"7s"`)
	said(t, ctx, d, "msg=reloaded")
	if text, err := d.Text(ctx, "ipsecalg", "profile"); err != nil || !strings.Contains(text, "7s") {
		t.Errorf("%v:\n%s", err, text)
	}
	rewrite(t, d, `"203.0.113.254"`, `"203.0.113.253"`)
	said(t, ctx, d, "route: changed in the file")
	rewrite(t, d, `"7s"`, `"soon"`)
	said(t, ctx, d, "esp_gate_timeout")
	if err := reach(s, 1); err != nil {
		t.Error("it forwards no more:", err)
	}
}
