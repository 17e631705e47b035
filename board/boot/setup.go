package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
)

// Places of the image.
const (
	overlay     = "/overlay"
	StateDir    = overlay + "/spigate" // the slots
	FactoryFile = "/etc/spigate.toml"
	modulesFile = "/etc/modules"
	modulesDir  = "/usr/lib/modules"
	flashLabel  = "spigate" // of the file system that has the slots
	maxText     = 64 << 10  // of a file that is read here
)

// basics are the kernel's file systems, and what is kept in memory. /run is
// small: it has sockets and the state of ports.
func basics() []Mount {
	const tight = syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC
	return []Mount{
		{"proc", "/proc", "proc", tight, ""},
		{"sysfs", "/sys", "sysfs", tight, ""},
		{"devtmpfs", "/dev", "devtmpfs", syscall.MS_NOSUID | syscall.MS_NOEXEC, "mode=0755"},
		{"tmpfs", "/run", "tmpfs", tight, "mode=0755,size=4m"},
	}
}

// setup brings a bare kernel to where a router can run. Nothing that fails
// stops it; say is told.
type setup struct {
	sys System
	say func(format string, args ...any)
	// pause waits a turn of the clock, a quarter of a second.
	pause func()
}

// mounts mounts the basics. What is mounted already (EBUSY) is left.
func (s setup) mounts() {
	for _, m := range basics() {
		if err := s.mount(m); err != nil && !errors.Is(err, syscall.EBUSY) {
			s.say("mount %s: %v", m.Target, err)
		}
	}
}

func (s setup) mount(m Mount) error {
	return errors.Join(s.sys.MakeDir(m.Target), s.sys.Mount(m))
}

// modules loads those of the board's list, in its order, or of the common one,
// and then removes all module files: the first file system is memory, and
// nobody loads one later.
func (s setup) modules(board string) {
	text, err := s.sys.Read(modulesFile+".d/"+board, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = s.sys.Read(modulesFile, maxText)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		s.say("kernel modules: %v", err)
		return
	}
	loaded := 0
	for line := range strings.Lines(string(text)) {
		file := strings.TrimSpace(line)
		if file == "" || strings.HasPrefix(file, "#") {
			continue
		}
		if err := s.sys.LoadModule(file); err != nil {
			s.say("kernel module %s: %v", file, err)
			continue
		}
		loaded++
	}
	s.say("%d kernel modules loaded", loaded)
	if err := s.sys.RemoveAll(modulesDir); err != nil {
		s.say("%s: %v", modulesDir, err)
	}
}

// compilerFile says whether the kernel compiles the programs that it is given
// (BPF; net.core.bpf_jit_enable in the kernel's documentation).
const compilerFile = "/proc/sys/net/core/bpf_jit_enable"

// compiler makes the kernel compile the router's programs in it: those that
// forward busy flows (docs/offload.md), and the filters of its ports. On 32-bit ARM
// it interprets them unless it is told.
func (s setup) compiler() {
	text, err := s.sys.Read(compilerFile, maxText)
	if err == nil && strings.TrimSpace(string(text)) != "0" {
		return
	}
	if err == nil {
		err = s.sys.Write(compilerFile, "1\n")
	}
	if err != nil {
		s.say("the kernel compiles no BPF programs, so ports with driver xdp will be slow: %v", err)
		return
	}
	s.say("the kernel compiles BPF programs from now on")
}

// flash mounts the file system with the slots. Without a flash, or with one that
// is broken, the folder is in memory and empty, so that the router runs with the
// factory configuration.
func (s setup) flash(args Arguments) {
	late, err := s.tryFlash(args.Flash)
	for turn := 0; late && turn < flashTurns; turn++ {
		if turn == 0 {
			s.say("no flash yet (%v): it may take a moment", err)
		}
		s.pause()
		late, err = s.tryFlash(args.Flash)
	}
	if err == nil {
		return
	}
	s.say("NO FLASH (%v): the router runs with the factory configuration, and changes are lost at the next start", err)
	m := Mount{"tmpfs", overlay, "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC, "mode=0700,size=8m"}
	if err := s.mount(m); err != nil {
		s.say("mount %s: %v", overlay, err)
	}
}

// flashTurns is for how many turns of the clock the flash may be missing. Cards
// and USB are looked for after their drivers are loaded, and the kernel does not
// wait for that.
const flashTurns = 20

// tryFlash finds and mounts it. late: it is not there, but may come.
func (s setup) tryFlash(wanted string) (late bool, err error) {
	device, err := s.findFlash(wanted)
	if err != nil {
		return true, err
	}
	err = s.mountFlash(device)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENXIO), err
}

// mountFlash mounts a device for writing or, if its file system does not take
// that, for reading: a router must start from what can still be read.
func (s setup) mountFlash(device string) error {
	m := Mount{device, overlay, kindOf(device), syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC | syscall.MS_NOATIME, ""}
	if m.Kind == "ext4" {
		m.Options = "errors=remount-ro"
	}
	err := s.mount(m)
	if err == nil {
		return nil
	}
	m.Flags |= syscall.MS_RDONLY
	if m.Kind == "ext4" {
		m.Options = "noload" // a journal that cannot be played back
	}
	if again := s.mount(m); again != nil {
		return fmt.Errorf("%s: %w", device, err)
	}
	s.say("flash %s can only be read (%v): changes are not kept", device, err)
	return nil
}

// kindOf tells the file system of a device by its name: UBI volumes have
// UBIFS.
func kindOf(device string) string {
	if strings.HasPrefix(filepath.Base(device), "ubi") {
		return "ubifs"
	}
	return "ext4"
}

// findFlash returns the device of the kernel's argument, or the one whose file
// system has our label.
func (s setup) findFlash(wanted string) (string, error) {
	if wanted != "" {
		return wanted, nil
	}
	names, err := s.sys.List("/sys/class/block")
	if err != nil {
		return "", fmt.Errorf("block devices: %w", err)
	}
	for _, name := range names {
		head, err := s.sys.Read("/dev/"+name, superblockEnd)
		if err == nil && Label(head) == flashLabel {
			return "/dev/" + name, nil
		}
	}
	return "", fmt.Errorf("none of %d block devices has the label %q", len(names), flashLabel)
}
