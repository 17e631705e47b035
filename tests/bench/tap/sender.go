package tap

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"spigate/tests/bench/bed"
	"spigate/tests/bench/traffic"
	"spigate/tests/netns"
)

// sender writes the frames of a set of flows into a device.
type sender struct {
	to     *device
	frames [][]byte
	next   int
}

func newSender(to *device, f traffic.Flows) *sender {
	s := &sender{to: to}
	for _, n := range traffic.Uniform(f.Count, 1)[:f.Count] {
		s.frames = append(s.frames, f.Frame(int(n)))
	}
	return s
}

// sent is what a run came to.
type sent struct {
	frames uint64
	took   time.Duration
	worked time.Duration // of the thread
}

// run writes at most frames, for at most d, rate a second or, if that is 0, as
// fast as it can.
func (s *sender) run(ctx context.Context, frames uint64, d time.Duration, rate float64) (out sent, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the pinned thread ends here
		var set unix.CPUSet
		set.Set(bed.SenderCPU)
		if err = unix.SchedSetaffinity(0, &set); err != nil {
			return
		}
		before, start := threadTime(), netns.Monotonic()
		out.frames, err = s.write(ctx, frames, start, d, rate)
		out.took, out.worked = time.Duration(netns.Monotonic()-start), threadTime()-before
	}()
	<-done
	if err != nil {
		err = fmt.Errorf("sender: %w", err)
	}
	return out, err
}

// look is how many frames are written before the sender looks at its context
// and, if it is not paced, at the clock.
const look = 64

func (s *sender) write(ctx context.Context, frames uint64, start int64, d time.Duration, rate float64) (n uint64, err error) {
	for n < frames {
		if n%look == 0 || rate > 0 {
			now := netns.Monotonic() - start
			if now >= int64(d) || ctx.Err() != nil {
				return n, ctx.Err()
			}
			if rate > 0 && float64(n) > float64(now)/1e9*rate {
				continue // busy: a sleeping thread wakes too late
			}
		}
		_, err := s.to.fd.Write(s.frames[s.next])
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOBUFS) {
			continue
		}
		if err != nil {
			return n, err
		}
		s.next = (s.next + 1) % len(s.frames)
		n++
	}
	return n, nil
}

// threadTime is the processor time of the calling thread.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0 // cannot fail for this clock
	}
	return time.Duration(t.Nano())
}
