//go:build race

package bucket

import "sync/atomic"

// With the race detector all accesses are atomic: it does not know that a count
// has one adder. It runs on 64-bit machines alone.

func loadWord(p *uint64) uint64     { return atomic.LoadUint64(p) }
func storeWord(p *uint64, v uint64) { atomic.StoreUint64(p, v) }
func addCount(p *uint64, d uint64)  { atomic.AddUint64(p, d) }
func readCount(p *uint64) uint64    { return atomic.LoadUint64(p) }

func loadRestFirst(e *Entry) uint64 { return atomic.LoadUint64(e.rest()) }
func loadRestLast(e *Entry) uint64  { return atomic.LoadUint64(e.rest()) }
