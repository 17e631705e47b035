// Command spigate is the whole product in one binary: the router ("spigate
// run") and the command line that asks it.
//
// The command line is VERB NOUN [NAME] [FLAGS]. Results go to stdout, talk to
// stderr, and the exit code says what happened (exit.go). This folder parses
// words and prints rows; it knows no packet: views come over the control
// socket (package control), the daemon is built by package wire.
//
// Invariants: a misspelt word is exit 2 and never a view of something else;
// addresses are never cut; with --json, stdout has JSON alone.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if isInit(os.Getpid(), os.Args) {
		report(os.Stderr, runInit())
		os.Exit(exitFailed)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for a clean end; a second one must not have to.
	context.AfterFunc(ctx, stop)
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr, colored(os.Stdout))
	stop()
	os.Exit(code)
}

// colored reports whether f is a terminal whose user has nothing against
// colour (https://no-color.org).
func colored(f *os.File) bool {
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
