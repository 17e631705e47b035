package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func newTestCable(t testing.TB, c CableConfig) (a, b Driver) {
	t.Helper()
	c.A, c.B = routerMAC, hostMAC
	if c.MTU == 0 {
		c.MTU = 1500
	}
	a, b, err := NewCable(c)
	must(t, err)
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a, b
}

func TestFramesPassACableInOrderWholeAndWithTheirTags(t *testing.T) {
	a, b := newTestCable(t, CableConfig{Slots: 16})
	for round := range 50 { // three times around
		for k, f := range []struct {
			raw, want []byte
			vlan      uint16
		}{
			{raw: ether(hostMAC, routerMAC, 0, frame.TypeIPv4, ip(40+round)), want: ether(hostMAC, routerMAC, 0, frame.TypeIPv4, ip(40+round))},
			{raw: ether(hostMAC, routerMAC, 0, frame.TypeIPv4, ip(1500)), vlan: 20, want: ether(hostMAC, routerMAC, 20, frame.TypeIPv4, ip(1500))},
			{raw: ether(hostMAC, routerMAC, 20, frame.TypeIPv4, ip(1500)), want: ether(hostMAC, routerMAC, 20, frame.TypeIPv4, ip(1500))},
		} {
			in := frame.Copy(f.raw, f.vlan)
			sendAll(t, a, in)
			clear(in.Bytes()) // it must have been copied
			var batch [2]frame.Frame
			n, err := b.Read(batch[:])
			must(t, err)
			got := &batch[0]
			if n != 1 || got.VLAN != 0 || !bytes.Equal(got.Bytes(), f.want) {
				t.Fatalf("round %d, frame %d: %x", round, k, got.Bytes())
			}
			got.StripTag()
			if got.VLAN = 30; !got.PushTag() {
				t.Fatal("no room to send it on with a tag")
			}
		}
	}
	if a.MAC() != routerMAC || b.MAC() != hostMAC || a.MTU() != 1500 || b.Lost() != 0 {
		t.Errorf("ends %v and %v, mtu %d, %d lost", a.MAC(), b.MAC(), a.MTU(), b.Lost())
	}
}

// What was read is the reader's until it reads again, however much is written.
func TestAFullCableRefusesAndTouchesNothingThatIsLent(t *testing.T) {
	a, b := newTestCable(t, CableConfig{Slots: 8, MTU: 100})
	sendAll(t, a, testFrames(8, 60)...)
	if n, why := a.Write(testFrames(1, 60)); n != 0 || why != drop.TxRefused {
		t.Errorf("a full cable took %d, %v", n, why)
	}
	var batch [3]frame.Frame
	_, err := b.Read(batch[:])
	must(t, err)
	if n, _ := a.Write(testFrames(1, 60)); n != 0 {
		t.Error("a slot that is lent was written to")
	}
	for k := range batch {
		if batch[k].Bytes()[14] != byte(k) {
			t.Errorf("frame %d is %x", k, batch[k].Bytes())
		}
	}
	_, err = b.Read(batch[:]) // gives the first three back
	must(t, err)
	if n, why := a.Write(testFrames(4, 60)); n != 3 || why != drop.TxRefused {
		t.Errorf("sent %d, %v, want 3", n, why)
	}
	for k := range batch {
		if batch[k].Bytes()[14] != byte(3+k) {
			t.Errorf("frame %d is %x", 3+k, batch[k].Bytes())
		}
	}
}

func TestAFrameThatIsTooLongForACableHoldsUpNobody(t *testing.T) {
	a, b := newTestCable(t, CableConfig{MTU: 100})
	batch := testFrames(4, 60)
	batch[1] = frame.Copy(ether(hostMAC, routerMAC, 20, frame.TypeIPv4, ip(101)), 0)
	batch[2] = frame.Copy(ether(hostMAC, routerMAC, 0, frame.TypeIPv4, ip(101)), 20)
	if n, why := a.Write(batch); n != 2 || why != drop.FrameTooBig {
		t.Errorf("sent %d, %v", n, why)
	}
	if n, why := a.Write([]frame.Frame{frame.Copy(make([]byte, 5), 0)}); n != 0 || why != drop.TxRefused {
		t.Errorf("no frame at all: sent %d, %v", n, why)
	}
	readFrames(t, b, 2)
}

func TestAnEndOfACableThatIsClosedTakesTheLinkDown(t *testing.T) {
	a, b := newTestCable(t, CableConfig{})
	if !a.Up() || !b.Up() {
		t.Error("a new cable has no link")
	}
	ended := make(chan error)
	go func() {
		var batch [1]frame.Frame
		_, err := a.Read(batch[:])
		ended <- err
	}()
	sendAll(t, a, testFrames(1, 60)...)
	must(t, a.Close())
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the read ended with %v", err)
	}
	if n, why := b.Write(testFrames(1, 60)); a.Up() || b.Up() || n != 0 || why != drop.PortDown {
		t.Errorf("up %v and %v, sent %d, %v", a.Up(), b.Up(), n, why)
	}
	readFrames(t, b, 1) // what was written before is still there
	must(t, b.Close())
	if _, err := b.Read(make([]frame.Frame, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

// Many ports write to the router's; each one's frames stay in order.
func TestManyWriteToOneEndOfACable(t *testing.T) {
	a, b := newTestCable(t, CableConfig{Slots: 64})
	const writers, each = 4, 500
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for n := range each {
				raw := ether(hostMAC, routerMAC, 0, 0x88b5, binary.BigEndian.AppendUint32([]byte{byte(w)}, uint32(n)))
				for sent := 0; sent == 0; {
					sent, _ = a.Write([]frame.Frame{frame.Copy(raw, 0)})
				}
			}
		})
	}
	var next [writers]uint32
	for _, f := range readFrames(t, b, writers*each) {
		p := f.Payload()
		if n := binary.BigEndian.Uint32(p[1:]); n != next[p[0]] {
			t.Fatalf("frame %d of %d came after %d", n, p[0], next[p[0]])
		}
		next[p[0]]++
	}
	writing.Wait()
}

func TestACableCostsNoAllocation(t *testing.T) {
	a, b := newTestCable(t, CableConfig{})
	batch := testFrames(frame.Batch, 100)
	var in [frame.Batch]frame.Frame
	if n := testing.AllocsPerRun(100, func() {
		sendAll(t, a, batch...)
		if _, err := b.Read(in[:]); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}

func TestACableOfNothingIsRefused(t *testing.T) {
	for _, c := range []CableConfig{{}, {MTU: 1500, Slots: -1}} {
		if _, _, err := NewCable(c); err == nil {
			t.Errorf("%+v was made", c)
		}
	}
}

func BenchmarkCable(b *testing.B) {
	near, far := newTestCable(b, CableConfig{})
	batch := testFrames(frame.Batch, 100)
	var in [frame.Batch]frame.Frame
	for b.Loop() {
		near.Write(batch)
		_, _ = far.Read(in[:])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*frame.Batch), "ns/frame")
}

// A number of all frames so far would be negative after some hours where an int
// has 32 bits, and name a slot that is none.
func TestACableCountsNothingThatGrows(t *testing.T) {
	a, b := newTestCable(t, CableConfig{Slots: 3})
	p := b.(*cableEnd).in
	numbers := func() [3]int { return [3]int{p.next, p.waiting, p.lent} }
	seen := map[[3]int]bool{}
	for round := range 1000 {
		want := ether(hostMAC, routerMAC, 0, frame.TypeIPv4, ip(40+round))
		sendAll(t, a, frame.Copy(want, 0))
		var batch [2]frame.Frame
		n, err := b.Read(batch[:])
		must(t, err)
		if n != 1 || !bytes.Equal(batch[0].Bytes(), want) {
			t.Fatalf("round %d: %d frames, %x", round, n, batch[0].Bytes())
		}
		seen[numbers()] = true
	}
	if len(seen) != 3 {
		t.Errorf("after 1000 frames over 3 slots it has been in %d states, not 3", len(seen))
	}
}
