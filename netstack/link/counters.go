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

// counters are the live ones of an interface.
type counters struct {
	rxFrames, rxBytes      atomic.Uint64
	txFrames, txBytes      atomic.Uint64
	fast, slow, reinjected atomic.Uint64
}

// tally adds up frames that follow each other on one interface, so that the
// shared counters are touched once for all of them.
type tally struct {
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

func (t *tally) add(bytes int) {
	t.frames++
	t.bytes += uint64(bytes)
}

func (t *tally) flush(to direction) {
	if t.of != nil && t.frames > 0 {
		c := &t.of.count
		switch to {
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
		c := &i.count
		n := InterfaceCounters{
			ID: uint8(i.id), Name: i.name, VLAN: i.vlan,
			RxFrames: c.rxFrames.Load(), RxBytes: c.rxBytes.Load(),
			TxFrames: c.txFrames.Load(), TxBytes: c.txBytes.Load(),
			Fast: c.fast.Load(), Slow: c.slow.Load(), Reinjected: c.reinjected.Load(),
			Port: i.port.name, Up: i.port.driver.Up(), Lost: i.port.countLost(),
		}
		i.elsewhere.addTo(&n)
		out = append(out, n)
	}
	return out
}
