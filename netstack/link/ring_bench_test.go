package link

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// The shapes of ring that were measured; the table stands at the constants in
// ring_setup.go. Run with:
//
//	go test -run '^$' -bench Ring -benchtime 2s ./netstack/link
func ringShapes() []RingConfig {
	kib := func(version, size, total int, retire time.Duration) RingConfig {
		return RingConfig{Version: version, BlockSize: size << 10, Blocks: total / size, Retire: retire}
	}
	const mem = 4 << 10
	return []RingConfig{
		kib(3, 32, mem, time.Millisecond), kib(3, 64, mem, time.Millisecond), kib(3, 128, mem, time.Millisecond),
		kib(3, 256, mem, time.Millisecond), kib(3, 512, mem, time.Millisecond), kib(3, 1024, mem, time.Millisecond),
		kib(3, 256, mem, 4*time.Millisecond), kib(3, 256, mem, 10*time.Millisecond),
		kib(2, 64, mem, time.Nanosecond), kib(2, 64, mem, 20*time.Microsecond), kib(2, 64, mem, 50*time.Microsecond),
		kib(2, 64, mem, 100*time.Microsecond), kib(2, 256, mem, 50*time.Microsecond), kib(2, 64, 1<<10, 50*time.Microsecond),
		kib(3, 64, 1<<10, time.Millisecond),
	}
}

func shapeName(c RingConfig) string {
	return fmt.Sprintf("V%d/block=%dK/memory=%dK/retire=%v", c.Version, c.BlockSize>>10, c.BlockSize>>10*c.Blocks, c.Retire)
}

// BenchmarkRingRate floods the ring through a veth pair and reports what came
// through: frames of 100 bytes, sender and receiver on a processor each.
func BenchmarkRingRate(b *testing.B) {
	for _, c := range ringShapes() {
		b.Run(shapeName(c), func(b *testing.B) { benchRate(b, c) })
	}
}

func benchRate(b *testing.B, c RingConfig) {
	out, in := benchPorts(b, c)
	var stop atomic.Bool
	var sent atomic.Uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		batch := testFrames(frame.Batch, 100)
		for !stop.Load() {
			n, _ := out.Write(batch)
			sent.Add(uint64(n))
		}
	}()
	var batch [frame.Batch]frame.Frame
	b.ResetTimer()
	got, reads := 0, 0
	for got < b.N {
		n, err := in.Read(batch[:])
		if err != nil {
			b.Fatal(err)
		}
		got += n
		reads++
	}
	b.StopTimer()
	lost := float64(in.Lost())
	stop.Store(true)
	<-done
	b.ReportMetric(float64(got)/b.Elapsed().Seconds()/1e3, "kpps")
	b.ReportMetric(100*lost/float64(max(sent.Load(), 1)), "%lost")
	b.ReportMetric(float64(got)/float64(reads), "frames/read")
}

// BenchmarkRingPingPong sends one frame through an echo on the other side and
// waits for it: us/ring is what one ring adds to a frame that travels alone.
func BenchmarkRingPingPong(b *testing.B) {
	for _, c := range ringShapes() {
		b.Run(shapeName(c), func(b *testing.B) { benchPingPong(b, c) })
	}
}

func benchPingPong(b *testing.B, c RingConfig) {
	_, far := benchPorts(b, c)
	c.Device = "a"
	near, err := OpenRing(c)
	must(b, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var batch [frame.Batch]frame.Frame
		for {
			n, err := far.Read(batch[:])
			if err != nil {
				return
			}
			far.Write(batch[:n])
		}
	}()
	var batch [frame.Batch]frame.Frame
	one := testFrames(1, 100)
	for b.Loop() {
		if n, why := near.Write(one); n != 1 {
			b.Fatal(why)
		}
		if _, err := near.Read(batch[:]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e6/2/float64(b.N), "us/ring")
	_ = far.Close()
	<-done
	closeRead(b, near)
}

// BenchmarkRingForward is the fast path's way: read a batch from one ring,
// change it, send it from there through another port.
func BenchmarkRingForward(b *testing.B) {
	for _, c := range []RingConfig{{Version: 3}, {Version: 2}} {
		b.Run(fmt.Sprintf("V%d", c.Version), func(b *testing.B) { benchForward(b, c) })
	}
}

func benchForward(b *testing.B, c RingConfig) {
	source, in := benchPorts(b, c)
	vethPair(b, "c", "d")
	out, err := OpenRing(RingConfig{Device: "c"})
	must(b, err)
	b.Cleanup(func() { _ = out.Close() })
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		batch := testFrames(frame.Batch, 100)
		for !stop.Load() {
			source.Write(batch)
		}
	}()
	var batch [frame.Batch]frame.Frame
	b.ResetTimer()
	got, sent := 0, 0
	for got < b.N {
		n, err := in.Read(batch[:])
		if err != nil {
			b.Fatal(err)
		}
		k, why := out.Write(batch[:n])
		if why != drop.None && why != drop.TxRefused {
			b.Fatal(why)
		}
		got, sent = got+n, sent+k
	}
	b.StopTimer()
	stop.Store(true)
	<-done
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds()/1e3, "kpps")
}

// benchPorts makes a veth pair in a namespace of its own and opens both ends.
func benchPorts(b *testing.B, c RingConfig) (out, in Driver) {
	ownNamespace(b)
	vethPair(b, "a", "b")
	out, err := OpenRing(RingConfig{Device: "a"})
	must(b, err)
	c.Device = "b"
	in, err = OpenRing(c)
	must(b, err)
	b.Cleanup(func() {
		closeRead(b, out)
		closeRead(b, in)
	})
	return out, in
}

// closeRead closes a port of which frames may still be lent.
func closeRead(b testing.TB, d Driver) {
	b.Helper()
	_ = d.Close()
	var batch [1]frame.Frame
	if _, err := d.Read(batch[:]); !errors.Is(err, net.ErrClosed) {
		b.Errorf("read after close: %v", err)
	}
}

// testFrames makes n broadcast frames of an experimental type (IEEE 802) and
// the given length, numbered in their first payload byte.
func testFrames(n, length int) []frame.Frame {
	out := make([]frame.Frame, n)
	for i := range out {
		b := make([]byte, length)
		copy(b, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5, byte(i)})
		out[i] = frame.Copy(b, 0)
	}
	return out
}
