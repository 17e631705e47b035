//go:build linux && !noxdp

package xdp

import (
	"encoding/binary"

	"spigate/netstack/flow"
	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

// A ref is what a flow is to the table above: its flow moves from slot to slot,
// the ref's number stays.
type ref struct {
	slot           uint32 // of its flow; noSlot when that is free
	slots          uint32 // that count for it: one, and those that its flow has left
	packets, bytes uint64 // counted, not told yet
	released       bool   // it is free when slots is 0
}

const noSlot = ^uint32(0)

// flows is the flow table in the kernel's memory, by refs. One lock is held for
// all of it.
type flows struct {
	table    *bucket.Table
	capacity int
	live     int
	refs     [][]ref  // by number, in chunks, as they are needed; 0 is nobody's
	numbers  uint32   // that refs has had
	free     []uint32 // numbers that may be given out again
	hits     uint64   // packets counted
	closed   bool     // the memory is gone
	sum      uint64   // so that count's loads are not left out
}

func newFlows(arena []byte, seed bucket.Seed, capacity int) (*flows, error) {
	f := &flows{capacity: capacity, numbers: 1}
	t, err := bucket.New(arena, seed, f.moved)
	f.table = t
	return f, err
}

// refChunk is how many refs are made at a time.
const refChunk = 1 << 10

func (f *flows) ref(n uint32) *ref { return &f.refs[n/refChunk][n%refChunk] }

// number returns a free number.
func (f *flows) number() uint32 {
	if k := len(f.free); k > 0 {
		n := f.free[k-1]
		f.free = f.free[:k-1]
		return n
	}
	n := f.numbers
	f.numbers++
	if int(n/refChunk) == len(f.refs) {
		f.refs = append(f.refs, make([]ref, refChunk))
	}
	return n
}

// moved is told of a flow that makes room for another. What it counted in its
// old slot is credited now; a packet that is late is credited by a sweep.
func (f *flows) moved(own, from, to uint32) {
	r := f.ref(own)
	f.credit(r, from)
	r.slot = to
	r.slots++
}

func (f *flows) credit(r *ref, slot uint32) {
	packets, bytes := f.table.Credit(slot)
	f.counted(r, packets, bytes)
}

func (f *flows) counted(r *ref, packets, bytes uint64) {
	r.packets += packets
	r.bytes += bytes
	f.hits += packets
}

func (f *flows) add(o *flow.Offloaded) (uint32, bool) {
	if f.live >= f.capacity {
		return 0, false
	}
	var flags uint32
	if o.Side == flow.Destination {
		flags |= bucket.Destination
	}
	if o.DFOnly {
		flags |= bucket.DFOnly
	}
	n := f.number()
	slot, ok := f.table.Insert(keyOf(&o.Key), flags, valueOf(o), n)
	if !ok {
		f.free = append(f.free, n)
		return 0, false
	}
	*f.ref(n) = ref{slot: slot, slots: 1}
	f.live++
	return n, true
}

func (f *flows) remove(n uint32) {
	f.table.Remove(f.ref(n).slot)
	f.live--
}

// count first reads all that the counts are made of, close together, so that what
// the program's processor has in its cache is waited for at once, not one by one.
func (f *flows) count(refs []uint32, into []flow.Carried) {
	for _, n := range refs {
		if r := f.ref(n); r.slot != noSlot && !f.closed {
			f.sum += f.table.Value(r.slot) + uint64(f.table.Own(r.slot))
		}
	}
	for i, n := range refs {
		into[i] = f.take(n)
	}
}

// take is what a ref counted that was not told yet.
func (f *flows) take(n uint32) flow.Carried {
	r := f.ref(n)
	if r.slot != noSlot && !f.closed {
		f.credit(r, r.slot)
	}
	c := flow.Carried{Packets: r.packets, Bytes: r.bytes}
	r.packets, r.bytes = 0, 0
	return c
}

func (f *flows) release(n uint32) {
	f.ref(n).released = true
	f.collect(n)
}

// collect makes a ref free that stands for nothing any more.
func (f *flows) collect(n uint32) {
	if r := f.ref(n); r.released && r.slots == 0 {
		f.free = append(f.free, n)
	}
}

// sweep credits a slice of the slots and frees those that have rested.
func (f *flows) sweep(from, to uint32) {
	f.table.Sweep(from, to, f.swept)
}

func (f *flows) swept(slot, own uint32, packets, bytes uint64, s bucket.State) {
	r := f.ref(own)
	f.counted(r, packets, bytes)
	if s != bucket.Free {
		return
	}
	r.slots--
	if r.slot == slot {
		r.slot = noSlot
	}
	f.collect(own)
}

// close leaves what was counted to be told.
func (f *flows) close() error {
	f.closed = true
	return f.table.Release()
}

// keyOf is the key as the program composes it from a packet: what is on the
// wire as the machine reads it there.
func keyOf(k *flow.Key) bucket.Key {
	var b [12]byte
	copy(b[:], k.Src[:])
	copy(b[4:], k.Dst[:])
	binary.BigEndian.PutUint32(b[8:], k.ID)
	return bucket.MakeKey(binary.NativeEndian.Uint64(b[:]), binary.NativeEndian.Uint32(b[8:]), k.Proto, uint8(k.In))
}

// valueOf is the flow's rewrite. ESP has no ports.
func valueOf(o *flow.Offloaded) uint64 {
	var port [2]byte
	if o.Key.Proto != frame.ProtoESP {
		binary.BigEndian.PutUint16(port[:], o.Port)
	}
	return bucket.PackValue(binary.NativeEndian.Uint32(o.Addr[:]), binary.NativeEndian.Uint16(port[:]), uint16(o.Hop))
}
