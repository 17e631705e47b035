package boot

import (
	"fmt"
	"os"
	"syscall"
)

// Mount is one mount(2).
type Mount struct {
	Source, Target, Kind string
	Flags                uintptr
	Options              string
}

// System is what process 1 asks of Linux. Errors are the system's own.
type System interface {
	Mount(Mount) error
	Unmount(target string) error
	MakeDir(dir string) error
	// Read returns the first bytes of a file or device, at most that many.
	Read(file string, most int64) ([]byte, error)
	// Write puts text into a file that is there.
	Write(file, text string) error
	// List returns the names in a directory.
	List(dir string) ([]string, error)
	RemoveAll(dir string) error
	// LoadModule loads a kernel module; one that is loaded is no error.
	LoadModule(file string) error
	// Watchdog opens a watchdog: from now on it wants to be petted.
	Watchdog(device string) (Dog, error)
	// HoldKeys makes Ctrl-Alt-Del a SIGINT for process 1.
	HoldKeys() error
	// Log returns the kernel's log.
	Log() ([]byte, error)

	// Start starts this program with other words. Files are its standard
	// input, output and error; the process is a session of its own.
	Start(words, env []string, files [3]*os.File) (pid int, err error)
	Signal(pid int, s syscall.Signal) error
	// Reap takes a child that has ended, any; false: none has.
	Reap() (pid int, how syscall.WaitStatus, ok bool)

	// SignalAll sends a signal to every other process.
	SignalAll(s syscall.Signal) error
	// Settle writes out what the kernel has not written yet.
	Settle()
	// Finish ends the machine; it does not return if it can.
	Finish(how Finish) error
}

// Dog is an open watchdog.
type Dog interface {
	Pet() error
	// Rest closes the watchdog so that it does not bite.
	Rest() error
}

// story tells for people how a process ended.
func story(s syscall.WaitStatus) string {
	switch {
	case s.Signaled() && s.Signal() == syscall.SIGKILL:
		return "killed: was there memory left?"
	case s.Signaled():
		return fmt.Sprintf("signal %d, %v", int(s.Signal()), s.Signal())
	default:
		return fmt.Sprintf("exit code %d", s.ExitStatus())
	}
}
