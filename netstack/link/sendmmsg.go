package link

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// senderBuffer is the most memory in bytes that frames on their way out of one
// port may take in the kernel.
const senderBuffer = 4 << 20

// A sender sends frames from wherever they lie, mostly another port's ring, by
// sendmmsg: one system call for a batch. The kernel copies before the call
// returns, so the memory can be given back at once. PACKET_QDISC_BYPASS hands
// frames to the device without queueing, and past the drop that takeover puts
// on the device's egress.
type sender struct {
	dev device
	mtu int

	mu     sync.Mutex // held while sending, and to close
	closed bool
	batch  sendBatch
}

// mmsghdr is the kernel's struct mmsghdr: 64 bytes on 64-bit machines, 32 on
// 32-bit ones. Go pads it as C does, because unix.Msghdr is aligned alike.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // bytes sent, from the kernel
}

// The length and its padding are as long as a pointer is: 8 or 4 bytes. This
// line does not compile where the kernel's structure would be another one.
var _ [0]struct{} = [unsafe.Sizeof(mmsghdr{}) - unsafe.Sizeof(unix.Msghdr{}) - unsafe.Sizeof(uintptr(0))]struct{}{}

// A sendBatch is what one call of sendmmsg needs. Each header's vector points
// at its own iov for good; only base and length change.
type sendBatch struct {
	hdr [frame.Batch]mmsghdr
	iov [frame.Batch]unix.Iovec
}

func (b *sendBatch) init() {
	for i := range b.hdr {
		b.hdr[i].hdr.Iov = &b.iov[i]
		b.hdr[i].hdr.SetIovlen(1)
	}
}

func openSender(index, mtu int, name string) (*sender, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	s := &sender{dev: device{name: name, fd: fd}, mtu: mtu}
	s.batch.init()
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		s.close()
		return nil, fmt.Errorf("qdisc bypass: %w", err)
	}
	// Without CAP_NET_ADMIN the buffer stays as large as the system allows.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, senderBuffer)
	// Protocol 0: this socket never receives.
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index}); err != nil && err != unix.ENETDOWN {
		s.close()
		return nil, fmt.Errorf("bind for sending: %w", err)
	}
	return s, nil
}

// send implements Driver.Write. The caller holds mu.
func (s *sender) send(batch []frame.Frame) (int, drop.Reason) {
	if s.closed {
		return 0, drop.PortDown
	}
	sent, why := 0, drop.None
	for len(batch) > 0 {
		n := min(len(batch), frame.Batch)
		k, r := s.chunk(&s.batch, batch[:n])
		sent += k
		if r != drop.None {
			why = r
		}
		batch = batch[n:]
	}
	return sent, why
}

// chunk sends up to frame.Batch frames. Frames that are too long are left out,
// the others go.
func (s *sender) chunk(b *sendBatch, batch []frame.Frame) (int, drop.Reason) {
	n, why := 0, drop.None
	for i := range batch {
		f := &batch[i]
		if tooBig(f, s.mtu) {
			why = drop.FrameTooBig
			continue
		}
		if f.Len() < frame.HeaderLen || !f.PushTag() {
			why = drop.TxRefused
			continue
		}
		p := f.Bytes()
		b.iov[n].Base = &p[0]
		b.iov[n].SetLen(len(p))
		n++
	}
	sent, r := s.flush(b, n)
	if r != drop.None {
		why = r
	}
	for i := range n {
		b.iov[i].Base = nil // ring memory may be unmapped before the next use
	}
	return sent, why
}

// flush sends the first n messages of b.
func (s *sender) flush(b *sendBatch, n int) (sent int, why drop.Reason) {
	for i := 0; i < n; {
		k, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.dev.fd), uintptr(unsafe.Pointer(&b.hdr[i])),
			uintptr(n-i), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			i += int(k)
			sent += int(k)
		case unix.EINTR:
		case unix.EMSGSIZE:
			i, why = i+1, drop.FrameTooBig // the MTU was made smaller
		default:
			return sent, s.reason(errno)
		}
	}
	return sent, why
}

// reason tells a port that is down from one that is busy. Without a queue the
// kernel says ENOBUFS for both a full device and a lost carrier.
func (s *sender) reason(errno unix.Errno) drop.Reason {
	switch errno {
	case unix.ENETDOWN, unix.ENXIO, unix.ENODEV:
		return drop.PortDown
	}
	if !s.dev.up() {
		return drop.PortDown
	}
	return drop.TxRefused
}

// up implements Driver.Up.
func (s *sender) up() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed && s.dev.up()
}

func (s *sender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		_ = unix.Close(s.dev.fd)
	}
}
