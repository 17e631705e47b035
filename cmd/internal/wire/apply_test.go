package wire

import (
	"errors"
	"io/fs"
	"log/slog"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"spigate/board/flash"
	"spigate/board/flash/flashtest"
	"spigate/cmd/internal/control"
	"spigate/configs"
)

const applyDir = "/overlay/spigate"

// applied is a daemon on slots in memory, with the shipped example in all.
type applied struct {
	*operated
	disk   *flashtest.Disk
	daemon *Daemon
	text   string
}

func newApplied(t *testing.T) *applied {
	t.Helper()
	a := &applied{operatedBy(t, configs.IPsecPassthrough()), flashtest.New(applyDir), nil, configs.IPsecPassthrough()}
	keeper, err := KeepSlots(applyDir, Factory{}, a.disk)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keeper.Commit([]byte(a.text), flash.Note{}, nil, func() (func() error, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	a.daemon = &Daemon{views: newViews(a.config), chassis: a.router.Chassis, log: silent}
	a.daemon.switches = newSwitches(silent)
	a.daemon.KeepIn(keeper)
	return a
}

// apply applies the example with replacements.
func (a *applied) apply(replace ...string) (control.ConfigApplied, error) {
	text := strings.NewReplacer(replace...).Replace(a.text)
	return a.daemon.views.ApplyConfig(control.ConfigNew{File: "new.toml", Text: []byte(text)})
}

// slot is the text in a slot.
func (a *applied) slot(slot flash.Slot) string {
	a.t.Helper()
	s, err := flash.Open(applyDir, a.disk)
	if err != nil {
		a.t.Fatal(err)
	}
	i, err := s.Read(slot)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(i.Text)
}

func (a *applied) addresses() int { return len(a.router.LSN().Addresses()) }

func TestAnApplyThatFlashEndsHalfWayIsTakenBack(t *testing.T) {
	tried, undone := 0, 0
	for bad := 1; ; bad++ {
		a := newApplied(t)
		was := a.disk.Calls
		a.disk.Fail = func(call int, _ string) error {
			if call == was+bad {
				return syscall.EIO
			}
			return nil
		}
		before := a.addresses()
		_, err := a.apply("203.0.113.3-203.0.113.9", "203.0.113.3-203.0.113.5")
		if a.disk.Calls < was+bad {
			break
		}
		tried++
		a.disk.Fail = nil
		switch runs, boots := a.addresses(), a.slot(flash.Confirmed); {
		case err == nil && (runs != 3 || boots == a.text):
			t.Errorf("call %d fails: no error, %d addresses", bad, runs)
		case err != nil && (runs != before || boots != a.text || a.slot(flash.Running) != a.text || a.daemon.views.config.Load() != a.config):
			t.Errorf("call %d fails: %v; %d addresses", bad, err, runs)
		case err != nil && a.slot(flash.Candidate) != a.text:
			undone++ // it came as far as the router
		}
	}
	if tried < 15 || undone == 0 {
		t.Errorf("%d calls failed, %d of them late", tried, undone)
	}
}

// blocking is a keeper that waits for the test in the middle of a commit.
type blocking struct {
	Keeper
	begun, end chan struct{}
}

func (b blocking) Commit(text []byte, note flash.Note, back []byte, live flash.Live) (Kept, error) {
	b.begun <- struct{}{}
	<-b.end
	return b.Keeper.Commit(text, note, back, live)
}

func TestOfTwoAppliesAtOnceOneIsRefused(t *testing.T) {
	a := newApplied(t)
	b := blocking{a.daemon.keeper, make(chan struct{}), make(chan struct{})}
	a.daemon.KeepIn(b)
	first := make(chan error)
	go func() {
		_, err := a.apply("203.0.113.3-203.0.113.9", "203.0.113.3-203.0.113.5")
		first <- err
	}()
	<-b.begun
	_, err := a.apply("203.0.113.3-203.0.113.9", "203.0.113.3")
	var e *control.Error
	if !errors.As(err, &e) || e.Code != control.CodeBusy || !strings.Contains(e.Message, "try again") {
		t.Errorf("the second: %v", err)
	}
	// A reload of SIGHUP has nobody to be refused by: it waits.
	reloaded := make(chan error)
	go func() {
		_, _, err := a.daemon.Reread(time.Time{})
		reloaded <- err
	}()
	for range 1000 {
		runtime.Gosched() // what it would read now is the old one
	}
	close(b.end)
	if err := <-first; err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := <-reloaded; err != nil {
		t.Errorf("the reload: %v", err)
	}
	if n := a.addresses(); n != 3 || a.slot(flash.Confirmed) == a.text {
		t.Errorf("%d addresses", n)
	}
}

func TestNothingRunsOfAConfigurationThatWaitsForTheNextStart(t *testing.T) {
	a := newApplied(t)
	done, err := a.apply("gw1", "gw2", "203.0.113.3-203.0.113.9", "203.0.113.3", "203.0.113.254", "203.0.113.253")
	if err != nil || done.Applied != control.AppliedNextStart || strings.Join(done.Tables, " ") != "system route" || !done.Written || *done.Sequence != 2 {
		t.Errorf("%+v, %v", done, err)
	}
	if a.addresses() != 7 || !strings.Contains(a.slot(flash.Confirmed), "gw2") {
		t.Errorf("%d addresses, kept:\n%s", a.addresses(), a.slot(flash.Confirmed))
	}
	// Back to what runs: live, for nothing is to be changed.
	if done, err := a.apply(); err != nil || done.Applied != control.AppliedLive || !done.Written {
		t.Errorf("%+v, %v", done, err)
	}
	if done, err := a.apply(); err != nil || done.Written || done.Sequence != nil {
		t.Errorf("the same again: %+v, %v", done, err)
	}
}

// There is no other way to give it to a router that runs on slots.
func TestWhatARouterTakesAtItsStartAloneIsKeptForThat(t *testing.T) {
	for name, tc := range map[string]struct{ from, to, tables string }{
		"ids of whole packets": {"[lsn.group.LSN-GROUP-1]", "[lsn.group.LSN-GROUP-1]\nrewrite_ip_id = \"DF-CLEAR\"", "lsn"},
		"another board":        {"version = 1", "version = 1\nboard.model = \"tap\"", "board"},
	} {
		a := newApplied(t)
		done, err := a.apply(tc.from, tc.to, "203.0.113.3-203.0.113.9", "203.0.113.3")
		if err != nil || done.Applied != control.AppliedNextStart || strings.Join(done.Tables, " ") != tc.tables {
			t.Errorf("%s: %+v, %v", name, done, err)
		}
		if a.addresses() != 7 || a.slot(flash.Confirmed) == a.text {
			t.Errorf("%s: %d addresses, kept:\n%s", name, a.addresses(), a.slot(flash.Confirmed))
		}
	}
}

func TestWhatIsShownOfTheConfigurationHasNoSecrets(t *testing.T) {
	a := newApplied(t)
	a.text += "\n[net.ipsec.peer.gw9]\nremote_address = \"198.51.100.7\"\npsk = \"correct horse battery staple\"\n"
	if _, err := a.apply(); err != nil {
		t.Fatal(err)
	}
	for _, slot := range []string{"", "candidate", "running", "confirmed"} {
		shown, err := a.daemon.views.ShowConfig(slot)
		if err != nil || strings.Contains(shown.Text, "horse") || !strings.Contains(shown.Text, "psk = <secret>") || *shown.Sequence != 2 {
			t.Errorf("%q: %v\n%s", slot, err, shown.Text)
		}
	}
	if _, err := a.daemon.views.ShowConfig("confirmd"); !control.IsNotFound(err) {
		t.Errorf("%v", err)
	}
}

func TestADaemonWithoutAKeeperSaysSo(t *testing.T) {
	v := newViews(&configs.Config{})
	_, err := v.ApplyConfig(control.ConfigNew{})
	_, err2 := v.ShowConfig("")
	if err == nil || err2 == nil {
		t.Errorf("%v, %v", err, err2)
	}
}

func TestAFlashThatIsReadOnlyIsToldAndBooted(t *testing.T) {
	a := newApplied(t)
	a.disk.Put(applyDir+"/running.toml.spigate-new", []byte("half"))
	a.disk.Fail = func(int, string) error { return &fs.PathError{Op: "write", Path: applyDir, Err: syscall.EROFS} }
	keeper, err := KeepSlots(applyDir, Factory{}, a.disk)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	c, _, err := keeper.Boot(time.Unix(1<<31, 0), slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil || c.System.Hostname != a.config.System.Hostname {
		t.Errorf("%v", err)
	}
	for _, want := range []string{"cannot be kept; the router runs all the same", "remount,rw", "msg=boot slot=confirmed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
