//go:build linux && !noxdp

package xdp

import (
	"errors"
	"sync"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/xdp/bpf"
)

// Offload forwards flows in the kernel. All methods are safe for concurrent
// use. Those of flow.Offload make no system call, and wait for nothing but
// each other and a slice of Check's sweep: microseconds.
type Offload struct {
	maps *bpf.Maps

	checking sync.Mutex // guards ports, swept and sweeps; taken before mu
	ports    ports
	swept    int64 // when the last sweep began, monotonic ns
	sweeps   uint64

	mu      sync.Mutex // guards all below
	closed  bool
	flows   *flows
	hops    hops
	inside  [256]inside // by interface
	outside []outside   // by port
	refused uint64
}

var _ flow.Offload = (*Offload)(nil)

// inside is where an interface is.
type inside struct {
	port  int
	vlan  uint16 // 802.1Q id, 0: untagged
	known bool
}

// outside is what a port does now.
type outside struct {
	takes bool // a program is on it: what comes in can hit
	gives bool // frames can be sent to it
	mtu   int  // bytes of IP
}

// sweepEvery is how much time lies between two sweeps at least, in nanoseconds.
// A slot rests from one to the next: ten thousand times as long as a program runs.
const sweepEvery = int64(1e9) / 2

// sweepSlice is how many slots are swept under the lock at a time.
const sweepSlice = 256

// Add implements flow.Offload.
func (o *Offload) Add(f flow.Offloaded) (ref uint32, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.takes(&f) {
		ref, ok = o.flows.add(&f)
	}
	if !ok {
		o.refused++
	}
	return ref, ok
}

// takes reports whether the programs would forward packets of the flow.
func (o *Offload) takes(f *flow.Offloaded) bool {
	in := o.inside[f.Key.In]
	if o.closed || !in.known || f.Hop == 0 || f.Hop > flow.MaxHops || !o.hops.all[f.Hop].valid {
		return false
	}
	switch f.Key.Proto {
	case frame.ProtoESP:
	case frame.ProtoTCP, frame.ProtoUDP:
		if o.ports.list[in.port].unfinished() {
			return false
		}
	default:
		return false
	}
	return o.outside[in.port].takes
}

// Remove implements flow.Offload.
func (o *Offload) Remove(ref uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.flows.remove(ref)
	}
}

// Count implements flow.Offload.
func (o *Offload) Count(refs []uint32, into []flow.Carried) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flows.count(refs, into)
}

// Release implements flow.Offload.
func (o *Offload) Release(ref uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.flows.release(ref)
	}
}

// SetHop implements flow.Offload.
func (o *Offload) SetHop(id flow.HopID, h flow.OffloadHop) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if id <= flow.MaxHops && !o.closed {
		o.hops.set(id, h)
	}
}

// Punt implements flow.Offload.
func (o *Offload) Punt(id flow.HopID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if id <= flow.MaxHops && !o.closed {
		o.hops.maps.Punt(int(id))
	}
}

// exit is where packets for an interface leave. mu is held.
func (o *Offload) exit(out frame.Interface) (exit, bool) {
	in := o.inside[out]
	if !in.known || !o.outside[in.port].gives {
		return exit{}, false
	}
	return exit{port: in.port, vlan: in.vlan, mtu: o.outside[in.port].mtu}, true
}

// Check looks after the ports and sweeps the table. It is to be called about
// once a second, in the network namespace of the ports; now is monotonic
// nanoseconds. It makes system calls, but holds up no other method for them.
func (o *Offload) Check(now int64) {
	o.checking.Lock()
	defer o.checking.Unlock()
	if o.over() {
		return
	}
	o.checkPorts()
	if o.sweeps > 0 && now-o.swept < sweepEvery {
		return
	}
	o.swept = now
	o.sweeps++
	o.sweep()
}

func (o *Offload) over() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

// checkPorts looks after the ports, and lets flows use them as they are now.
func (o *Offload) checkPorts() {
	if !o.ports.check() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, p := range o.ports.list {
		o.outside[i].takes, o.outside[i].gives = p.link != nil, o.ports.reaches(p)
		o.outside[i].mtu = p.dev.mtu
	}
	o.hops.renewAll()
}

// pause lets no packet be forwarded until checkPorts is done with the ports,
// whatever the table above asks for meanwhile.
func (o *Offload) pause() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.outside)
	o.hops.stop()
}

// sweep goes over the whole table, slice by slice.
func (o *Offload) sweep() {
	for from, n := uint32(0), o.flows.table.Len(); from < n; from += sweepSlice {
		o.mu.Lock()
		o.flows.sweep(from, from+sweepSlice)
		o.mu.Unlock()
	}
}

// Close takes the programs off the ports and gives everything back. Count goes
// on to answer. Further calls do nothing.
func (o *Offload) Close() error {
	o.checking.Lock()
	defer o.checking.Unlock()
	if o.over() {
		return nil
	}
	o.pause()
	o.ports.close()
	// Nothing forwards any more, so this is the last that was counted.
	o.sweep()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	return errors.Join(o.flows.close(), o.maps.Close())
}

// Status tells how the offload is doing.
func (o *Offload) Status() Status {
	o.checking.Lock()
	defer o.checking.Unlock()
	var s Status
	for _, p := range o.ports.list {
		s.Ports = append(s.Ports, p.status())
	}
	o.mu.Lock()
	s.Flows, s.Capacity, s.Refused, s.Hits = o.flows.live, o.flows.capacity, o.refused, o.flows.hits
	closed := o.closed
	o.mu.Unlock()
	if !closed {
		s.Punts = o.punts()
	}
	return s
}
