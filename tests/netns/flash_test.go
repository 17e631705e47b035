package netns

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"spigate/board/flash"
)

// applier applies one configuration after the other until it is told to end or
// the daemon does.
type applier struct {
	d    *Daemon
	dir  string
	base string // a text with the gate timeout of 20 s

	sent  string // what was sent last
	acked string // what was applied last
	count int
}

// numbered is a configuration that can be told from others, and that changes
// something live.
func (a *applier) numbered() string {
	timeout := fmt.Sprintf(`"%ds"`, 3+a.count%100)
	return strings.Replace(a.base, `"20s"`, timeout, 1) + fmt.Sprintf("\n# number %d %s\n", a.count, strings.Repeat("x", a.count*37%3000))
}

// run ends with the first apply that is not acknowledged.
func (a *applier) run(ctx context.Context) {
	for ctx.Err() == nil {
		a.count++
		text := a.numbered()
		path := filepath.Join(a.dir, "next.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return
		}
		a.sent = text
		if _, err := a.d.Command(ctx, "config", "apply", path); err != nil {
			return
		}
		a.acked = text
	}
}

// However a daemon is killed while configurations are applied, the next start
// boots the last one that was acknowledged, or the one after it, whole.
func TestADaemonKilledDuringAppliesBootsTheOldOrTheNewConfiguration(t *testing.T) {
	s := site(t)
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	a := &applier{dir: dir}
	applied := 0
	for round := range 8 {
		a.d = routerIn(t, s, DaemonConfig{Dir: dir, StateDir: state})
		ctx := deadline(t)
		if round == 0 {
			text, err := os.ReadFile(a.d.Config)
			if err != nil {
				t.Fatal(err)
			}
			a.base, a.acked, a.sent = string(text), string(text), string(text)
		}
		shown, err := a.d.Command(ctx, "config", "show")
		if err != nil || shown != a.acked && shown != a.sent {
			t.Fatalf("round %d runs on what nobody sent: %v\n%s", round, err, shown)
		}
		a.acked = shown
		before := a.count
		killed := make(chan error, 1)
		running, stop := context.WithCancel(ctx)
		go func() {
			<-time.After(time.Duration(5+round*23%150) * time.Millisecond)
			killed <- a.d.Signal(syscall.SIGKILL)
		}()
		a.run(running)
		stop()
		if err := <-killed; err != nil {
			t.Fatal(err)
		}
		<-a.d.Done()
		applied += a.count - before
		if err := afterKill(state, a); err != nil {
			t.Fatalf("round %d, after %d applies: %v", round, a.count-before, err)
		}
	}
	if applied < 8 {
		t.Errorf("%d applies in all: nothing was proved", applied)
	}
	t.Logf("%d applies", applied)
}

// afterKill looks at what is on flash.
func afterKill(state string, a *applier) error {
	store, err := flash.Open(state, flash.OS{})
	if err != nil {
		return err
	}
	b, err := store.Boot(nil)
	switch text := string(b.Text); {
	case err != nil:
		return err
	case len(b.Damaged) > 0:
		return b.Damaged[0]
	case text != a.acked && text != a.sent:
		return fmt.Errorf("slot %s has what nobody sent:\n%s", b.Slot, text)
	}
	left, err := filepath.Glob(filepath.Join(state, "*-new"))
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%s is left after the store was opened", left)
	}
	return err
}

func TestADaemonOnSlotsRereadsTheRunningOne(t *testing.T) {
	s := site(t)
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	d := routerIn(t, s, DaemonConfig{Dir: dir, StateDir: state})
	ctx := deadline(t)
	said(t, ctx, d, "the running slot is what was booted") // it writes no more: the store is ours
	store, err := flash.Open(state, flash.OS{})
	if err != nil {
		t.Fatal(err)
	}
	confirmed, err := store.Read(flash.Confirmed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Write(flash.Running, []byte(strings.Replace(string(confirmed.Text), `"20s"`, `"7s"`, 1)), flash.Note{}); err != nil {
		t.Fatal(err)
	}
	if err := d.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	said(t, ctx, d, "msg=reloaded config="+state+"/running.toml")
	if text, err := d.Text(ctx, "ipsecalg", "profile"); err != nil || !strings.Contains(text, "7s") {
		t.Errorf("%v:\n%s", err, text)
	}
	if err := reach(s, 1); err != nil {
		t.Error("it forwards no more:", err)
	}
}
