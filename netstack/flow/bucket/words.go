package bucket

import "sync/atomic"

// loadHalf and storeHalf read and write 4 bytes at once and in order.
func loadHalf(p *uint32) uint32     { return atomic.LoadUint32(p) }
func storeHalf(p *uint32, v uint32) { atomic.StoreUint32(p, v) }
