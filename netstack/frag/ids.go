package frag

import (
	"encoding/binary"
	"sync"
	"time"

	"spigate/netstack/frame"
)

// Rest is how long an IPv4 id is not given again: the 30 s for which hosts try
// to put a datagram together, from the last moment at which a piece of it can
// leave.
const Rest = 30*time.Second + Life

const (
	idSlots  = 512
	idBlocks = 64
	blockIDs = 1 << 16 / idBlocks
	idUsers  = 16
)

// ids gives out IPv4 ids that no other datagram with the same addresses and
// protocol had for Rest (RFC 6864 section 4.3). Memory is fixed: pairs of
// addresses with the same hash share a slot, which is as good, and only means
// that they share its 65536 ids.
type ids struct {
	rand   func(n uint32) uint32
	once   sync.Once
	secret uint64 // so that nobody can choose whom to share a slot with
	slots  [idSlots]idSlot

	forPieces int // blocks, from 0 on, for NextID; the others are for WholeID
}

// draw makes the secret. A table that gives no ids leaves Config.Rand alone.
func (t *ids) draw() {
	for range 4 {
		t.secret = t.secret<<16 | uint64(t.rand(1<<16))
	}
}

// hash mixes two addresses and a protocol (the finalizer of SplitMix64). It is
// our own because it must be the same for the same Config.Rand.
func (t *ids) hash(a, b frame.Addr, proto uint8) uint64 {
	h := uint64(binary.BigEndian.Uint32(a[:]))<<32 | uint64(binary.BigEndian.Uint32(b[:]))
	for _, n := range [2]uint64{t.secret, uint64(proto) + 1} {
		h += n * 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

// idSlot hands its ids out block by block, the one that has rested longest
// next. What one user can take is bounded, so that it leaves some for the
// others. Users with the same hash share that bound.
type idSlot struct {
	mu     sync.Mutex
	pieces idRing
	whole  idRing
	rested [idBlocks]int64 // of pieces: when each block may be used again
	until  int64           // end of the time for which spent counts
	spent  [idUsers]uint16
}

// idRing goes round a range of blocks; in a block in an order that an outsider
// cannot guess (RFC 7739).
type idRing struct {
	begun  bool
	block  int
	given  int // ids of this block
	factor int // odd: i*factor+shift visits each id of a block once
	shift  int
}

// NextID returns an id for a datagram that leaves from nat to remote in pieces
// and comes from the subscriber inside. It is also for whole packets that are
// cut on their way out. ok is false if there is none: more than 1872 datagrams
// a second in pieces (half of that with Config.WholeIDs), or a quarter of that
// from one subscriber.
func (t *Table) NextID(nat, remote frame.Addr, proto uint8, inside frame.Addr, now int64) (id uint16, ok bool) {
	s := t.ids.slot(nat, remote, proto)
	user := t.ids.hash(inside, remote, proto) % idUsers
	s.mu.Lock()
	defer s.mu.Unlock()
	if now >= s.until {
		s.until, s.spent = now+int64(Rest), [idUsers]uint16{}
	}
	if s.spent[user] >= uint16(t.ids.forPieces*blockIDs/4) {
		return 0, false
	}
	r := &s.pieces
	for id == 0 { // the stack takes 0 for none
		if r.used() {
			next := r.next(t.ids.rand, 0, t.ids.forPieces)
			if r.begun && s.rested[next] > now {
				return 0, false
			}
			r.enter(next, t.ids.rand)
		}
		id = r.take()
	}
	s.rested[r.block] = now + int64(Rest)
	s.spent[user]++
	return id, true
}

// WholeID returns an id for a packet that leaves from nat to remote in one
// piece and may be cut by somebody else on its way (R29, df-clear). There is
// always one: it differs from those of the 31743 packets before, and never is
// that of a datagram from NextID. At more than 900 packets a second an id comes
// again before it has rested; to stop the flow for that would be worse.
// It needs Config.WholeIDs.
func (t *Table) WholeID(nat, remote frame.Addr, proto uint8) uint16 {
	s := t.ids.slot(nat, remote, proto)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.whole.used() {
		s.whole.enter(s.whole.next(t.ids.rand, t.ids.forPieces, idBlocks-t.ids.forPieces), t.ids.rand)
	}
	return s.whole.take()
}

// slot returns where the ids between two addresses are.
func (t *ids) slot(nat, remote frame.Addr, proto uint8) *idSlot {
	t.once.Do(t.draw)
	return &t.slots[t.hash(nat, remote, proto)%idSlots]
}

// used reports that the ring has to go on to another block.
func (r *idRing) used() bool { return !r.begun || r.given == blockIDs }

// next is the block that comes next of n from first on.
func (r *idRing) next(rand func(n uint32) uint32, first, n int) int {
	if !r.begun {
		return first + int(rand(uint32(n)))
	}
	return first + (r.block-first+1)%n
}

// enter goes to a block.
func (r *idRing) enter(block int, rand func(n uint32) uint32) {
	*r = idRing{begun: true, block: block, factor: int(rand(blockIDs/2))*2 + 1, shift: int(rand(blockIDs))}
}

// take returns the next id of the block.
func (r *idRing) take() uint16 {
	id := r.block*blockIDs + (r.given*r.factor+r.shift)%blockIDs
	r.given++
	return uint16(id)
}
