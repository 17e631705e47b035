package bed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"golang.org/x/sys/unix"
)

// mostFavourable is the nice value that the scheduler prefers to all others.
const mostFavourable = -20

// autogroup is where the scheduler keeps the nice value of a whole session of
// processes, among which alone their own ones count (sched(7)).
const autogroup = "/proc/self/autogroup"

// Prefer has the scheduler prefer this process, and those that it starts, to
// what else the machine does, until restore: a kernel's softirqs are preferred
// anyway, and a router in user space that is measured beside them is not to wait
// for somebody else.
func Prefer() (restore func() error, err error) {
	session, err := preferSession()
	if err != nil {
		return nil, fmt.Errorf("priority: %w", err)
	}
	tasks, err := filepath.Glob("/proc/self/task/*")
	for _, t := range tasks {
		tid, aerr := strconv.Atoi(filepath.Base(t))
		if aerr == nil {
			aerr = unix.Setpriority(unix.PRIO_PROCESS, tid, mostFavourable)
		}
		if !errors.Is(aerr, unix.ESRCH) { // a thread that has just ended
			err = errors.Join(err, aerr)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("priority: %w", errors.Join(err, session()))
	}
	return session, nil
}

// preferSession prefers the session, where the kernel groups by it.
func preferSession() (restore func() error, err error) {
	text, err := os.ReadFile(autogroup)
	if errors.Is(err, fs.ErrNotExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	was := regexp.MustCompile(`nice (-?\d+)`).FindSubmatch(text)
	if was == nil {
		return nil, fmt.Errorf("%s says %q", autogroup, text)
	}
	write := func(nice []byte) error { return os.WriteFile(autogroup, nice, 0) }
	return func() error { return write(was[1]) }, write(strconv.AppendInt(nil, mostFavourable, 10))
}
