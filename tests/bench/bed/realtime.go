package bed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// First has all threads of a process run before every program that is not of
// this kind, and those that they start, too (SCHED_RR). Forwarders are to wait
// for nobody: the kernel's does not, for an interrupt takes the processor from
// whoever has it.
func First(pid int) error {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err == nil && len(tasks) == 0 {
		err = os.ErrNotExist
	}
	for _, t := range tasks {
		id, aerr := strconv.Atoi(filepath.Base(t))
		if aerr == nil {
			aerr = FirstThread(id)
		}
		if !errors.Is(aerr, unix.ESRCH) { // a thread that has just ended
			err = errors.Join(err, aerr)
		}
	}
	if err != nil {
		return fmt.Errorf("process %d first: %w", pid, err)
	}
	return nil
}

// FirstThread is First for one thread; 0 is the calling one.
func FirstThread(id int) error {
	return unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0)
}

// SoftirqsFirst is First for the kernel's threads that go on with softirqs of
// which there are too many, until restore: what a kernel forwards under load
// would otherwise wait for other programs.
func SoftirqsFirst() (restore func() error, err error) {
	var undo []func() error
	restore = func() (err error) {
		for _, u := range undo {
			err = errors.Join(err, u())
		}
		return err
	}
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || !strings.HasPrefix(string(text), "ksoftirqd/") {
			continue // ended meanwhile, or another
		}
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err == nil {
			var was *unix.SchedAttr
			if was, err = unix.SchedGetAttr(id, 0); err == nil {
				undo = append(undo, func() error { return unix.SchedSetAttr(id, was, 0) })
				err = FirstThread(id)
			}
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("softirqs first: %w", err), restore())
		}
	}
	return restore, nil
}
