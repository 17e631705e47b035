package flashtest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"spigate/board/flash"
)

// Point is where the power was cut.
type Point struct {
	Call    int  // the number of the call that did not happen any more
	Done    bool // everything had returned before
	Err     error
	Outcome int // which of those that are possible
}

// String returns it for messages.
func (p Point) String() string {
	if p.Done {
		return fmt.Sprintf("power cut at the end (error: %v), outcome %d", p.Err, p.Outcome)
	}
	return fmt.Sprintf("power cut before call %d, outcome %d", p.Call, p.Outcome)
}

// Crashes runs do on copies of a disk and cuts the power before each of its
// calls in turn, and after the last. For each it calls check with every disk
// that this may leave, until check returns false. It returns the numbers of
// points and of outcomes.
func Crashes(start *Disk, do func(fsys flash.FS) error, check func(after *Disk, at Point) bool) (points, outcomes int) {
	for cut := 1; ; cut++ {
		d := start.Copy()
		d.cut = cut
		err := do(d)
		at := Point{Call: cut, Done: d.Calls < cut, Err: err}
		points++
		for after := range d.outcomes() {
			at.Outcome++
			outcomes++
			if !check(after, at) {
				return points, outcomes
			}
		}
		if at.Done {
			return points, outcomes
		}
	}
}

// Failures runs do on copies of a disk, where the first call fails with err, and
// all after it if lasting; then the second, and so on, and calls check with what
// is left. It returns the number of calls.
func Failures(start *Disk, err error, lasting bool, do func(fsys flash.FS) error, check func(after *Disk, call int, err error) bool) int {
	for bad := 1; ; bad++ {
		d := start.Copy()
		d.Fail = func(call int, _ string) error {
			if call == bad || lasting && call > bad {
				return err
			}
			return nil
		}
		got := do(d)
		calls := d.Calls
		d.Fail = nil
		if calls < bad || !check(d, bad, got) {
			return bad
		}
	}
}

// Cut returns one of the disks that a power cut now may leave: the one that
// choose picks of n.
func (d *Disk) Cut(choose func(n int) int) *Disk {
	all := slices.Collect(d.outcomes())
	return all[choose(len(all))]
}

// outcomes are all disks that a power cut may leave.
func (d *Disk) outcomes() func(yield func(*Disk) bool) {
	return func(yield func(*Disk) bool) {
		for _, names := range d.namings() {
			if !d.fill(names, yield) {
				return
			}
		}
	}
}

// namings are the directories that may be on the flash: each change of names may
// have come there or not, whatever the others did, and a rename may have come
// without the old name's end.
func (d *Disk) namings() []map[string]*node {
	all := []map[string]*node{d.kept}
	for _, c := range d.pending {
		variants := []change{c}
		if c.gone != "" && c.name != "" {
			variants = append(variants, change{"", c.name, c.node})
		}
		for _, v := range variants {
			all = with(all, v)
		}
	}
	return all
}

// with adds what a change makes of each.
func with(all []map[string]*node, c change) []map[string]*node {
	for _, before := range slices.Clone(all) {
		names := maps.Clone(before)
		c.apply(names)
		if !known(all, names) {
			all = append(all, names)
		}
	}
	return all
}

func known(all []map[string]*node, names map[string]*node) bool {
	return slices.ContainsFunc(all, func(other map[string]*node) bool { return maps.Equal(other, names) })
}

// fill yields disks with these names and every content that their files may have.
func (d *Disk) fill(names map[string]*node, yield func(*Disk) bool) bool {
	paths := slices.Sorted(maps.Keys(names))
	contents := make([][][]byte, len(paths))
	for i, path := range paths {
		contents[i] = names[path].contents()
	}
	pick := make([]int, len(paths))
	for {
		after := &Disk{Capacity: d.Capacity, names: map[string]*node{}, kept: map[string]*node{}, dirs: maps.Clone(d.dirs)}
		for i, path := range paths {
			after.Put(path, contents[i][pick[i]])
		}
		if !yield(after) {
			return false
		}
		i := 0
		for ; i < len(pick); i++ {
			if pick[i]++; pick[i] < len(contents[i]) {
				break
			}
			pick[i] = 0
		}
		if i == len(pick) {
			return true
		}
	}
}

// sector is what flash and disks write at once.
const sector = 512

// contents are all that a file may have on the flash.
func (n *node) contents() [][]byte {
	all := [][]byte{n.kept}
	if bytes.Equal(n.kept, n.now) {
		return all
	}
	size := len(n.now)
	half := size / 2
	if size > 2*sector {
		half = half / sector * sector
	}
	zeros := make([]byte, size)
	old := append(slices.Clone(n.kept), zeros...)[:size]
	for _, one := range [][]byte{
		n.now,
		zeros,
		n.now[:half], // cut short
		slices.Concat(n.now[:half], zeros[half:]), // torn: only the first sectors
		slices.Concat(zeros[:half], n.now[half:]), // only the last
		slices.Concat(n.now[:half], old[half:]),   // the first, over what was there
		n.now[:max(0, size-1)],
	} {
		if !slices.ContainsFunc(all, func(other []byte) bool { return bytes.Equal(other, one) }) {
			all = append(all, one)
		}
	}
	return all
}
