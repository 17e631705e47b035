package flow

import (
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// The numbers of a Numbered flow: what its sender sent and acknowledged, as far
// as the fast path saw it. Whoever keeps the connection needs them to end it
// with a RST that the receivers believe (rule VR17).

// numbersWord packs both numbers, so that one exchange moves them together.
func numbersWord(end, ack uint32) uint64 { return uint64(end)<<32 | uint64(ack) }

// numbers are the slot's, or not ok and 0 if its flow is not Numbered.
func (s *slot) numbers() (ok bool, end, ack uint32) {
	if s.w1.Load()&numbered == 0 {
		return false, 0, 0
	}
	n := s.num.Load()
	return true, uint32(n >> 32), uint32(n)
}

// advance moves the numbers forward, never back, in serial arithmetic (RFC 9293
// section 3.4): a retransmission or a segment that was overtaken changes
// nothing. Any number of goroutines may do so at once.
func (s *slot) advance(end, ack uint32) {
	for {
		was := s.num.Load()
		to := numbersWord(later(uint32(was>>32), end), later(uint32(was), ack))
		if to == was || s.num.CompareAndSwap(was, to) {
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
