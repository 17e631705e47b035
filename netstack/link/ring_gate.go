package link

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A gate decides who gives a driver's memory back. Frames are lent until the
// next Read, so Close may free the memory only if nobody is inside Read and
// nothing is lent; otherwise the Read after it does.
type gate struct {
	closed atomic.Bool // read without mu by waiting readers

	mu      sync.Mutex
	reading bool
	lent    bool
	freed   bool
}

// enter begins a Read, which ends what the last one lent. It reports whether
// the driver is open.
func (g *gate) enter(free func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lent = false
	if g.closed.Load() {
		g.freeOnce(free)
		return false
	}
	g.reading = true
	return true
}

// leave ends a Read. If the driver was closed meanwhile it lends nothing and
// reports false.
func (g *gate) leave(lent bool, free func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reading = false
	if g.closed.Load() {
		g.freeOnce(free)
		return false
	}
	g.lent = lent
	return true
}

// close marks the driver closed and wakes a Read that waits.
func (g *gate) close(wake, free func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed.Swap(true) {
		return
	}
	wake()
	if !g.reading && !g.lent {
		g.freeOnce(free)
	}
}

// whileOpen calls fn, with the driver's files certain to be open, or not at
// all.
func (g *gate) whileOpen(fn func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed.Load() {
		fn()
	}
}

func (g *gate) freeOnce(free func()) {
	if !g.freed {
		g.freed = true
		free()
	}
}

// A waker lets a Read wait for its file and be woken by Close. It blocks its
// thread in poll: the runtime's poller would hide POLLERR, by which a port
// tells that it went down, and adds a switch of goroutines to each wake-up.
type waker struct {
	event int // eventfd: written once, never drained, so that it stays readable
	fds   [2]unix.PollFd
}

func newWaker() (*waker, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &waker{event: fd}, nil
}

// wait blocks until fd can be read or has an error, or until wake. It returns
// the events of fd, none after wake.
func (w *waker) wait(fd int) (int16, error) {
	for {
		w.fds = [2]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(w.event), Events: unix.POLLIN}}
		_, err := unix.Poll(w.fds[:], -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, err
		}
		if w.fds[1].Revents != 0 {
			return 0, errWoken
		}
		return w.fds[0].Revents, nil
	}
}

// sleep lets frames gather: it ends after d, or with errWoken. The ring is not
// looked at meanwhile, so the kernel need not wake us for each frame.
func (w *waker) sleep(d time.Duration) error {
	w.fds[1] = unix.PollFd{Fd: int32(w.event), Events: unix.POLLIN}
	ts := unix.NsecToTimespec(d.Nanoseconds())
	n, err := unix.Ppoll(w.fds[1:], &ts, nil)
	if n > 0 && err == nil {
		return errWoken
	}
	return nil // an interrupted sleep is merely a short one
}

// wake ends every present and later wait.
func (w *waker) wake() {
	one := [8]byte{1, 1} // not zero in either byte order
	_, _ = unix.Write(w.event, one[:])
}

func (w *waker) close() { _ = unix.Close(w.event) }
