//go:build !(race || 386 || arm || mips || mipsle)

package bucket

import "sync/atomic"

// loadWord reads one word at once; later loads are not done before it.
func loadWord(p *uint64) uint64 { return atomic.LoadUint64(p) }

// storeWord writes one word at once; no earlier store is seen after it.
func storeWord(p *uint64, v uint64) { atomic.StoreUint64(p, v) }

// addCount is one plain addition: a count has one adder.
func addCount(p *uint64, d uint64) { *p += d }

// readCount reads a count while its adder adds.
func readCount(p *uint64) uint64 { return atomic.LoadUint64(p) }

// loadRestFirst reads id and tag before all that follows.
func loadRestFirst(e *Entry) uint64 { return atomic.LoadUint64(e.rest()) }

// loadRestLast reads id and tag after all that was read by loadWord.
func loadRestLast(e *Entry) uint64 { return atomic.LoadUint64(e.rest()) }
