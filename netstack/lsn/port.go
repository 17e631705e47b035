package lsn

import "spigate/netstack/frame"

// The ports that mappings are given (R16): the well-known ones stay free.
const (
	FirstPort = 1024
	LastPort  = 65535
	numPorts  = LastPort - FirstPort + 1

	regionBits = 10 // ports that share an outside shard: 1024
	regionSize = 1 << regionBits
	numRegions = 1 << 16 / regionSize
	picks      = 8 // independent random ports tried before the search in a row
)

// claim is what a mapping wants of an outside port: to answer for one remote
// endpoint, for one remote address, or for all. Fields that the width does not
// look at are zero, so that claims compare with ==.
type claim struct {
	proto  uint8
	width  width
	remote frame.Endpoint
}

func newClaim(proto uint8, w width, remote frame.Endpoint) claim {
	switch w {
	case wideAny:
		remote = frame.Endpoint{}
	case wideAddress:
		remote.Port = 0
	}
	return claim{proto, w, remote}
}

// draw finds a port of n for the claim and enters it: wish, unless that is 0 or
// taken (R39). Otherwise a few independent random
// picks (RFC 6056 algorithm 2) make the choice even while the address is
// sparsely used; then a search in a row from a random start (algorithm 1)
// finds the last free port there is (R16).
//
// The search costs at most two look-ups for each port; a failed one is not
// repeated for the same remote until a claim towards it is given back.
func (t *Table) draw(n *natAddress, c claim, wish uint16, id uint64) (uint16, bool) {
	if wish != 0 {
		if port, ok := t.drawFrom(n, wish, wish, c, id); ok {
			return port, true
		}
	}
	if n.exhausted(c) {
		return 0, false
	}
	freed := n.full.freed.Load()
	for range picks {
		port := uint16(FirstPort + t.rand(numPorts))
		if got, ok := t.drawFrom(n, port, port, c, id); ok {
			return got, true
		}
	}
	start := FirstPort + int(t.rand(numPorts))
	if port, ok := t.search(n, start, LastPort, c, id); ok {
		return port, true
	}
	if port, ok := t.search(n, FirstPort, start-1, c, id); ok {
		return port, true
	}
	n.full.set(c, freed)
	return 0, false
}

// search tries the ports first to last in a row, region by region, so that a
// lock is held for 1024 look-ups at most.
func (t *Table) search(n *natAddress, first, last int, c claim, id uint64) (uint16, bool) {
	for p := first; p <= last; {
		end := min(p|(regionSize-1), last)
		if got, ok := t.drawFrom(n, uint16(p), uint16(end), c, id); ok {
			return got, true
		}
		p = end + 1
	}
	return 0, false
}

// drawFrom takes the first port that fits of first to last, which lie in one
// region.
func (t *Table) drawFrom(n *natAddress, first, last uint16, c claim, id uint64) (uint16, bool) {
	o := &t.outsides[outsideShard(n.addr, first)]
	o.mu.Lock()
	defer o.mu.Unlock()
	i, _ := protoIndex(c.proto)
	if c.width == wideAny && n.inRegion[i][first>>regionBits] == regionSize {
		return 0, false
	}
	for p := int(first); p <= int(last); p++ {
		if o.fits(n.addr, uint16(p), c) {
			o.take(n, uint16(p), c, id)
			return uint16(p), true
		}
	}
	return 0, false
}
