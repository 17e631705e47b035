package bucket

import "sync/atomic"

// Current reports whether the flow of k, which is what it was found by, is there
// still: what the caller has loaded since by Value belonged to that flow then.
func (f *Found) Current(k Key) bool {
	return (atomic.LoadUint32(&f.Entry.tag)^uint32(k.rest>>tagShift))&(scopeMask|Valid) == 0
}

// Uncredited is what Credit would return; it stays uncredited.
func (t *Table) Uncredited(slot uint32) (packets, bytes uint64) {
	d := readCount(&t.entry(slot).count) - t.shadows[slot].last
	if d>>63 != 0 {
		return 0, 0 // see Credit
	}
	return packetsOf(d), bytesOf(d)
}
