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

// want is what a new mapping asks of the NAT addresses.
type want struct {
	claim  claim
	rules  *rules
	inside frame.Addr // the subscriber
	wish   uint16     // the port it would like best, 0: none (R39)
	sets   [2]portSet // where its port may lie, the best set first
	n      int        // how many sets there are
	id     uint64     // of the mapping that gets the port
	beside *mapping   // whose NAT address it has to be, nil: any
	twin   bool       // and its port too
	now    int64

	fresh bool // answer: nobody used the port that was drawn
}

func newWant(tup Tuple, h Hints, r *rules, now int64) want {
	w := want{
		claim: newClaim(tup.Proto, r.width, tup.Remote), rules: r,
		inside: tup.Inside.Addr, wish: h.Port, now: now,
	}
	w.sets, w.n = r.portSets(tup.Inside.Port)
	return w
}

// draw finds a port of an address that is not divided into blocks, and enters
// the claim: the wish, unless that is 0 or taken (R39), or one of the sets.
//
// A search costs at most two look-ups for each port; a failed one is not
// repeated for the same remote until a claim towards it is given back.
func (t *Table) draw(n *natAddress, w *want) (uint16, bool) {
	t.release(n, w.now)
	if w.wish != 0 {
		if port, ok := t.drawOne(n, w.wish, w); ok {
			return port, true
		}
	}
	for _, set := range w.sets[:w.n] {
		if port, ok := t.drawSet(n, set, w); ok {
			return port, true
		}
	}
	return 0, false
}

// drawSet finds a port of a set on the whole address.
func (t *Table) drawSet(n *natAddress, set portSet, w *want) (uint16, bool) {
	if n.exhausted(w.claim, set.kind) {
		return 0, false
	}
	freed := n.full.freed.Load()
	port, ok := t.pick(n, set, w)
	if !ok {
		n.full.set(mark{w.claim, set.kind}, freed)
	}
	return port, ok
}

// pick draws from a set: a few independent random ports first (RFC 6056
// algorithm 2), which make the choice even while the set is sparsely used; then
// a search in a row from a random start (algorithm 1) finds the last free port
// there is (R16). Ports that nobody uses are found by their bits. Only when
// there is none, a claim that may share its port is held against one port after
// the other.
func (t *Table) pick(n *natAddress, set portSet, w *want) (uint16, bool) {
	size := set.size()
	for range picks {
		if port, ok := t.drawOne(n, set.at(t.rand(size)), w); ok {
			return port, true
		}
	}
	start := int(set.at(t.rand(size)))
	if n.unused(w.claim.proto, set.kind) {
		if port, ok := search(set, start, func(first, last, step int) (uint16, bool) {
			return t.drawUnused(n, first, last, step, w)
		}); ok {
			return port, true
		}
	}
	if w.claim.width == wideAny {
		return 0, false
	}
	return search(set, start, func(first, last, step int) (uint16, bool) {
		return t.drawFrom(n, first, last, step, w)
	})
}

// search tries the ports of a set in a row, from start on and then those before
// it, region by region, so that a lock is held for 1024 look-ups at most.
func search(set portSet, start int, try func(first, last, step int) (uint16, bool)) (uint16, bool) {
	step := int(set.step)
	for _, part := range [2][2]int{{start, int(set.last)}, {int(set.first), start - step}} {
		for p := part[0]; p <= part[1]; {
			end := min(p|(regionSize-1), part[1])
			if port, ok := try(p, end, step); ok {
				return port, true
			}
			p += (end - p + step) / step * step // the first port of the set behind end
		}
	}
	return 0, false
}

// drawUnused takes the first port of first to last that nobody uses; they lie
// in one region.
func (t *Table) drawUnused(n *natAddress, first, last, step int, w *want) (uint16, bool) {
	o := &t.outsides[outsideShard(n.addr, uint16(first))]
	o.mu.Lock()
	defer o.mu.Unlock()
	i, _ := protoIndex(w.claim.proto)
	port, ok := n.ports[i].Load().unused(first, last, step)
	if ok {
		w.fresh = o.take(n, uint16(port), w.claim, w.id)
	}
	return uint16(port), ok
}

func (t *Table) drawOne(n *natAddress, port uint16, w *want) (uint16, bool) {
	return t.drawFrom(n, int(port), int(port), 1, w)
}

// drawFrom takes the first port that fits of first to last, which lie in one
// region.
func (t *Table) drawFrom(n *natAddress, first, last, step int, w *want) (uint16, bool) {
	o := &t.outsides[outsideShard(n.addr, uint16(first))]
	o.mu.Lock()
	defer o.mu.Unlock()
	i, _ := protoIndex(w.claim.proto)
	for p := first; p <= last; p += step {
		if o.fits(n.addr, uint16(p), w.claim) && !n.kept(i, uint16(p)) {
			w.fresh = o.take(n, uint16(p), w.claim, w.id)
			return uint16(p), true
		}
	}
	return 0, false
}

// fitsNow reports whether a claim fits a port at this instant.
func (t *Table) fitsNow(n *natAddress, port uint16, c claim) bool {
	o := &t.outsides[outsideShard(n.addr, port)]
	o.mu.Lock()
	defer o.mu.Unlock()
	i, _ := protoIndex(c.proto)
	return o.fits(n.addr, port, c) && !n.kept(i, port)
}

// couldDraw reports whether draw may find a port, without a search. It may be
// wrong only in saying yes.
func (t *Table) couldDraw(n *natAddress, w *want) bool {
	if n.hold.due(w.now) || w.wish != 0 && t.fitsNow(n, w.wish, w.claim) {
		return true
	}
	return !n.exhausted(w.claim, w.sets[w.n-1].kind) // the last set holds the others
}
