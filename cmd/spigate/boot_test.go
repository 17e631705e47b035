package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"spigate/board/flash"
	"spigate/cmd/internal/control"
	"spigate/cmd/internal/wire"
)

// onCaptures is a configuration of two ports that read empty captures: it runs
// without a kernel port and without privileges. DIR and NAME are replaced.
const onCaptures = `version = 1
[system]
hostname = "NAME"
[control]
socket = "DIR/s.sock"
[port.lan]
driver = "pcap"
device = "DIR/empty.pcap"
mac    = "02:00:00:00:00:01"
[vlan.inside]
port      = "lan"
id        = 0
addresses = ["192.0.2.1/24"]
[lsn.pool.P]
addresses = ["203.0.113.3-203.0.113.9"]
`

// place is a folder with a capture, slots, and texts for them.
type place struct{ dir string }

func newPlace(t *testing.T) place {
	t.Helper()
	dir, err := os.MkdirTemp("", "run") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// A capture of microseconds, little endian, Ethernet, without a packet.
	empty := []byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x01\x00\x00\x00")
	if err := os.WriteFile(filepath.Join(dir, "empty.pcap"), empty, 0o600); err != nil {
		t.Fatal(err)
	}
	return place{dir}
}

func (p place) text(name string) string {
	return strings.NewReplacer("DIR", p.dir, "NAME", name).Replace(onCaptures)
}

func (p place) stateDir() string { return filepath.Join(p.dir, "state") }

func (p place) socket() string { return filepath.Join(p.dir, "s.sock") }

// put writes slots; "" leaves one out.
func (p place) put(t *testing.T, candidate, running, confirmed string) *flash.Store {
	t.Helper()
	s, err := flash.Open(p.stateDir(), flash.OS{})
	if err != nil {
		t.Fatal(err)
	}
	for slot, text := range map[flash.Slot]string{flash.Candidate: candidate, flash.Running: running, flash.Confirmed: confirmed} {
		if text == "" {
			continue
		}
		if _, err := s.Write(slot, []byte(text), flash.Note{}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// daemonLog is the log of a daemon, to be waited for.
type daemonLog struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // has something when there is more
}

func (l *daemonLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.text.Write(b)
}

func (l *daemonLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// started is a daemon that a test runs in this process.
type started struct {
	log  *daemonLog
	end  context.CancelFunc
	done chan struct{}
	err  error // of its end
}

// start runs a daemon until the test ends.
func start(t *testing.T, keeper wire.Keeper) *started {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &started{log: &daemonLog{more: make(chan struct{}, 1)}, end: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		lines, err := newOwnLog(s.log, logFlags{})
		if err != nil {
			panic(err) // there are no flags
		}
		s.err = run(ctx, keeper, lines)
	}()
	t.Cleanup(func() { s.stop(t) })
	s.until(t, "msg=ready")
	return s
}

func (s *started) stop(t *testing.T) {
	s.end()
	<-s.done
	if s.err != nil {
		t.Errorf("it ended with %v\n%s", s.err, s.log)
	}
}

// until waits for words in the log.
func (s *started) until(t *testing.T, words string) {
	t.Helper()
	for !strings.Contains(s.log.String(), words) {
		select {
		case <-s.log.more:
		case <-s.done:
			t.Fatalf("it ended before %q:\n%s", words, s.log)
		}
	}
}

func keepSlots(t *testing.T, p place, factory string) wire.Keeper {
	t.Helper()
	k, err := wire.KeepSlots(p.stateDir(), wire.Factory{File: factory}, flash.OS{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestTheSlotThatIsBootedIsTheFirstThatCanBe(t *testing.T) {
	p := newPlace(t)
	good := p.text("gw1")
	unknown := good + "[from_the_future]\nanswer = 42\n" // whole, but this build refuses it
	factory := filepath.Join(p.dir, "factory.toml")
	if err := os.WriteFile(factory, []byte(p.text("factory")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name                          string
		candidate, running, confirmed string
		damage                        flash.Slot
		damaged                       bool
		want                          []string
		file                          string
	}{
		{"confirmed", "", p.text("gw0"), good, 0, false, []string{"msg=boot slot=confirmed sequence="}, "state/confirmed.toml"},
		{"a damaged one", "", p.text("gw0"), good, flash.Confirmed, true, []string{`msg="a slot is not booted" slot=confirmed`, "the checksum is wrong", "slot=running"}, "state/running.toml"},
		{"after a downgrade", good, unknown, unknown, 0, false, []string{"slot=confirmed", "slot=running", "from_the_future", "msg=boot slot=candidate"}, "state/candidate.toml"},
		{"none but the factory's", "", unknown, good, flash.Confirmed, true, []string{"slot=confirmed", "slot=running", "the factory configuration"}, "factory.toml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.RemoveAll(p.stateDir()); err != nil {
				t.Fatal(err)
			}
			store := p.put(t, c.candidate, c.running, c.confirmed)
			if c.damaged {
				path := store.Path(c.damage)
				file, err := os.ReadFile(path)
				if err := errors.Join(err, os.WriteFile(path, bytes.Replace(file, []byte("192"), []byte("193"), 1), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			d := start(t, keepSlots(t, p, factory))
			for _, want := range c.want {
				if !strings.Contains(d.log.String(), want) {
					t.Errorf("%q is missing in\n%s", want, d.log)
				}
			}
			st, err := control.NewClient(p.socket()).Status(t.Context())
			if err != nil || st.Config != filepath.Join(p.dir, c.file) {
				t.Errorf("it runs on %s, %v", st.Config, err)
			}
			d.stop(t)
			// What runs is the running slot, whichever was booted.
			if i, err := store.Read(flash.Running); strings.HasPrefix(c.file, "state") && (err != nil || !strings.Contains(string(i.Text), "gw") || strings.Contains(string(i.Text), "future")) {
				t.Errorf("the running slot: %v\n%s", err, i.Text)
			}
		})
	}
}

func TestWithoutASlotAndWithoutAFactoryFileItSaysWhatToDo(t *testing.T) {
	p := newPlace(t)
	code, _, stderr := spigate(t, "run", "--state-dir", p.stateDir())
	if code != exitFailed || !strings.Contains(stderr, "no slot has a configuration that can be booted: start it with --factory FILE") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	p.put(t, "", "", "version = 2\n")
	code, _, stderr = spigate(t, "run", "--state-dir="+p.stateDir())
	if code != exitFailed || !strings.Contains(stderr, "this build reads version 1, not 2") || !strings.Contains(stderr, "slot=confirmed") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

func TestRunWantsOnePlaceForItsConfiguration(t *testing.T) {
	for words, want := range map[string]string{
		"run":                              "want --config FILE, or --state-dir DIR for the slots in DIR (usually /overlay/spigate)",
		"run --config a --state-dir b":     "one of them",
		"run --config a --factory b":       "--factory goes with --state-dir",
		"run --config a b":                 `unknown word "b"`,
		"run --state-dir --use-factory":    "--use-factory goes with --factory",
		"run --state-dir=/nowhere b":       `unknown word "b"`,
		"run --state-dir relative/dir":     "must be an absolute path",
		"run --state-dir /a --factory b c": "at most 1 arg",
	} {
		if code, _, stderr := spigate(t, strings.Fields(words)...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, %s", words, code, stderr)
		}
	}
}

// After a configuration that was booted and did not do well, the factory's is to
// be replaced on flash, not in the image.
func TestTheFactoryConfigurationCanBeRunWhateverTheSlotsHave(t *testing.T) {
	p := newPlace(t)
	store := p.put(t, "", p.text("gw1"), p.text("gw1"))
	factory := p.write(t, "factory.toml", p.text("factory"))
	keeper, err := wire.KeepSlots(p.stateDir(), wire.Factory{File: factory, Use: true}, flash.OS{})
	if err != nil {
		t.Fatal(err)
	}
	d := start(t, keeper)
	if _, text, _ := spigate(t, "config", "show", "--socket", p.socket()); !strings.Contains(text, `"factory"`) {
		t.Errorf("it runs on\n%s", text)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.until(t, "msg=reloaded")
	for _, slot := range []flash.Slot{flash.Confirmed, flash.Running} {
		if i, err := store.Read(slot); err != nil || string(i.Text) != p.text("gw1") {
			t.Errorf("slot %s was changed: %v", slot, err)
		}
	}
	code, text, stderr := spigate(t, "config", "apply", p.write(t, "new.toml", p.text("gw2")), "--socket", p.socket())
	if code != exitOK || !strings.Contains(text, "kept in "+p.stateDir()) {
		t.Errorf("exit %d, %s%s", code, text, stderr)
	}
	if _, text, _ := spigate(t, "config", "show", "--socket", p.socket()); text != p.text("gw2") {
		t.Errorf("then it is shown\n%s", text)
	}
	if i, err := store.Read(flash.Confirmed); err != nil || string(i.Text) != p.text("gw2") {
		t.Errorf("it was not kept: %v\n%s", err, d.log)
	}
	if now, err := os.ReadFile(factory); err != nil || string(now) != p.text("factory") {
		t.Errorf("the factory's was changed: %v", err)
	}
}
