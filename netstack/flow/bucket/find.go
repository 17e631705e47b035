package bucket

import (
	"unsafe"
)

// Found is what a look-up gives. It is a copy, but for Entry, to which the packet
// is counted.
type Found struct {
	Entry *Entry
	Value uint64
	Flags uint32
}

// Hash is the key's hash in this table, for Find.
func (t *Table) Hash(k Key) uint64 { return t.seed.hash(k) }

// Seek hashes a batch of keys and brings their first buckets into the cache: two
// loads for each, close together and apart from the hashing, so that the machine
// waits for many at once. hashes has the length of keys. The caller keeps what it
// returns anywhere, so that the loads are not left out.
//
//go:noinline
func (t *Table) Seek(keys []Key, hashes []uint64) (keep uint64) {
	seed := t.seed
	hashes = hashes[:len(keys)]
	for i, k := range keys {
		hashes[i] = spread(seed.gather(k))
	}
	return t.Touch(hashes)
}

// Touch is the second half of Seek, for hashes that are known.
//
//go:noinline
func (t *Table) Touch(hashes []uint64) (keep uint64) {
	base, n := t.base, t.buckets
	for _, h := range hashes {
		b := unsafe.Add(base, uintptr(first(h, n)*Size))
		keep += peekWord((*uint64)(b)) + peekWord((*uint64)(unsafe.Add(b, lineSize)))
	}
	return keep
}

// Find looks a key up; h is its hash. It is false for a flow that is not there
// and for one that is just changing.
//
// Which of a bucket's four it is cannot be foretold, so the one that seems to be
// it is chosen without a branch, from plain loads in any order. What decides is
// the guard: the value is taken only if the slot had this key, live, in one and
// the same life before and after the value was read. The order of the guard's
// loads is what makes it right: see doc.go.
func (t *Table) Find(k Key, h uint64) (Found, bool) {
	b := unsafe.Add(t.base, uintptr(first(h, t.buckets)*Size))
	at := place(differs(b, 0, k), differs(b, 1, k), differs(b, 2, k), differs(b, 3, k))
	if at == Size {
		b = unsafe.Add(t.base, uintptr(second(h, t.buckets)*Size))
		at = place(differs(b, 0, k), differs(b, 1, k), differs(b, 2, k), differs(b, 3, k))
		if at == Size {
			return Found{}, false
		}
	}
	e := (*Entry)(unsafe.Add(b, at))
	before := loadRestFirst(e)
	value := loadWord(&e.value)
	addrs := loadWord(&e.addrs)
	after := loadRestLast(e)
	if before != after || addrs != k.addrs || (before^k.rest)&restMask != 0 {
		return Found{}, false
	}
	return Found{e, value, uint32(before>>tagShift) & flagMask}, true
}

// place is at which byte of its bucket the first entry is that does not differ.
func place(d0, d1, d2, d3 uint64) uintptr {
	d1 &= d0
	d2 &= d1
	d3 &= d2
	return uintptr(d0+d1+d2+d3) * EntrySize
}

// differs is 1 if entry i of bucket b seems to have another key than k, else 0.
func differs(b unsafe.Pointer, i uintptr, k Key) uint64 {
	e := (*Entry)(unsafe.Add(b, i*EntrySize))
	n := uint64(0)
	if peekWord(&e.addrs)^k.addrs|(peekWord(e.rest())^k.rest)&restMask != 0 {
		n = 1
	}
	return n
}

// rest is the entry's second word: id and tag.
func (e *Entry) rest() *uint64 { return (*uint64)(unsafe.Pointer(&e.id)) }
