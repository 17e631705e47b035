package swsim

import (
	"net"
	"sync/atomic"
	"testing"

	"spigate/hw"
)

// sink is a port that takes everything and keeps nothing.
type sink struct{ frames atomic.Uint64 }

func (*sink) Read([]Frame) (int, error) { return 0, net.ErrClosed }
func (*sink) Up() bool                  { return true }
func (*sink) Close() error              { return nil }
func (*sink) Lost() (uint64, uint64)    { return 0, 0 }

func (s *sink) Write(batch []Frame) int {
	s.frames.Add(uint64(len(batch)))
	return len(batch)
}

// newSinks is an office with sinks at its ports.
func newSinks(t testing.TB) (*Switch, map[string]*sink) {
	t.Helper()
	c, sinks := Config{Name: "sw0", CPU: "cpu", Now: func() int64 { return 1 }}, map[string]*sink{}
	for _, name := range names {
		sinks[name] = new(sink)
		c.Ports = append(c.Ports, NamedPort{name, sinks[name]})
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hw.Apply(s, office()); err != nil {
		t.Fatal(err)
	}
	return s, sinks
}

// refill gives a batch its frames anew: the switch changes them.
func refill(batch []Frame, raw []byte) {
	for k := range batch {
		f := &batch[k]
		f.Off, f.End = TagLen, TagLen+copy(f.Mem[TagLen:], raw)
	}
}

func newBatch(raw []byte) []Frame {
	batch := make([]Frame, Batch)
	for k := range batch {
		batch[k] = framed(raw)
	}
	return batch
}

func TestAFrameThatIsForwardedCostsNoAllocation(t *testing.T) {
	s, sinks := newSinks(t)
	teach(s)
	for name, raw := range map[string][]byte{
		"to one": ether(bob, alice, "x"), "to the router": ether(routerMAC, alice, "x"), "to all": ether(everybody, alice, "x"),
		"refused": ether(everybody, alice, "x", 20),
	} {
		batch, now := newBatch(raw), int64(1)
		if n := testing.AllocsPerRun(100, func() {
			refill(batch, raw)
			now += int64(rewrite) // every time the table is written to
			s.input(s.byName["lan1"], batch, now)
		}); n != 0 {
			t.Errorf("%s: %v allocations for a batch", name, n)
		}
	}
	if sinks["lan2"].frames.Load() == 0 || sinks["cpu"].frames.Load() == 0 {
		t.Error("nothing was forwarded")
	}
}

// teach lets Bob speak at lan2 and the router at its port.
func teach(s *Switch) {
	s.input(s.byName["lan2"], []Frame{framed(ether(everybody, bob, "x"))}, 1)
	s.input(s.byName["cpu"], []Frame{framed(ether(everybody, routerMAC, "x", 10))}, 1)
}

func BenchmarkForwarding(b *testing.B) {
	for _, c := range []struct {
		name string
		raw  []byte
	}{
		{"untagged to one untagged", ether(bob, alice, "x")},
		{"untagged to the router", ether(routerMAC, alice, "x")},
		{"flooded to three", ether(everybody, alice, "x")},
	} {
		b.Run(c.name, func(b *testing.B) {
			s, _ := newSinks(b)
			teach(s)
			batch := newBatch(c.raw)
			b.ReportAllocs()
			for b.Loop() {
				refill(batch, c.raw)
				s.input(s.byName["lan1"], batch, 1)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*Batch), "ns/frame")
		})
	}
}
