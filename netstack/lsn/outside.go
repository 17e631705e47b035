package lsn

import (
	"sync"

	"spigate/netstack/frame"
)

// outside is one shard of the outside index: what stands behind an outside
// endpoint towards a remote.
type outside struct {
	mu    sync.Mutex
	index map[outKey]uint64   // session or mapping identifier
	use   map[portKey]portUse // ports that mappings claim
}

// portUse is how a port is in use: by how many claims, and how wide they are.
// All claims on one port have the same width: that keeps "does it overlap" one
// look-up, and costs only that the widths do not share a port.
type portUse uint32

func (u portUse) width() width   { return width(u >> 30) }
func (u portUse) claims() uint32 { return uint32(u & (1<<30 - 1)) }

// fits reports whether the claim overlaps no other one on that port (R19).
func (o *outside) fits(a frame.Addr, port uint16, c claim) bool {
	u := o.use[portKey{a, port, uint16(c.proto)}]
	if u.claims() == 0 {
		return true
	}
	if u.width() != c.width {
		return false
	}
	_, taken := o.index[c.key(a, port)]
	return !taken
}

// take enters a claim that fits, for the session or mapping id.
func (o *outside) take(n *natAddress, port uint16, c claim, id uint64) {
	o.index[c.key(n.addr, port)] = id
	k := portKey{n.addr, port, uint16(c.proto)}
	u := o.use[k]
	if u.claims() == 0 {
		i, _ := protoIndex(c.proto)
		if port >= FirstPort { // a wished one below is not of those that can run out
			n.used[i].Add(1)
			n.inRegion[i][port>>regionBits]++
		}
		u = portUse(c.width) << 30
	}
	o.use[k] = u + 1
}

// giveBack undoes take.
func (t *Table) giveBack(n *natAddress, port uint16, c claim) {
	o := &t.outsides[outsideShard(n.addr, port)]
	i, _ := protoIndex(c.proto)
	o.mu.Lock()
	delete(o.index, c.key(n.addr, port))
	k := portKey{n.addr, port, uint16(c.proto)}
	if u := o.use[k]; u.claims() > 1 {
		o.use[k] = u - 1
	} else {
		delete(o.use, k)
		if port >= FirstPort {
			n.used[i].Add(-1)
			n.inRegion[i][port>>regionBits]--
		}
	}
	o.mu.Unlock()
	n.full.clear(c)
}

// enter puts a further session of a mapping into the outside index.
func (t *Table) enter(k outKey, id uint64) {
	o := &t.outsides[outsideShard(k.outside, k.outsidePort)]
	o.mu.Lock()
	o.index[k] = id
	o.mu.Unlock()
}

// leave undoes enter.
func (t *Table) leave(k outKey) {
	o := &t.outsides[outsideShard(k.outside, k.outsidePort)]
	o.mu.Lock()
	delete(o.index, k)
	o.mu.Unlock()
}

// behind is what the outside index knows about a packet from outside.
type behind struct {
	session, mapping uint64 // 0: none
	used             bool   // somebody uses the port, perhaps towards others
}

// lookup finds what stands behind an outside endpoint towards a remote.
func (t *Table) lookup(proto uint8, out, remote frame.Endpoint) (b behind) {
	o := &t.outsides[outsideShard(out.Addr, out.Port)]
	o.mu.Lock()
	defer o.mu.Unlock()
	b.session = o.index[sessionKey(proto, out, remote)]
	u := o.use[portKey{out.Addr, out.Port, uint16(proto)}]
	if b.used = u.claims() > 0; b.used && u.width() != wideFull {
		b.mapping = o.index[newClaim(proto, u.width(), remote).key(out.Addr, out.Port)]
	}
	return b
}
