package link

import (
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// RingConfig says how a kernel port is read and written through AF_PACKET.
type RingConfig struct {
	Device string    // the kernel's name of the port, in the caller's network namespace
	MAC    frame.MAC // the router's address on it; zero: the device's own

	// Threads is how many lanes the port has (see Laned), each with a ring of
	// its own: 1 to ringThreads, 0 for one for each processor that the process
	// may use.
	Threads int

	BlockSize int // bytes, a power of two of at least a page; 0: ringBlockSize
	Blocks    int // of each lane; 0: as many as make the lane's part of ringMemory

	// Retire is how long Read sleeps, once, when it finds the ring empty, so
	// that frames gather and the kernel need not wake it for each. It adds to
	// the latency of a frame that travels alone. 0: not at all.
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

// ringThreads is the greatest number of lanes of one port.
const ringThreads = 64

// A ring is the AF_PACKET driver: frames are read from rings that the kernel
// fills, one for each lane, changed there, and sent from there. Until Spread
// the first lane gets everything.
type ring struct {
	mac   frame.MAC
	mtu   int
	index int // of the device
	lanes []*ringLane

	spreading sync.Once
	notSpread error // why
}

// OpenRing opens a kernel port; the Driver is a Laned. The port should have
// been taken from the kernel before (package takeover): AF_PACKET sees copies,
// and what the kernel does with its own is not this driver's matter. It needs
// CAP_NET_RAW.
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
	if c.Threads == 0 {
		c.Threads = min(processors(), ringThreads)
	}
	if c.Threads < 1 || c.Threads > ringThreads {
		return nil, fmt.Errorf("%d threads: want 1 to %d", c.Threads, ringThreads)
	}
	if c.Snaplen == 0 {
		c.Snaplen = ifi.MTU + frame.HeaderLen + frame.TagLen
	}
	g, err := ringGeometry(c)
	if err != nil {
		return nil, err
	}
	r := &ring{mac: c.MAC, mtu: ifi.MTU, index: ifi.Index}
	if r.mac == (frame.MAC{}) {
		r.mac = own
	}
	clock := tcpip.NewStdClock()
	for range c.Threads {
		l, err := openRingLane(c, g, ifi, clock)
		if err != nil {
			_ = r.Close()
			return nil, err
		}
		r.lanes = append(r.lanes, l)
	}
	if err := r.lanes[0].receive(r.index, c.Promiscuous || r.mac != own); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// processors is how many the process may use. GOMAXPROCS may have been set to
// more than there are (see Lanes).
func processors() int { return min(runtime.GOMAXPROCS(0), runtime.NumCPU()) }

// ethernetAddress returns the device's MAC address; a device without one, such
// as a tunnel, cannot be a port.
func ethernetAddress(ifi *net.Interface) (frame.MAC, error) {
	if len(ifi.HardwareAddr) != len(frame.MAC{}) || ifi.Flags&net.FlagLoopback != 0 {
		return frame.MAC{}, fmt.Errorf("not an Ethernet device")
	}
	return frame.MAC(ifi.HardwareAddr), nil
}

// Lanes implements Laned.
func (r *ring) Lanes() []Lane {
	out := make([]Lane, len(r.lanes))
	for k, l := range r.lanes {
		out[k] = l
	}
	return out
}

// Read implements Driver: it is the first lane's.
func (r *ring) Read(batch []frame.Frame) (int, error) { return r.lanes[0].Read(batch) }

// Write implements Driver. It takes a lane whose way out is free just now, as
// those who call it have none of their own.
func (r *ring) Write(batch []frame.Frame) (int, drop.Reason) {
	for _, l := range r.lanes {
		if l.tx.mu.TryLock() {
			n, why := l.tx.send(batch)
			l.tx.mu.Unlock()
			return n, why
		}
	}
	return r.lanes[0].Write(batch)
}

// MAC implements Driver.
func (r *ring) MAC() frame.MAC { return r.mac }

// MTU implements Driver: the device's MTU when the port was opened.
func (r *ring) MTU() int { return r.mtu }

// Index is the kernel's number of the device. One that is made anew under the
// device's name is another, of which the ring hears nothing.
func (r *ring) Index() int { return r.index }

// Up implements Driver.
func (r *ring) Up() bool { return r.lanes[0].tx.up() }

// Lost implements Driver: frames for which the rings had no room.
func (r *ring) Lost() (n uint64) {
	for _, l := range r.lanes {
		n += l.kernelDrops()
	}
	return n
}

// Unfinished returns how many TCP and UDP packets came in with a checksum that
// their sender had left to its hardware. The driver has finished them; whoever
// forwards frames of this port before the driver has them cannot, and must know
// that there are such senders.
func (r *ring) Unfinished() (n uint64) {
	for _, l := range r.lanes {
		n += l.unfinished.Load()
	}
	return n
}

// Close implements Driver: every lane's Read ends.
func (r *ring) Close() error {
	for _, l := range r.lanes {
		l.gate.close(l.wait.wake, l.free)
	}
	return nil
}
