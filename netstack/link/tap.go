package link

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// TAPConfig says how a TAP device is made or attached to.
type TAPConfig struct {
	Name string // the kernel's name of the device, in the caller's network namespace

	// MAC is the router's address on the link. Zero: one made from the
	// kernel's, which has the other end of the link and must differ.
	MAC frame.MAC
	MTU int // set on the device; 0: as it is

	Drops *drop.Counters // where frames that the driver itself drops are counted; may be nil
}

// A tap is the driver of one end of a TAP device; the kernel has the other.
// Tags stay in the frames, the port strips them. The kernel finishes checksums
// by itself, since no offload is asked for.
type tap struct {
	mac   frame.MAC
	mtu   int
	drops *drop.Counters
	fd    int
	wait  *waker
	gate  gate
	mem   []byte // frame.Batch slots
	slot  int    // bytes of one

	mu     sync.RWMutex // closing waits for writers
	dev    device
	closed bool
}

// tapSpare is how many bytes more than the greatest frame a slot has, so that
// a longer frame shows itself instead of being cut.
const tapSpare = 1

// OpenTAP makes a TAP device, or attaches to one that exists (made by
// "ip tuntap add", for a router without CAP_NET_ADMIN), and sets it up. One
// that it made goes away with Close.
func OpenTAP(c TAPConfig) (Driver, error) {
	t, err := openTAP(c)
	if err != nil {
		return nil, fmt.Errorf("tap %s: %w", c.Name, err)
	}
	return t, nil
}

func openTAP(c TAPConfig) (*tap, error) {
	t := &tap{mac: c.MAC, drops: c.Drops, fd: -1, dev: device{name: c.Name, fd: -1}}
	var err error
	if t.wait, err = newWaker(); err != nil {
		return nil, err
	}
	if err := t.attach(c); err != nil {
		t.free()
		return nil, err
	}
	t.slot = frame.TagLen + frame.HeaderLen + frame.TagLen + t.mtu + tapSpare
	t.mem = make([]byte, frame.Batch*t.slot)
	return t, nil
}

func (t *tap) attach(c TAPConfig) error {
	ifr, err := unix.NewIfreq(c.Name)
	if err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if t.dev.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if t.fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("/dev/net/tun: %w", err)
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(t.fd, unix.TUNSETIFF, ifr); err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	if c.MTU != 0 {
		if err := t.dev.setMTU(c.MTU); err != nil {
			return fmt.Errorf("mtu %d: %w", c.MTU, err)
		}
	}
	if err := t.dev.setUp(); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	return t.readDevice()
}

// readDevice takes MTU and address from the kernel's end.
func (t *tap) readDevice() error {
	ifi, err := net.InterfaceByName(t.dev.name)
	if err != nil {
		return err
	}
	kernel, err := ethernetAddress(ifi)
	if err != nil {
		return err
	}
	t.mtu = ifi.MTU
	if t.mac == (frame.MAC{}) {
		t.mac = otherEnd(kernel)
	}
	if t.mac == kernel {
		return fmt.Errorf("address %v is the kernel's own on this link", net.HardwareAddr(kernel[:]))
	}
	return nil
}

// otherEnd makes a unicast address of the locally administered kind (IEEE 802)
// that differs from m.
func otherEnd(m frame.MAC) frame.MAC {
	m[0] = m[0]&^1 | 2
	m[5] ^= 1
	return m
}

// Read implements Driver. Every frame is a system call; they are taken until
// the batch is full or the queue is empty.
func (t *tap) Read(batch []frame.Frame) (int, error) {
	if !t.gate.enter(t.free) {
		return 0, net.ErrClosed
	}
	n, err := t.read(batch)
	if !t.gate.leave(n > 0, t.free) {
		return 0, net.ErrClosed
	}
	return n, err
}

func (t *tap) read(batch []frame.Frame) (int, error) {
	if len(batch) == 0 {
		return 0, fmt.Errorf("read of no frames")
	}
	for {
		n, err := t.drain(batch[:min(len(batch), frame.Batch)])
		if n > 0 || err != nil {
			return n, err
		}
		if _, err := t.wait.wait(t.fd); err != nil {
			return 0, err
		}
	}
}

// drain reads what the queue has.
func (t *tap) drain(batch []frame.Frame) (int, error) {
	n := 0
	for n < len(batch) {
		slot := t.mem[n*t.slot : (n+1)*t.slot]
		k, err := unix.Read(t.fd, slot[frame.TagLen:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return n, nil
		case err != nil && n > 0:
			return n, nil // the next read says it again
		case err != nil:
			return 0, fmt.Errorf("read: %w", err)
		case k > t.slot-frame.TagLen-tapSpare:
			t.count(drop.FrameTooBig)
		default:
			batch[n] = frame.New(slot, frame.TagLen, frame.TagLen+k, 0)
			n++
		}
	}
	return n, nil
}

// Write implements Driver: one system call for each frame.
func (t *tap) Write(batch []frame.Frame) (int, drop.Reason) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.closed {
		return 0, drop.PortDown
	}
	sent, why := 0, drop.None
	for i := range batch {
		r := t.writeOne(&batch[i])
		if r == drop.None {
			toFront(batch, sent, i)
			sent++
			continue
		}
		why = r
		if r == drop.PortDown {
			break
		}
	}
	return sent, why
}

func (t *tap) writeOne(f *frame.Frame) drop.Reason {
	if tooBig(f, t.mtu) {
		return drop.FrameTooBig
	}
	if f.Len() < frame.HeaderLen || !f.PushTag() {
		return drop.TxRefused
	}
	for {
		_, err := unix.Write(t.fd, f.Bytes())
		switch {
		case err == nil:
			return drop.None
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EIO), errors.Is(err, unix.EBADFD):
			return drop.PortDown // set down, or deleted
		default:
			return drop.TxRefused
		}
	}
}

func (t *tap) count(r drop.Reason) {
	if t.drops != nil {
		t.drops.Add(r, 1)
	}
}

// MAC implements Driver.
func (t *tap) MAC() frame.MAC { return t.mac }

// MTU implements Driver: the device's MTU when the port was opened.
func (t *tap) MTU() int { return t.mtu }

// Up implements Driver.
func (t *tap) Up() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return !t.closed && t.dev.up()
}

// Lost implements Driver. What did not fit into the device's queue stands in
// the kernel's counters of its end (tx_dropped), not here.
func (t *tap) Lost() uint64 { return 0 }

// Close implements Driver.
func (t *tap) Close() error {
	t.gate.close(t.wait.wake, t.free)
	return nil
}

// free gives the files back. The gate calls it once; openTAP calls it on what
// is there when it fails.
func (t *tap) free() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, fd := range []int{t.fd, t.dev.fd} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	t.wait.close()
}
