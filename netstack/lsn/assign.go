package lsn

import (
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// drawOutside draws address and port of a new mapping. In what manner is a
// matter of the group: computed blocks, drawn blocks, or single ports.
//
// A paired subscriber has its address and no other, even if it is full (R14).
// Otherwise the search begins at a random address and goes on until one has
// room.
func (t *Table) drawOutside(sh *inside, w *want, after *aftermath) (address uint32, port uint16, ok bool) {
	g := w.rules.group
	switch {
	case w.beside != nil:
		return t.drawBeside(sh, w, after)
	case g.Type == Deterministic:
		return t.drawDealt(w)
	case g.BlockSize > 0:
		return t.drawBlocks(sh, w, after)
	}
	if a, paired := sh.pairOf(w.inside, w.rules, w.now); paired {
		port, ok = t.draw(t.cfg().addrs[a], w)
		return a, port, ok
	}
	start := int(t.rand(uint32(len(g.addrs))))
	for i := range g.addrs {
		a := g.addrs[(start+i)%len(g.addrs)]
		if port, ok = t.draw(t.cfg().addrs[a], w); ok {
			return a, port, true
		}
	}
	return 0, 0, false
}

// low reports whether the port must lie below FirstPort, and so in no block.
func (w *want) low() bool { return w.sets[0].kind&kindLow != 0 }

// wishLow reports whether a port below FirstPort is wished for.
func (w *want) wishLow() bool { return w.wish != 0 && w.wish < FirstPort }

// drawLow draws a port below FirstPort of an address with blocks: the wished
// one (R39), or any if the range has to be kept. No block has these ports, and
// so whoever logs blocks alone has to log such mappings by themselves.
func (t *Table) drawLow(n *natAddress, w *want) (port uint16, ok bool) {
	if w.wishLow() {
		if port, ok = t.drawOne(n, w.wish, w); ok {
			return port, true
		}
	}
	if !w.low() {
		return 0, false
	}
	for _, set := range w.sets[:w.n] {
		if port, ok = t.drawSet(n, set, w); ok {
			return port, true
		}
	}
	return 0, false
}

// drawDealt draws a port of the block that arithmetic gives the subscriber
// (R18).
func (t *Table) drawDealt(w *want) (address uint32, port uint16, ok bool) {
	address, number, ok := w.rules.group.dealt(w.inside)
	if !ok {
		return 0, 0, false
	}
	n := t.cfg().addrs[address]
	if port, ok = t.drawLow(n, w); ok || w.low() {
		return address, port, ok
	}
	if port, ok = t.drawWished(n, number, w); ok {
		return address, port, true
	}
	for _, set := range w.sets[:w.n] {
		if port, ok = t.drawIn(n, number, set, w); ok {
			return address, port, true
		}
	}
	return 0, 0, false
}

// dealt returns the address and the number of a subscriber's block in a
// deterministic group.
func (g *Group) dealt(a frame.Addr) (address uint32, number int, ok bool) {
	p, ok := g.dealing.forward(a)
	if !ok {
		return 0, 0, false
	}
	return g.addrs[p.address], p.block, true
}

// drawBlocks draws a port of the subscriber's blocks, and a further block if
// they have none (R17). A subscriber that is not paired uses up its blocks,
// wherever they are, before it gets one on another address.
func (t *Table) drawBlocks(sh *inside, w *want, after *aftermath) (address uint32, port uint16, ok bool) {
	only, paired := sh.bound(w)
	if w.low() || w.wishLow() {
		if address, port, ok = t.drawBelow(sh, w, only, paired); ok || w.low() {
			return address, port, ok
		}
	}
	held := sh.holdings[w.inside]
	if w.wish >= FirstPort {
		address, port, ok = t.inHeld(w.rules.group, held, only, paired, func(n *natAddress, number int) (uint16, bool) {
			return t.drawWished(n, number, w)
		})
		if ok {
			return address, port, true
		}
	}
	for _, set := range w.sets[:w.n] {
		address, port, ok = t.inHeld(w.rules.group, held, only, paired, func(n *natAddress, number int) (uint16, bool) {
			return t.drawIn(n, number, set, w)
		})
		if !ok {
			address, port, ok = t.drawNewBlock(sh, w, set, only, paired, after)
		}
		if ok {
			return address, port, true
		}
	}
	return 0, 0, false
}

// drawBelow draws a port below FirstPort in a group with blocks: on the paired
// address, or else first on one where the subscriber has a block.
func (t *Table) drawBelow(sh *inside, w *want, only uint32, paired bool) (address uint32, port uint16, ok bool) {
	if held := sh.holdings[w.inside]; !paired && held.head != 0 && w.rules.group.serves(held.head.address()) {
		only = held.head.address()
		paired = !w.low() // a wish is tried on one address
	} else if !paired {
		only = w.rules.group.addrs[t.rand(uint32(len(w.rules.group.addrs)))]
		paired = !w.low()
	}
	if port, ok = t.drawLow(t.cfg().addrs[only], w); ok || paired {
		return only, port, ok
	}
	for _, a := range w.rules.group.addrs {
		if port, ok = t.drawLow(t.cfg().addrs[a], w); ok {
			return a, port, true
		}
	}
	return 0, 0, false
}

// inHeld tries the blocks of a subscriber until draw succeeds, beginning with
// a random one. With paired, only those of one address count.
func (t *Table) inHeld(g *Group, held holding, only uint32, paired bool, draw func(*natAddress, int) (uint16, bool)) (address uint32, port uint16, ok bool) {
	if held.count == 0 {
		return 0, 0, false
	}
	ref := held.head
	for range t.rand(held.count) {
		ref = t.block(ref).next
	}
	for range held.count {
		a, number := ref.split()
		if (!paired || a == only) && g.serves(a) {
			if port, ok = draw(t.cfg().addrs[a], number); ok {
				return a, port, true
			}
		}
		if ref = t.block(ref).next; ref == 0 {
			ref = held.head
		}
	}
	return 0, 0, false
}

func (t *Table) block(ref blockRef) *block {
	a, number := ref.split()
	return &t.cfg().addrs[a].blocks.list[number]
}

// drawNewBlock gives the subscriber one more block, and draws a port of it.
func (t *Table) drawNewBlock(sh *inside, w *want, set portSet, only uint32, paired bool, after *aftermath) (address uint32, port uint16, ok bool) {
	addrs := w.rules.group.addrs
	start := int(t.rand(uint32(len(addrs))))
	for i := range addrs {
		a := addrs[(start+i)%len(addrs)]
		if paired && a != only {
			continue
		}
		if port, ok = t.drawBlockOf(sh, a, w, set, after); ok {
			return a, port, true
		}
	}
	return 0, 0, false
}

func (t *Table) drawBlockOf(sh *inside, a uint32, w *want, set portSet, after *aftermath) (uint16, bool) {
	n, held := t.cfg().addrs[a], sh.holdings[w.inside]
	number, ok := n.blocks.draw(t.rand, w.inside, w.rules.group.index, held.head)
	if !ok {
		return 0, false
	}
	port, ok := t.drawIn(n, number, set, w)
	if !ok { // static mappings have all of it
		n.blocks.giveBack(number)
		return 0, false
	}
	sh.holdings[w.inside] = holding{refTo(a, number), held.count + 1}
	t.note(after, t.blockEvent(BlockAllocated, n, number))
	return port, true
}

// leaveBlock notes that a mapping gave its port back. A block whose last port
// came back, of any protocol, is free for everybody (R17).
func (t *Table) leaveBlock(sh *inside, m *mapping, c claim, unused bool, after *aftermath) {
	n := t.cfg().addrs[m.address]
	if n.blocks == nil {
		return
	}
	number, ok := n.blocks.of(m.outside.Port)
	if !ok {
		return
	}
	k := &n.blocks.list[number]
	k.shrink(c, unused)
	if k.claims > 0 || n.owner.Load() != nil {
		return
	}
	t.note(after, t.blockEvent(BlockFreed, n, number))
	t.unlinkBlock(sh, m.inside.Addr, refTo(m.address, number))
	n.blocks.giveBack(number)
}

// unlinkBlock takes a block off the subscriber's list.
func (t *Table) unlinkBlock(sh *inside, a frame.Addr, gone blockRef) {
	held := sh.holdings[a]
	if held.count--; held.count == 0 {
		delete(sh.holdings, a)
		return
	}
	next := t.block(gone).next
	if held.head == gone {
		held.head = next
	} else {
		ref := held.head
		for t.block(ref).next != gone {
			ref = t.block(ref).next
		}
		t.block(ref).next = next
	}
	sh.holdings[a] = held
}

// blockEvent describes a block that has a subscriber.
func (t *Table) blockEvent(kind EventKind, n *natAddress, number int) Event {
	k := &n.blocks.list[number]
	e := Event{Kind: kind, Group: t.cfg().groups[k.group], Inside: frame.Endpoint{Addr: k.inside}, Outside: frame.Endpoint{Addr: n.addr}}
	e.First, e.Last = n.blocks.ports(number)
	return e
}

// outlook fills in the set that drawOutside would draw from, and says NoFreePort
// if it is known without a search that nothing there fits. The shard is locked;
// nothing is changed.
func (t *Table) outlook(sh *inside, pl *OutPlan, w *want) drop.Reason {
	g := w.rules.group
	pl.Addresses = g.addrList
	pl.Ports = PortRange{w.sets[w.n-1].first, w.sets[w.n-1].last}
	only, paired := sh.pairOf(w.inside, w.rules, w.now)
	if g.Type == Deterministic {
		a, number, ok := g.dealt(w.inside)
		if !ok {
			return drop.NoFreePort
		}
		if only, paired = a, true; !w.low() {
			pl.Ports.First, pl.Ports.Last = t.cfg().addrs[a].blocks.ports(number)
		}
	}
	if paired {
		pl.Addresses = t.cfg().addrList[only : only+1 : only+1]
	}
	if t.mayHaveRoom(sh, w, only, paired) {
		return drop.None
	}
	for _, a := range g.addrs {
		if (!paired || a == only) && t.mayServe(a, w) {
			return drop.None
		}
	}
	return drop.NoFreePort
}

// mayHaveRoom reports whether a block that was drawn for the subscriber may
// have a port for the mapping. It may be wrong only in saying yes.
func (t *Table) mayHaveRoom(sh *inside, w *want, only uint32, paired bool) bool {
	if w.low() {
		return false
	}
	for ref := sh.holdings[w.inside].head; ref != 0; ref = t.block(ref).next {
		a, _ := ref.split()
		if (!paired || a == only) && !t.block(ref).exhausted(w.claim, w.sets[w.n-1].kind, w.rules.group.BlockSize) {
			return true
		}
	}
	return false
}

// mayServe reports whether an address may have a port for the mapping, beside
// those of blocks that were drawn for the subscriber before. It may be wrong
// only in saying yes.
func (t *Table) mayServe(a uint32, w *want) bool {
	n := t.cfg().addrs[a]
	if n.blocks == nil || w.low() {
		return t.couldDraw(n, w)
	}
	if w.wishLow() && t.fitsNow(n, w.wish, w.claim) || n.blocks.anyFree() {
		return true
	}
	if n.owner.Load() == nil {
		return false
	}
	_, number, ok := n.owner.Load().dealt(w.inside)
	return ok && !n.blocks.list[number].exhausted(w.claim, w.sets[w.n-1].kind, n.blocks.size) // the last set holds the others
}
