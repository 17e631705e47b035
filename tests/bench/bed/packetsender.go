package bed

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"spigate/netstack/frame"
	"spigate/tests/netns"
)

// sendBatch is how many frames one system call sends.
const sendBatch = 64

// drawn is how many packets the drawn order has before it begins anew.
const drawn = 1 << 20

// packetSender sends through a packet socket, past the queueing discipline.
type packetSender struct {
	fd     int
	bufs   [][]byte
	iovs   [sendBatch]unix.Iovec
	msgs   [sendBatch]mmsghdr
	heads  []head // what distinguishes the flows, by their number
	order  []uint32
	every  []uint32
	next   int
	length int
}

// mmsghdr is the kernel's struct mmsghdr; the compiler pads it as C does.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// head is the part of a flow's frame that other flows have differently: from
// the IPv4 checksum to the UDP checksum or ESP's sequence number.
type head [20]byte

const headAt = frame.HeaderLen + 10

// NewPacketSender returns a Sender through an AF_PACKET socket.
func NewPacketSender(b *Bed, t Traffic) (Sender, error) {
	s := &packetSender{fd: -1, order: t.Draw(drawn), every: t.Every(), heads: make([]head, t.Flows), length: frame.HeaderLen + t.Length}
	for n := range s.heads {
		copy(s.heads[n][:], Traffic{Proto: t.Proto, Flows: t.Flows, Length: t.Length}.Frame(b, n)[headAt:])
	}
	for i := range s.msgs {
		f := t.Frame(b, 0)
		s.bufs = append(s.bufs, f)
		s.iovs[i].Base = &f[0]
		s.iovs[i].SetLen(len(f))
		s.msgs[i].hdr.Iov = &s.iovs[i]
		s.msgs[i].hdr.SetIovlen(1)
	}
	err := b.Source.Do(func() (err error) {
		s.fd, err = sendSocket("eth0")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: sender: %w", b.Name, err)
	}
	return s, nil
}

func sendSocket(device string) (int, error) {
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: dev.Index}),
	)
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Close implements Sender.
func (s *packetSender) Close() error { return unix.Close(s.fd) }

// Send implements Sender.
func (s *packetSender) Send(d time.Duration, rate float64) (Sent, error) {
	return pinned(func(start int64) (uint64, error) {
		return s.run(rate, start, func(_ uint64, now int64) int {
			if now-start >= int64(d) {
				return 0
			}
			return sendBatch
		}, s.order, &s.next)
	})
}

// Once implements Sender.
func (s *packetSender) Once(rate float64) (Sent, error) {
	return pinned(func(start int64) (uint64, error) {
		at := 0
		return s.run(rate, start, func(sent uint64, _ int64) int { return min(sendBatch, len(s.every)-int(sent)) }, s.every, &at)
	})
}

// run sends batches as long as more, told what was sent and the time, wants any;
// not before they are due at rate.
func (s *packetSender) run(rate float64, start int64, more func(sent uint64, now int64) int, order []uint32, at *int) (sent uint64, err error) {
	for {
		now := netns.Monotonic()
		want := more(sent, now)
		if want == 0 || err != nil {
			return sent, err
		}
		if rate > 0 && float64(sent) > float64(now-start)/1e9*rate {
			continue // busy: a sleeping thread wakes too late
		}
		for i := range want {
			copy(s.bufs[i][headAt:], s.heads[order[*at]][:min(len(head{}), s.length-headAt)])
			if *at++; *at == len(order) {
				*at = 0
			}
		}
		var n int
		n, err = s.batch(want)
		sent += uint64(n)
	}
}

// batch sends the first n messages. What the kernel has no room for is not
// sent.
func (s *packetSender) batch(n int) (int, error) {
	got, _, e := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.msgs[0])), uintptr(n), 0, 0, 0)
	switch e {
	case 0:
		return int(got), nil
	case unix.ENOBUFS, unix.EINTR, unix.EAGAIN:
		return 0, nil
	}
	return 0, fmt.Errorf("sendmmsg: %w", e)
}

// pinned runs send on a thread of its own on SenderCPU, with the time of its
// start, and says how long it took, by the clock and of the CPU.
func pinned(send func(start int64) (uint64, error)) (s Sent, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the pinned thread ends here
		if err = pin(SenderCPU); err != nil {
			return
		}
		worked, start := ThreadWorked(), netns.Monotonic()
		s.Packets, err = send(start)
		s.Took = time.Duration(netns.Monotonic() - start)
		s.Worked = ThreadWorked() - worked
	}()
	<-done
	return s, err
}

func pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(0, &set)
}
