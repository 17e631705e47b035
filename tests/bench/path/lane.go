package path

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"spigate/tests/bench/bed"
	"spigate/tests/bench/traffic"
)

// Lane is a way that is laid out and started, its flows established, with what
// sends and counts at its ends.
type Lane struct {
	Variant bed.Variant
	Setup   bed.Setup

	Bed       *bed.Bed
	Generator *traffic.Generator
	Sink      *traffic.Sink
	Running   bed.Running
}

// Open lays a lane and establishes its flows.
func Open(ctx context.Context, v bed.Variant, s bed.Setup) (*Lane, error) {
	l, err := Lay(ctx, v, s)
	if err != nil {
		return l, err
	}
	if err := l.establish(ctx); err != nil {
		return l, errors.Join(l.failed(err), l.Close())
	}
	return l, nil
}

func (l *Lane) failed(err error) error {
	return fmt.Errorf("%s, %v: %w", l.Variant.Name, l.Setup.Traffic, err)
}

// Lay lays a lane without any flow. s.Dir is made.
func Lay(ctx context.Context, v bed.Variant, s bed.Setup) (l *Lane, err error) {
	l = &Lane{Variant: v, Setup: s}
	defer func() {
		if err != nil {
			err = errors.Join(l.failed(err), l.Close())
		}
	}()
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return l, err
	}
	if l.Bed, err = bed.Lay(v.Name); err != nil {
		return l, err
	}
	proto := s.Traffic.Proto
	expect := traffic.Expect{Proto: proto, Target: bed.Remote.Addr().As4(), Source: v.Leaves(proto)}
	if l.Sink, err = traffic.OpenSink(l.Bed.Sink, "eth0", expect, v.Hook); err != nil {
		return l, err
	}
	if l.Running, err = v.Start(ctx, l.Bed, s); err != nil {
		return l, err
	}
	if err := l.Bed.Batched(); err != nil {
		return l, err
	}
	if l.Generator, err = traffic.Open(l.Bed.Source, "eth0", s.Traffic.Of(l.Bed)); err != nil {
		return l, err
	}
	return l, nil
}

// Close removes the lane with all that was started on it.
func (l *Lane) Close() error {
	var errs []error
	if l.Generator != nil {
		errs = append(errs, l.Generator.Close())
	}
	if l.Running != nil {
		errs = append(errs, l.Running.Close())
	}
	if l.Sink != nil {
		errs = append(errs, l.Sink.Close())
	}
	if l.Bed != nil {
		errs = append(errs, l.Bed.Close())
	}
	return errors.Join(errs...)
}

// Rates in packets a second, at which every flow's packet is sent once: to have
// flows established, a little below what a slow path takes, and to keep them,
// well below what any other way does.
const (
	setUpRate = 25_000
	keepRate  = 300_000
)

// passes bounds how often that is done to have all flows established.
const passes = 7

// establish sends one packet of each flow until all are where they are to be.
func (l *Lane) establish(ctx context.Context) error {
	for i := range passes {
		// Each time there are fewer that the slow path has to set up.
		if err := l.once(ctx, min(setUpRate*float64(int(1)<<i), keepRate)); err != nil {
			return err
		}
		if ready, err := l.settled(ctx, settleTime<<i); ready || err != nil {
			return err
		}
	}
	return fmt.Errorf("not established after %d packets of each flow", passes)
}

// once sends one packet of each flow. It is one run of the generator: to begin and
// to end one takes longer than a thousand packets do.
func (l *Lane) once(ctx context.Context, rate float64) error {
	n := l.Setup.Traffic.Flows
	if err := l.Generator.Draw(traffic.Once(n)); err != nil {
		return err
	}
	for left := uint64(n); left > 0; {
		s, err := l.Generator.Run(ctx, traffic.Load{Frames: left, For: time.Hour, Rate: rate, CPU: bed.SenderCPU})
		if err != nil {
			return err
		}
		left -= min(left, s.Frames)
	}
	return nil
}

// settleTime is how long flows may take to get where they are to be, at the
// first pass; at each further one twice as long. The first packets of all wait
// for ARP. sweepTime is more than a sweep of the flow table takes to come, which
// finds out who is busy.
const (
	settleTime = 200 * time.Millisecond
	sweepTime  = 1600 * time.Millisecond
)

// settled reports whether all flows are where they are to be, in time.
func (l *Lane) settled(ctx context.Context, in time.Duration) (ready bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, in)
	defer cancel()
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		if ready, err = l.Running.Ready(ctx, l.Setup.Traffic.Flows); ready || err != nil && ctx.Err() == nil {
			return ready, err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return false, nil
		}
	}
}

// arrived waits until nothing arrives any more, and returns the sink's count.
func (l *Lane) arrived() (uint64, error) {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for last := ^uint64(0); ; {
		c, err := l.Sink.Counts()
		if err != nil || c.Arrived == last {
			return c.Arrived, err
		}
		last = c.Arrived
		<-t.C
	}
}

// Draw is how flows share the packets.
type Draw uint8

// The draws.
const (
	Uniform Draw = iota // all alike
	Zipf                // by Zipf's law, s = 1.1, the hot ones spread at random
)

// String names the draw as tables do.
func (d Draw) String() string { return [...]string{"uniform", "Zipf 1.1"}[d] }

// seed makes the same traffic each time.
const seed = 8

// Prepare makes sure that all flows are where they are to be, and sets how they
// share the packets of the Floods that follow.
func (l *Lane) Prepare(ctx context.Context, d Draw) error {
	ready, err := false, error(nil)
	// One packet may go up alone, to keep a neighbour known; and a back-end has room
	// again for flows that it gave back a Sweep or two later.
	for i := 0; i < passes && !ready && err == nil; i++ {
		if err = l.once(ctx, keepRate); err == nil {
			ready, err = l.settled(ctx, sweepTime)
		}
	}
	if err == nil && !ready {
		err = errors.New("flows are not established any more")
	}
	if err != nil {
		return l.failed(err)
	}
	if d == Zipf {
		return l.Generator.Draw(traffic.Zipf(l.Setup.Traffic.Flows, seed))
	}
	return l.Generator.Draw(traffic.Uniform(l.Setup.Traffic.Flows, seed))
}

// Flood is what one measurement gave.
type Flood struct {
	Offered, Arrived float64 // packets a second
	Lost             float64 // share of what was sent
	Slow             float64 // share of what arrived that has not gone the way that is measured
	// Path is the CPU time of the whole path for each packet that arrived, in
	// nanoseconds; 0 where it cannot be told: a kernel that forwards on a core
	// of its own does so in nobody's time.
	Path float64
	// Own is the part of it that the forwarder's process has taken; 0 if it has
	// none.
	Own float64
}

// Flood sends for about d, rate packets a second, as fast as it can if rate is
// 0, and counts what arrives.
func (l *Lane) Flood(ctx context.Context, d time.Duration, rate float64) (f Flood, err error) {
	slow, err := l.Running.Slow(ctx) // to ask is work, which is not to be measured
	if err != nil {
		return f, err
	}
	before, err := l.counts()
	if err != nil {
		return f, err
	}
	s, err := l.Generator.Run(ctx, traffic.Load{Frames: 1 << 40, For: d, Rate: rate, CPU: bed.SenderCPU})
	if err != nil {
		return f, err
	}
	end, err := l.Sink.Counts() // what queues still hold arrives too late to be part of a rate
	if err != nil {
		return f, err
	}
	after, err := l.counts()
	if err != nil {
		return f, err
	}
	slowAfter, err := l.Running.Slow(ctx)
	if err != nil {
		return f, err
	}
	got := float64(after.arrived - before.arrived)
	own := float64(after.worked - before.worked)
	f = Flood{
		Offered: s.Rate(), Arrived: float64(end.Arrived-before.arrived) / s.Took.Seconds(), Lost: 1 - got/max(1, float64(s.Frames)),
		Slow: float64(slowAfter-slow) / max(1, got), Own: own / max(1, got),
	}
	if own > 0 || l.Setup.Place == bed.OneCore {
		f.Path = (float64(s.Cost) + own) / max(1, got)
	}
	return f, nil
}

// counts is a state of what a measurement takes differences of.
type counts struct {
	arrived uint64
	worked  time.Duration // of the forwarder's process
}

func (l *Lane) counts() (c counts, err error) {
	if c.arrived, err = l.arrived(); err != nil {
		return c, err
	}
	c.worked, err = l.Running.Worked()
	return c, err
}
