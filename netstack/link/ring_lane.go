package link

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// A ringLane is one ring with the socket that fills it, and a socket that sends
// (see sender). They are two, so that what we send costs the ring nothing.
//
// Invariant: the ring's memory is unmapped only by Close while nothing is
// lent, or by the Read after it (see gate).
type ringLane struct {
	pause time.Duration // see RingConfig.Retire
	spin  time.Duration // see linger; 0: not at all
	clock tcpip.Clock
	fd    int // receives
	mem   []byte
	cells ringCells
	wait  *waker
	gate  gate
	tx    *sender
	lost  atomic.Uint64

	unfinished atomic.Uint64 // see ring.Unfinished
}

// openRingLane makes a lane that can send, and that receives nothing yet.
func openRingLane(c RingConfig, g geometry, ifi *net.Interface, clock tcpip.Clock) (*ringLane, error) {
	l := &ringLane{fd: -1, pause: c.Retire, clock: clock}
	if processors() > 1 {
		l.spin = ringSpin
	}
	var err error
	if l.wait, err = newWaker(); err != nil {
		return nil, err
	}
	if l.tx, err = openSender(ifi.Index, ifi.MTU, c.Device); err == nil {
		err = l.mapRing(c, g)
	}
	if err != nil {
		l.free()
		return nil, err
	}
	return l, nil
}

// Read implements Lane.
func (l *ringLane) Read(batch []frame.Frame) (int, error) {
	if !l.gate.enter(l.free) {
		return 0, net.ErrClosed
	}
	n, err := l.read(batch)
	if !l.gate.leave(n > 0, l.free) {
		return 0, net.ErrClosed
	}
	return n, err
}

func (l *ringLane) read(batch []frame.Frame) (int, error) {
	if len(batch) == 0 {
		return 0, fmt.Errorf("read of no frames")
	}
	lingered, paused := l.spin == 0, l.pause == 0
	for {
		l.cells.release()
		if n := l.cells.fill(batch); n > 0 {
			return n, nil
		}
		if l.cells.release() {
			continue // all of it was dropped; there may be more
		}
		if !lingered {
			lingered = true
			l.linger()
			continue
		}
		if !paused {
			paused = true
			if err := l.wait.sleep(l.pause); err != nil {
				return 0, err
			}
			continue
		}
		events, err := l.wait.wait(l.fd)
		if err != nil {
			return 0, err
		}
		if events&unix.POLLERR != 0 {
			// ENETDOWN, mostly: taking the error off the socket is all it
			// needs, it receives again when the port comes back.
			_, _ = unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		}
	}
}

// linger looks at the empty ring for a moment before the thread falls asleep:
// under load the next frame is near, and to be woken for it would cost the
// kernel's sender and us several times what a frame does. Between two looks it
// lets others run.
func (l *ringLane) linger() {
	const looks = 32
	for until := l.clock.NowMonotonic().Add(l.spin); ; {
		for range looks {
			if l.cells.ready() {
				return
			}
		}
		if l.clock.NowMonotonic().After(until) {
			return
		}
		_, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
}

// Write implements Lane.
func (l *ringLane) Write(batch []frame.Frame) (int, drop.Reason) {
	l.tx.mu.Lock()
	defer l.tx.mu.Unlock()
	return l.tx.send(batch)
}

// kernelDrops returns how many frames the ring had no room for. Asking the
// kernel sets its count to zero.
func (l *ringLane) kernelDrops() uint64 {
	l.gate.whileOpen(func() {
		if s, err := unix.GetsockoptTpacketStats(l.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			l.lost.Add(uint64(s.Drops))
		}
	})
	return l.lost.Load()
}

// free gives everything back. The gate calls it once; openRingLane calls it on
// what is there when it fails.
func (l *ringLane) free() {
	if l.mem != nil {
		_ = unix.Munmap(l.mem)
		l.mem = nil
	}
	if l.fd >= 0 {
		_ = unix.Close(l.fd)
	}
	if l.tx != nil {
		l.tx.close()
	}
	l.wait.close()
}
