package flow

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// The numbers of a Numbered flow: what its sender sent and acknowledged, as far
// as the fast path saw it. Whoever keeps the connection needs them to end it
// with a RST that the receivers believe (rule VR17).

// numbers is what a Numbered flow's packets read and write beside its entry,
// whose value is the number of this.
type numbers struct {
	rewrite atomic.Uint64 // what the value of other flows' entries is
	word    atomic.Uint64 // End and Ack
}

// numbersWord packs both numbers, so that one exchange moves them together.
func numbersWord(end, ack uint32) uint64 { return uint64(end)<<32 | uint64(ack) }

func (n *numbers) get() (end, ack uint32) {
	w := n.word.Load()
	return uint32(w >> 32), uint32(w)
}

// advance moves the numbers forward, never back, in serial arithmetic (RFC 9293
// section 3.4): a retransmission or a segment that was overtaken changes
// nothing. Any number of goroutines may do so at once.
func (n *numbers) advance(end, ack uint32) {
	for {
		was := n.word.Load()
		to := numbersWord(later(uint32(was>>32), end), later(uint32(was), ack))
		if to == was || n.word.CompareAndSwap(was, to) {
			return
		}
	}
}

// later returns which of two sequence numbers is further on.
func later(a, b uint32) uint32 {
	if int32(b-a) > 0 {
		return b
	}
	return a
}

// numbersOf reads the numbers of a TCP segment of at least a header's length.
// It is not ok without ACK, or if the header's length cannot be.
func numbersOf(t []byte) (end, ack uint32, ok bool) {
	tcp := header.TCP(t)
	offset := int(tcp.DataOffset())
	if tcp.Flags()&header.TCPFlagAck == 0 || offset < header.TCPMinimumSize || offset > len(t) {
		return 0, 0, false
	}
	return tcp.SequenceNumber() + uint32(len(t)-offset), tcp.AckNumber(), true
}

// numbersChunk is how many numbers are made at a time.
const numbersChunk = 1024

// numbersPool holds the numbers of a table. Readers call at, writers the rest
// under Table.mu.
type numbersPool struct {
	chunks []atomic.Pointer[[numbersChunk]numbers]
	unused uint32 // list of what nobody uses, through rewrite; 0 ends it
	fresh  uint32 // from here on they were never used; 0 is nobody's
}

// newNumbersPool makes a pool of so many at most.
func newNumbersPool(most int) numbersPool {
	chunks := make([]atomic.Pointer[[numbersChunk]numbers], most/numbersChunk+1)
	return numbersPool{chunks: chunks, fresh: 1}
}

// at returns numbers that were taken, or nil for what never was one.
func (p *numbersPool) at(i uint32) *numbers {
	if int(i/numbersChunk) >= len(p.chunks) {
		return nil
	}
	c := p.chunks[i/numbersChunk].Load()
	if c == nil {
		return nil
	}
	return &c[i%numbersChunk]
}

// take returns numbers that nobody uses; not ok if there are none left.
func (p *numbersPool) take() (i uint32, ok bool) {
	if i = p.unused; i != 0 {
		p.unused = uint32(p.at(i).rewrite.Load())
		return i, true
	}
	if int(p.fresh) == len(p.chunks)*numbersChunk {
		return 0, false
	}
	if c := &p.chunks[p.fresh/numbersChunk]; c.Load() == nil {
		c.Store(new([numbersChunk]numbers))
	}
	p.fresh++
	return p.fresh - 1, true
}

// free gives numbers back. No packet may be under way to them.
func (p *numbersPool) free(i uint32) {
	p.at(i).rewrite.Store(uint64(p.unused))
	p.unused = i
}
