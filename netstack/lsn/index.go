package lsn

import "hash/maphash"

// index finds slots by the hash of a key that it does not hold: 8 bytes for an
// entry. Who asks compares the keys in the slab. It is used under its shard's
// lock.
//
// It is a table of small pages (extendible hashing): a page that is full
// becomes larger in small steps, and one that is as large as pages get is split
// in two by the next bit of the hash. So it is never copied as a whole: the
// longest pause is that of a split, some 200 entries of 8 bytes, and rarely
// that of the directory, one pointer for each page. It does not shrink.
//
// Subscribers and strangers choose parts of the keys. Their hashes are seeded
// at random for each shard, so that nobody can aim at one page.
type index struct {
	dir   []*page // by the upper bits of the hash; a page may stand in several places
	depth uint8   // how many bits: len(dir) is 1<<depth
	n     int     // entries
}

// page is an open addressing table with linear probing.
type page struct {
	entries []entry
	used    int
	depth   uint8 // how many upper bits all hashes of the page share
}

type entry struct {
	hash uint32
	ref  uint32 // 0: empty
}

const (
	pageMin  = 8             // entries of a first page, which doubles up to pageStep
	pageStep = 32            // and grows by this or little more from there on
	pageMax  = 256           // what is larger is split
	homeBits = 14            // lower bits of the hash choose the place in the page
	maxDepth = 32 - homeBits // upper bits choose the page
)

// hashOf hashes a key without padding.
func hashOf[K comparable](seed maphash.Seed, key K) uint32 {
	return uint32(maphash.Comparable(seed, key))
}

// mix is the finaliser of MurmurHash3: it spreads 32 bits, one to one.
func mix(h uint32) uint32 {
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

// crowded: above a load of 13/16 the runs of neighbours grow long.
func (p *page) crowded() bool { return (p.used+1)*16 > len(p.entries)*13 }

// home is where the search for a hash begins.
func (p *page) home(hash uint32) int {
	return int(hash & (1<<homeBits - 1) * uint32(len(p.entries)) >> homeBits)
}

func (p *page) after(i int) int {
	if i++; i < len(p.entries) {
		return i
	}
	return 0
}

func (x *index) page(hash uint32) *page { return x.dir[hash>>(32-x.depth)] }

// probe goes through the entries with one hash.
type probe struct {
	page *page
	at   int
	hash uint32
}

func (x *index) probe(hash uint32) probe {
	if x.dir == nil {
		return probe{}
	}
	p := x.page(hash)
	return probe{p, p.home(hash), hash}
}

// next returns the next slot under the hash, 0 after the last.
func (p *probe) next() uint32 {
	if p.page == nil {
		return 0
	}
	for {
		e := p.page.entries[p.at]
		if e.ref == 0 {
			return 0
		}
		p.at = p.page.after(p.at)
		if e.hash == p.hash {
			return e.ref
		}
	}
}

// add enters a slot; ref is not 0. It does not look whether it is there.
func (x *index) add(hash, ref uint32) {
	x.room(hash).put(entry{hash, ref})
	x.n++
}

// room returns the page for a hash, with a place for one more entry.
func (x *index) room(hash uint32) *page {
	if x.dir == nil {
		x.dir = []*page{{entries: make([]entry, pageMin)}}
	}
	p := x.page(hash)
	for ; p.crowded(); p = x.page(hash) {
		if len(p.entries) < pageMax || p.depth == maxDepth {
			p.grow(p.used + 1)
			continue
		}
		x.split(p, hash)
	}
	return p
}

func (p *page) put(e entry) {
	i := p.home(e.hash)
	for p.entries[i].ref != 0 {
		i = p.after(i)
	}
	p.entries[i] = e
	p.used++
}

// grow makes room for n entries, and a little more.
func (p *page) grow(n int) {
	old := p.entries
	p.entries, p.used = make([]entry, pageSize(n)), 0
	for _, e := range old {
		if e.ref != 0 {
			p.put(e)
		}
	}
}

// pageSize gives n entries a load of at most 3/4.
func pageSize(n int) int {
	for size := pageMin; size <= pageStep; size *= 2 {
		if n*4 <= size*3 {
			return size
		}
	}
	return (n*4/3 + pageStep) / pageStep * pageStep
}

// split makes two pages of one by the first bit that its hashes need not share.
func (x *index) split(p *page, hash uint32) {
	if p.depth == x.depth {
		x.double()
	}
	bit := uint32(1) << (31 - p.depth)
	var halves [2]*page
	for i := range halves {
		n := 0
		for _, e := range p.entries {
			if e.ref != 0 && (e.hash&bit != 0) == (i == 1) {
				n++
			}
		}
		halves[i] = &page{entries: make([]entry, pageSize(n)), depth: p.depth + 1}
	}
	for _, e := range p.entries {
		switch {
		case e.ref == 0:
		case e.hash&bit == 0:
			halves[0].put(e)
		default:
			halves[1].put(e)
		}
	}
	places := 1 << (x.depth - p.depth)
	first := int(hash>>(32-p.depth)) * places
	for i := range places {
		x.dir[first+i] = halves[i*2/places]
	}
}

func (x *index) double() {
	dir := make([]*page, 2*len(x.dir))
	for i, p := range x.dir {
		dir[2*i], dir[2*i+1] = p, p
	}
	x.dir, x.depth = dir, x.depth+1
}

// remove takes a slot out, and reports whether it was there.
func (x *index) remove(hash, ref uint32) bool {
	if x.dir == nil {
		return false
	}
	p := x.page(hash)
	for i := p.home(hash); p.entries[i].ref != 0; i = p.after(i) {
		if p.entries[i] == (entry{hash, ref}) {
			p.close(i)
			x.n--
			return true
		}
	}
	return false
}

// close empties a place and moves up whoever was pushed past it, so that no
// search ends too early and no dead entries pile up.
func (p *page) close(gap int) {
	for i := p.after(gap); p.entries[i].ref != 0; i = p.after(i) {
		if p.behind(p.home(p.entries[i].hash), i) >= p.behind(gap, i) {
			p.entries[gap] = p.entries[i]
			gap = i
		}
	}
	p.entries[gap] = entry{}
	p.used--
}

// behind is how far to lies after from, around the end if need be.
func (p *page) behind(from, to int) int {
	if d := to - from; d >= 0 {
		return d
	}
	return to - from + len(p.entries)
}
