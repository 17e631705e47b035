package netns

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Lab owns namespaces, processes, captures and hosts, and ends them all in
// reverse order of their making. It is safe for concurrent use.
type Lab struct {
	mu   sync.Mutex
	undo []func() error
}

// New returns an empty lab. The caller must Close it.
func New() *Lab { return &Lab{} }

// TB is the part of testing.TB that For needs.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
}

// For returns a lab that a test closes at its end, and the failure to remove
// something fails the test.
func For(t TB) *Lab {
	t.Helper()
	l := New()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("closing the lab: %v", err)
		}
	})
	return l
}

// later has fn run by Close, before everything that was registered earlier.
func (l *Lab) later(fn func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.undo = append(l.undo, fn)
}

// Close removes everything. A second call does nothing.
func (l *Lab) Close() error {
	l.mu.Lock()
	undo := l.undo
	l.undo = nil
	l.mu.Unlock()
	var errs []error
	for i := len(undo) - 1; i >= 0; i-- {
		errs = append(errs, undo[i]())
	}
	return errors.Join(errs...)
}

// Root reports whether the process may make network namespaces.
func Root() bool { return os.Geteuid() == 0 }

// Monotonic returns the kernel's monotonic clock in nanoseconds.
func Monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0 // cannot fail for this clock; a zero would end waits at once
	}
	return ts.Nano()
}

// Poll calls ok every interval until it returns true, and returns the
// context's error if that ends first.
func Poll(ctx context.Context, interval time.Duration, ok func() bool) error {
	t := time.NewTicker(interval)
	defer t.Stop()
	for !ok() {
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
