package frag

import (
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Config is what a Table is made of.
type Config struct {
	// Drops counts the held pieces that die. nil: nobody counts them.
	Drops *drop.Counters
	// Rand returns a number in [0, n). It is called from several goroutines at
	// once and under locks. It alone determines the ids that are given. nil:
	// math/rand/v2, which is seeded at random.
	Rand func(n uint32) uint32
	// WholeIDs keeps half of the ids for WholeID.
	WholeIDs bool
}

// Table associates fragments with the translation of their datagram. It is
// safe for concurrent use. Times are monotonic nanoseconds.
type Table struct {
	drops  *drop.Counters
	seed   maphash.Seed
	ids    ids
	shards [shards]shard
}

// shard has the datagrams of some accounts.
type shard struct {
	mu    sync.Mutex
	drops *drop.Counters
	index map[Key]*datagram

	waiting, decided, gathering pool

	spareOwners []*owner // for the next ones: never more than there may be
	spare       []*datagram
}

// New makes an empty table.
func New(c Config) *Table {
	t := &Table{drops: c.Drops, seed: maphash.MakeSeed(), ids: ids{rand: c.Rand, forPieces: idBlocks}}
	if c.WholeIDs {
		t.ids.forPieces = idBlocks / 2
	}
	if t.drops == nil {
		t.drops = &drop.Counters{}
	}
	if t.ids.rand == nil {
		t.ids.rand = rand.Uint32N
	}
	for i := range t.shards {
		sh := &t.shards[i]
		sh.drops, sh.index = t.drops, map[Key]*datagram{}
		sh.waiting = pool{perOwner: perOwner, datagrams: maxWaiting, bytes: maxWaitBytes, owners: map[account]*owner{}}
		share := 1
		if i >= shardsPerSide*int(Out2In) {
			share = shardsPerSide // see shardOf
		}
		sh.decided = pool{perOwner: perOwner / share, datagrams: maxDecided, owners: map[account]*owner{}}
		sh.gathering = pool{perOwner: gathersOfOwner / share, datagrams: maxGathers, bytes: maxGatherBytes, owners: map[account]*owner{}}
	}
	return t
}

// find returns the datagram of a key, or nil. One whose time is over dies here,
// so that no piece is let go late (R22, R29).
func (sh *shard) find(k Key, now int64) *datagram {
	d := sh.index[k]
	if d != nil && d.expired(now) {
		sh.bury(d, drop.FragmentTimeout, now)
		return nil
	}
	return d
}

// begin makes a datagram.
func (sh *shard) begin(dg Datagram, s state, name account, now int64) *datagram {
	var d *datagram
	if n := len(sh.spare); n > 0 {
		d = sh.spare[n-1]
		sh.spare = sh.spare[:n-1]
	} else {
		d = &datagram{}
	}
	d.Datagram, d.state, d.born = dg, s, now
	sh.adopt(d, name, now)
	sh.index[dg.Key] = d
	return d
}

// turn gives an existing datagram, or a new one if d is nil, another state and
// its time anew. The held pieces stay with it, but are not counted in seen any
// more and are nobody's: the caller takes them.
func (sh *shard) turn(d *datagram, dg Datagram, s state, name account, now int64) (*datagram, [][]byte) {
	if d == nil {
		return sh.begin(dg, s, name, now), nil
	}
	pieces := d.pieces
	d.pieces = nil
	d.charge(-d.bytes)
	d.seen.reset()
	sh.disown(d)
	d.Datagram, d.state, d.born, d.cut = dg, s, now, 0
	sh.adopt(d, name, now)
	return d, pieces
}

// lose gives up a datagram for want of room.
func (sh *shard) lose(d *datagram, now int64) { sh.bury(d, drop.FragmentOverflow, now) }

// bury forgets a datagram. Pieces that it holds die for why.
func (sh *shard) bury(d *datagram, why drop.Reason, now int64) {
	for _, b := range d.pieces {
		sh.drops.Count(why, b, now)
	}
	d.charge(-d.bytes)
	sh.disown(d)
	delete(sh.index, d.Key)
	spans := d.seen.spans[:0]
	if cap(spans) > 2*maxSpans {
		spans = nil
	}
	*d = datagram{seen: coverage{spans: spans}, pieces: emptied(d.pieces)}
	sh.spare = append(sh.spare, d)
}

// emptied returns a slice of no pieces that reuses the memory of a short one.
func emptied(pieces [][]byte) [][]byte {
	clear(pieces)
	if cap(pieces) > 64 {
		return nil
	}
	return pieces[:0]
}

// hold keeps a copy of a piece with d, unless it contradicts the others.
func (sh *shard) hold(d *datagram, p *frame.Packet, now int64) drop.Reason {
	b := p.Bytes()
	if len(d.pieces) >= maxPieces {
		return drop.FragmentOverflow
	}
	if why := d.seen.take(p); why != drop.None {
		return why
	}
	if !sh.room(d, cost(b), now) {
		return drop.FragmentOverflow
	}
	d.pieces = append(d.pieces, slices.Clone(b))
	d.charge(cost(b))
	return drop.None
}

// Sweep drops what has waited too long. It is to be called every second.
func (t *Table) Sweep(now int64) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for _, d := range sh.index {
			if d.expired(now) {
				sh.bury(d, drop.FragmentTimeout, now)
			}
		}
		sh.mu.Unlock()
	}
}

// Stats is what the table holds.
type Stats struct {
	Waiting, Decided, Gathering int // datagrams; refused ones count as waiting, joined ones as decided
	Bytes                       int // of held pieces, with what keeping them costs
}

// Stats counts what the table holds.
func (t *Table) Stats() (s Stats) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		s.Waiting += sh.waiting.n
		s.Decided += sh.decided.n
		s.Gathering += sh.gathering.n
		s.Bytes += sh.waiting.held + sh.gathering.held
		sh.mu.Unlock()
	}
	return s
}
