package link

import "sync/atomic"

// InterfaceCounters is what passed through one interface, and the state of its
// port. Bytes count whole frames from the destination MAC address on, without
// tag and checksum.
type InterfaceCounters struct {
	ID   uint8
	Name string
	VLAN uint16 // 802.1Q id, 0 untagged

	RxFrames, RxBytes uint64 // frames for us, before any other decision
	TxFrames, TxBytes uint64 // frames that the driver took
	Fast              uint64 // received frames that the fast path sent on
	Slow              uint64 // received frames that the stack got
	Reinjected        uint64 // packets that were given to the stack again
	Offloaded         uint64 // received frames that were forwarded without us; they are in RxFrames

	Port string
	Up   bool
	Lost uint64 // of the whole port: frames lost before they could be read
}

// counters are the live ones of an interface: one set for each lane, so that no
// two lanes write to one cache line, and one for everybody else.
type counters struct {
	_                      [cacheLine]byte
	rxFrames, rxBytes      atomic.Uint64
	txFrames, txBytes      atomic.Uint64
	fast, slow, reinjected atomic.Uint64
	_                      [cacheLine]byte
}

// newCounters makes counters of the interface for one lane.
func (i *Interface) newCounters() *counters {
	c := new(counters)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.lanes = append(i.lanes, c)
	return c
}

// addTo adds what c has counted.
func (c *counters) addTo(n *InterfaceCounters) {
	n.RxFrames += c.rxFrames.Load()
	n.RxBytes += c.rxBytes.Load()
	n.TxFrames += c.txFrames.Load()
	n.TxBytes += c.txBytes.Load()
	n.Fast += c.fast.Load()
	n.Slow += c.slow.Load()
	n.Reinjected += c.reinjected.Load()
}

// tally adds up frames that follow each other on one interface, so that the
// counters are touched once for all of them.
type tally struct {
	by            *lane // whose counters; nil: everybody's
	to            direction
	of            *Interface
	frames, bytes uint64
}

// direction names the pair of counters into which a tally goes.
type direction uint8

const (
	receivedBy direction = iota
	sentBy
	fastOn
)

// add counts a frame of i, which may be nil: then it belongs to nobody.
func (t *tally) add(i *Interface, bytes int) {
	if t.of != i {
		t.flush()
		t.of = i
	}
	t.frames++
	t.bytes += uint64(bytes)
}

func (t *tally) flush() {
	if t.of != nil && t.frames > 0 {
		c := t.by.counters(t.of)
		switch t.to {
		case receivedBy:
			c.rxFrames.Add(t.frames)
			c.rxBytes.Add(t.bytes)
		case sentBy:
			c.txFrames.Add(t.frames)
			c.txBytes.Add(t.bytes)
		case fastOn:
			c.fast.Add(t.frames)
		}
	}
	t.frames, t.bytes = 0, 0
}

// Counters returns the counters of all interfaces, in the order of their
// numbers. It also takes what the drivers lost over into the drop counters.
func (f *Fabric) Counters() []InterfaceCounters {
	var out []InterfaceCounters
	for id := range f.interfaces {
		i := f.interfaces[id].Load()
		if i == nil {
			continue
		}
		n := InterfaceCounters{
			ID: uint8(i.id), Name: i.name, VLAN: i.vlan,
			Port: i.port.name, Up: i.port.driver.Up(), Lost: i.port.countLost(),
		}
		i.count.addTo(&n)
		i.mu.Lock()
		for _, c := range i.lanes {
			c.addTo(&n)
		}
		i.mu.Unlock()
		i.elsewhere.addTo(&n)
		out = append(out, n)
	}
	return out
}
