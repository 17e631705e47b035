package ipsec

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// naiveWindow remembers everything.
type naiveWindow struct {
	size, top uint64
	seen      map[uint64]bool
}

func (n *naiveWindow) fresh(number uint64) bool {
	return number != 0 && !n.seen[number] && (number > n.top || n.top-number < n.size)
}

// guess is the full number of a packet as the receiver must understand it (RFC
// 4303 appendix A2.2): of all numbers with this lower half the one that lies in
// the window, or else the next one after it. In the first 2^32 what would lie in
// the window before number 0 is nobody's.
func (n *naiveWindow) guess(low uint32) (uint64, bool) {
	bottom := int64(n.top) - int64(n.size) + 1
	for hi := int64(n.top>>32) - 1; ; hi++ {
		if number := hi<<32 | int64(low); number >= bottom {
			return uint64(number), number >= 0
		}
	}
}

func TestTheWindowAgreesWithOneThatRemembersEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{1, 2, 31, 32, 63, 64, 65, 100, 128, 1000, 4096}).Draw(t, "size")
		esn := rapid.Bool().Draw(t, "esn")
		start := rapid.SampledFrom([]uint64{0, 0, 0, 5, 1<<32 - 70, 1<<32 - 1, 1 << 32, 3<<32 + 20, 7<<32 - 4000, 1 << 40}).Draw(t, "start")
		if !esn {
			start &= math.MaxUint32
		}
		w, n := newWindow(size, esn), naiveWindow{size: uint64(size), top: start, seen: map[uint64]bool{}}
		w.top.Store(start)
		for range rapid.IntRange(1, 300).Draw(t, "packets") {
			step := rapid.OneOf(
				rapid.Int64Range(-3, 3), rapid.Int64Range(-int64(size)-70, int64(size)+70),
				rapid.Int64Range(-9000, 9000), rapid.Int64Range(-1<<31+5000, 1<<31-5000)).Draw(t, "step")
			number := n.top + uint64(step)
			if int64(number) < 0 {
				number = 0
			}
			if !esn {
				number &= math.MaxUint32
			}
			got, fresh := w.check(uint32(number))
			if esn {
				want, sane := n.guess(uint32(number))
				if sane && got != want {
					t.Fatalf("top %#x: %#x is taken for %#x, want %#x", n.top, uint32(number), got, want)
				}
				if !sane && fresh {
					t.Fatalf("top %#x: %#x is before the first number", n.top, uint32(number))
				}
				number = want
				if !sane {
					continue
				}
			}
			if want := n.fresh(number); fresh != want {
				t.Fatalf("top %#x size %d: %#x is fresh %v, want %v", n.top, size, number, fresh, want)
			}
			if rapid.IntRange(0, 9).Draw(t, "forged") == 0 {
				continue // not authentic: nothing may have changed
			}
			accepted, newest := w.accept(number)
			if accepted != fresh {
				t.Fatalf("accepted %v, checked %v", accepted, fresh)
			}
			if want := fresh && number > n.top; newest != want {
				t.Fatalf("top %#x: %#x is the newest: %v, want %v", n.top, number, newest, want)
			}
			if fresh {
				n.seen[number], n.top = true, max(n.top, number)
			}
			if w.highest() != n.top {
				t.Fatalf("top is %#x, want %#x", w.highest(), n.top)
			}
		}
	})
}

func TestNumbersGoRoundTheLowerHalf(t *testing.T) {
	w := newWindow(64, true)
	w.top.Store(1<<32 - 3)
	for _, c := range []struct {
		low    uint32
		number uint64
		fresh  bool
	}{
		{math.MaxUint32, 1<<32 - 1, true},
		{0, 1 << 32, true},
		{5, 1<<32 + 5, true},
		{math.MaxUint32 - 1, 1<<32 - 2, true}, // from before, and still in the window
		{math.MaxUint32, 1<<32 - 1, false},
		{5, 1<<32 + 5, false},
		{70, 1<<32 + 70, true},
		{5, 2<<32 + 5, true}, // too old for the window: it can only be of the next round
	} {
		number, fresh := w.check(c.low)
		if number != c.number || fresh != c.fresh {
			t.Errorf("%#x is %#x %v, want %#x %v", c.low, number, fresh, c.number, c.fresh)
		}
		if c.number < 2<<32 && fresh {
			w.accept(number)
		}
	}
}

func TestTheFirstPacketsOfAnExtendedSAAreNotFromBeforeTheBeginning(t *testing.T) {
	w := newWindow(64, true)
	if _, fresh := w.check(math.MaxUint32 - 5); fresh {
		t.Error("a number before 0 is fresh")
	}
	if number, fresh := w.check(1); number != 1 || !fresh {
		t.Errorf("the first packet: %d %v", number, fresh)
	}
	if _, fresh := w.check(0); fresh {
		t.Error("0 is no sender's number")
	}
	w.top.Store(math.MaxUint64 - 10)
	if _, fresh := w.check(5); fresh {
		t.Error("there is no number after the last one")
	}
}

func TestOfTwoCopiesOneIsAccepted(t *testing.T) {
	w := newWindow(64, false)
	a, one := w.check(9)
	b, two := w.check(9)
	first, newest := w.accept(a)
	second, again := w.accept(b)
	if !one || !two || !first || !newest || second || again {
		t.Error("both were opened at the same time: exactly one counts")
	}
}
