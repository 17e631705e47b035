package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// supervisor is who has started the daemon and wants to know how it is: systemd,
// or process 1 of the image (sd_notify(3)).
type supervisor struct {
	socket string        // "" for nobody
	every  time.Duration // how often it wants to hear that the daemon is alive; 0: never
	log    *slog.Logger
	sick   bool // it was not alive the last time
}

// newSupervisor reads from the environment who it is.
func newSupervisor(log *slog.Logger) *supervisor {
	s := &supervisor{socket: os.Getenv("NOTIFY_SOCKET"), log: log}
	usec, err := strconv.ParseUint(os.Getenv("WATCHDOG_USEC"), 10, 63)
	for1 := os.Getenv("WATCHDOG_PID")
	if err != nil || s.socket == "" || for1 != "" && for1 != strconv.Itoa(os.Getpid()) {
		return s
	}
	// Three times as often as it must be: one that comes late does no harm.
	s.every = max(time.Duration(usec/3)*time.Microsecond, time.Millisecond)
	return s
}

// ticks says when alive is to be called; nil, which is never, without a watchdog.
func (s *supervisor) ticks() (ticks <-chan time.Time, stop func()) {
	if s.every == 0 {
		return nil, func() {}
	}
	t := time.NewTicker(s.every)
	return t.C, t.Stop
}

// ready says that the router runs. Words that begin with X_ are passed over by
// systemd; ours tells process 1 where it can ask whether we are well.
func (s *supervisor) ready(socket string) {
	s.tell("READY=1\nX_SPIGATE_SOCKET=" + socket + "\n" + statusWell)
}

// statusWell is what "systemctl status" shows of a router that works.
const statusWell = "STATUS=forwarding packets"

// reloading says that a configuration is being read; ready ends it.
func (s *supervisor) reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		s.log.Warn("cannot tell systemd the time", "error", err)
	}
	s.tell("RELOADING=1\nSTATUS=reading the configuration\nMONOTONIC_USEC=" + strconv.FormatInt(now.Nano()/1000, 10))
}

// stopping says that the end has begun.
func (s *supervisor) stopping() { s.tell("STOPPING=1\nSTATUS=giving the ports back") }

// alive says that the daemon is, unless it is not: it is then killed and started
// anew when the supervisor has waited long enough.
func (s *supervisor) alive(why error) {
	switch {
	case why == nil && s.sick:
		s.tell("WATCHDOG=1\n" + statusWell)
	case why == nil:
		s.tell("WATCHDOG=1")
	case !s.sick:
		s.tell("STATUS=not well: " + strings.ReplaceAll(why.Error(), "\n", "; "))
		s.log.Error("the watchdog is not told that the router is well", "reason", why)
	}
	s.sick = why != nil
}

func (s *supervisor) tell(state string) {
	if s.socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.socket, Net: "unixgram"})
	if err == nil {
		_, err = fmt.Fprint(conn, state)
		conn.Close()
	}
	if err != nil {
		s.log.Warn("cannot tell the supervisor", "state", state, "error", err)
	}
}
