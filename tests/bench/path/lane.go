package path

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"spigate/tests/bench/bed"
)

// Lane is a way that is laid out and started, its flows established, with the
// instruments at its ends.
type Lane struct {
	Variant bed.Variant
	Setup   bed.Setup

	Bed      *bed.Bed
	Sender   bed.Sender
	Receiver bed.Receiver
	Running  bed.Running
	softirqs []int
}

// Instruments make what sends and counts on a bed.
type Instruments struct {
	Sender   func(b *bed.Bed, t bed.Traffic) (bed.Sender, error)
	Receiver func(ctx context.Context, b *bed.Bed) (bed.Receiver, error)
}

// PacketSockets are the instruments that every kernel has.
var PacketSockets = Instruments{Sender: bed.NewPacketSender, Receiver: bed.NewDeviceReceiver}

// Open lays a lane and establishes its flows. s.Dir must be a fresh folder.
func Open(ctx context.Context, v bed.Variant, s bed.Setup, in Instruments) (l *Lane, err error) {
	l = &Lane{Variant: v, Setup: s}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", v.Name, err), l.Close())
		}
	}()
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return l, err
	}
	if l.softirqs, err = bed.SoftirqThreads(); err != nil {
		return l, err
	}
	if l.Bed, err = bed.Lay(v.Name); err != nil {
		return l, err
	}
	if l.Receiver, err = in.Receiver(ctx, l.Bed); err != nil {
		return l, err
	}
	if l.Running, err = v.Start(ctx, l.Bed, s); err != nil {
		return l, err
	}
	if err := l.Bed.Batched(); err != nil {
		return l, err
	}
	if l.Sender, err = in.Sender(l.Bed, s.Traffic); err != nil {
		return l, err
	}
	return l, l.establish(ctx)
}

// Close removes the lane with all that was started on it.
func (l *Lane) Close() error {
	var errs []error
	if l.Sender != nil {
		errs = append(errs, l.Sender.Close())
	}
	if l.Receiver != nil {
		errs = append(errs, l.Receiver.Close())
	}
	if l.Bed != nil {
		errs = append(errs, l.Bed.Close())
	}
	return errors.Join(errs...)
}

// setUpRate is the rate in packets a second at which flows are established: a
// little below what a slow path takes.
const setUpRate = 15_000

// passes bounds how often every flow's packet is sent to have it established.
const passes = 20

// establish sends one packet of each flow until all are where they are to be.
func (l *Lane) establish(ctx context.Context) error {
	for range passes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := l.Sender.Once(setUpRate); err != nil {
			return err
		}
		if _, err := l.arrived(); err != nil {
			return err
		}
		ready, err := l.Running.Ready(ctx, l.Setup.Traffic.Flows)
		if ready || err != nil {
			return err
		}
	}
	return fmt.Errorf("%d flows are not established after %d packets of each", l.Setup.Traffic.Flows, passes)
}

// arrived waits until nothing arrives any more, and returns the sink's count.
func (l *Lane) arrived() (n uint64, err error) {
	t := time.NewTicker(30 * time.Millisecond)
	defer t.Stop()
	for last := ^uint64(0); n != last; {
		last = n
		<-t.C
		if n, err = l.Receiver.Count(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// Flood is what one measurement gave.
type Flood struct {
	Offered, Arrived float64 // packets a second
	Lost             float64 // share of what was sent
	Slow             float64 // share of what arrived that has not gone the way that is measured
	// Work is the CPU time of the whole path for each packet that arrived, in
	// nanoseconds; 0 where it cannot be told: a kernel that forwards on a core
	// of its own does so in nobody's time.
	Work float64
}

// Flood sends for about d, rate packets a second, as fast as it can if rate is
// 0, and counts what arrives.
func (l *Lane) Flood(ctx context.Context, d time.Duration, rate float64) (f Flood, err error) {
	before, err := l.counts(ctx)
	if err != nil {
		return f, err
	}
	s, err := l.Sender.Send(d, rate)
	if err != nil {
		return f, err
	}
	after, err := l.counts(ctx)
	if err != nil {
		return f, err
	}
	got := float64(after.arrived - before.arrived)
	f = Flood{
		Offered: float64(s.Packets) / s.Took.Seconds(), Arrived: got / s.Took.Seconds(),
		Lost: 1 - got/max(1, float64(s.Packets)), Slow: float64(after.slow-before.slow) / max(1, got),
	}
	if _, kernel := l.Running.(bed.Kernel); !kernel || l.Setup.Place == bed.OneCore {
		f.Work = float64(s.Worked+after.worked-before.worked) / max(1, got)
	}
	return f, nil
}

// counts is a state of all that a measurement takes differences of.
type counts struct {
	arrived, slow uint64
	worked        time.Duration // of the forwarder and of the softirqs' threads
}

func (l *Lane) counts(ctx context.Context) (c counts, err error) {
	if c.slow, err = l.Running.Slow(ctx); err != nil {
		return c, err
	}
	if c.arrived, err = l.arrived(); err != nil {
		return c, err
	}
	if c.worked, err = l.Running.Worked(); err != nil {
		return c, err
	}
	for _, pid := range l.softirqs {
		w, err := bed.ProcessWorked(pid)
		if err != nil {
			return c, err
		}
		c.worked += w
	}
	return c, nil
}
