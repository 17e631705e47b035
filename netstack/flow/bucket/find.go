package bucket

import (
	"sync/atomic"
	"unsafe"
)

// Found is what a look-up gives. It is a copy, but for Entry, to which the packet
// is counted.
type Found struct {
	Entry *Entry
	Value uint64
	Flags uint32
}

// Hash is the key's hash in this table: for Touch and Find.
func (t *Table) Hash(k Key) uint64 { return t.seed.hash(k) }

// Touch brings the first bucket of each hash into the cache: two loads each, close
// together, so that the machine waits for many at once. It is called for a batch
// before the first Find. The caller keeps what it returns anywhere: else the
// loads could be left out.
//
//go:noinline
func (t *Table) Touch(hashes []uint64) uint64 {
	sum, base, n := uint64(0), t.base, t.buckets
	for _, h := range hashes {
		b := unsafe.Add(base, uintptr(first(h, n)*Size))
		sum += peekWord((*uint64)(b)) + peekWord((*uint64)(unsafe.Add(b, lineSize)))
	}
	return sum
}

// Find looks a key up; h is its Hash. It is false for a flow that is not there
// and for one that is just changing.
func (t *Table) Find(k Key, h uint64) (Found, bool) {
	b := unsafe.Add(t.base, uintptr(first(h, t.buckets)*Size))
	at := match(b, k)
	if at == Size {
		b = unsafe.Add(t.base, uintptr(second(h, t.buckets)*Size))
		if at = match(b, k); at == Size {
			return Found{}, false
		}
	}
	return (*Entry)(unsafe.Add(b, at)).read(k)
}

// match returns at which byte of bucket b the entry of k seems to be, Size if
// nowhere. It has no branch: which of the four it is cannot be foretold. It is a
// hint: read decides.
func match(b unsafe.Pointer, k Key) uintptr {
	d0, d1, d2, d3 := differs(b, 0, k), differs(b, 1, k), differs(b, 2, k), differs(b, 3, k)
	d1 &= d0
	d2 &= d1
	d3 &= d2
	return uintptr(d0+d1+d2+d3) * EntrySize
}

// differs is 0 if entry i of bucket b has k, else 1.
func differs(b unsafe.Pointer, i uintptr, k Key) uint64 {
	e := (*Entry)(unsafe.Add(b, i*EntrySize))
	d := peekWord(&e.addrs) ^ k.addrs | (peekWord((*uint64)(unsafe.Pointer(&e.id)))^k.rest)&restMask
	return (d | -d) >> 63
}

// read is the guard: it takes the value only if the slot had this key, live, in
// one and the same life before and after the value was read. The order of the
// loads is what makes it right: see doc.go.
func (e *Entry) read(k Key) (Found, bool) {
	tag := atomic.LoadUint32(&e.tag)
	value := loadWord(&e.value)
	addrs := loadWord(&e.addrs)
	id := atomic.LoadUint32(&e.id)
	again := atomic.LoadUint32(&e.tag)
	if again != tag || makeKey(addrs, id, tag) != k || tag&Valid == 0 {
		return Found{}, false
	}
	return Found{e, value, tag & flagMask}, true
}
