//go:build race

package bucket

import "sync/atomic"

// peekWord reads a word for the hint of a look-up: nothing is decided by it. The
// race detector cannot know that.
func peekWord(p *uint64) uint64 { return atomic.LoadUint64(p) }
