package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// setUp makes a system of the bare kernel. It goes on after an error, so that
// as much as possible can be looked at.
func setUp() error {
	return errors.Join(
		mountAll(),
		loadModules("/etc/modules"),
		// Everything needed is loaded. Without this, iked's question for each
		// algorithm of the kernel starts a modprobe that finds nothing.
		os.WriteFile("/proc/sys/kernel/modprobe", []byte("\n"), 0),
		hosts(),
	)
}

func mountAll() error {
	var errs []error
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"},
		{"tmpfs", "/run"}, {"tmpfs", "/tmp"}, {"devpts", "/dev/pts"},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			errs = append(errs, err)
		}
		if err := syscall.Mount(m.kind, m.at, m.kind, 0, ""); err != nil && !errors.Is(err, syscall.EBUSY) {
			errs = append(errs, fmt.Errorf("mount %s: %w", m.at, err))
		}
	}
	return errors.Join(append(errs, os.MkdirAll("/run/netns", 0o755))...)
}

// loadModules loads the files of a list, one on a line, in its order.
func loadModules(list string) error {
	text, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range strings.Fields(string(text)) {
		if err := loadModule(name); err != nil {
			errs = append(errs, fmt.Errorf("module %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func loadModule(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	// ENODEV: a driver for a processor feature that is not there.
	if errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.ENODEV) {
		return nil
	}
	return err
}

// hosts makes a namespace with one network card for each NAME:CARD of the
// kernel's command line, "peers.hosts=c1:eth0,c2:eth1".
func hosts() error {
	list, err := argument("peers.hosts")
	if err != nil {
		return err
	}
	if err := run("/bin/ip", "link", "set", "lo", "up"); err != nil {
		return err
	}
	for _, pair := range strings.Split(list, ",") {
		name, card, _ := strings.Cut(pair, ":")
		if err := host(name, card); err != nil {
			return fmt.Errorf("host %s: %w", name, err)
		}
	}
	return nil
}

// argument returns NAME's value on the kernel's command line, "NAME=VALUE";
// nothing if it is not there.
func argument(name string) (string, error) {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return "", err
	}
	for _, word := range strings.Fields(string(line)) {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			return value, nil
		}
	}
	return "", nil
}

func host(name, card string) error {
	if err := await("/sys/class/net/" + card); err != nil {
		return err
	}
	return errors.Join(
		os.MkdirAll("/run/ns-"+name, 0o755),
		run("/bin/ip", "netns", "add", name),
		run("/bin/ip", "link", "set", card, "netns", name, "name", "eth0"),
		run("/bin/ip", "-n", name, "link", "set", "lo", "up"),
		run("/bin/ip", "-n", name, "link", "set", "eth0", "up"),
	)
}

// await returns when a file is there; drivers find their devices by and by.
func await(path string) error {
	for range 500 {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		<-time.After(20 * time.Millisecond)
	}
	return fmt.Errorf("%s: %w", path, fs.ErrNotExist)
}

func run(path string, args ...string) error {
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", path, strings.Join(args, " "), err, out)
	}
	return nil
}
