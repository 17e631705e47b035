package peers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// streaming is how long connections live while the ends rekey.
const streaming = 26 * time.Second

// playEndRekey: both ends rekey the child and the IKE SA while connections of
// both directions carry bytes, and none of these is lost.
func playEndRekey(ctx context.Context, e *Ending) error {
	c := e.config(ipsec0("any"), ipsec2("any"))
	if e.Far.Kind == OpenIKED {
		e.Far.Lifetime, e.Far.IKELifetime = 8*time.Second, 15*time.Second
		c.Far = e.Far
	}
	if err := e.begin(ctx, c); err != nil {
		return err
	}
	if err := e.connects(ctx, e.far()); err != nil {
		return err
	}
	streams := make(chan error, 2)
	go func() {
		streams <- e.stream("out", func() (Stream, error) { return e.out(ctx, e.far(), amount{For: streaming}) })
	}()
	go func() { streams <- e.stream("in", func() (Stream, error) { return e.in(ctx, amount{For: streaming}) }) }()
	began := time.Now()
	err := e.rekeyBoth(ctx)
	took := time.Since(began)
	for range 2 {
		err = errors.Join(err, <-streams)
	}
	err = errors.Join(err, e.tellLosses(ctx))
	if err == nil && took > streaming-2*time.Second {
		err = fmt.Errorf("rekeying took %v, longer than the connections", took)
	}
	return err
}

// tellLosses says what either end had no keys for: packets that were on their
// way when an SA ended, or came before the new one was there.
func (e *Ending) tellLosses(ctx context.Context) error {
	far, err := e.Refused(ctx, e.Far.Host)
	if err != nil {
		return err
	}
	near, err := e.Near.dropped(ctx, "no_sa")
	e.Say("packets without an SA: %d at spigate, %d at the far end since it was booted", near, far)
	return err
}

func (e *Ending) stream(way string, run func() (Stream, error)) error {
	s, err := run()
	e.Say("stream %s: %d bytes, %d retransmitted, %d s without any; %v", way, s.Bytes, s.Retransmits, s.Stalled, err)
	if err == nil && s.Bytes < 1_000_000 {
		err = fmt.Errorf("stream %s: only %d bytes came", way, s.Bytes)
	}
	return err
}

// order gives spigate a command.
func (e *Ending) order(ctx context.Context, words string) error {
	_, err := e.Near.Command(ctx, strings.Fields(words)...)
	return err
}

// rekeyBoth rekeys child and IKE SA, first by the far end, then by spigate.
func (e *Ending) rekeyBoth(ctx context.Context) error {
	d := e.Far.daemon()
	steps := []struct {
		what, by string
		line     string
		do       func() error
	}{
		{"child", "far end", childUp, func() error { return e.command(ctx, d.rekey) }},
		{"IKE SA", "far end", ikeRekeyed, func() error { return e.command(ctx, d.rekeyIKE) }},
		{"child", "spigate", childUp, func() error { return e.order(ctx, "rekey net ipsec selector net") }},
		{"IKE SA", "spigate", ikeRekeyed, func() error { return e.order(ctx, "rekey net ipsec peer far") }},
	}
	for _, s := range steps {
		mark := len(e.Near.Output())
		if err := s.do(); err != nil {
			return fmt.Errorf("%s rekeys the %s: %w", s.by, s.what, err)
		}
		line, err := e.Near.awaitLine(ctx, mark, s.line)
		if err != nil {
			return fmt.Errorf("%s rekeys the %s: %w", s.by, s.what, err)
		}
		e.Say("%s rekeyed the %s: %s", s.by, s.what, line)
	}
	return nil
}

// command runs one of the far end's; without one it rekeys by its lifetimes.
func (e *Ending) command(ctx context.Context, command string) error {
	if command == "" {
		return nil
	}
	out, err := e.VM.Exec(ctx, e.Far.Host.Name, command)
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
