// Package bare is the limit of a router on packet sockets: it takes what comes
// in by one device and sends it out of another, through the same driver and in
// the same batches as the router does, and decides nothing in between. Only the
// Ethernet addresses are set, without which nobody at the far end would take
// the frame in.
//
// It is no router and no bridge: one way only, no ARP, no TTL, whatever comes.
package bare

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/netstack/link/takeover"
	"spigate/tests/netns"
)

// Config says what a loop does.
type Config struct {
	From, To string    // devices of the namespace
	Next     frame.MAC // who takes the frames in at the far end
	CPU      int       // on which the loop runs
	Dir      string    // where it keeps what it changes on the devices
}

// Loop is a loop that runs.
type Loop struct {
	in    *netns.Namespace
	taken []*takeover.Port
	from  link.Driver
	to    link.Driver
	drops drop.Counters

	thread  atomic.Int64
	refused atomic.Uint64
	ended   chan error
}

// Start takes both devices from the kernel, as the router does, and runs the
// loop until Close.
func Start(in *netns.Namespace, c Config) (*Loop, error) {
	l := &Loop{in: in}
	if err := in.Do(func() error { return l.open(c) }); err != nil {
		return nil, errors.Join(fmt.Errorf("bare loop: %w", err), l.Close())
	}
	// The loop waits for nobody else of this process.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	ready := make(chan error, 1)
	l.ended = make(chan error, 1)
	go func() { l.ended <- l.run(c, ready) }()
	if err := <-ready; err != nil {
		return nil, errors.Join(fmt.Errorf("bare loop: %w", err), l.Close())
	}
	return l, nil
}

func (l *Loop) open(c Config) error {
	for _, device := range []string{c.From, c.To} {
		t, err := takeover.Take(device, takeover.Config{Dir: filepath.Join(c.Dir, "ports")})
		if err != nil {
			return err
		}
		l.taken = append(l.taken, t)
	}
	var err error
	if l.from, err = link.OpenRing(link.RingConfig{Device: c.From, Threads: 1, Drops: &l.drops}); err != nil {
		return err
	}
	l.to, err = link.OpenRing(link.RingConfig{Device: c.To, Threads: 1, Drops: &l.drops})
	return err
}

// run is the loop itself.
func (l *Loop) run(c Config, ready chan<- error) error {
	runtime.LockOSThread() // never unlocked: the pinned thread ends here
	var set unix.CPUSet
	set.Set(c.CPU)
	err := unix.SchedSetaffinity(0, &set)
	l.thread.Store(int64(unix.Gettid()))
	ready <- err
	if err != nil {
		return nil // Start tells it
	}
	batch, own := make([]frame.Frame, frame.Batch), l.to.MAC()
	for {
		n, err := l.from.Read(batch)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range batch[:n] {
			batch[i].SetMACs(c.Next, own)
		}
		if sent, _ := l.to.Write(batch[:n]); sent < n {
			l.refused.Add(uint64(n - sent))
		}
	}
}

// Worked returns the processor time that the loop has used.
func (l *Loop) Worked() (time.Duration, error) { return threadTime(int(l.thread.Load())) }

// Lost returns how many frames the receiving ring had no room for, and how many
// the kernel did not take for sending.
func (l *Loop) Lost() (received, refused uint64) { return l.from.Lost(), l.refused.Load() }

// Close ends the loop and gives the devices back to the kernel.
func (l *Loop) Close() error {
	var errs []error
	for _, d := range []link.Driver{l.from, l.to} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	if l.ended != nil {
		errs = append(errs, <-l.ended)
		l.ended = nil
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) - 1)
	}
	errs = append(errs, l.in.Do(func() (err error) {
		for _, t := range l.taken {
			err = errors.Join(err, t.Restore())
		}
		l.taken = nil
		return err
	}))
	return errors.Join(errs...)
}
