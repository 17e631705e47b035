package takeover

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// stateVersion is raised when a newer reader could misunderstand the file.
const stateVersion = 1

// A state is what was there before. A nil field was not touched yet.
type state struct {
	Version int    `json:"version"`
	Device  string `json:"device"`
	Index   int    `json:"ifindex"`
	Boot    string `json:"boot_id"`
	Netns   uint64 `json:"netns_cookie"` // 0: the kernel has none (before 5.14)

	Drop      *dropState `json:"drop,omitempty"`
	Addresses *netState  `json:"addresses,omitempty"`
	ARP       *bool      `json:"arp,omitempty"`
	Sysctls   []setting  `json:"sysctls,omitempty"`
	Offloads  []setting  `json:"offloads,omitempty"`
	Up        *bool      `json:"up,omitempty"`
}

// A setting is a named value that was changed.
type setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// remember notes a setting unless the list has it from an earlier run.
func remember(list []setting, name, value string) []setting {
	for _, s := range list {
		if s.Name == name {
			return list
		}
	}
	return append(list, setting{name, value})
}

// identify begins the state of a device.
func identify(l netlink.Link) (state, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return state{}, fmt.Errorf("boot id: %w", err)
	}
	a := l.Attrs()
	return state{
		Version: stateVersion, Device: a.Name, Index: a.Index,
		Boot: strings.TrimSpace(string(boot)), Netns: netnsCookie(),
	}, nil
}

// netnsCookie tells network namespaces apart, whose devices have the same
// numbers. Cookies are never used twice in a boot, unlike inode numbers.
func netnsCookie() uint64 {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer func() { _ = unix.Close(fd) }()
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0
	}
	return cookie
}

// sameDevice reports whether s is about the device that here identifies.
func (s state) sameDevice(here state) bool {
	return s.Version == here.Version && s.Index == here.Index && s.Boot == here.Boot && s.Netns == here.Netns
}

// A stateFile is where the state of one device is kept.
type stateFile struct{ dir, device string }

func (f stateFile) path() string { return filepath.Join(f.dir, f.device+".json") }

func (f stateFile) read() (state, error) {
	b, err := os.ReadFile(f.path())
	if err != nil {
		return state{}, err
	}
	return parseState(b)
}

// parseState reads a state file's bytes.
func parseState(b []byte) (state, error) {
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return state{}, fmt.Errorf("state file: %w", err)
	}
	return s, nil
}

// write replaces the file by rename, so that a kill leaves the old one or the
// new one. It is not synced: after a crash of the machine nothing is left to
// repair.
func (f stateFile) write(s state) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	if err := os.WriteFile(f.path()+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	if err := os.Rename(f.path()+".new", f.path()); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	return nil
}

func (f stateFile) remove() error {
	err := os.Remove(f.path())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("state file: %w", err)
	}
	return nil
}

func (f stateFile) lockPath() string { return filepath.Join(f.dir, f.device+".lock") }

// acquire locks the device against a second Take, in this process or another.
// The kernel lets go of the lock when the process dies.
func (f stateFile) acquire() (*os.File, error) {
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	for {
		file, err := os.OpenFile(f.lockPath(), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			_ = file.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("it is taken already (%s is locked)", f.lockPath())
			}
			return nil, fmt.Errorf("lock: %w", err)
		}
		if f.isCurrent(file) {
			return file, nil
		}
		_ = file.Close() // release removed it between our open and our lock
	}
}

// isCurrent reports whether the locked file still has its name.
func (f stateFile) isCurrent(file *os.File) bool {
	a, err := file.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(f.lockPath())
	return err == nil && os.SameFile(a, b)
}

func (f stateFile) release(file *os.File) {
	_ = os.Remove(f.lockPath())
	_ = file.Close()
}
