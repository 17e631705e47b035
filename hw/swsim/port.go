package swsim

import (
	"sync"
	"sync/atomic"
)

// Batch is how many frames are read at once at most.
const Batch = 64

// Port is where a switch gets frames and where it puts them. Read is called by
// one goroutine; every other method by any number at a time.
type Port interface {
	// Read fills batch and returns how many frames: at least one, or an error.
	// It blocks; a port without link just waits. The frames' memory is lent
	// until the next Read, and the switch writes to it, headroom included.
	// After Close the error is net.ErrClosed.
	Read(batch []Frame) (int, error)

	// Write sends the frames and returns how many of them it could. It keeps
	// none of their memory, changes nothing in it, and never waits for room.
	Write(batch []Frame) (sent int)

	// Up reports whether frames can pass.
	Up() bool

	// Lost returns how many frames were lost since the beginning before Read
	// could return them: those that were malformed, and those for which there
	// was no room.
	Lost() (malformed, overrun uint64)

	// Close ends a Read that is waiting.
	Close() error
}

// NamedPort is a port with the name that it has in VLANs and counters.
type NamedPort struct {
	Name string
	Port
}

// port is a port of a switch.
type port struct {
	NamedPort
	number int
	failed atomic.Bool // cannot be read any more

	// busy is held while a batch that came in here is worked on. Whoever has
	// changed the tables takes it once: what was decided by the former ones is
	// then through.
	busy  sync.Mutex
	batch [Batch]Frame
	what  [Batch]verdict
	out   [Batch]Frame // what leaves by one port

	count   counters
	refused [reasons]atomic.Uint64
}

// counters of a port. Bytes are those of whole frames, without checksum.
type counters struct {
	rxFrames, rxBytes atomic.Uint64
	txFrames, txBytes atomic.Uint64
	txDropped         atomic.Uint64
}

// sum adds up what passes at once, so that the counters are touched once.
type sum struct{ frames, bytes uint64 }

func (s *sum) add(f *Frame) {
	s.frames++
	s.bytes += uint64(f.Len())
}

func (p *port) received(s sum) {
	p.count.rxFrames.Add(s.frames)
	p.count.rxBytes.Add(s.bytes)
}

// send writes frames and counts them. Which of them were not sent a port does
// not tell; the bytes are those of the first ones.
func (p *port) send(batch []Frame) {
	n := p.Write(batch)
	var s sum
	for k := range batch[:n] {
		s.add(&batch[k])
	}
	p.count.txFrames.Add(s.frames)
	p.count.txBytes.Add(s.bytes)
	if lost := len(batch) - n; lost > 0 {
		p.count.txDropped.Add(uint64(lost))
	}
}

// up reports whether the port has link and can be read.
func (p *port) up() bool { return !p.failed.Load() && p.Up() }

// settle returns when no batch that came in here is worked on that was there
// when it was called.
func (p *port) settle() {
	p.busy.Lock()
	defer p.busy.Unlock()
}

// letGo drops what refers to memory of the device: it may be unmapped by now.
func (p *port) letGo() {
	clear(p.batch[:])
	clear(p.out[:])
}
