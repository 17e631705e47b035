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
	idQuota  = 1 << 16 / 4 // of a user, in Rest
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
// next; in a block in an order that an outsider cannot guess (RFC 7739). What
// one user can take is bounded, so that it leaves some for the others. Users
// with the same hash share that bound.
type idSlot struct {
	mu     sync.Mutex
	rested [idBlocks]int64 // when each block may be used again
	begun  bool
	block  int
	given  int // ids of this block
	factor int // odd: i*factor+shift visits each id of a block once
	shift  int
	until  int64 // end of the time for which spent counts
	spent  [idUsers]uint16
}

// NextID returns an id for a datagram that leaves from nat to remote in pieces
// and comes from the subscriber inside. It is also for whole packets that are
// cut on their way out. ok is false if there is none: more than 1872 datagrams
// a second in pieces, or a quarter of that from one subscriber.
func (t *Table) NextID(nat, remote frame.Addr, proto uint8, inside frame.Addr, now int64) (id uint16, ok bool) {
	t.ids.once.Do(t.ids.draw)
	s := &t.ids.slots[t.ids.hash(nat, remote, proto)%idSlots]
	user := t.ids.hash(inside, remote, proto) % idUsers
	s.mu.Lock()
	defer s.mu.Unlock()
	if now >= s.until {
		s.until, s.spent = now+int64(Rest), [idUsers]uint16{}
	}
	if s.spent[user] >= idQuota {
		return 0, false
	}
	for {
		if (!s.begun || s.given == blockIDs) && !s.nextBlock(t.ids.rand, now) {
			return 0, false
		}
		id = uint16(s.block*blockIDs + (s.given*s.factor+s.shift)%blockIDs)
		s.given++
		if id != 0 { // the stack takes 0 for none
			break
		}
	}
	s.rested[s.block] = now + int64(Rest)
	s.spent[user]++
	return id, true
}

// nextBlock goes on to the next block and reports whether it has rested.
func (s *idSlot) nextBlock(rand func(n uint32) uint32, now int64) bool {
	next := (s.block + 1) % idBlocks
	if !s.begun {
		next = int(rand(idBlocks))
	}
	if s.begun && s.rested[next] > now {
		return false
	}
	s.begun, s.block, s.given = true, next, 0
	s.factor = int(rand(blockIDs/2))*2 + 1
	s.shift = int(rand(blockIDs))
	return true
}
