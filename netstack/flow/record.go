package flow

import (
	"time"

	"spigate/netstack/flow/bucket"
)

// record is the part of a flow that only the writers need, under Table.mu. Its
// number, from 1 on, is what the flow's slots say as their own. It stays in its
// place while the flow's slot may change.
type record struct {
	owner          Owner
	last           int64 // the last known activity, monotonic nanoseconds
	idle           int64 // nanoseconds
	packets, bytes uint64
	prev, next     uint32    // ring of the owner's flows; next also links free records
	slots          [2]uint32 // in Table.cur: by Table.parity; the other one in Table.next
	ref            uint32    // of a Numbered flow: its numbers; else: the back-end's, unless away is home
	recent         uint32    // packets that the table forwarded since the last Sweep
	hop            HopID
	state          state
	away           away
	quiet          uint8 // Sweeps without a packet from the back-end
	numbered       bool
	rest           uint8 // Sweeps until a retired record is free
}

type state uint8

const (
	stateFree state = iota
	stateLive
	stateRetired // late packets still count for it
)

// restSweeps is how many Sweeps a retired record stays. Its slots are free after
// two whole ones, and it may retire in the midst of a third.
const restSweeps = 3

// recordChunk is how many records are made at a time.
const recordChunk = 256

// record returns the i-th record.
func (t *Table) record(i uint32) *record {
	return &t.records[i/recordChunk][i%recordChunk]
}

// takeRecord returns a free record. Table.mu is held.
func (t *Table) takeRecord() uint32 {
	if i := t.free; i != 0 {
		t.free = t.record(i).next
		return i
	}
	if int(t.fresh) >= len(t.records)*recordChunk {
		t.records = append(t.records, new([recordChunk]record))
	}
	t.fresh++
	return t.fresh - 1
}

// freeRecord gives a record back. Table.mu is held.
func (t *Table) freeRecord(i uint32) {
	r := t.record(i)
	if r.numbered {
		t.numbers.free(r.ref)
	}
	*r = record{next: t.free}
	t.free = i
}

// entry is the flow in a slot as it was inserted, without its owner. r is its
// record.
func (t *Table) entry(a *arena, slot uint32, r *record) Entry {
	flags, word := a.Flags(slot), a.Value(slot)
	e := Entry{Key: unpacked(a.Key(slot)), Idle: time.Duration(r.idle)}
	if flags&bucket.Extended != 0 {
		n := t.numbers.at(uint32(word))
		word = n.rewrite.Load()
		e.Numbered = true
		e.End, e.Ack = n.get()
	}
	e.setRewrite(flags, word)
	return e
}
