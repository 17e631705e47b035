package tap

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"spigate/netstack/frame"
	"spigate/tests/bench/bed"
	"spigate/tests/netns"
)

// The addresses of who stands behind the devices.
var (
	sourceMAC = frame.MAC{2, 0, 0, 0, 1, 1}
	sinkMAC   = frame.MAC{2, 0, 0, 0, 1, 2}
)

// lane is a way between two TAP devices, with its flows established.
type lane struct {
	lab      *netns.Lab
	devices  []*device
	sender   *sender
	receiver *receiver
	running  bed.Running
	readers  errgroup.Group
}

// open lays a way and establishes its flows. s.Dir is made.
func open(ctx context.Context, v bed.Variant, s bed.Setup) (l *lane, err error) {
	l = &lane{lab: netns.New()}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s, TAP: %w", v.Name, err), l.close())
		}
	}()
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return l, err
	}
	router, err := l.lab.Namespace("router")
	if err != nil {
		return l, err
	}
	b := &bed.Bed{Name: v.Name, Router: router, SourceMAC: sourceMAC, SinkMAC: sinkMAC}
	for name, mac := range map[string]*frame.MAC{"lan": &b.LANMAC, "wan": &b.WANMAC} {
		if err := l.device(router, name, mac); err != nil {
			return l, err
		}
	}
	l.read(v.Leaves(s.Traffic.Proto))
	if l.running, err = v.Start(ctx, b, s); err != nil {
		return l, err
	}
	l.sender = newSender(l.at("lan"), s.Traffic.Of(b))
	return l, l.establish(ctx, s.Traffic.Flows)
}

// device makes a device of the router and tells its address.
func (l *lane) device(router *netns.Namespace, name string, mac *frame.MAC) error {
	d, err := openDevice(router, name)
	if err != nil {
		return err
	}
	l.devices = append(l.devices, d)
	hw, err := router.MAC(name)
	if err == nil {
		*mac = frame.MAC(hw)
	}
	return err
}

func (l *lane) at(name string) *device {
	for _, d := range l.devices {
		if d.name == name {
			return d
		}
	}
	return nil
}

// read begins to answer ARP at both devices, and to count at the outer one.
func (l *lane) read(source netip.Prefix) {
	inner := &receiver{at: l.at("lan"), own: sourceMAC, source: source}
	l.receiver = &receiver{at: l.at("wan"), own: sinkMAC, target: netip.PrefixFrom(bed.Remote.Addr(), 32), source: source}
	l.readers.Go(inner.run)
	l.readers.Go(l.receiver.run)
}

// close removes the lane with all that was started on it.
func (l *lane) close() error {
	var errs []error
	if l.running != nil {
		errs = append(errs, l.running.Close())
	}
	for _, d := range l.devices {
		errs = append(errs, d.Close())
	}
	return errors.Join(append(errs, l.readers.Wait(), l.lab.Close())...)
}

// How flows are established: packets a second, how often each flow's is sent,
// and how long is waited for a sweep of the flow table each time.
const (
	setUpRate = 10_000
	passes    = 10
	settle    = 500 * time.Millisecond
)

func (l *lane) establish(ctx context.Context, flows int) error {
	tick := time.NewTicker(settle)
	defer tick.Stop()
	for range passes {
		if _, err := l.sender.run(ctx, uint64(flows), time.Minute, setUpRate); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if ready, err := l.running.Ready(ctx, flows); ready || err != nil {
			return err
		}
	}
	return fmt.Errorf("%d flows are not established after %d packets of each", flows, passes)
}

// flood is what one measurement gave.
type flood struct {
	offered, arrived float64       // packets a second
	slow             float64       // share of what arrived that has not gone the way that is measured
	own              time.Duration // processor time of the router's process for each that arrived; 0 if it has none
}

// flood sends as fast as it can for d.
func (l *lane) flood(ctx context.Context, d time.Duration) (f flood, err error) {
	slow, err := l.running.Slow(ctx) // to ask is work, which is not to be measured
	if err != nil {
		return f, err
	}
	before, err := l.counts()
	if err != nil {
		return f, err
	}
	s, err := l.sender.run(ctx, 1<<40, d, 0)
	if err != nil {
		return f, err
	}
	within := l.receiver.arrived.Load() - before.arrived // what a queue still holds is not counted as a rate
	after, err := l.counts()
	if err != nil {
		return f, err
	}
	slowAfter, err := l.running.Slow(ctx)
	if err != nil {
		return f, err
	}
	if after.wrong > before.wrong {
		return f, fmt.Errorf("%d packets arrived with a wrong source", after.wrong-before.wrong)
	}
	got := after.arrived - before.arrived
	return flood{
		offered: float64(s.frames) / s.took.Seconds(), arrived: float64(within) / s.took.Seconds(),
		slow: float64(slowAfter-slow) / float64(max(1, got)), own: (after.worked - before.worked) / time.Duration(max(1, got)),
	}, nil
}

// counts is a state of all that a measurement takes differences of.
type counts struct {
	arrived, wrong uint64
	worked         time.Duration
}

// counts waits until nothing arrives any more.
func (l *lane) counts() (c counts, err error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for last := ^uint64(0); c.arrived != last; {
		last = c.arrived
		<-tick.C
		c.arrived = l.receiver.arrived.Load()
	}
	c.wrong = l.receiver.wrong.Load()
	c.worked, err = l.running.Worked()
	return c, err
}
