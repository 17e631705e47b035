package flow

import (
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"spigate/netstack/frame"
)

// DefaultCapacity is the number of flows when Config does not say.
const DefaultCapacity = 1 << 15

// maxChain bounds a look-up. A bucket holds half a flow at most on average; a
// flow this deep in its chain is treated as missing, which is always safe.
const maxChain = 64

// Config is what a Table needs to know.
type Config struct {
	// Capacity is the greatest number of flows; 0 means DefaultCapacity.
	// Memory is about 190 bytes for each, touched as flows come.
	Capacity int
	// Active is told what each flow carried since it was last told: by Sweep,
	// by whoever takes an owner's or a replaced flow away, and by Credit. It is
	// never told of zero packets, but for Credit and RemoveOwner of a Numbered
	// flow. It is called without a lock held, by several goroutines at once,
	// and may call the table, but not Sweep. It may be told of a flow that was
	// removed in the meantime. May be nil.
	Active func(Report)

	// Offload takes busy flows; nil: none leaves the table.
	Offload Offload
	// OffloadAfter is how many packets between two Sweeps make a flow busy, so
	// that it is offered to Offload; 0 means DefaultOffloadAfter.
	OffloadAfter uint64
	// OffloadIdle is after how many Sweeps without a packet a flow comes back
	// from Offload; 0 means DefaultOffloadIdle.
	OffloadIdle int
	// Offloaded is told what Offload forwarded between two interfaces, for who
	// counts those: packets, and bytes of IP. It is called like Active, as often
	// as there is something to tell. May be nil.
	Offloaded func(in, out frame.Interface, packets, bytes uint64)
}

// Table is the flow table. All methods are safe for concurrent use.
type Table struct {
	// Read by every look-up, never changed.
	seed  [2]uint64
	shift uint
	heads []atomic.Uint32 // first slot of each bucket's chain
	slots []slot          // slot 0 is nobody's
	hops  [MaxHops + 1]atomic.Pointer[hop]

	active   func(Report)
	capacity int

	_     [64]byte // what packets write stays off the lines above
	epoch atomic.Uint64
	count counts
	_     [64]byte

	mu      sync.Mutex // everything below, and all changes to slots and hops
	records []record
	owners  map[Owner]uint32 // any one flow of the owner's ring
	hopIDs  map[hopKey]HopID // the valid rows
	free    uint32           // list of free slots, through record.next
	fresh   uint32           // slots from here on were never used
	live    int

	sweeping sync.Mutex // one Sweep at a time; guards reports
	reports  []Report
}

// New makes an empty table.
func New(c Config) *Table {
	capacity := c.Capacity
	if capacity <= 0 {
		capacity = DefaultCapacity
	}
	// Removed flows keep their slot until the next but one Sweep. The extra
	// slots are for those; a Flush of a full table leaves at least these.
	slots := capacity + capacity/2 + 256
	// Twice as many buckets as flows: with as many, a million flows cost half
	// as much again for each packet (BenchmarkProcess).
	width := max(bits.Len(uint(capacity-1))+1, 4)
	t := &Table{
		seed:     [2]uint64{rand.Uint64(), rand.Uint64()},
		shift:    uint(64 - width),
		heads:    make([]atomic.Uint32, 1<<width),
		slots:    make([]slot, slots+1),
		records:  make([]record, slots+1),
		owners:   make(map[Owner]uint32),
		hopIDs:   make(map[hopKey]HopID),
		reports:  make([]Report, 0, sweepSlice),
		active:   c.Active,
		capacity: capacity,
		fresh:    1,
	}
	return t
}

// bucket hashes a key with the table's secret seed, so that nobody outside
// can choose flows that share a bucket.
func (t *Table) bucket(w0, w1 uint64) uint32 {
	hi, lo := bits.Mul64(w0^t.seed[0], w1^t.seed[1])
	h := (hi ^ lo) * 0x9e3779b97f4a7c15
	return uint32(h >> t.shift)
}

// Epoch is taken before a flow is decided, and given to Insert.
func (t *Table) Epoch() uint64 { return t.epoch.Load() }

// Insert puts a flow into the table. It returns false, and counts it, if
// something was removed or invalidated since epoch was taken (the decision may
// rest on it, so the flow might outlive its owner), or if the table is full:
// the packet's successors go through the stack and try again. A flow with an
// equal key is replaced, and reported if it carried something; one that is equal
// in all but the numbers is refreshed, and its numbers move forward at most. now
// is monotonic nanoseconds.
func (t *Table) Insert(e Entry, epoch uint64, now int64) bool {
	t.mu.Lock()
	replaced, ok := t.insert(&e, epoch, now)
	t.mu.Unlock()
	if replaced.Packets != 0 && t.active != nil {
		t.active(replaced)
	}
	return ok
}

// insert is Insert under Table.mu. It returns what a replaced flow had carried.
func (t *Table) insert(e *Entry, epoch uint64, now int64) (replaced Report, ok bool) {
	h := t.hop(e.Hop)
	if epoch != t.epoch.Load() || h == nil {
		t.count.stale.Add(1)
		return replaced, false
	}
	w0, w1 := e.Key.words()
	b := t.bucket(w0, w1)
	old := t.lookup(b, w0, w1)
	if old != 0 && t.slots[old].same(e) && t.records[old].owner == e.Owner {
		t.slots[old].refresh(e, now)
		return replaced, true
	}
	i := t.take(old != 0)
	if i == 0 {
		t.count.refused.Add(1)
		return replaced, false
	}
	h.refs++
	h.punt.CompareAndSwap(0, now+int64(PuntEvery))
	t.publish(i, b, e, now)
	if old != 0 {
		t.retire(old, b)
		if packets, bytes := t.credit(old, now); packets != 0 {
			replaced = t.report(old, now, packets, bytes)
		}
	}
	return replaced, true
}

// hop returns the valid row of id, or nil. Table.mu is held.
func (t *Table) hop(id HopID) *hop {
	if id == 0 || id > MaxHops {
		return nil
	}
	if h := t.hops[id].Load(); h != nil && h.valid.Load() {
		return h
	}
	return nil
}

// Remove takes the flow with key k out of the table. The next Sweep reports what
// it carried.
func (t *Table) Remove(k Key) {
	w0, w1 := k.words()
	b := t.bucket(w0, w1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch.Add(1)
	if i := t.lookup(b, w0, w1); i != 0 {
		t.retire(i, b)
	}
}

// Flush takes all flows out of the table. The next Sweep reports what they
// carried. Next hops stay.
func (t *Table) Flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch.Add(1)
	for i := uint32(1); i < t.fresh; i++ {
		if t.records[i].state == stateLive {
			t.retireSlot(i)
		}
	}
}

// lookup finds the live slot of a key. Table.mu is held.
func (t *Table) lookup(b uint32, w0, w1 uint64) uint32 {
	for i := t.heads[b].Load(); i != 0; i = t.slots[i].next.Load() {
		s := &t.slots[i]
		if s.w0.Load() == w0 && s.w1.Load()&^notKey == w1 {
			return i
		}
	}
	return 0
}

// take returns a free slot, or 0. Table.mu is held.
func (t *Table) take(replacing bool) uint32 {
	if t.live >= t.capacity && !replacing {
		return 0
	}
	if i := t.free; i != 0 {
		t.free = t.records[i].next
		return i
	}
	if int(t.fresh) < len(t.slots) {
		t.fresh++
		return t.fresh - 1
	}
	return 0
}

// publish fills slot i and lets readers see it. Table.mu is held.
func (t *Table) publish(i, b uint32, e *Entry, now int64) {
	s := &t.slots[i]
	// What it has counted so far was another flow's; from the next lines on
	// readers count for this one.
	t.records[i] = record{owner: e.Owner, seen: s.st.Load(), state: stateLive}
	s.write(e, now)
	s.next.Store(t.heads[b].Load())
	s.seq.Add(1) // odd: live
	t.heads[b].Store(i)
	t.own(i)
	t.live++
}

// retire takes slot i out of bucket b. Its own next stays, so that a reader
// that stands on it finds the rest of the chain. Table.mu is held.
func (t *Table) retire(i, b uint32) {
	s := &t.slots[i]
	s.seq.Add(1) // even: dead
	link := &t.heads[b]
	for at := link.Load(); at != i; at = link.Load() {
		link = &t.slots[at].next
	}
	link.Store(s.next.Load())
	t.disown(i)
	t.records[i].state = stateRetired
	t.hops[s.hop()].Load().refs--
	t.live--
}

// retireSlot is retire for a caller that does not know the bucket.
func (t *Table) retireSlot(i uint32) {
	w0, w1 := t.slots[i].key().words()
	t.retire(i, t.bucket(w0, w1))
}
