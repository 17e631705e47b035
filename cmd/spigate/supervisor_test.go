package main

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"spigate/cmd/internal/wire"
)

// listening makes the test the supervisor of what it runs.
func listening(t *testing.T, p place) *net.UnixConn {
	t.Helper()
	path := filepath.Join(p.dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	return conn
}

// heard is the next message that is none of those passed over.
func heard(t *testing.T, conn *net.UnixConn, over string) string {
	t.Helper()
	b := make([]byte, 4096)
	for {
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(b[:n]); text != over {
			return text
		}
	}
}

func TestASupervisorHearsWhatTheDaemonDoes(t *testing.T) {
	p := newPlace(t)
	conn := listening(t, p)
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	d := start(t, wire.KeepFile(p.write(t, "c.toml", p.text("gw1"))))
	ready := "READY=1\nX_SPIGATE_SOCKET=" + p.socket() + "\nSTATUS=forwarding packets"
	if got := heard(t, conn, "WATCHDOG=1"); got != ready {
		t.Errorf("at the start: %q", got)
	}
	if got := heard(t, conn, ""); got != "WATCHDOG=1" {
		t.Errorf("then: %q", got)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	words, usec, _ := strings.Cut(heard(t, conn, "WATCHDOG=1"), "\nMONOTONIC_USEC=")
	at, err := strconv.ParseInt(usec, 10, 64)
	if now := sinceBoot() / 1000; words != "RELOADING=1\nSTATUS=reading the configuration" || err != nil || at > now || at < now-20e6 {
		t.Errorf("a reload: %q at %s, now it is %d", words, usec, now)
	}
	if got := heard(t, conn, "WATCHDOG=1"); got != ready {
		t.Errorf("after it: %q", got)
	}
	d.end()
	if got := heard(t, conn, "WATCHDOG=1"); got != "STOPPING=1\nSTATUS=giving the ports back" {
		t.Errorf("at the end: %q", got)
	}
}

func TestAWatchdogHearsNothingFromARouterThatIsStuck(t *testing.T) {
	p := newPlace(t)
	conn := listening(t, p)
	t.Setenv("WATCHDOG_USEC", "30000000")
	var out bytes.Buffer
	s := newSupervisor(slog.New(slog.NewTextHandler(&out, nil)))
	if s.every != 10*time.Second {
		t.Errorf("every %s", s.every)
	}
	stuck := errors.New("the tables have not been swept for 9s")
	for _, why := range []error{nil, stuck, stuck, nil, stuck} {
		s.alive(why)
	}
	s.stopping()
	for _, want := range []string{"WATCHDOG=1", "STATUS=not well: " + stuck.Error(), "WATCHDOG=1\nSTATUS=forwarding packets", "STATUS=not well: " + stuck.Error(), "STOPPING=1\nSTATUS=giving the ports back"} {
		if got := heard(t, conn, ""); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if n := strings.Count(out.String(), "swept for 9s"); n != 2 {
		t.Errorf("told %d times:\n%s", n, out.String())
	}
}

func TestWithoutAWatchdogNobodyTicks(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, env := range []struct{ socket, usec, pid string }{
		{"/run/n", "", ""}, {"/run/n", "soon", ""}, {"/run/n", "-1", ""}, {"/run/n", "30000000", "1"}, {"", "30000000", ""},
	} {
		t.Setenv("NOTIFY_SOCKET", env.socket)
		t.Setenv("WATCHDOG_USEC", env.usec)
		t.Setenv("WATCHDOG_PID", env.pid)
		s := newSupervisor(log)
		if ticks, stop := s.ticks(); s.every != 0 || ticks != nil {
			t.Errorf("%+v: every %s", env, s.every)
			stop()
		}
	}
}

// A supervisor that is gone is no reason to end.
func TestASupervisorThatIsGoneIsLogged(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	var out bytes.Buffer
	newSupervisor(slog.New(slog.NewTextHandler(&out, nil))).ready("/run/s.sock")
	if !strings.Contains(out.String(), "cannot tell the supervisor") {
		t.Errorf("%s", out.String())
	}
}
