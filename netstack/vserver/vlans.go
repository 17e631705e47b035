package vserver

import (
	"math/bits"

	"spigate/netstack/frame"
)

// vlanSet is a set of interfaces, one bit for each.
type vlanSet [4]uint64

func (v VLANs) set() (s vlanSet) {
	for _, i := range v.List {
		s[i/64] |= 1 << (i % 64)
	}
	if !v.Enabled {
		for i := range s {
			s[i] = ^s[i]
		}
	}
	return s
}

// listed tells a listener of named VLANs from one of all (VR7, step 5).
func (v VLANs) listed() bool { return v.Enabled || len(v.List) > 0 }

func (s *vlanSet) has(i frame.Interface) bool { return s[i/64]>>(i%64)&1 != 0 }

func (s *vlanSet) overlaps(o *vlanSet) bool {
	return s[0]&o[0]|s[1]&o[1]|s[2]&o[2]|s[3]&o[3] != 0
}

func (s *vlanSet) add(o *vlanSet) {
	for i := range s {
		s[i] |= o[i]
	}
}

// members lists the set in order of numbers.
func (s *vlanSet) members() (out []frame.Interface) {
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			out = append(out, frame.Interface(i*64+bits.TrailingZeros64(w)))
		}
	}
	return out
}
