package boot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Linux is the System of a machine.
type Linux struct {
	Self string // the program, "/init"
}

// Mount implements System.
func (Linux) Mount(m Mount) error {
	return unix.Mount(m.Source, m.Target, m.Kind, m.Flags, m.Options)
}

// Unmount implements System. A file system in use can at least not be written
// to any more.
func (Linux) Unmount(target string) error {
	err := unix.Unmount(target, 0)
	if err == nil {
		return nil
	}
	return errors.Join(err, unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
}

// MakeDir implements System.
func (Linux) MakeDir(dir string) error { return os.MkdirAll(dir, 0o755) }

// Read implements System.
func (Linux) Read(file string, most int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// Write implements System. The kernel's settings want all of it at once.
func (Linux) Write(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// List implements System.
func (Linux) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// RemoveAll implements System.
func (Linux) RemoveAll(dir string) error { return os.RemoveAll(dir) }

// LoadModule implements System.
func (Linux) LoadModule(file string) error {
	f, err := os.Open(file)
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

// dog is a device of the kernel's watchdog API (watchdog-api in the kernel's
// documentation): every write is a pet, and a V before the close lets it rest.
type dog struct{ f *os.File }

// Watchdog implements System.
func (Linux) Watchdog(device string) (Dog, error) {
	f, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.WDIOC_SETTIMEOUT, int(DogTimeout/time.Second)); err != nil {
		return dog{f}, fmt.Errorf("its timeout cannot be set: %w", err)
	}
	return dog{f}, nil
}

func (d dog) Pet() error {
	_, err := d.f.Write([]byte{0})
	return err
}

func (d dog) Rest() error {
	_, err := d.f.Write([]byte("V"))
	return errors.Join(err, d.f.Close())
}

// Log implements System (syslog(2), SYSLOG_ACTION_READ_ALL).
func (Linux) Log() ([]byte, error) {
	const readAll, size = 3, 10
	n, err := unix.Klogctl(size, nil)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, min(n, 1<<20))
	n, err = unix.Klogctl(readAll, buf)
	return buf[:max(n, 0)], err
}

// Start implements System. Nobody else in this process may wait for children:
// os/exec would, so it is not used.
func (l Linux) Start(words, env []string, files [3]*os.File) (int, error) {
	attr := &syscall.ProcAttr{Dir: "/", Env: env, Sys: &syscall.SysProcAttr{Setsid: true}}
	for _, f := range files {
		attr.Files = append(attr.Files, f.Fd())
	}
	return syscall.ForkExec(l.Self, append([]string{"spigate"}, words...), attr)
}

// Signal implements System.
func (Linux) Signal(pid int, s syscall.Signal) error { return unix.Kill(pid, s) }

// Reap implements System.
func (Linux) Reap() (int, syscall.WaitStatus, bool) {
	var status syscall.WaitStatus
	for {
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		return pid, status, err == nil && pid > 0
	}
}

// SignalAll implements System (kill(2), pid -1: all but process 1).
func (Linux) SignalAll(s syscall.Signal) error {
	err := unix.Kill(-1, s)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// Settle implements System.
func (Linux) Settle() { unix.Sync() }

// Finish implements System.
func (Linux) Finish(how Finish) error {
	cmd := unix.LINUX_REBOOT_CMD_RESTART
	if how == PowerOff {
		cmd = unix.LINUX_REBOOT_CMD_POWER_OFF
	}
	return unix.Reboot(cmd)
}

// HoldKeys implements System (reboot(2)).
func (Linux) HoldKeys() error { return unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF) }

// prepareTerminal sets a terminal so that Ctrl-C ends a read instead of making a
// signal (process 1 has no terminal of its own that could send one), and so
// that Ctrl-S does not stop what is written to it. What is no terminal is left.
func prepareTerminal(f *os.File) {
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return
	}
	t.Lflag |= unix.ICANON | unix.ECHO | unix.ECHOE | unix.ECHOK
	t.Lflag &^= unix.ISIG
	t.Iflag |= unix.ICRNL
	t.Iflag &^= unix.IXON
	t.Oflag |= unix.OPOST | unix.ONLCR
	t.Cc[unix.VEOL] = 0x03
	unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
}
