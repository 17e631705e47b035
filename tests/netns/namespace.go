package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// nameDir is where `ip netns` looks for named namespaces.
const nameDir = "/run/netns"

// Namespace is one network namespace: a host, a switch or a router.
type Namespace struct {
	Name string // for messages

	lab *Lab
	fd  *os.File // holds the namespace; without a name nothing else does
	nl  *netlink.Handle
}

// Namespace makes a network namespace with its loopback up and IPv6 off, so
// that neighbour discovery does not mix into captures and counters.
func (l *Lab) Namespace(name string) (*Namespace, error) {
	n := &Namespace{Name: name, lab: l}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		fd, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		n.fd = fd
		n.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if n.fd != nil {
		l.later(n.close)
	}
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	for _, k := range []string{"all", "default"} {
		err := n.Sysctl("net/ipv6/conf/"+k+"/disable_ipv6", "1")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if err := n.up("lo"); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *Namespace) close() error {
	if n.nl != nil {
		n.nl.Close()
	}
	return n.fd.Close()
}

// onThread runs fn on an operating system thread of its own, which ends with
// it: whatever fn does to the thread's namespaces cannot leak into others.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime ends the thread
		err := errors.New("the function ended its goroutine")
		defer func() { done <- err }()
		err = fn()
	}()
	return <-done
}

// Do runs fn on a thread inside the namespace. Sockets that fn opens stay
// there; goroutines that it starts do not run there.
func (n *Namespace) Do(fn func() error) error {
	return onThread(func() error {
		if err := n.enter(); err != nil {
			return err
		}
		return fn()
	})
}

// enter moves the calling thread into the namespace.
func (n *Namespace) enter() error {
	if err := unix.Setns(int(n.fd.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", n.Name, err)
	}
	return nil
}

// Sysctl writes a kernel setting of the namespace; key has slashes, as under
// /proc/sys.
func (n *Namespace) Sysctl(key, value string) error {
	return n.Do(func() error {
		err := os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0)
		if err != nil {
			return fmt.Errorf("namespace %s: sysctl: %w", n.Name, err)
		}
		return nil
	})
}

// Publish gives the namespace a name that `ip netns exec` knows, until the lab
// closes. A name left over from a run that was killed is taken over.
func (n *Namespace) Publish(name string) error {
	if name == "" || strings.ContainsAny(name, "/.") {
		return fmt.Errorf("namespace %s: bad name %q", n.Name, name)
	}
	if err := os.MkdirAll(nameDir, 0o755); err != nil {
		return fmt.Errorf("namespace %s: %w", n.Name, err)
	}
	path := filepath.Join(nameDir, name)
	if err := unpublish(path); err != nil {
		return fmt.Errorf("namespace %s: take over %s: %w", n.Name, path, err)
	}
	if err := os.WriteFile(path, nil, 0o400); err != nil {
		return fmt.Errorf("namespace %s: %w", n.Name, err)
	}
	n.lab.later(func() error { return unpublish(path) })
	return n.Do(func() error {
		err := unix.Mount("/proc/thread-self/ns/net", path, "none", unix.MS_BIND, "")
		if err != nil {
			return fmt.Errorf("namespace %s: mount on %s: %w", n.Name, path, err)
		}
		return nil
	})
}

func unpublish(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
