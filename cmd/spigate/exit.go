package main

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

// The exit codes. Scripts rely on them.
const (
	exitOK            = 0
	exitFailed        = 1
	exitUsage         = 2
	exitNoDaemon      = 3
	exitNotFound      = 4
	exitConfigInvalid = 5
	exitUnhealthy     = 6
)

// coded is an error that has an exit code of its own.
type coded struct {
	code int
	err  error
}

func (c *coded) Error() string { return c.err.Error() }

func (c *coded) Unwrap() error { return c.err }

func usagef(format string, args ...any) error {
	return &coded{exitUsage, fmt.Errorf(format, args...)}
}

// errReported is in the chain of an error about which everything has been
// said already.
var errReported = errors.New("reported")

// exitCode sorts an error of any command into the codes.
func exitCode(err error) int {
	var c *coded
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &c):
		return c.code
	case errors.Is(err, control.ErrNoDaemon):
		return exitNoDaemon
	case control.IsNotFound(err):
		return exitNotFound
	case len(configs.Faults(err)) > 0:
		return exitConfigInvalid
	}
	return exitFailed
}

// report says on stderr what went wrong. Configuration faults stand alone on
// their lines, as editors expect them.
func report(w io.Writer, err error) {
	if errors.Is(err, errReported) {
		return
	}
	if faults := configs.Faults(err); len(faults) > 0 {
		for _, f := range faults {
			fmt.Fprintln(w, f)
		}
		return
	}
	fmt.Fprintln(w, "spigate:", err)
}

// output is stdout. It remembers that the reader has gone ("| head"), so that
// this is not told as a failure, and is not mistaken for a broken connection
// to the daemon.
type output struct {
	w      io.Writer
	broken bool
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		o.broken = true
	}
	return n, err
}
