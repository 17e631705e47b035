package link

import (
	"net"
	"sync"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// memoryQueue is how many frames wait on one side of a pair before writes to
// it are refused.
const memoryQueue = 1024

// Memory is one end of a cable that exists in memory only: what it writes, the
// other end reads. It is a Driver for tests.
type Memory struct {
	mac   frame.MAC
	mtu   int
	cable *cable
	peer  *Memory

	// Guarded by cable.mu.
	queue  []frame.Frame // as on the wire, tags in place
	sent   uint64
	down   bool
	closed bool
}

// cable is what the two ends share.
type cable struct {
	mu     sync.Mutex
	change *sync.Cond // a frame was written, an end went up or was closed
}

var _ Driver = (*Memory)(nil)

// NewPair returns two drivers back to back. mtu is that of IP.
func NewPair(macA, macB frame.MAC, mtu int) (*Memory, *Memory) {
	c := new(cable)
	c.change = sync.NewCond(&c.mu)
	a := &Memory{mac: macA, mtu: mtu, cable: c}
	b := &Memory{mac: macB, mtu: mtu, cable: c, peer: a}
	a.peer = b
	return a, b
}

// Read implements Driver. Frames come with their tag taken out into VLAN.
func (m *Memory) Read(batch []frame.Frame) (int, error) {
	m.cable.mu.Lock()
	defer m.cable.mu.Unlock()
	for !m.closed && (m.down || len(m.queue) == 0) {
		m.cable.change.Wait()
	}
	if m.closed {
		return 0, net.ErrClosed
	}
	return m.take(batch), nil
}

// TryRead is Read without the waiting: it returns 0 if there is nothing. It is
// for tests without goroutines.
func (m *Memory) TryRead(batch []frame.Frame) int {
	m.cable.mu.Lock()
	defer m.cable.mu.Unlock()
	if m.closed || m.down {
		return 0
	}
	return m.take(batch)
}

func (m *Memory) take(batch []frame.Frame) int {
	n := copy(batch, m.queue)
	m.queue = m.queue[n:]
	for k := range batch[:n] {
		batch[k].StripTag()
	}
	return n
}

// Drain returns a copy of the frames that wait to be read on this side, as they
// are on the wire (tags in place), and takes them off. It works in every state
// of the port.
func (m *Memory) Drain() [][]byte {
	m.cable.mu.Lock()
	defer m.cable.mu.Unlock()
	var out [][]byte
	for k := range m.queue {
		out = append(out, m.queue[k].Bytes())
	}
	m.queue = nil
	return out
}

// Sent returns how many frames this side has written.
func (m *Memory) Sent() uint64 {
	m.cable.mu.Lock()
	defer m.cable.mu.Unlock()
	return m.sent
}

// Write implements Driver. The frames are copied.
func (m *Memory) Write(batch []frame.Frame) (int, drop.Reason) {
	m.cable.mu.Lock()
	defer m.cable.mu.Unlock()
	if !m.up() {
		return 0, drop.PortDown
	}
	for k := range batch {
		if why := m.put(&batch[k]); why != drop.None {
			return k, why
		}
		m.sent++
		m.cable.change.Broadcast()
	}
	return len(batch), drop.None
}

func (m *Memory) put(f *frame.Frame) drop.Reason {
	if tooBig(f, m.mtu) {
		return drop.FrameTooBig
	}
	if len(m.peer.queue) >= memoryQueue {
		return drop.TxRefused
	}
	// Room for this tag, and for one that the reader may put in its place.
	mem := make([]byte, 2*frame.TagLen+f.Len())
	copy(mem[2*frame.TagLen:], f.Bytes())
	c := frame.New(mem, 2*frame.TagLen, len(mem), f.VLAN)
	if !c.PushTag() {
		return drop.TxRefused
	}
	m.peer.queue = append(m.peer.queue, c)
	return drop.None
}

// tooBig reports whether f is longer than a port with this MTU can send. A
// tag, in place or in VLAN, does not count.
func tooBig(f *frame.Frame, mtu int) bool {
	n := frame.HeaderLen + mtu
	if f.Len() >= frame.HeaderLen && f.EtherType() == frame.TypeVLAN {
		n += frame.TagLen
	}
	return f.Len() > n
}

// SetUp sets the port administratively up or down. While one end is down no
// frame passes in either direction; those that wait to be read stay.
func (m *Memory) SetUp(up bool) {
	m.cable.mu.Lock()
	defer m.cable.mu.Unlock()
	m.down = !up
	m.cable.change.Broadcast()
}

// up reports whether the cable carries frames.
func (m *Memory) up() bool {
	return !m.down && !m.closed && !m.peer.down && !m.peer.closed
}

// MAC implements Driver.
func (m *Memory) MAC() frame.MAC { return m.mac }

// MTU implements Driver.
func (m *Memory) MTU() int { return m.mtu }

// Up implements Driver.
func (m *Memory) Up() bool {
	m.cable.mu.Lock()
	defer m.cable.mu.Unlock()
	return m.up()
}

// Lost implements Driver: a full queue refuses the writer, so nothing is lost
// here.
func (m *Memory) Lost() uint64 { return 0 }

// Close implements Driver.
func (m *Memory) Close() error {
	m.cable.mu.Lock()
	defer m.cable.mu.Unlock()
	m.closed = true
	m.cable.change.Broadcast()
	return nil
}
