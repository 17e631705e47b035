package link

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// RingConfig says how a kernel port is read and written through AF_PACKET.
type RingConfig struct {
	Device string    // the kernel's name of the port, in the caller's network namespace
	MAC    frame.MAC // the router's address on it; zero: the device's own

	// Version is the ring's version: 3 (TPACKET_V3), 2 (TPACKET_V2), or 0
	// for 3 with 2 where the kernel refuses it.
	Version   int
	BlockSize int // bytes, a power of two of at least a page; 0: ringBlockSize
	Blocks    int // 0: as many as make ringMemory

	// Retire bounds how long frames gather before Read returns them. In
	// version 3 the kernel keeps a block that is not full for so long (whole
	// milliseconds). In version 2 Read sleeps for so long, once, when it
	// finds the ring empty; after that it is woken by the first frame.
	// 0: ringRetire or ringPause.
	Retire time.Duration

	// Snaplen is the greatest length of a frame in bytes, from its Ethernet
	// header on. 0: the device's MTU with the header and one more tag.
	Snaplen int

	// Promiscuous lets frames to every address in, as a port of a switch must.
	Promiscuous bool

	// KeepTags leaves the outermost tag in the frame, whatever its type, with
	// its priority, as on the wire: VLAN is then always 0. Otherwise an 802.1Q
	// tag comes in VLAN, and frames with another kind of tag are dropped.
	KeepTags bool

	Drops *drop.Counters // where frames that the driver itself drops are counted; may be nil
}

// A ring is the AF_PACKET driver: frames are read from a ring that the kernel
// fills, changed there, and sent from there by sendmmsg (see sender). One
// socket receives and another sends, so that what we send costs the receive
// ring nothing.
//
// Invariant: the ring's memory is unmapped only by Close while nothing is
// lent, or by the Read after it (see gate).
type ring struct {
	mac     frame.MAC
	mtu     int
	version int
	pause   time.Duration // see RingConfig.Retire; 0 in version 3
	fd      int           // receives
	mem     []byte
	cells   ringCells
	wait    *waker
	gate    gate
	tx      *sender
	lost    atomic.Uint64
}

// ringCells walks the ring in one of the kernel's two layouts.
type ringCells interface {
	// fill lends up to len(batch) frames and returns how many. It returns 0
	// only if the kernel has nothing, or if everything at hand was dropped.
	fill(batch []frame.Frame) int

	// release gives all that fill took back to the kernel, and reports
	// whether there was something.
	release() bool
}

// OpenRing opens a kernel port. The port should have been taken from the
// kernel before (package takeover): AF_PACKET sees copies, and what the kernel
// does with its own is not this driver's matter. It needs CAP_NET_RAW.
func OpenRing(c RingConfig) (Driver, error) {
	r, err := openRing(c)
	if err != nil {
		return nil, fmt.Errorf("port %s: %w", c.Device, err)
	}
	return r, nil
}

func openRing(c RingConfig) (*ring, error) {
	ifi, err := net.InterfaceByName(c.Device)
	if err != nil {
		return nil, err
	}
	own, err := ethernetAddress(ifi)
	if err != nil {
		return nil, err
	}
	r := &ring{fd: -1, mac: c.MAC, mtu: ifi.MTU}
	if r.mac == (frame.MAC{}) {
		r.mac = own
	}
	if c.Snaplen == 0 {
		c.Snaplen = ifi.MTU + frame.HeaderLen + frame.TagLen
	}
	if r.wait, err = newWaker(); err != nil {
		return nil, err
	}
	if r.tx, err = openSender(ifi.Index, ifi.MTU, c.Device); err != nil {
		r.free()
		return nil, err
	}
	if err := r.openReceive(c, ifi.Index, c.Promiscuous || r.mac != own); err != nil {
		r.free()
		return nil, err
	}
	return r, nil
}

// ethernetAddress returns the device's MAC address; a device without one, such
// as a tunnel, cannot be a port.
func ethernetAddress(ifi *net.Interface) (frame.MAC, error) {
	if len(ifi.HardwareAddr) != len(frame.MAC{}) || ifi.Flags&net.FlagLoopback != 0 {
		return frame.MAC{}, fmt.Errorf("not an Ethernet device")
	}
	return frame.MAC(ifi.HardwareAddr), nil
}

// Read implements Driver.
func (r *ring) Read(batch []frame.Frame) (int, error) {
	if !r.gate.enter(r.free) {
		return 0, net.ErrClosed
	}
	n, err := r.read(batch)
	if !r.gate.leave(n > 0, r.free) {
		return 0, net.ErrClosed
	}
	return n, err
}

func (r *ring) read(batch []frame.Frame) (int, error) {
	if len(batch) == 0 {
		return 0, fmt.Errorf("read of no frames")
	}
	for paused := r.pause == 0; ; {
		r.cells.release()
		if n := r.cells.fill(batch); n > 0 {
			return n, nil
		}
		if r.cells.release() {
			continue // all of it was dropped; there may be more
		}
		if !paused {
			paused = true
			if err := r.wait.sleep(r.pause); err != nil {
				return 0, err
			}
			continue
		}
		events, err := r.wait.wait(r.fd)
		if err != nil {
			return 0, err
		}
		if events&unix.POLLERR != 0 {
			// ENETDOWN, mostly: taking the error off the socket is all it
			// needs, it receives again when the port comes back.
			_, _ = unix.GetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		}
	}
}

// Write implements Driver.
func (r *ring) Write(batch []frame.Frame) (int, drop.Reason) { return r.tx.write(batch) }

// MAC implements Driver.
func (r *ring) MAC() frame.MAC { return r.mac }

// MTU implements Driver: the device's MTU when the port was opened.
func (r *ring) MTU() int { return r.mtu }

// Up implements Driver.
func (r *ring) Up() bool { return r.tx.up() }

// Lost implements Driver: frames for which the ring had no room.
func (r *ring) Lost() uint64 {
	r.gate.whileOpen(func() { r.lost.Add(r.kernelDrops()) })
	return r.lost.Load()
}

// kernelDrops returns the kernel's count of drops since it was last asked:
// reading it sets it to zero.
func (r *ring) kernelDrops() uint64 {
	if r.version == 3 {
		s, err := unix.GetsockoptTpacketStatsV3(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err != nil {
			return 0
		}
		return uint64(s.Drops)
	}
	s, err := unix.GetsockoptTpacketStats(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return uint64(s.Drops)
}

// Close implements Driver.
func (r *ring) Close() error {
	r.gate.close(r.wait.wake, r.free)
	return nil
}

// free gives everything back. The gate calls it once; openRing calls it on
// what is there when it fails.
func (r *ring) free() {
	if r.mem != nil {
		_ = unix.Munmap(r.mem)
		r.mem = nil
	}
	if r.fd >= 0 {
		_ = unix.Close(r.fd)
	}
	if r.tx != nil {
		r.tx.close()
	}
	r.wait.close()
}
