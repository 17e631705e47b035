package ipsec

import (
	"math/bits"
	"slices"

	"spigate/netstack/frame"
)

// index finds the first of many pairs that covers a flow. It cuts the
// addresses of each side into ranges in which the same pairs fit and has a bit
// for each pair in each of them: two binary searches, and the lowest bit that
// both have is the first candidate. It does not change once it is built.
type index struct {
	local, remote cuts
	pairs         []Pair
}

type cuts struct {
	starts []uint32 // first address of each range; the first one is 0
	sets   []uint64 // words bits for each range
	words  int
}

// newIndex makes an index of pairs in the order in which they are asked.
func newIndex(pairs []Pair) *index {
	x := &index{pairs: pairs}
	x.local.build(len(pairs), func(i int) *Range { return &pairs[i].Local })
	x.remote.build(len(pairs), func(i int) *Range { return &pairs[i].Remote })
	return x
}

func (c *cuts) build(n int, side func(i int) *Range) {
	c.words, c.starts = (n+63)/64, []uint32{0}
	for i := range n {
		r := side(i)
		c.starts = append(c.starts, number(r.First))
		if last := number(r.Last); last != ^uint32(0) {
			c.starts = append(c.starts, last+1)
		}
	}
	slices.Sort(c.starts)
	c.starts = slices.Compact(c.starts)
	c.sets = make([]uint64, len(c.starts)*c.words)
	for i := range n {
		r := side(i)
		from, _ := slices.BinarySearch(c.starts, number(r.First))
		for at := from; at < len(c.starts) && c.starts[at] <= number(r.Last); at++ {
			c.sets[at*c.words+i/64] |= 1 << (i % 64)
		}
	}
}

// row is the set of pairs that fit an address.
func (c *cuts) row(a frame.Addr) []uint64 {
	at, low, high := number(a), 0, len(c.starts)
	for high-low > 1 {
		if mid := int(uint(low+high) / 2); c.starts[mid] <= at {
			low = mid
		} else {
			high = mid
		}
	}
	return c.sets[low*c.words : (low+1)*c.words]
}

// find returns the place of the first pair that covers f, -1 if none does.
func (x *index) find(f Flow) int {
	if len(x.pairs) == 0 {
		return -1
	}
	local, remote := x.local.row(f.Src), x.remote.row(f.Dst)
	for w := range local {
		for m := local[w] & remote[w]; m != 0; m &= m - 1 {
			if i := w*64 + bits.TrailingZeros64(m); x.pairs[i].Covers(f) {
				return i
			}
		}
	}
	return -1
}
