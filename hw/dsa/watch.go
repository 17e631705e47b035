package dsa

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// watch tells when the kernel says that a device has changed.
type watch struct {
	socket *os.File
	done   chan struct{}
}

// startWatch listens in the calling thread's network namespace. changes gets a
// value when there is none in it, and is closed at the end.
func startWatch(changes chan struct{}) (*watch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("watch links: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("watch links: %w", err)
	}
	w := &watch{socket: os.NewFile(uintptr(fd), "netlink"), done: make(chan struct{})}
	go w.read(changes)
	return w, nil
}

func (w *watch) read(changes chan struct{}) {
	defer close(w.done)
	defer close(changes)
	buf := make([]byte, 1<<16)
	for {
		n, err := w.socket.Read(buf)
		lost := errors.Is(err, unix.ENOBUFS) // more than fits: something has changed
		if err != nil && !lost {
			return
		}
		if !lost && !ofLinks(buf[:n]) {
			continue
		}
		select {
		case changes <- struct{}{}:
		default:
		}
	}
}

// ofLinks reports whether messages say something about a device itself; those
// of its VLANs and of bridge ports are of another family.
func ofLinks(b []byte) bool {
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return true
	}
	for _, m := range messages {
		ours := m.Header.Type == unix.RTM_NEWLINK || m.Header.Type == unix.RTM_DELLINK
		if ours && len(m.Data) > 0 && m.Data[0] == unix.AF_UNSPEC {
			return true
		}
	}
	return false
}

// close ends the watch and waits for its goroutine.
func (w *watch) close() {
	_ = w.socket.Close()
	<-w.done
}
