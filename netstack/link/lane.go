package link

import (
	"errors"
	"net"
	"runtime"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// A lane is a goroutine that receives from a port, with all that it needs on a
// hit: two lanes share nothing that either of them writes, as long as each has
// its own way out of a port.
type lane struct {
	port *Port
	n    int  // its number; frames leave other ports by their lane of this number
	way  Lane // the driver's
	fast FastPath
	mine [256]laneCounters // by interface number
	was  [][]byte          // while somebody looks on: frames as they came
}

// laneCounters are those of one interface that one lane alone adds to.
type laneCounters struct {
	of    *Interface // whose they are: a number may change hands
	count *counters
}

// newLanes makes the lanes of a port: one, if its driver does not have more.
func newLanes(p *Port) []*lane {
	ways := []Lane{p.driver}
	if d, ok := p.driver.(Laned); ok {
		ways = d.Lanes()
	}
	lanes := make([]*lane, len(ways))
	for n, w := range ways {
		lanes[n] = &lane{port: p, n: n, way: w, fast: p.fabric.fast()}
	}
	return lanes
}

// Lanes returns how many goroutines receive from a port with this driver. Each
// of them waits in the kernel for most of its time, and takes a processor of
// Go's along for a while: where all of them have one and one is left over
// (runtime.GOMAXPROCS), none waits for another, and which runs is the kernel's
// choice. With as many as the machine has, a frame can lie for milliseconds.
func Lanes(d Driver) int {
	if l, ok := d.(Laned); ok {
		return len(l.Lanes())
	}
	return 1
}

// spread begins to receive by all lanes, and returns those that receive.
func (p *Port) spread() []*lane {
	d, ok := p.driver.(Laned)
	if !ok || len(p.lanes) == 1 {
		return p.lanes[:1]
	}
	if err := d.Spread(); err != nil && !errors.Is(err, net.ErrClosed) {
		p.fabric.log.Warn("a port receives by one thread only", "port", p.name, "error", err)
		return p.lanes[:1]
	}
	return p.lanes
}

// breath is how long in nanoseconds the loop goes on without asking Go's
// scheduler. Longer than 10 ms and it is taken for a goroutine that does not let
// others run: from then on it is robbed of its processor in each call of the
// kernel that takes 20 us, which costs as much as the frames do.
const breath = 4_000_000

// receive is the loop of a lane. It ends without an error when the driver is
// closed.
func (l *lane) receive() error {
	batch, last := make([]frame.Frame, frame.Batch), int64(0)
	for {
		n, err := l.way.Read(batch)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if now := l.input(batch[:n]); now-last > breath {
			last = now
			runtime.Gosched()
		}
	}
}

// input is one turn of the loop, and returns when it began: see Port.Input.
func (l *lane) input(batch []frame.Frame) int64 {
	f := l.port.fabric
	now := f.now()
	rest := batch[:l.sort(batch, now)]
	if len(rest) > 0 {
		if l.fast != nil && l.process(rest, now) > 0 {
			l.hits(rest)
			f.send(l, rest)
		}
		l.port.slow(rest, now)
	}
	f.after()
	// Whichever lane comes by: the first may have nothing to do for long.
	if p, at := l.port, l.port.nextLost.Load(); now >= at && p.nextLost.CompareAndSwap(at, now+int64(time.Second)) {
		p.countLost()
	}
	return now
}

// sort drops what is not for us, handles ARP and group frames at once, moves
// the IPv4 unicast frames to the front and returns their number.
func (l *lane) sort(batch []frame.Frame, now int64) int {
	n, p, on := 0, l.port, l.port.fabric.looker.Load()
	rx := tally{by: l, to: receivedBy}
	for k := range batch {
		f := &batch[k]
		i, why := p.admit(f)
		if on != nil {
			f.Mark = (*on).Received(p, f, now)
		}
		if why != drop.None {
			p.fabric.drops.CountOf(dropped(f, why, now))
			continue
		}
		rx.add(i, f.Len())
		switch {
		case f.EtherType() == frame.TypeARP:
			p.arp(i, f, now)
		case f.EtherType() != frame.TypeIPv4:
			p.fabric.drops.CountOf(dropped(f, drop.EtherType, now))
		case f.Dst().IsGroup():
			i.deliver(f, now)
		default:
			if n != k {
				batch[n] = *f
			}
			n++
		}
	}
	rx.flush()
	return n
}

// hits counts the frames that the fast path took.
func (l *lane) hits(batch []frame.Frame) {
	t := tally{by: l, to: fastOn}
	var i *Interface
	for k := range batch {
		if batch[k].Out == 0 {
			continue
		}
		if i == nil || i.id != batch[k].In {
			i = l.port.fabric.interfaces[batch[k].In].Load()
		}
		t.add(i, 0)
	}
	t.flush()
}

// counters returns those of i to which only l adds; without a lane, those that
// everybody shares.
func (l *lane) counters(i *Interface) *counters {
	if l == nil {
		return &i.count
	}
	m := &l.mine[i.id]
	if m.of != i {
		m.of, m.count = i, i.newCounters()
	}
	return m.count
}
