//go:build !race

package bucket

// peekWord reads a word for the hint of a look-up: nothing is decided by it.
// doc.go says why plain loads do.
func peekWord(p *uint64) uint64 { return *p }
