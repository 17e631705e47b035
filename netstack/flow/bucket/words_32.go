//go:build (386 || arm || mips || mipsle) && !race

package bucket

import (
	"sync/atomic"
	"unsafe"
)

// loadWord reads a word half by half: whoever uses it finds out from the tag
// that the halves do not belong together. The atomic load that follows it in
// read orders it; doc.go says how.
func loadWord(p *uint64) uint64 { return *p }

// storeWord writes a word half by half, into a slot that is not valid. No
// earlier store is seen after it.
func storeWord(p *uint64, v uint64) {
	atomic.StoreUint32((*uint32)(unsafe.Pointer(p)), uint32(v>>lowerShift))
	atomic.StoreUint32((*uint32)(unsafe.Add(unsafe.Pointer(p), 4)), uint32(v>>(32-lowerShift)))
}

// lowerShift is where the half with the lower address is in a word.
const lowerShift = addrShift

// addCount is atomic, so that nobody reads half an addition.
func addCount(p *uint64, d uint64) { atomic.AddUint64(p, d) }

// readCount reads a count while its adder adds. A program in the kernel may add
// half by half: two readings that agree are whole, and Credit bears one that is
// not.
func readCount(p *uint64) uint64 {
	v := atomic.LoadUint64(p)
	for range 3 {
		again := atomic.LoadUint64(p)
		if again == v {
			break
		}
		v = again
	}
	return v
}

// loadRestFirst reads the tag before all that follows. The id may be of any time:
// loadRestLast compares it.
func loadRestFirst(e *Entry) uint64 {
	tag := atomic.LoadUint32(&e.tag)
	return uint64(e.id)<<idShift | uint64(tag)<<tagShift
}

// loadRestLast reads the tag after all that was read before: the load of the id
// brings the barrier.
func loadRestLast(e *Entry) uint64 {
	id := atomic.LoadUint32(&e.id)
	return uint64(id)<<idShift | uint64(atomic.LoadUint32(&e.tag))<<tagShift
}
