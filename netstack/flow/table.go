package flow

import (
	"sync"
	"sync/atomic"

	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

// DefaultCapacity is the number of flows when Config does not say.
const DefaultCapacity = 1 << 15

// Config is what a Table needs to know.
type Config struct {
	// Capacity is the greatest number of flows; 0 means DefaultCapacity.
	// Memory grows with the flows: where the table is full, 80 bytes off the
	// heap and about 100 on it for each (docs/size.md).
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
	// from Offload, 255 at most; 0 means DefaultOffloadIdle.
	OffloadIdle int
	// Offloaded is told what Offload forwarded between two interfaces, for who
	// counts those: packets, and bytes of IP. It is called like Active, as often
	// as there is something to tell. May be nil.
	Offloaded func(in, out frame.Interface, packets, bytes uint64)
}

// Table is the flow table. All methods are safe for concurrent use.
type Table struct {
	// Readers read these.
	arena   atomic.Pointer[arena]
	numbers numbersPool
	hops    [MaxHops + 1]atomic.Pointer[hop]

	capacity, maxSlots int
	active             func(Report)
	offload            offloading

	_     [64]byte // what changes stays off the lines above
	epoch atomic.Uint64

	mu      sync.Mutex // everything below, and all changes to arenas, numbers and hops
	cur     *arena
	next    *arena   // is being filled
	olds    []*arena // readers may be in them
	copied  uint32   // records below are in next
	parity  uint8    // which of record.slots is in cur
	records []*[recordChunk]record
	owners  map[Owner]uint32 // any one flow of the owner's ring
	hopIDs  map[hopKey]HopID // the valid rows
	readers map[*Reader]struct{}
	free    uint32 // list of free records, through record.next
	fresh   uint32 // records from here on were never used
	live    int
	count   counts
	now     int64    // of the call that holds mu
	pending []Report // what moved has credited

	sweeping sync.Mutex // one Sweep at a time; guards all below
	reports  []carried
	all      []*arena // whose slots are to be swept
	left     []*arena // of those, the ones that no reader is in
	sweeps   uint64
	reseeded uint64 // sweeps as of the last new seed
	failed   uint64 // placements that failed as of the last Sweep
}

// New makes an empty table. Close gives its memory back.
func New(c Config) *Table {
	capacity := c.Capacity
	if capacity <= 0 {
		capacity = DefaultCapacity
	}
	t := &Table{
		capacity: capacity,
		maxSlots: max(bucket.Slots(capacity), firstSlots),
		active:   c.Active,
		offload:  newOffloading(c),
		owners:   make(map[Owner]uint32),
		hopIDs:   make(map[hopKey]HopID),
		readers:  make(map[*Reader]struct{}),
		pending:  make([]Report, 0, 1),
		reports:  make([]carried, 0, sweepSlice),
		fresh:    1,
	}
	t.numbers = newNumbersPool(2 * t.maxSlots)
	t.cur = t.newArena(firstSlots)
	t.arena.Store(t.cur)
	return t
}

// Close forgets all flows, takes them back from Config.Offload, and gives the
// memory back. The table stays usable, but is empty and takes no flow.
func (t *Table) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch.Add(1)
	for i := uint32(1); i < t.fresh; i++ {
		if t.record(i).state == stateLive {
			t.retire(i)
		}
	}
	t.arena.Store(nil)
	if t.next != nil {
		t.next.release()
	}
	for _, a := range append(t.olds, t.cur) {
		if a != nil && !t.inUse(a) {
			a.release()
		}
	}
	t.cur, t.next, t.olds = nil, nil, nil
}

// Epoch is taken before a flow is decided, and given to Insert.
func (t *Table) Epoch() uint64 { return t.epoch.Load() }

// Insert puts a flow into the table. It returns false, and counts it, if
// something was removed or invalidated since epoch was taken (the decision may
// rest on it, so the flow might outlive its owner), or if the table is full:
// the packet's successors go through the stack and try again. So they do where
// the flow's buckets are full: in two Sweeps there will be room. A flow with an
// equal key is replaced, and reported if it carried something; one that is equal
// in all but the numbers is refreshed, and its numbers move forward at most. now
// is monotonic nanoseconds.
func (t *Table) Insert(e Entry, epoch uint64, now int64) bool {
	var few [fewFlows]carried
	t.mu.Lock()
	t.now = now
	reports, ok := t.insert(&e, epoch, few[:0])
	for _, r := range t.pending {
		reports = append(reports, carried{Report: r})
	}
	t.pending = t.pending[:0]
	t.mu.Unlock()
	t.tell(reports)
	return ok
}

// insert is Insert under Table.mu. It appends what a replaced flow had carried.
func (t *Table) insert(e *Entry, epoch uint64, reports []carried) ([]carried, bool) {
	h := t.hop(e.Hop)
	if epoch != t.epoch.Load() || h == nil {
		t.count.stale++
		return reports, false
	}
	if t.cur == nil {
		t.count.refused++
		return reports, false
	}
	k := e.Key.packed()
	_, old, replacing := t.cur.Lookup(k)
	if replacing && t.refresh(old, e) {
		return reports, true
	}
	if t.live >= t.capacity && !replacing {
		t.count.refused++
		return reports, false
	}
	if replacing {
		// What it carried is credited after the last reader found it.
		t.retire(old)
		if r := t.creditFlow(old); r.Packets != 0 {
			reports = append(reports, r)
		}
	}
	t.grow()
	t.takeOver(copySlice)
	if !t.publish(k, e) && !(t.hurry() && t.publish(k, e)) {
		t.count.later++
		return reports, false
	}
	h.refs++
	h.punt.CompareAndSwap(0, t.now+int64(PuntEvery))
	return reports, true
}

// refresh is an Insert of what flow i does already. It reports whether that is
// so. Table.mu is held.
func (t *Table) refresh(i uint32, e *Entry) bool {
	r := t.record(i)
	slot := r.slots[t.parity]
	word := t.cur.Value(slot)
	if r.numbered {
		word = t.numbers.at(uint32(word)).rewrite.Load()
	}
	const how = bucket.Destination | bucket.DFOnly
	if r.owner != e.Owner || r.numbered != e.numbered() || word != e.rewriteWord() || t.cur.Flags(slot)&how != e.flags() {
		return false
	}
	r.last, r.idle = t.now, int64(e.Idle)
	if r.numbered {
		t.numbers.at(r.ref).advance(e.End, e.Ack)
	}
	return true
}

// publish puts a new flow where readers see it, if there is a place. Table.mu is
// held.
func (t *Table) publish(k bucket.Key, e *Entry) bool {
	i := t.takeRecord()
	r := t.record(i)
	*r = record{owner: e.Owner, last: t.now, idle: int64(e.Idle), hop: e.Hop, state: stateLive, numbered: e.numbered()}
	flags, value := e.flags(), e.rewriteWord()
	if r.numbered {
		var ok bool
		if r.ref, ok = t.numbers.take(); !ok {
			*r = record{next: t.free}
			t.free = i
			return false
		}
		n := t.numbers.at(r.ref)
		n.rewrite.Store(value)
		n.word.Store(numbersWord(e.End, e.Ack))
		flags, value = flags|bucket.Extended, uint64(r.ref)
	}
	slot, ok := t.cur.Insert(k, flags, value, i)
	if !ok {
		t.freeRecord(i)
		return false
	}
	r.slots[t.parity] = slot
	if t.next != nil {
		t.double(i, r)
	}
	t.own(i)
	t.live++
	return true
}

// Remove takes the flow with key k out of the table. The next Sweep reports what
// it carried.
func (t *Table) Remove(k Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch.Add(1)
	if t.cur == nil {
		return
	}
	if _, i, ok := t.cur.Lookup(k.packed()); ok {
		t.retire(i)
	}
}

// Flush makes every flow there is miss from now on, in the back-end too. It takes
// as long as there are next hops, not flows: those leave with the next Sweep, which
// reports what they carried, and are replaced where they come again before.
func (t *Table) Flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	// Even without a next hop: an Insert may have been decided that will need one.
	t.epoch.Add(1)
	for _, id := range t.hopIDs {
		t.invalidate(id, t.hops[id].Load())
	}
}

// retire takes flow i out of the table: readers and the back-end do not know it
// any more, but for packets that are under way. Table.mu is held.
func (t *Table) retire(i uint32) {
	r := t.record(i)
	slot := r.slots[t.parity]
	k := t.cur.Key(slot)
	t.cur.Remove(slot)
	if t.next != nil {
		t.removeFrom(t.next, k)
	}
	for _, a := range t.olds {
		t.removeFrom(a, k)
	}
	if r.away != awayHome {
		t.offload.late[i] = t.report(t.cur, slot, r, 0, 0)
	}
	if r.away == awayTaken {
		t.comeBack(r)
	}
	t.disown(i)
	r.state, r.rest = stateRetired, restSweeps
	t.hops[r.hop].Load().refs--
	t.live--
}

// removeFrom takes a key out of an arena that is not the current one.
func (t *Table) removeFrom(a *arena, k bucket.Key) {
	if slot, _, ok := a.Lookup(k); ok {
		a.Remove(slot)
	}
}
