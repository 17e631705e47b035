package netns

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// maxFrames bounds a capture; later frames are counted, not kept.
const maxFrames = 50000

// captureBuffer is what the kernel keeps for a capture that is slow, in bytes:
// a burst of TCP fills the default in a moment, and what it loses is missing in
// comparisons.
const captureBuffer = 16 << 20

// Captured is one frame that passed a device.
type Captured struct {
	Frame []byte // from the destination MAC on
	Sent  bool   // by the namespace's own stack, otherwise received
}

// Capture records the frames that pass a device.
type Capture struct {
	file *os.File
	done chan struct{}

	mu   sync.Mutex
	got  []Captured
	lost int
	more chan struct{}
}

// Capture starts to record what passes a device of the namespace, both ways.
// It ends with Stop, at the latest when the lab closes.
func (n *Namespace) Capture(device string) (*Capture, error) {
	c := &Capture{done: make(chan struct{}), more: make(chan struct{})}
	err := n.Do(func() error {
		dev, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		c.file, err = packetSocket(dev.Index)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("namespace %s: capture on %s: %w", n.Name, device, err)
	}
	go c.read()
	n.lab.later(func() error { c.Stop(); return nil })
	return c, nil
}

func packetSocket(ifindex int) (*os.File, error) {
	all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all))
	if err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifindex}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "capture"), nil
}

func (c *Capture) read() {
	defer close(c.done)
	raw, err := c.file.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 1<<16)
	for {
		var size int
		var from unix.Sockaddr
		var rerr error
		// The callback repeats until there is a frame or the socket is closed.
		err := raw.Read(func(fd uintptr) bool {
			size, from, rerr = unix.Recvfrom(int(fd), buf, 0)
			return rerr != unix.EAGAIN && rerr != unix.EINTR
		})
		if err != nil {
			return
		}
		if rerr != nil {
			continue // a device that went down says so once; it may come back
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		c.add(Captured{Frame: append([]byte(nil), buf[:size]...), Sent: ok && ll.Pkttype == unix.PACKET_OUTGOING})
	}
}

func (c *Capture) add(f Captured) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.got) >= maxFrames {
		c.lost++
		return
	}
	c.got = append(c.got, f)
	close(c.more)
	c.more = make(chan struct{})
}

// Frames returns what was recorded so far.
func (c *Capture) Frames() []Captured {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got[:len(c.got):len(c.got)]
}

// Wait returns the first frame, from the beginning, for which match is true.
func (c *Capture) Wait(ctx context.Context, match func(Captured) bool) (Captured, error) {
	for from := 0; ; {
		c.mu.Lock()
		got, more := c.got[from:len(c.got):len(c.got)], c.more
		c.mu.Unlock()
		for _, f := range got {
			if match(f) {
				return f, nil
			}
		}
		from += len(got)
		select {
		case <-more:
		case <-ctx.Done():
			return Captured{}, ctx.Err()
		}
	}
}

// Stop ends the recording and returns everything.
func (c *Capture) Stop() []Captured {
	c.file.Close() // a second time is an error that nobody needs
	<-c.done
	return c.Frames()
}
