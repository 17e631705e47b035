package link

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func TestWhatOneEndWritesTheOtherReads(t *testing.T) {
	a, b := NewPair(routerMAC, hostMAC, 1500)
	untagged := ether(hostMAC, routerMAC, 0, frame.TypeIPv4, ip(40))
	tagged := ether(hostMAC, routerMAC, 20, frame.TypeIPv4, ip(40))
	in := []frame.Frame{frame.Copy(untagged, 0), frame.Copy(untagged, 20), frame.Copy(tagged, 0)}
	if n, why := a.Write(in); n != 3 || why != drop.None {
		t.Fatalf("wrote %d, %v", n, why)
	}
	clear(in[0].Bytes()) // the pair must have copied
	batch := make([]frame.Frame, 2)
	n, err := b.Read(batch)
	if n != 2 || err != nil {
		t.Fatalf("read %d, %v", n, err)
	}
	for k, vlan := range []uint16{0, 20} {
		if batch[k].VLAN != vlan {
			t.Errorf("frame %d: VLAN %d, want %d", k, batch[k].VLAN, vlan)
		}
		if d := cmp.Diff(untagged, batch[k].Bytes()); d != "" {
			t.Errorf("frame %d: %s", k, d)
		}
		if batch[k].VLAN = 30; !batch[k].PushTag() {
			t.Errorf("frame %d: no headroom to send it on with a tag", k)
		}
	}
	if d := cmp.Diff([][]byte{tagged}, b.Drain()); d != "" {
		t.Error(d)
	}
	if n := b.TryRead(batch); n != 0 || a.Sent() != 3 || b.Sent() != 0 || a.Drain() != nil {
		t.Errorf("%d frames left, %d and %d sent", n, a.Sent(), b.Sent())
	}
}

func TestAFullPairRefusesWithoutWaiting(t *testing.T) {
	a, b := NewPair(routerMAC, hostMAC, 100)
	batch := make([]frame.Frame, memoryQueue+5)
	for k := range batch {
		batch[k] = frame.Copy(ether(hostMAC, routerMAC, 0, frame.TypeIPv4, ip(100)), 20)
	}
	if n, why := a.Write(batch); n != memoryQueue || why != drop.TxRefused {
		t.Errorf("wrote %d, %v", n, why)
	}
	b.Drain()
	for _, vlan := range []uint16{0, 20} {
		big := frame.Copy(ether(hostMAC, routerMAC, vlan, frame.TypeIPv4, ip(101)), 0)
		if n, why := a.Write([]frame.Frame{batch[0], big, batch[1]}); n != 1 || why != drop.FrameTooBig {
			t.Errorf("VLAN %d: wrote %d, %v", vlan, n, why)
		}
	}
	if got := len(b.Drain()); got != 2 {
		t.Errorf("%d frames passed, want 2", got)
	}
}

func TestAPairIsUpWhenBothEndsAre(t *testing.T) {
	a, b := NewPair(routerMAC, hostMAC, 1500)
	f := []frame.Frame{frame.Copy(ether(hostMAC, routerMAC, 0, frame.TypeIPv4, ip(40)), 0)}
	check := func(step string, want bool) {
		t.Helper()
		wantWhy := drop.PortDown
		if want {
			wantWhy = drop.None
		}
		for _, m := range []*Memory{a, b} {
			if _, why := m.Write(f); m.Up() != want || why != wantWhy {
				t.Errorf("%s: up %v, write %v", step, m.Up(), why)
			}
		}
	}
	check("at first", true)
	b.SetUp(false)
	check("one end down", false)
	if n := b.TryRead(make([]frame.Frame, 1)); n != 0 {
		t.Error("a port that is down gave a frame")
	}
	b.SetUp(true)
	check("up again", true)
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	check("one end closed", false)
	if _, err := a.Read(make([]frame.Frame, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	if got := len(b.Drain()); got != 2 {
		t.Errorf("%d frames waited on the open end, want 2", got)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	b := newBench(Config{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.port.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if b.near.Up() {
		t.Error("the driver is still open")
	}
	if err := b.port.Run(ctx); err != nil {
		t.Errorf("run with a context that has ended: %v", err)
	}
}

// failing is a driver whose device has gone away for good.
type failing struct {
	nullDriver
	closed bool
}

func (*failing) Read([]frame.Frame) (int, error) { return 0, errors.New("no such device") }
func (d *failing) Close() error                  { d.closed = true; return nil }

func TestRunReportsADriverThatCannotRead(t *testing.T) {
	d := new(failing)
	err := NewFabric(Config{}).AddPort("wan", d).Run(context.Background())
	if err == nil || err.Error() != "port wan: read: no such device" || !d.closed {
		t.Errorf("error %v, closed %v", err, d.closed)
	}
}

// A port goes down and comes back while frames flow in both directions: only
// those sent in between are lost, each is counted, and the loop lives on.
func TestAPortThatGoesDownAndUpLosesOnlyTheFramesMeanwhile(t *testing.T) {
	b := newBench(Config{})
	i, s := b.add(t, 1, 20)
	arrived := make(chan byte, memoryQueue)
	s.do = func(pkt *stack.PacketBuffer) {
		p := pkt.Data().AsRange().ToSlice()
		arrived <- p[len(p)-1]
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.port.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	send := func(mark byte) (in, out bool) {
		p := ip(40)
		p[39] = mark
		f := frame.Copy(ether(routerMAC, hostMAC, 0, frame.TypeIPv4, p), 20)
		n, _ := b.far.Write([]frame.Frame{f})
		o := frame.Copy(ether(hostMAC, routerMAC, 0, frame.TypeIPv4, p), 0)
		o.Out = i.ID()
		before := i.count.txFrames.Load()
		b.fabric.send(nil, []frame.Frame{o})
		return n == 1, i.count.txFrames.Load() == before+1
	}
	for mark := range byte(9) {
		b.near.SetUp(mark < 3 || mark >= 6)
		in, out := send(mark)
		if want := mark < 3 || mark >= 6; in != want || out != want {
			t.Errorf("frame %d: passed in %v, out %v, want %v", mark, in, out, want)
		}
	}
	for _, want := range []byte{0, 1, 2, 6, 7, 8} {
		if got := <-arrived; got != want {
			t.Errorf("frame %d arrived, want %d", got, want)
		}
	}
	cancel()
	wg.Wait()
	b.wantDrops(t, map[drop.Reason]uint64{drop.PortDown: 3})
	if got := len(b.far.Drain()); got != 6 {
		t.Errorf("%d frames came out, want 6", got)
	}
}
