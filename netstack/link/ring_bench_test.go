package link

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// The shapes of ring that can be had; what was measured besides stands at the
// constants in ring_setup.go. Run with:
//
//	go test -run '^$' -bench Ring -benchtime 2s ./netstack/link
func ringShapes() []RingConfig {
	shape := func(block, total int, retire time.Duration) RingConfig {
		return RingConfig{Threads: 1, BlockSize: block << 10, Blocks: total / block, Retire: retire}
	}
	const mem = 4 << 10 // KiB
	return []RingConfig{
		shape(64, mem, 0), shape(64, 4*mem, 0), shape(64, 8*mem, 0), shape(256, 4*mem, 0), shape(64, 4*mem, 50*time.Microsecond),
	}
}

func shapeName(c RingConfig) string {
	return fmt.Sprintf("block=%dK/memory=%dK/retire=%v", c.BlockSize>>10, c.BlockSize>>10*c.Blocks, c.Retire)
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
	source, in := benchPorts(b, RingConfig{Threads: 1})
	vethPair(b, "c", "d")
	out, err := OpenRing(RingConfig{Device: "c", Threads: 1})
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
	out, err := OpenRing(RingConfig{Device: "a", Threads: 1})
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

// BenchmarkRingSend sends batches to a veth whose other end nobody reads, and
// reports the time of the processor for each frame.
func BenchmarkRingSend(b *testing.B) {
	for _, length := range []int{114, 1414} {
		b.Run(fmt.Sprint(length), func(b *testing.B) {
			ownNamespace(b)
			vethPair(b, "a", "b")
			out, err := OpenRing(RingConfig{Device: "a", Threads: 1})
			must(b, err)
			batch := testFrames(frame.Batch, length)
			before := threadTime(b)
			for b.Loop() {
				if n, why := out.Write(batch); n != len(batch) {
					b.Fatal(why)
				}
			}
			b.ReportMetric(float64(threadTime(b)-before)/float64(b.N*len(batch)), "cpu-ns/frame")
			must(b, out.Close())
		})
	}
}

// threadTime is what the calling thread has had of processors, in nanoseconds.
func threadTime(b *testing.B) int64 {
	var u unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_THREAD, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}
