package beside

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"spigate/tests/netns"
)

// sender sends one frame again and again through a packet socket.
type sender struct {
	fd   int
	msgs []mmsghdr
	iov  unix.Iovec
	buf  []byte

	worked float64 // seconds of a processor that run took
}

// mmsghdr is the kernel's struct mmsghdr; the compiler pads it as C does.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

const sendBatch = 64

func newSender(ns *netns.Namespace, device string, b []byte) (*sender, error) {
	s := &sender{fd: -1, buf: b, msgs: make([]mmsghdr, sendBatch)}
	err := ns.Do(func() (err error) {
		s.fd, err = packetSocket(device)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sender: %w", err)
	}
	s.iov.Base = &s.buf[0]
	s.iov.SetLen(len(b))
	for i := range s.msgs {
		s.msgs[i].hdr.Iov = &s.iov
		s.msgs[i].hdr.SetIovlen(1)
	}
	return s, nil
}

// packetSocket opens a socket that only sends, past the queueing discipline.
func packetSocket(device string) (int, error) {
	l, err := linkByName(device)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index})
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (s *sender) close() { unix.Close(s.fd) }

// run sends for about d from the first CPU, so that what the kernel does for
// the sender does not wander, and returns how many frames went and how long it
// really took.
func (s *sender) run(d time.Duration) (sent uint64, took time.Duration, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the pinned thread ends here
		var first unix.CPUSet
		first.Set(0)
		if err = unix.SchedSetaffinity(0, &first); err != nil {
			return
		}
		already := worked(unix.RUSAGE_THREAD)
		defer func() { s.worked = worked(unix.RUSAGE_THREAD) - already }()
		start := netns.Monotonic()
		for took < d && err == nil {
			var n int
			n, err = s.batch()
			sent += uint64(n)
			took = time.Duration(netns.Monotonic() - start)
		}
	}()
	<-done
	return sent, took, err
}

func (s *sender) batch() (int, error) {
	n, _, e := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.msgs[0])), uintptr(len(s.msgs)), 0, 0, 0)
	switch e {
	case 0:
		return int(n), nil
	case unix.ENOBUFS, unix.EINTR, unix.EAGAIN:
		return 0, nil
	}
	return 0, fmt.Errorf("sendmmsg: %w", e)
}
