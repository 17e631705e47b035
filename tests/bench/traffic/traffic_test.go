package traffic

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/netstack/frame"
	"spigate/tests/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// row is a sender, a router and a sink, joined by veth.
type row struct {
	source, router, sink *netns.Namespace
	flows                Flows
}

func newRow(t *testing.T, proto uint8, flows int) *row {
	t.Helper()
	lab := netns.For(t)
	r := &row{}
	var err error
	for _, n := range []struct {
		name string
		to   **netns.Namespace
	}{{"source", &r.source}, {"router", &r.router}, {"sink", &r.sink}} {
		if *n.to, err = lab.Namespace(n.name); err != nil {
			t.Fatal(err)
		}
	}
	must(t, lab.Wire(netns.End{In: r.source, Device: "eth0"}, netns.End{In: r.router, Device: "lan"}))
	must(t, lab.Wire(netns.End{In: r.router, Device: "wan"}, netns.End{In: r.sink, Device: "eth0"}))
	must(t, r.source.Address("eth0", netip.PrefixFrom(netns.Client1, 24)))
	must(t, r.sink.Address("eth0", netns.Remote))
	from, err := r.source.MAC("eth0")
	must(t, err)
	to, err := r.router.MAC("lan")
	must(t, err)
	r.flows = Flows{
		Proto: proto, From: frame.MAC(from), To: frame.MAC(to),
		Source: netns.Client1.As4(), Target: netns.Remote.Addr().As4(),
		SPI: 0x10000, SourcePort: 1024, TargetPort: 9, Count: flows, Length: 100,
	}
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *row) expect(source string) Expect {
	return Expect{Proto: r.flows.Proto, Target: r.flows.Target, Source: netip.MustParsePrefix(source)}
}

func (r *row) generator(t *testing.T) *Generator {
	t.Helper()
	g, err := Open(r.source, "eth0", r.flows)
	must(t, err)
	t.Cleanup(func() { must(t, g.Close()) })
	return g
}

func openSink(t *testing.T, in *netns.Namespace, device string, e Expect, at Hook) *Sink {
	t.Helper()
	s, err := OpenSink(in, device, e, at)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// arrived waits until a sink has counted n frames, right and wrong ones.
func arrived(t *testing.T, s *Sink, n uint64) (c Counts) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	err := netns.Poll(ctx, time.Millisecond, func() bool {
		var err error
		c, err = s.Counts()
		return err == nil && c.Arrived+c.Wrong >= n
	})
	if err != nil {
		t.Fatalf("of %d frames the sink has counted %+v: %v", n, c, err)
	}
	return c
}

func TestAFloodArrivesInFullAndIsCountedByItsSource(t *testing.T) {
	for _, proto := range []uint8{frame.ProtoESP, frame.ProtoUDP} {
		t.Run(fmt.Sprint(proto), func(t *testing.T) {
			r := newRow(t, proto, 100)
			for _, c := range []struct {
				source string
				wrong  bool
			}{{"192.0.2.0/24", false}, {"203.0.113.0/24", true}} {
				s := openSink(t, r.router, "lan", r.expect(c.source), AtXDP)
				sent, err := r.generator(t).Run(t.Context(), Load{Frames: 1000, For: time.Minute})
				must(t, err)
				n := arrived(t, s, 1000)
				want := Counts{Arrived: 1000, Bytes: 114 * 1000}
				if c.wrong {
					want = Counts{Wrong: 1000}
				}
				if n != want || sent.Frames != 1000 || sent.Took <= 0 || sent.Cost <= 0 {
					t.Errorf("sent %+v, arrived %+v, want %+v", sent, n, want)
				}
				must(t, s.Clear())
				if n, err := s.Counts(); err != nil || n != (Counts{}) {
					t.Errorf("after Clear %+v: %v", n, err)
				}
				must(t, s.Close())
				s.close = nil
			}
		})
	}
}

// The frames are those that Flows.Frame builds, flow after flow, with the right
// checksums; a kernel that forwards them has nothing to object.
func TestTheFramesOfTheProgramAreThoseOfTheFlows(t *testing.T) {
	for _, proto := range []uint8{frame.ProtoESP, frame.ProtoUDP} {
		for _, rate := range []float64{0, 50_000} {
			t.Run(fmt.Sprint(proto, rate), func(t *testing.T) {
				r := newRow(t, proto, 70)
				r.flows.PerSource = 10
				passing, err := Admit(r.router, "lan")
				must(t, err)
				defer passing.Close()
				seen, err := r.router.Capture("lan")
				must(t, err)
				_, err = r.generator(t).Run(t.Context(), Load{Frames: 200, For: time.Minute, Rate: rate})
				must(t, err)
				checkFrames(t, &r.flows, seen, rate > 0)
			})
		}
	}
}

func checkFrames(t *testing.T, f *Flows, seen *netns.Capture, stamped bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	n := 0
	_, err := seen.Wait(ctx, func(c netns.Captured) bool {
		if c.Frame[offProto] != f.Proto || c.Frame[offType] != 8 || c.Frame[offType+1] != 0 {
			return false
		}
		n++
		return n == 200
	})
	must(t, err)
	n = 0
	for _, c := range seen.Stop() {
		if c.Frame[offProto] != f.Proto || c.Frame[offType] != 8 || c.Frame[offType+1] != 0 {
			continue
		}
		want := f.Frame(n % f.Count)
		if stamped {
			if native.Uint64(c.Frame[offStamp:]) == 0 {
				t.Fatalf("frame %d has no time in it", n)
			}
			if f.Proto == frame.ProtoUDP {
				checkUDP(t, n, c.Frame)
			}
			copy(c.Frame[offUDPSum:written], want[offUDPSum:written])
		}
		if string(c.Frame) != string(want) {
			t.Fatalf("frame %d is\n% x, want\n% x", n, c.Frame, want)
		}
		n++
	}
}

// checkUDP adds everything up: with the checksum in it the sum is all ones.
func checkUDP(t *testing.T, n int, b []byte) {
	t.Helper()
	pseudo := append([]byte{0, frame.ProtoUDP}, b[offID+4:offID+6]...)
	sum := partialSum(b[offSource:]) + partialSum(pseudo)
	if sum = sum&0xffff + sum>>16; sum != 0xffff {
		t.Errorf("frame %d: the UDP checksum is wrong: the sum is %#x", n, sum)
	}
}

// At both hooks, behind a kernel that forwards.
func TestWhatTheKernelForwardsArrives(t *testing.T) {
	for name, at := range map[string]Hook{"xdp": AtXDP, "tc": AtTC} {
		t.Run(name, func(t *testing.T) {
			r := newRow(t, frame.ProtoUDP, 1000)
			must(t, (&netns.Site{Router: r.router}).RouterKernel())
			passing, err := Admit(r.router, "lan")
			must(t, err)
			defer passing.Close()
			s := openSink(t, r.sink, "eth0", r.expect("192.0.2.0/24"), at)
			g := r.generator(t)
			_, err = g.Run(t.Context(), Load{Frames: 1, For: time.Minute}) // the neighbour is asked for first
			must(t, err)
			arrived(t, s, 1)
			_, err = g.Run(t.Context(), Load{Frames: 500, For: time.Minute, Rate: 100_000})
			must(t, err)
			if n := arrived(t, s, 501); n != (Counts{Arrived: 501, Bytes: 501 * 114}) {
				t.Errorf("arrived: %+v", n)
			}
			a, err := s.Ages()
			must(t, err)
			if a.Count != 500 || a.Quantile(0) <= 0 || a.Quantile(0) > a.Quantile(0.5) || a.Quantile(0.5) > a.Quantile(0.99) {
				t.Errorf("ages of %d frames: %v, %v, %v", a.Count, a.Quantile(0), a.Quantile(0.5), a.Quantile(0.99))
			}
		})
	}
}

func TestABareRedirectChangesNothing(t *testing.T) {
	r := newRow(t, frame.ProtoESP, 10)
	through, err := Redirect(r.router, "lan", "wan")
	must(t, err)
	defer through.Close()
	s := openSink(t, r.sink, "eth0", r.expect("192.0.2.11/32"), AtXDP)
	_, err = r.generator(t).Run(t.Context(), Load{Frames: 300, For: time.Minute})
	must(t, err)
	if n := arrived(t, s, 300); n != (Counts{Arrived: 300, Bytes: 300 * 114}) {
		t.Errorf("arrived: %+v", n)
	}
}

func TestALoadEndsAtItsTimeAndWithItsContext(t *testing.T) {
	r := newRow(t, frame.ProtoESP, 10)
	s := openSink(t, r.router, "lan", r.expect("192.0.2.11/32"), AtXDP)
	g := r.generator(t)
	sent, err := g.Run(t.Context(), Load{Frames: 1 << 40, For: 20 * time.Millisecond, Rate: 1e5})
	must(t, err)
	if sent.Frames == 0 || sent.Rate() > 1.1e5 {
		t.Errorf("paced at 100,000: %+v", sent)
	}
	arrived(t, s, sent.Frames)
	ended, stop := context.WithCancel(t.Context())
	stop()
	if _, err := g.Run(ended, Load{Frames: 1 << 40, For: time.Minute}); err == nil {
		t.Error("a load whose context has ended ran on")
	}
	for _, l := range []Load{{Frames: 1}, {For: time.Second}, {Frames: 1, For: 2 * time.Hour}, {Frames: 1, For: time.Second, CPU: 4096}} {
		if _, err := g.Run(t.Context(), l); err == nil {
			t.Errorf("%+v was sent", l)
		}
	}
}

func TestWhatIsNotThereIsNamed(t *testing.T) {
	r := newRow(t, frame.ProtoESP, 10)
	if _, err := Open(r.source, "eth9", r.flows); err == nil {
		t.Error("a generator on a device that is not there")
	}
	if _, err := OpenSink(r.sink, "eth9", r.expect("192.0.2.11/32"), AtXDP); err == nil {
		t.Error("a sink on a device that is not there")
	}
	if _, err := Redirect(r.router, "lan", "eth9"); err == nil {
		t.Error("a redirect to a device that is not there")
	}
	if _, err := Admit(r.router, "eth9"); err == nil {
		t.Error("a device that is not there admits")
	}
}

func TestTheNextRunLastsAsLongAsTheLoadButIsNeverOneThatCannotBeStopped(t *testing.T) {
	for _, c := range []struct {
		n          uint32
		took, left time.Duration
		want       uint32
	}{
		{10_000, time.Millisecond, 100 * time.Millisecond, 1_000_000},
		{10_000, time.Millisecond, time.Hour, 2_500_000}, // 250 ms
		{10_000, 0, time.Hour, mostRuns},                 // a clock that stands still
		{10_000, time.Millisecond, 0, firstChunk / 8},    // at the end
		{10_000, time.Hour, time.Second, firstChunk / 8}, // held up
		{mostRuns, time.Nanosecond, time.Hour, mostRuns},
	} {
		if got := next(c.n, c.took, c.left); got != c.want {
			t.Errorf("after %d times in %v, %v left: %d, want %d", c.n, c.took, c.left, got, c.want)
		}
	}
	if l := (Load{Frames: math.MaxInt64, For: time.Second, Rate: 1}); l.left(0, 0) != time.Second {
		t.Errorf("without a bound of frames: %v left of a second", l.left(0, 0))
	}
	l := Load{Frames: 1000, For: time.Second, Rate: 10_000}
	for took, want := range map[time.Duration]time.Duration{0: 50 * time.Millisecond, 990 * time.Millisecond: 10 * time.Millisecond, 2 * time.Second: 0} {
		if got := l.left(500, took); got != want {
			t.Errorf("half of a load in %v: %v left, want %v", took, got, want)
		}
	}
}
