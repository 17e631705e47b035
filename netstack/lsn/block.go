package lsn

import (
	"slices"
	"sync"
	"sync/atomic"

	"spigate/netstack/frame"
)

// blocks divides the ports of one NAT address, from FirstPort on, into blocks
// of equal size (R17, R18). A block belongs to one subscriber with all its
// protocols; ports below FirstPort belong to no block.
type blocks struct {
	size int
	list []block
	mu   sync.Mutex
	free []uint8      // numbers of blocks that nobody has, in no order; none if deterministic
	left atomic.Int32 // how many those are, to be read without the lock
}

// block is one block. Who has it is under blocks.mu; the rest is under the
// subscriber's shard. Of a deterministic one, whose owner is a matter of
// arithmetic, only used and full matter.
type block struct {
	inside frame.Addr // the subscriber, if taken
	taken  bool
	marks  uint8  // where the next mark goes
	group  uint16 // of the subscriber
	claims uint32 // mappings that have a port of it
	next   blockRef
	used   [numProtocols]uint16 // ports with a mapping
	full   [4]mark              // searches that found nothing here; proto 0: empty
}

// blockRef names a block of a table: 0 is none, otherwise one more than the
// index of the address times 256, plus the number of the block on it.
type blockRef uint32

// maxAddresses keeps block references within 32 bits.
const maxAddresses = 1<<24 - 1

func refTo(address uint32, number int) blockRef { return blockRef(address<<8|uint32(number)) + 1 }

func (r blockRef) split() (address uint32, number int) { return uint32(r-1) >> 8, int(uint8(r - 1)) }

func (r blockRef) address() uint32 {
	a, _ := r.split()
	return a
}

// holding is what a shard knows of a subscriber's blocks.
type holding struct {
	head  blockRef // the block it got last; the others follow
	count uint32
}

// newBlocks divides an address. With loose, blocks can be drawn.
func newBlocks(size int, loose bool) *blocks {
	b := &blocks{size: size, list: make([]block, numPorts/size)}
	for i := range b.list {
		if loose {
			b.free = append(b.free, uint8(i))
		}
	}
	b.left.Store(int32(len(b.free)))
	return b
}

// ports returns the ports of a block.
func (b *blocks) ports(number int) (first, last uint16) {
	return portsOf(number, b.size)
}

// of returns the number of the block that a port lies in; ok is false for a
// port that lies in none.
func (b *blocks) of(port uint16) (number int, ok bool) {
	number = (int(port) - FirstPort) / b.size
	return number, port >= FirstPort && number < len(b.list)
}

// draw takes a free block at random for a subscriber.
func (b *blocks) draw(rand func(uint32) uint32, inside frame.Addr, group uint16, next blockRef) (number int, ok bool) {
	if !b.anyFree() {
		return 0, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.free) == 0 {
		return 0, false
	}
	last := len(b.free) - 1
	i := rand(uint32(len(b.free)))
	number = int(b.free[i])
	b.free[i] = b.free[last]
	b.free = b.free[:last]
	b.left.Store(int32(last))
	b.list[number] = block{inside: inside, taken: true, group: group, next: next}
	return number, true
}

func (b *blocks) giveBack(number int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list[number].taken = false
	b.free = append(b.free, uint8(number))
	b.left.Store(int32(len(b.free)))
}

// owner returns who has a block that is drawn, not computed; ok is false if
// nobody has.
func (b *blocks) owner(number int) (a frame.Addr, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.list[number].inside, b.list[number].taken
}

// anyFree reports whether a block can be drawn: without the lock, because a
// flood against a full pool asks it of every address.
func (b *blocks) anyFree() bool { return b.left.Load() > 0 }

// exhausted reports whether it is known without a search that no port of the
// set in the block fits. The subscriber's shard is locked.
func (k *block) exhausted(c claim, kind setKind, size int) bool {
	i, _ := protoIndex(c.proto)
	if c.width == wideAny && int(k.used[i]) == size {
		return true
	}
	return slices.Contains(k.full[:], mark{c, kind})
}

// searched remembers a search that found nothing.
func (k *block) searched(c claim, kind setKind) {
	k.full[k.marks%uint8(len(k.full))] = mark{c, kind}
	k.marks++
}

// grow counts a claim on a port of the block; fresh tells that the port was
// unused.
func (k *block) grow(c claim, fresh bool) {
	k.claims++
	if i, _ := protoIndex(c.proto); fresh {
		k.used[i]++
	}
}

// shrink undoes grow. What was marked full for the claim is so no more; and an
// unused port fits everything.
func (k *block) shrink(c claim, unused bool) {
	k.claims--
	if i, _ := protoIndex(c.proto); unused {
		k.used[i]--
	}
	for i, m := range k.full {
		if m.claim == c || unused && m.proto == c.proto {
			k.full[i] = mark{}
		}
	}
}

// drawIn finds a port of one block.
func (t *Table) drawIn(n *natAddress, number int, set portSet, w *want) (uint16, bool) {
	k := &n.blocks.list[number]
	if k.exhausted(w.claim, set.kind, n.blocks.size) {
		return 0, false
	}
	port, ok := t.pick(n, set.within(n.blocks.ports(number)), w)
	if !ok {
		k.searched(w.claim, set.kind)
		return 0, false
	}
	k.grow(w.claim, w.fresh)
	return port, true
}

// drawWished takes the wished port, if it lies in the block and is free.
func (t *Table) drawWished(n *natAddress, number int, w *want) (uint16, bool) {
	if b, ok := n.blocks.of(w.wish); !ok || b != number {
		return 0, false
	}
	port, ok := t.drawOne(n, w.wish, w)
	if ok {
		n.blocks.list[number].grow(w.claim, w.fresh)
	}
	return port, ok
}
