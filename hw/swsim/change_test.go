package swsim

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"spigate/hw"
)

// guard is a port that must never be sent a frame that begins with a wrong mark.
type guard struct {
	sink
	allowed atomic.Uint64 // set of marks
	wrong   atomic.Uint64
}

func (g *guard) Write(batch []Frame) int {
	for k := range batch {
		b := batch[k].Bytes()
		if g.allowed.Load()>>b[len(b)-1]&1 == 0 {
			g.wrong.Add(1)
		}
	}
	return g.sink.Write(batch)
}

// lan2 moves from VLAN 10 to 20 and back while both are under load, by the same
// steps as on any chip: once Apply has returned, nothing of the former VLAN is
// under way, and during it only those two may come.
func TestAMoveUnderLoadShowsNobodyElsesFrames(t *testing.T) {
	g := new(guard)
	c := Config{Name: "sw0", CPU: "cpu", Now: func() int64 { return 1 }}
	for _, name := range names {
		c.Ports = append(c.Ports, NamedPort{name, map[bool]Port{true: g, false: new(sink)}[name == "lan2"]})
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	plans := map[uint16]hw.Plan{}
	for _, id := range []uint16{10, 20} {
		plans[id] = hw.Plan{VLANs: []hw.VLAN{
			{ID: 10, Untagged: []string{"lan1"}}, {ID: 20, Untagged: []string{"lan3"}}, {ID: 30, Untagged: []string{"lan4"}},
		}}
		v := &plans[id].VLANs[id/10-1]
		v.Untagged = append(v.Untagged, "lan2")
	}
	g.allowed.Store(1 << 10)
	stop, loads := make(chan struct{}), sync.WaitGroup{}
	for mark, port := range map[byte]string{10: "lan1", 20: "lan3", 30: "lan4"} {
		loads.Go(func() { load(s, port, ether(everybody, alice+address(mark), string([]byte{mark})), stop) })
	}
	for n := range 6 {
		now, next := uint16(10+n%2*10), uint16(10+(n+1)%2*10)
		if _, err := hw.Apply(s, plans[now]); err != nil {
			t.Fatal(err)
		}
		g.allowed.Store(1 << now)
		for was := g.frames.Load(); g.frames.Load() < was+2*Batch; {
			runtime.Gosched()
		}
		if w := g.wrong.Load(); w != 0 {
			t.Fatalf("round %d: %d frames of a foreign VLAN", n, w)
		}
		g.allowed.Store(1<<now | 1<<next)
	}
	close(stop)
	loads.Wait()
}

// load sends batches into a port until it is stopped.
func load(s *Switch, port string, raw []byte, stop <-chan struct{}) {
	batch := newBatch(raw)
	for {
		select {
		case <-stop:
			return
		default:
			refill(batch, raw)
			s.input(s.byName[port], batch, 1)
			runtime.Gosched()
		}
	}
}

// slow is a port that is as long in the middle of a write as the test wants.
type slow struct {
	sink
	entered, leave chan struct{}
}

func (s *slow) Write(batch []Frame) int {
	s.entered <- struct{}{}
	<-s.leave
	return s.sink.Write(batch)
}

// Whoever has taken a port out of a VLAN may rely on it: what was on its way to
// it by the former table has arrived.
func TestAChangeWaitsForWhatIsUnderWay(t *testing.T) {
	s, _ := newSinks(t)
	p := &slow{entered: make(chan struct{}), leave: make(chan struct{})}
	s.byName["lan2"].Port = p
	go s.input(s.byName["lan1"], []Frame{framed(ether(everybody, alice, "x"))}, 1)
	<-p.entered
	before, done := s.tables.Load(), make(chan error, 1)
	go func() { done <- s.SetPort("lan2", false) }()
	for s.tables.Load() == before {
		runtime.Gosched()
	}
	for range 1000 {
		runtime.Gosched()
		if len(done) > 0 {
			t.Fatal("it did not wait")
		}
	}
	close(p.leave)
	if err := <-done; err != nil || p.frames.Load() != 1 {
		t.Errorf("error %v, %d frames", err, p.frames.Load())
	}
}
