package netstack

import (
	"encoding/binary"
	"hash/crc32"
	"net"
	"sync"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// lanes gives both ports of a world n lanes, in each of which the router's own
// goroutine receives, all of them at once. What goes in has come out when send
// returns all the same, but for what another lane let go (later.go).
func lanes(n int) option {
	return func(c *Config) {
		for i := range c.Ports {
			c.Ports[i].Driver = newLaned(c.Ports[i].Driver, n)
		}
	}
}

// laned is a port with several lanes over a driver with one way out.
type laned struct {
	link.Driver
	lanes  []*testLane
	closed chan struct{}
	once   sync.Once
}

// testLane gets its frames by give.
type testLane struct {
	of   *laned
	in   chan []frame.Frame
	done chan struct{} // with what came in last
	busy bool          // the reader's
	turn sync.Mutex    // of who gives
}

func newLaned(d link.Driver, n int) *laned {
	l := &laned{Driver: d, closed: make(chan struct{})}
	for range n {
		l.lanes = append(l.lanes, &testLane{of: l, in: make(chan []frame.Frame), done: make(chan struct{})})
	}
	return l
}

func (d *laned) Lanes() (out []link.Lane) {
	for _, l := range d.lanes {
		out = append(out, l)
	}
	return out
}

func (d *laned) Spread() error { return nil }

func (d *laned) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.Driver.Close()
}

func (l *testLane) Read(batch []frame.Frame) (int, error) {
	if l.busy {
		l.busy = false
		l.done <- struct{}{}
	}
	select {
	case frames := <-l.in:
		l.busy = true
		return copy(batch, frames), nil
	case <-l.of.closed:
		return 0, net.ErrClosed
	}
}

func (l *testLane) Write(batch []frame.Frame) (int, drop.Reason) { return l.of.Driver.Write(batch) }

// give lets frames come in, frame.Batch at most, and returns when the lane is
// done with them.
func (l *testLane) give(frames []frame.Frame) {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.in <- frames
	<-l.done
}

// laneOf is where the ring's program puts a frame (link, steering): by addresses
// and SPI or ports; by addresses alone where they are not in every packet; and
// first what is not IPv4, or too short. The hash is another one.
func (d *laned) laneOf(f *frame.Frame) *testLane {
	b := f.Payload()
	if f.EtherType() != frame.TypeIPv4 || len(b) < 20 {
		return d.lanes[0]
	}
	key := append([]byte(nil), b[12:20]...)
	whole := binary.BigEndian.Uint16(b[6:])&0x3fff == 0
	if proto := b[9]; whole && (proto == frame.ProtoESP || proto == frame.ProtoUDP || proto == frame.ProtoTCP) {
		at := int(b[0]&15) * 4
		if len(b) < at+4 {
			return d.lanes[0]
		}
		key = append(key, b[at:at+4]...)
	}
	return d.lanes[crc32.ChecksumIEEE(key)%uint32(len(d.lanes))]
}

// runLanes starts the lanes of a world, if its ports have some, until the test
// ends.
func (w *world) runLanes(t testing.TB) {
	var all sync.WaitGroup
	for i, d := range w.r.drivers {
		l, ok := d.(*laned)
		if !ok {
			continue
		}
		w.lanes[i] = l
		all.Go(func() {
			if err := w.r.Port(i).Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(all.Wait) // the context has ended by then
}

// give lets frames into a port, each by its lane, all lanes at once.
func (d *laned) give(frames []frame.Frame) {
	of := map[*testLane][]frame.Frame{}
	for i := range frames {
		l := d.laneOf(&frames[i])
		of[l] = append(of[l], frames[i])
	}
	var all sync.WaitGroup
	for l, part := range of {
		all.Go(func() { l.give(part) })
	}
	all.Wait()
}
