package natlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Config is what a Log is made of. Now is required.
type Config struct {
	Targets []Target
	Now     func() time.Time // the wall clock; several goroutines call it
	Log     *slog.Logger     // told when a collector comes and goes; nil = nobody
	// Dial opens a connection to a collector through the host's network; nil =
	// net.Dialer. ctx ends with Run.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// dialTimeout ends an attempt to reach a collector that says nothing.
const dialTimeout = 10 * time.Second

// Log sends records to its targets. Emit may be called before Run and after it.
type Log struct {
	now     func() time.Time
	senders []*sender
}

// New checks the targets. The error joins everything that is wrong.
func New(c Config) (*Log, error) {
	if c.Now == nil {
		return nil, errors.New("nat log: no clock")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	l := &Log{now: c.Now}
	var faults []error
	seen := map[string]bool{}
	for _, t := range c.Targets {
		t, err := t.checked()
		faults = append(faults, err)
		if seen[t.Name] {
			faults = append(faults, fmt.Errorf("nat log target %q: there are two", t.Name))
		}
		seen[t.Name] = true
		if err == nil {
			l.senders = append(l.senders, newSender(t, &c))
		}
	}
	if len(c.Targets) > MaxTargets {
		faults = append(faults, fmt.Errorf("nat log: %d targets, at most %d", len(c.Targets), MaxTargets))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return l, nil
}

// Emit queues a record for every target that wants it. It never waits: a full
// queue counts the record as lost. Several goroutines may call it; it
// allocates nothing.
func (l *Log) Emit(r Record) {
	if r.Kind == 0 || r.Kind >= Gap || len(l.senders) == 0 {
		return
	}
	if r.Wall == 0 {
		r.Wall = l.now().UnixNano()
	}
	for _, s := range l.senders {
		if s.target.wants(&r) {
			s.offer(&r)
		}
	}
}

// graceTicks is how long an end waits for what is still queued.
const graceTicks = 2

// Run sends until ctx ends, then what is queued if that takes at most two
// ticks. A tick, about a second, is when unreachable collectors are tried again
// and templates fall due; ticks must go on coming until Run returns. Run
// returns nil: a collector that cannot be reached is no failure of ours. It
// runs once.
func (l *Log) Run(ctx context.Context, ticks <-chan time.Time) error {
	hard, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	var all sync.WaitGroup
	for _, s := range l.senders {
		all.Go(func() { s.run(ctx, hard) })
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	for grace := graceTicks; ; {
		select {
		case <-ticks:
		case <-done:
			return nil
		}
		if ctx.Err() != nil {
			grace--
		}
		if grace == 0 {
			kill()
		}
		l.tick()
	}
}

func (l *Log) tick() {
	for _, s := range l.senders {
		select {
		case s.ticks <- struct{}{}:
		default: // it has not seen the last one yet: it is writing or dialling
		}
	}
}

// TargetStats is what became of a target's records.
type TargetStats struct {
	Name     string
	Protocol Protocol
	Address  string
	Up       bool   // the last attempt to send worked
	Queued   int    // records waiting
	Sent     uint64 // records handed to the network; over UDP nobody knows what arrived
	Lost     uint64 // records that found the queue full
	Messages uint64 // datagrams, or writes over TCP, templates too
	Bytes    uint64 // of messages, without UDP or TCP headers
	Failures uint64 // connections that failed or could not be made
}

// Stats returns the counters of the targets, in their order. Any goroutine may
// call it.
func (l *Log) Stats() []TargetStats {
	out := make([]TargetStats, 0, len(l.senders))
	for _, s := range l.senders {
		out = append(out, s.stats())
	}
	return out
}
