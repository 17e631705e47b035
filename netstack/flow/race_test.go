package flow

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spigate/netstack/frame"
)

// A session table in miniature: the flow table's owners as their own table
// sees them.
type sessions struct {
	mu    sync.Mutex
	alive map[uint64]bool
}

func (s *sessions) set(id uint64, alive bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive[id] = alive
}

func (s *sessions) get(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alive[id]
}

func TestNoFlowOutlivesItsOwnerHoweverTheyRace(t *testing.T) {
	tab := open(t, Config{})
	s := &sessions{alive: map[uint64]bool{}}
	key := keyOf(t, espFrame(0))
	id := hopOf(t, tab, wan, gateway)
	inserted := 0
	for n := range uint64(3000) {
		s.set(n, true)
		o := Owner{Kind: OwnerLSN, ID: n}
		var wg sync.WaitGroup
		wg.Go(func() {
			epoch := tab.Epoch()
			if s.get(n) && tab.Insert(Entry{Key: key, Hop: id, Owner: o, Idle: time.Minute}, epoch, 0) {
				inserted++
			}
		})
		wg.Go(func() {
			s.set(n, false)
			tab.RemoveOwner(o, 0)
		})
		wg.Wait()
		if hit(t, tab, espFrame(0), 1) {
			t.Fatalf("session %d is gone, its flow is not", n)
		}
		if n%100 == 0 {
			tab.Sweep(0)
		}
	}
	t.Logf("%d of 3000 inserts came first", inserted)
}

// churn is a table whose flows' rewrites follow from their keys, so that any
// frame that got another flow's rewrite is told at once.
type churn struct {
	tab    *Table
	frames [][]byte
	stop   atomic.Bool
	hits   atomic.Uint64
	wrong  atomic.Uint64
}

func newChurn(t cleaner, flows int) *churn {
	c := &churn{tab: open(t, Config{Capacity: flows, Active: func(Report) {}})}
	for i := range flows {
		c.frames = append(c.frames, espFrame(i))
	}
	return c
}

func (c *churn) addr(i int) frame.Addr { return frame.Addr{203, 0, byte(i >> 8), byte(i)} }

// hop is one of eight next hops, whose MAC address ends in its number.
func (c *churn) hop(i int) (frame.Addr, frame.MAC) {
	return frame.Addr{198, 51, 100, byte(i % 8)}, frame.MAC{2, 0, 0, 0, 1, byte(i % 8)}
}

func (c *churn) insert(t *testing.T, i int) {
	epoch := c.tab.Epoch()
	next, mac := c.hop(i)
	id, ok := c.tab.Hop(wan, next, mac, macOut, 1500)
	if !ok {
		t.Error("no next hop left")
	}
	e := Entry{Key: keyOf(t, c.frames[i]), Addr: c.addr(i), Hop: id, Owner: Owner{Kind: OwnerESP, ID: uint64(i % 4)}, Idle: time.Hour}
	c.tab.Insert(e, epoch, 0)
}

// enoughHits is when the ports of a churn test stop, however slow the machine.
const enoughHits = 50_000

// forward is a port of three: it sends its flows' packets again and again.
func (c *churn) forward(port int) {
	r := c.tab.Reader()
	defer r.Close()
	var flows []int
	var batch []frame.Frame
	for i := port; i < len(c.frames); i += 3 {
		flows, batch = append(flows, i), append(batch, arrived(c.frames[i], lan))
	}
	for now := int64(0); c.hits.Load() < enoughHits; now++ {
		for k, i := range flows {
			batch[k] = arrived(c.frames[i], lan)
		}
		c.hits.Add(uint64(r.Process(batch, now)))
		for k, i := range flows {
			c.check(i, &batch[k])
		}
	}
}

func (c *churn) check(i int, f *frame.Frame) {
	if f.Out == 0 {
		return
	}
	_, mac := c.hop(i)
	if frame.Addr(f.Bytes()[26:30]) != c.addr(i) || f.Dst() != mac || binary.BigEndian.Uint32(f.Bytes()[34:]) != uint32(0x10000+i) {
		c.wrong.Add(1)
	}
}

// until repeats step with a counter until the ports have finished.
func (c *churn) until(wg *sync.WaitGroup, step func(n int)) {
	wg.Go(func() {
		for n := 0; !c.stop.Load(); n++ {
			step(n)
		}
	})
}

// remove takes flows away in every way there is.
func (c *churn) remove(t *testing.T, n int) {
	next, _ := c.hop(n)
	switch n % 8 {
	case 0:
		c.tab.RemoveOwner(Owner{Kind: OwnerESP, ID: uint64(n / 8 % 4)}, 0)
	case 1:
		c.tab.InvalidateHop(wan, next)
	default:
		c.tab.Remove(keyOf(t, c.frames[n%32]))
	}
	if n%500 == 0 {
		c.tab.Flush()
		c.tab.InvalidateInterface(wan)
	}
}

func TestUnderChurnNoFrameGetsAnotherFlowsRewrite(t *testing.T) {
	c := newChurn(t, 32)
	for i := range 32 {
		c.insert(t, i)
	}
	var ports, slow sync.WaitGroup
	for port := range 3 {
		ports.Go(func() { c.forward(port) })
	}
	c.until(&slow, func(n int) { c.insert(t, n%32) })
	c.until(&slow, func(n int) { c.insert(t, n*7%32) })
	c.until(&slow, func(n int) { c.remove(t, n) })
	c.until(&slow, func(n int) { c.tab.Sweep(int64(n)); c.tab.Stats() })
	ports.Wait()
	c.stop.Store(true)
	slow.Wait()
	if c.wrong.Load() != 0 {
		t.Errorf("%d wrong rewrites of %d hits", c.wrong.Load(), c.hits.Load())
	}
	if s := c.tab.Stats(); s.Hits != c.hits.Load() {
		t.Errorf("%d hits counted, %d seen", s.Hits, c.hits.Load())
	}
}

// A reader has found a flow; before it looks at the next hop, the flow is gone
// and its hop's row is another's.
func TestALateReaderDoesNotSendToWhoeverHasTheNextHopsRowNow(t *testing.T) {
	tab := open(t, Config{})
	e := entryFor(t, tab, espFrame(0), ownerA)
	insert(t, tab, e, 0)
	for i := range MaxHops - 1 {
		hopOf(t, tab, wan, frame.Addr{10, 0, byte(i >> 8), byte(i)})
	}
	k := e.Key.packed()
	found, ok := tab.cur.Find(k, tab.cur.Hash(k))
	if !ok {
		t.Fatal("the flow is not there")
	}
	tab.RemoveOwner(ownerA, 0)
	tab.InvalidateHop(wan, gateway)
	if id := hopOf(t, tab, lan, inside); id != e.Hop {
		t.Fatalf("the new next hop has row %d, not %d: the test is wrong", id, e.Hop)
	}
	f := arrived(espFrame(0), lan)
	if sent, current := tab.forward(&f, k, &found, 1); sent || current || f.Out != 0 {
		t.Errorf("sent %v to interface %d; current %v", sent, f.Out, current)
	}
}

func TestPacketsOfManyPortsAreAllCounted(t *testing.T) {
	var packets uint64
	tab := open(t, Config{Active: func(r Report) { packets += r.Packets }})
	var wg sync.WaitGroup
	for port := range 4 {
		insert(t, tab, entryFor(t, tab, espFrame(port), ownerA), 0)
		wg.Go(func() {
			for range 1000 {
				hit(t, tab, espFrame(port), 1)
			}
		})
	}
	wg.Go(func() {
		for n := range 50 {
			tab.Sweep(int64(n))
		}
	})
	wg.Wait()
	tab.Sweep(second)
	if packets != 4000 {
		t.Errorf("%d packets reported, want 4000", packets)
	}
}
