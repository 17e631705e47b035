package vserver

import (
	"cmp"
	"encoding/binary"
	"net/netip"

	"spigate/netstack/frame"
)

// nest finds the prefixes that contain an address, longest first. It cuts the
// addresses into ranges in which the answer is the same: one binary search
// finds the range and with it the longest prefix, and each prefix knows the
// next longer one around it. It does not change once it is built.
type nest struct {
	starts []uint32 // first address of each range; the first one is 0
	inner  []int32  // the longest prefix of each range; -1: none
	outer  []int32  // for each prefix the longest one around it; -1: none
	bits   []uint8  // the length of each prefix
}

func number(a frame.Addr) uint32 { return binary.BigEndian.Uint32(a[:]) }

// network is a masked prefix as a pair of numbers.
type network struct {
	first uint32
	bits  uint8
}

// networkOf is a masked IPv4 prefix.
func networkOf(p netip.Prefix) network {
	return network{number(frame.Addr(p.Addr().As4())), uint8(p.Bits())}
}

// mask has a bit for each one that the network fixes.
func (n network) mask() uint32 { return ^uint32(uint64(1)<<(32-n.bits) - 1) }

func (n network) last() uint32 { return n.first | ^n.mask() }

// byNetwork orders networks so that each stands behind those around it.
func byNetwork(a, b network) int {
	if a.first != b.first {
		return cmp.Compare(a.first, b.first)
	}
	return cmp.Compare(a.bits, b.bits)
}

// newNest builds a nest of networks that are sorted byNetwork and all
// different. They are named by their places.
func newNest(ps []network) nest {
	n := nest{
		starts: make([]uint32, 1, 2*len(ps)+1), inner: make([]int32, 1, 2*len(ps)+1),
		outer: make([]int32, len(ps)), bits: make([]uint8, len(ps)),
	}
	n.inner[0] = -1
	var open []int32 // the networks around where we are
	top := func() int32 {
		if len(open) == 0 {
			return -1
		}
		return open[len(open)-1]
	}
	closeBefore := func(at uint64) {
		for len(open) > 0 && uint64(ps[top()].last()) < at {
			end := ps[top()].last()
			open = open[:len(open)-1]
			if end != ^uint32(0) {
				n.cut(end+1, top())
			}
		}
	}
	for i, p := range ps {
		closeBefore(uint64(p.first))
		n.outer[i], n.bits[i] = top(), p.bits
		open = append(open, int32(i))
		n.cut(p.first, int32(i))
	}
	closeBefore(1 << 32)
	return n
}

// cut begins a range. One that begins where the last one did replaces it.
func (n *nest) cut(start uint32, inner int32) {
	if end := len(n.starts) - 1; n.starts[end] == start {
		n.inner[end] = inner
		return
	}
	n.starts, n.inner = append(n.starts, start), append(n.inner, inner)
}

// find returns the longest prefix that contains a, -1 if none does.
func (n *nest) find(a frame.Addr) int32 {
	at, low, high := number(a), 0, len(n.starts)
	for high-low > 1 {
		if mid := int(uint(low+high) / 2); n.starts[mid] <= at {
			low = mid
		} else {
			high = mid
		}
	}
	if high == 0 {
		return -1
	}
	return n.inner[low]
}
