package link

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// CableConfig says how long a cable is, and who is at its ends.
type CableConfig struct {
	A, B  frame.MAC // of the ends
	MTU   int       // of IP, in bytes
	Slots int       // frames that wait at each end at most; 0: cableSlots
}

// cableSlots is as many frames as a port's ring holds of full length in half of
// its memory.
const cableSlots = 512

// A cableEnd is a Driver whose other end is one, too: what one writes, the other
// reads. Frames are copied once, into memory that is used again; tags stay in
// them, the port strips them.
type cableEnd struct {
	mac    frame.MAC
	mtu    int
	in     *pipe
	peer   *cableEnd
	closed atomic.Bool
}

// A pipe is one direction: a ring of slots between any number of writers and
// one reader. It counts nothing that grows: with 32 bits a number of all frames
// would be negative after some hours.
type pipe struct {
	mtu  int
	slot int // bytes
	mem  []byte

	mu      sync.Mutex
	ready   sync.Cond     // there is a frame, or the reader is to end
	frames  []frame.Frame // of the slots, as on the wire
	next    int           // the slot to be read next
	waiting int           // frames from there on
	lent    int           // slots before it that the reader still has
}

// NewCable returns both ends of a cable in memory, for two parts of one process
// that speak Ethernet.
func NewCable(c CableConfig) (a, b Driver, err error) {
	if c.Slots == 0 {
		c.Slots = cableSlots
	}
	if c.Slots < 1 || c.MTU < 1 {
		return nil, nil, fmt.Errorf("cable of %d frames, mtu %d: both must be at least 1", c.Slots, c.MTU)
	}
	near := &cableEnd{mac: c.A, mtu: c.MTU, in: newPipe(c)}
	far := &cableEnd{mac: c.B, mtu: c.MTU, in: newPipe(c), peer: near}
	near.peer = far
	return near, far, nil
}

func newPipe(c CableConfig) *pipe {
	p := &pipe{mtu: c.MTU, slot: 2*frame.TagLen + frame.HeaderLen + frame.TagLen + c.MTU, frames: make([]frame.Frame, c.Slots)}
	p.mem = make([]byte, c.Slots*p.slot)
	p.ready.L = &p.mu
	return p
}

// Read implements Driver.
func (e *cableEnd) Read(batch []frame.Frame) (int, error) {
	if len(batch) == 0 {
		return 0, fmt.Errorf("read of no frames")
	}
	p := e.in
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent = 0
	for p.waiting == 0 && !e.closed.Load() {
		p.ready.Wait()
	}
	if e.closed.Load() {
		return 0, net.ErrClosed
	}
	return p.take(batch), nil
}

// take lends what waits.
func (p *pipe) take(batch []frame.Frame) int {
	n := min(len(batch), p.waiting)
	for k := range batch[:n] {
		batch[k] = p.frames[(p.next+k)%len(p.frames)]
	}
	p.next, p.waiting, p.lent = (p.next+n)%len(p.frames), p.waiting-n, n
	return n
}

// Write implements Driver.
func (e *cableEnd) Write(batch []frame.Frame) (int, drop.Reason) {
	if !e.Up() {
		return 0, drop.PortDown
	}
	p := e.peer.in
	p.mu.Lock()
	defer p.mu.Unlock()
	sent, why := 0, drop.None
	for k := range batch {
		if r := p.put(&batch[k]); r != drop.None {
			why = r
			continue
		}
		toFront(batch, sent, k)
		sent++
	}
	if sent > 0 {
		p.ready.Signal()
	}
	return sent, why
}

// put copies a frame into a slot, with room before it for its tag and for one
// that the reader may put in its place.
func (p *pipe) put(f *frame.Frame) drop.Reason {
	if tooBig(f, p.mtu) {
		return drop.FrameTooBig
	}
	if f.Len() < frame.HeaderLen || p.waiting+p.lent == len(p.frames) {
		return drop.TxRefused
	}
	n := (p.next + p.waiting) % len(p.frames)
	mem := p.mem[n*p.slot : (n+1)*p.slot]
	end := 2*frame.TagLen + copy(mem[2*frame.TagLen:], f.Bytes())
	p.frames[n] = frame.New(mem, 2*frame.TagLen, end, f.VLAN)
	p.frames[n].PushTag()
	p.waiting++
	return drop.None
}

// MAC implements Driver.
func (e *cableEnd) MAC() frame.MAC { return e.mac }

// MTU implements Driver.
func (e *cableEnd) MTU() int { return e.mtu }

// Up implements Driver: a cable with one end has no link.
func (e *cableEnd) Up() bool { return !e.closed.Load() && !e.peer.closed.Load() }

// Lost implements Driver: a full cable refuses the writer, so nothing is lost
// here.
func (e *cableEnd) Lost() uint64 { return 0 }

// Close implements Driver.
func (e *cableEnd) Close() error {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	e.closed.Store(true)
	e.in.ready.Broadcast()
	return nil
}
