package ipsec

import (
	"sync"
	"sync/atomic"
)

// DefaultWindow is the anti-replay window of SAs that name none (VR33).
const DefaultWindow = 64

// MaxWindow is the widest one.
const MaxWindow = 4096

// window tells new packets from replayed ones (RFC 4303 section 3.4.3): which
// of the last size numbers were seen. It is a ring of words that slides without
// shifting bits (the way of RFC 6479), and it knows numbers of 64 bits of which
// packets carry the lower half only (RFC 4303 appendix A2).
//
// A packet asks twice: check before it is authenticated, which tells the full
// number and changes nothing, and accept after. Only authentic packets move the
// window, and of two copies that are opened at the same time one is accepted.
type window struct {
	size uint64 // 0: everything is new
	esn  bool

	top atomic.Uint64 // the highest number that was accepted; it changes under mu

	mu   sync.Mutex
	ring []uint64 // one word more than the window fills
}

func newWindow(size int, esn bool) *window {
	return &window{size: uint64(size), esn: esn, ring: make([]uint64, (size+63)/64+1)}
}

// check tells the full number of a packet, and whether it is new. What is ahead
// of the window, as packets in order are, is seen without the lock.
func (w *window) check(low uint32) (number uint64, fresh bool) {
	if w.size == 0 {
		return uint64(low), true
	}
	top := w.top.Load()
	number, ok := w.extend(low, top)
	if !ok || number > top {
		return number, ok
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return number, w.fresh(number)
}

// accept enters the number of an authentic packet. fresh is false if it is no
// longer new, and newest true if it is higher than all before: without a window
// nobody knows.
func (w *window) accept(number uint64) (fresh, newest bool) {
	if w.size == 0 {
		return true, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.fresh(number) {
		return false, false
	}
	words, top := uint64(len(w.ring)), w.top.Load()
	if newest = number > top; newest {
		from, to := top/64+1, number/64
		if to-from >= words && to >= from {
			from = to - words + 1
		}
		for at := from; at <= to; at++ {
			w.ring[at%words] = 0
		}
		w.top.Store(number)
	}
	w.ring[number/64%words] |= 1 << (number % 64)
	return true, newest
}

// fresh: the sender's first number is 1 (RFC 4303 section 2.2), 0 is nobody's.
func (w *window) fresh(number uint64) bool {
	top := w.top.Load()
	switch {
	case number == 0:
		return false
	case number > top:
		return true
	case top-number >= w.size:
		return false
	}
	return w.ring[number/64%uint64(len(w.ring))]&(1<<(number%64)) == 0
}

// extend finds the upper half of a number (RFC 4303 appendix A2.2): numbers
// behind the window belong to the next 2^32, unless the window itself reaches
// back into the last. It is false for what would be before the first number or
// after the last.
func (w *window) extend(low uint32, top uint64) (number uint64, ok bool) {
	if !w.esn {
		return uint64(low), true
	}
	hi, bottom := uint32(top>>32), uint32(top)-uint32(w.size-1)
	within := uint64(uint32(top)) >= w.size-1 // the window is in one 2^32
	switch {
	case within && low < bottom:
		hi++
		ok = hi != 0
	case !within && low >= bottom:
		ok = hi != 0
		hi--
	default:
		ok = true
	}
	return uint64(hi)<<32 | uint64(low), ok
}

// highest is the highest number that was accepted.
func (w *window) highest() uint64 { return w.top.Load() }
