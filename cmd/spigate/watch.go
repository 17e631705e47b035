package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// leastWatch keeps --watch from being a load test of the daemon.
const leastWatch = 100 * time.Millisecond

// interval is the value of --watch.
type interval time.Duration

// Set implements pflag.Value.
func (i *interval) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("want a time with its unit, like 2s")
	}
	*i = interval(d)
	return nil
}

// String implements pflag.Value; nothing is the default, and not printed.
func (i *interval) String() string {
	if *i == 0 {
		return ""
	}
	return time.Duration(*i).String()
}

// Type implements pflag.Value.
func (i *interval) Type() string { return "duration" }

// repeat calls draw once, or every interval until ctx ends. A failure of the
// first drawing ends it, later ones are told and tried again: a daemon that
// is being restarted is what one watches.
func (a *app) repeat(ctx context.Context, title string, every time.Duration, draw func(io.Writer) error) error {
	if every == 0 {
		return draw(a.out)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for first := true; ; first = false {
		err := a.redraw(title, every, first, draw)
		switch {
		case ctx.Err() != nil:
			return nil
		case a.out.broken, first && err != nil && exitCode(err) != exitUnhealthy:
			return err
		case err != nil:
			report(a.errs, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// redraw draws over the last picture on a terminal, and below it elsewhere.
func (a *app) redraw(title string, every time.Duration, first bool, draw func(io.Writer) error) error {
	switch {
	case a.json:
		return draw(a.out)
	case !a.bold():
		if !first {
			io.WriteString(a.out, "\n")
		}
		return draw(a.out)
	}
	s := &screen{w: a.out}
	fmt.Fprintf(s, "\x1b[H%s  every %s  %s\n\n", title, every, time.Now().UTC().Format(time.RFC3339))
	err := draw(s)
	_, clear := io.WriteString(a.out, "\x1b[J")
	return errors.Join(err, clear)
}

// screen clears what was on each line behind the new text. Drawing over the
// old picture does not flicker, as clearing it first would.
type screen struct{ w io.Writer }

func (s *screen) Write(b []byte) (int, error) {
	if _, err := s.w.Write(bytes.ReplaceAll(b, []byte("\n"), []byte("\x1b[K\n"))); err != nil {
		return 0, err
	}
	return len(b), nil
}
