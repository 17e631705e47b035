package lsn

import (
	"testing"

	"pgregory.net/rapid"
)

// check holds an index against itself: every entry is found under its hash, in
// the page that its upper bits say, and no page is crowded.
func (x *index) check(t tester) {
	t.Helper()
	n := 0
	var last *page
	for i, p := range x.dir {
		if p == last {
			continue
		}
		last = p
		used := 0
		for _, e := range p.entries {
			if e.ref == 0 {
				continue
			}
			used++
			if x.page(e.hash) != p || !x.holds(e.hash, e.ref) {
				t.Fatalf("entry %x of page %d is not found", e, i)
			}
		}
		if used != p.used || used*16 > len(p.entries)*13 {
			t.Fatalf("page %d: %d entries counted, %d there, of %d", i, p.used, used, len(p.entries))
		}
		n += used
	}
	if n != x.n || x.dir != nil && len(x.dir) != 1<<x.depth {
		t.Fatalf("%d entries counted, %d there; %d places, depth %d", x.n, n, len(x.dir), x.depth)
	}
}

func (x *index) holds(hash, ref uint32) bool {
	for p := x.probe(hash); ; {
		switch got := p.next(); got {
		case 0:
			return false
		case ref:
			return true
		}
	}
}

func TestIndexIsLikeASetOfPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index
		have := map[entry]bool{}
		// Narrow masks make hashes meet: in their upper bits, their lower ones or
		// altogether.
		mask := rapid.SampledFrom([]uint32{1<<32 - 1, 0xff000000, 0xffff, 0xf000000f, 0}).Draw(t, "mask")
		spreadOut := func(ref uint32) uint32 { return mix(ref) & mask }
		next := uint32(1)
		for _, n := range rapid.SliceOfN(rapid.IntRange(-600, 900), 1, 6).Draw(t, "steps") {
			for ; n > 0; n-- {
				x.add(spreadOut(next), next)
				have[entry{spreadOut(next), next}] = true
				next++
			}
			for e := range have {
				if n >= 0 {
					break
				}
				n++
				if !x.remove(e.hash, e.ref) || x.remove(e.hash, e.ref) {
					t.Fatalf("%x: not removed once", e)
				}
				delete(have, e)
			}
		}
		for e := range have {
			if !x.holds(e.hash, e.ref) {
				t.Fatalf("%x is lost", e)
			}
		}
		if x.n != len(have) {
			t.Fatalf("%d entries, want %d", x.n, len(have))
		}
		if mask == 1<<32-1 {
			x.check(t)
		}
	})
}

// A page that splits is the longest that anybody waits for an index.
func TestIndexGrowsBySmallPages(t *testing.T) {
	var x index
	places, pages := 0, 0
	for i := range uint32(300_000) {
		x.add(mix(i), i+1)
	}
	for i, p := range x.dir {
		if len(p.entries) > pageMax {
			t.Fatalf("a page of %d places", len(p.entries))
		}
		if i == 0 || p != x.dir[i-1] {
			pages++
			places += len(p.entries)
		}
	}
	x.check(t)
	if load := float64(x.n) / float64(places); load < 0.6 {
		t.Errorf("load %.2f in %d pages", load, pages)
	}
	if len(x.dir) > 8*pages {
		t.Errorf("%d places in the directory for %d pages", len(x.dir), pages)
	}
}
