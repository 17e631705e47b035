package bucket

import (
	"errors"
	"fmt"
	"unsafe"
)

// MaxSlots is the most that a table can have: 8 GiB of arena.
const MaxSlots = 1 << 28

// The load factor of all tables: flows of slots.
const loadFlows, loadSlots = 3, 5

// Slots is how many slots a table for that many flows has: whole buckets, of
// which 0.6 are used. A slot is 32 bytes of arena and 16 bytes of shadow.
func Slots(flows int) int {
	flows = min(max(flows, 1), MaxSlots/loadSlots*loadFlows)
	slots := (flows*loadSlots + loadFlows - 1) / loadFlows
	return (slots + Ways - 1) / Ways * Ways
}

// State is what a slot is for its writer.
type State uint8

// The states of a slot, in their order.
const (
	Free    State = iota
	Live          // readers find it
	Retired       // removed or moved since the last Sweep; late packets still count
	Resting       // so for a whole Sweep
)

// shadow is what the writer knows of a slot.
type shadow struct {
	last  uint64 // the count as of the last credit
	own   uint32 // the caller's
	state State
	_     [3]byte
}

const shadowSize = 16

var _ [0]struct{} = [unsafe.Sizeof(shadow{}) - shadowSize]struct{}{}

// Stats is what a table counts of itself.
type Stats struct {
	Live    int    // flows
	Resting int    // slots that wait to be free
	Moved   uint64 // flows that were moved to make room
	Later   uint64 // Inserts refused because the room that was made still rests
	Failed  uint64 // Inserts refused because no room could be made
}

// Table is a flow table over an arena. Find, Hash and Touch may be called by any
// number of goroutines; all else by one at a time: the caller has a lock.
type Table struct {
	// Readers read these; they do not change.
	base    unsafe.Pointer
	buckets uint64
	seed    Seed

	_ [lineSize]byte // what the writer changes is in other cache lines

	shadows []shadow
	memory  *Memory // of shadows
	moved   func(own, from, to uint32)
	stats   Stats
}

// New makes a table over mem, which must be zeroed, aligned to Size and as many
// whole buckets as it shall have. The table does not own mem: it must outlive the
// table and its readers. moved (nil: none) is called whenever a flow has been
// moved to another slot to make room: until Sweep frees from, both slots have
// the same own and count for it.
func New(mem []byte, seed Seed, moved func(own, from, to uint32)) (*Table, error) {
	slots := len(mem) / EntrySize
	if len(mem) == 0 || len(mem)%Size != 0 || slots > MaxSlots {
		return nil, fmt.Errorf("%d bytes for flows are not whole buckets of %d bytes, at most %d slots", len(mem), Size, MaxSlots)
	}
	base := unsafe.Pointer(&mem[0])
	if uintptr(base)%Size != 0 {
		return nil, errors.New("the memory for flows is not aligned to a bucket")
	}
	memory, err := mapMemory(slots * shadowSize)
	if err != nil {
		return nil, err
	}
	t := &Table{base: base, buckets: uint64(slots / Ways), seed: seed, memory: memory, moved: moved}
	t.shadows = unsafe.Slice((*shadow)(unsafe.Pointer(&memory.bytes[0])), slots)
	return t, nil
}

// Release gives back what New mapped, which is not the arena. The table has no
// slots any more; readers that are still in it are not disturbed.
func (t *Table) Release() error {
	t.shadows = nil
	return t.memory.Release()
}

// Len is the number of slots: they are 0 to Len-1.
func (t *Table) Len() uint32 { return uint32(len(t.shadows)) }

// Stats is what the table counted.
func (t *Table) Stats() Stats { return t.stats }

// State is the slot's.
func (t *Table) State(slot uint32) State { return t.shadows[slot].state }

// Own is what the caller gave the slot.
func (t *Table) Own(slot uint32) uint32 { return t.shadows[slot].own }

// SetOwn replaces it.
func (t *Table) SetOwn(slot, own uint32) { t.shadows[slot].own = own }

// Key is what the slot's flow is found by.
func (t *Table) Key(slot uint32) Key { return t.entry(slot).key() }

// Value is what the slot's flow was inserted with.
func (t *Table) Value(slot uint32) uint64 { return t.entry(slot).value }

// Flags are the slot's: what its flow was inserted with, and Valid while it
// lives.
func (t *Table) Flags(slot uint32) uint32 { return t.entry(slot).tag & flagMask }

// entry is a slot's.
func (t *Table) entry(slot uint32) *Entry {
	return (*Entry)(unsafe.Add(t.base, uintptr(slot)*EntrySize))
}
