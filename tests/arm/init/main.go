// Command init is the first process of a guest of tests/arm: it mounts the
// kernel's file systems, loads modules, runs programs one after the other, says
// how each ended, and turns the machine off.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"spigate/tests/arm/task"
)

func main() {
	job, err := setUp()
	if err != nil {
		say(task.Fault+"%v", err)
	} else {
		for i, t := range job.Tasks {
			say(task.Begins, i)
			say(task.Ended, i, run(t))
		}
		say(task.Done)
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		say(task.Fault+"power off: %v", err)
	}
}

// say begins on a line of its own: a program may not have ended its last one.
func say(format string, args ...any) { fmt.Printf("\n"+task.Mark+format+"\n", args...) }

func setUp() (job task.Job, err error) {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/run"}, {"tmpfs", "/tmp"},
	} {
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return job, fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	text, err := os.ReadFile(task.File)
	if err != nil {
		return job, err
	}
	if err := json.Unmarshal(text, &job); err != nil {
		return job, fmt.Errorf("%s: %w", task.File, err)
	}
	for _, m := range job.Modules {
		if err := load(m); err != nil {
			return job, fmt.Errorf("module %s: %w", m, err)
		}
	}
	return job, nil
}

func load(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// run runs a program on the console and returns its exit status.
func run(t task.Task) int {
	cmd := exec.Command(t.Path, t.Args...)
	cmd.Dir = "/tmp"
	cmd.Env = append([]string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/tmp", "TMPDIR=/tmp"}, t.Env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		say("%s: %v", t.Path, err)
		return 127
	}
	if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return exit.ExitCode()
}
