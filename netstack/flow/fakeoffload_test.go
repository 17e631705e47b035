package flow

import (
	"fmt"

	"spigate/netstack/frame"
)

// fakeOffload is a back-end that forwards and counts, and takes note of every
// call that the seam does not allow. sweeps is moved by the test.
type fakeOffload struct {
	most   int // flows that it takes
	sweeps int
	flows  map[uint32]*fakeFlow
	keys   map[Key]uint32 // what it matches
	hops   map[HopID]OffloadHop
	punts  map[HopID]bool
	asked  int // Punts
	next   uint32
	closed bool // the table is
	faults []string
}

type fakeFlow struct {
	Offloaded
	packets, bytes uint64 // since the last Count
	all            uint64 // packets
	removed        int    // sweeps as of Remove; -1: it matches
}

func newFakeOffload(most int) *fakeOffload {
	return &fakeOffload{
		most: most, flows: map[uint32]*fakeFlow{}, keys: map[Key]uint32{},
		hops: map[HopID]OffloadHop{}, punts: map[HopID]bool{},
	}
}

func (f *fakeOffload) fault(format string, args ...any) {
	f.faults = append(f.faults, fmt.Sprintf(format, args...))
}

func (f *fakeOffload) called(call string) {
	if f.closed {
		f.fault("%s after the table was closed", call)
	}
}

func (f *fakeOffload) Add(o Offloaded) (uint32, bool) {
	f.called("Add")
	if _, there := f.keys[o.Key]; there {
		f.fault("Add of a key that is there: %+v", o.Key)
	}
	if !f.hops[o.Hop].Valid {
		f.fault("Add with next hop %d, which is not valid", o.Hop)
	}
	if o.Key.Proto == frame.ProtoICMP {
		f.fault("Add of ICMP")
	}
	if len(f.flows) >= f.most {
		return 0, false
	}
	f.next++
	f.flows[f.next] = &fakeFlow{Offloaded: o, removed: -1}
	f.keys[o.Key] = f.next
	return f.next, true
}

func (f *fakeOffload) of(call string, ref uint32) *fakeFlow {
	if o := f.flows[ref]; o != nil {
		return o
	}
	f.fault("%s of ref %d, which is released or never was", call, ref)
	return &fakeFlow{}
}

func (f *fakeOffload) Remove(ref uint32) {
	f.called("Remove")
	o := f.of("Remove", ref)
	if o.removed >= 0 {
		f.fault("Remove of ref %d for the second time", ref)
	}
	o.removed = f.sweeps
	delete(f.keys, o.Key)
}

func (f *fakeOffload) Count(refs []uint32, into []Carried) {
	f.called("Count")
	if len(into) != len(refs) {
		f.fault("Count of %d refs into %d", len(refs), len(into))
	}
	for i, ref := range refs {
		o := f.of("Count", ref)
		into[i] = Carried{o.packets, o.bytes}
		o.packets, o.bytes = 0, 0
	}
}

func (f *fakeOffload) Release(ref uint32) {
	f.called("Release")
	o := f.of("Release", ref)
	if o.removed < 0 || f.sweeps < o.removed+2 {
		f.fault("Release of ref %d in Sweep %d, removed after Sweep %d", ref, f.sweeps, o.removed)
	}
	if o.packets != 0 {
		f.fault("Release of ref %d, which has %d packets that nobody asked for", ref, o.packets)
	}
	delete(f.flows, ref)
}

func (f *fakeOffload) SetHop(id HopID, h OffloadHop) {
	f.called("SetHop")
	if h.Valid {
		for _, o := range f.flows {
			if o.Hop == id {
				f.fault("next hop %d is set while it is in use", id)
			}
		}
	}
	f.hops[id] = h
}

func (f *fakeOffload) Punt(id HopID) {
	f.called("Punt")
	f.punts[id] = true
	f.asked++
}

// forward is a packet that comes in on lan: it reports whether the back-end
// sends it on.
func (f *fakeOffload) forward(b []byte) bool {
	fr := arrived(b, lan)
	k, ok := KeyOf(&fr)
	ref, there := f.keys[k]
	if !ok || !there {
		return false
	}
	o := f.flows[ref]
	total := len(b) - frame.HeaderLen
	h := f.hops[o.Hop]
	if !h.Valid || total > h.MTU || o.DFOnly && b[frame.HeaderLen+atFlags]&dontFragment == 0 {
		return false
	}
	if f.punts[o.Hop] {
		f.punts[o.Hop] = false
		return false
	}
	o.count(total)
	return true
}

func (o *fakeFlow) count(total int) {
	o.packets++
	o.bytes += uint64(total)
	o.all++
}
