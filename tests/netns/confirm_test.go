package netns

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// locked is a daemon with a text that locks its subscribers out.
type locked struct {
	*Daemon
	site *Site
	bad  string // the file
	mark byte   // of the last probe
}

func newLocked(t *testing.T, s *Site, c DaemonConfig) *locked {
	t.Helper()
	d := routerIn(t, s, c)
	text, err := os.ReadFile(d.Config)
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.ReplaceAll(string(text), `"192.0.2.0/24"`, `"198.18.0.0/24"`)
	if bad == string(text) {
		t.Fatal("the example has other subscribers by now")
	}
	l := &locked{Daemon: d, site: s, bad: filepath.Join(c.Dir, "bad.toml"), mark: 'A'}
	if err := os.WriteFile(l.bad, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	return l
}

// connected reports whether datagrams of a subscriber come out of its NAT address.
func (l *locked) connected(ctx context.Context, c *Capture) bool {
	l.mark++
	return probe(l.site, l.mark) == nil && sources(ctx, c, l.mark) == NATAddress.String()
}

// An operator who has locked everybody out gets them back without doing
// anything, and so does one whose router loses its power meanwhile.
func TestAnApplyThatNobodyConfirmsGivesTheSubscribersBackTheirNetwork(t *testing.T) {
	s := site(t)
	gateway, err := s.Gateway.Capture("eth0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, c := range map[string]DaemonConfig{
		"slots": {Dir: t.TempDir(), StateDir: filepath.Join(dir, "state")},
		"file":  {Dir: t.TempDir()},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLocked(t, s, c)
			ctx := deadline(t)
			passes := func(what string) {
				t.Helper()
				if err := Poll(ctx, 50*time.Millisecond, func() bool { return l.connected(ctx, gateway) }); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
			passes("nothing passes from the start")
			told, err := l.Command(ctx, "config", "apply", l.bad, "--confirm", "2s")
			if err != nil || !strings.Contains(told, "applied: live for 2s") || !strings.Contains(told, "1 cleared") && !strings.Contains(told, "2 cleared") {
				t.Fatalf("%v\n%s", err, told)
			}
			began := time.Now()
			if l.connected(ctx, gateway) {
				t.Error("it has changed nothing")
			}
			passes("nobody got it back")
			if after := time.Since(began); after > 20*time.Second {
				t.Errorf("it took %s", after)
			}
			said(t, ctx, l.Daemon, "rolled back, for nobody has confirmed it")
			if text, err := l.Command(ctx, "config", "history"); err != nil || !strings.Contains(text, "rolled_back: not_confirmed") {
				t.Errorf("%v\n%s", err, text)
			}
			// The power goes while it waits.
			if _, err := l.Command(ctx, "config", "apply", l.bad, "--confirm", "1h"); err != nil {
				t.Fatal(err)
			}
			if err := l.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			said(t, ctx, l.Daemon, "msg=reloaded")
			if l.connected(ctx, gateway) {
				t.Error("SIGHUP has rolled it back")
			}
			if err := l.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			<-l.Done()
			if text, err := os.ReadFile(l.Config); err != nil || strings.Contains(string(text), "198.18.0.0/24") {
				t.Errorf("what nobody has confirmed is in the file: %v", err)
			}
			l.Daemon = routerIn(t, s, c)
			passes("it came back with what nobody has confirmed")
			said(t, ctx, l.Daemon, "rolled back, for the router ended before it was confirmed")
			if err := l.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
