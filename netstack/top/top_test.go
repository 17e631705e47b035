package top

import (
	"cmp"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
)

const second = int64(1e9)

// report is a flow of subscriber host in a direction.
func report(host int, side flow.Side, now int64, packets, bytes uint64) flow.Report {
	inside := frame.Addr{10, 0, byte(host >> 8), byte(host)}
	r := flow.Report{Key: flow.Key{Src: inside, Dst: frame.Addr{198, 51, 100, 9}, ID: uint32(host), Proto: 17}, Side: side,
		Addr: frame.Addr{203, 0, 113, 3}, Owner: flow.Owner{Kind: flow.OwnerLSN, Domain: 2}, Now: now, Packets: packets, Bytes: bytes}
	if side == flow.Destination {
		r.Key.Src, r.Key.Dst, r.Addr = r.Key.Dst, r.Addr, inside
	}
	return r
}

// watching is a Meter whose interval begins at a second.
func watching() *Meter {
	m := &Meter{}
	m.Watch(0)
	m.Turn(second)
	return m
}

func TestTheBusiestAreThoseThatCarriedMostBetweenTwoSweeps(t *testing.T) {
	m := watching()
	for host := range 500 {
		for _, side := range []flow.Side{flow.Source, flow.Destination} {
			r := report(host, side, second, uint64(500-host), uint64(1000*(host+1)))
			m.Count(&r)
		}
	}
	for _, more := range []uint64{2_000_000, 50} { // a flow is told of twice more: what it carries adds up
		r := report(3, flow.Source, second, 1, more)
		m.Count(&r)
	}
	_, next := m.Watch(second)
	m.Turn(3 * second)
	<-next
	got, _ := m.Watch(3 * second)
	if got.Span != 2*second || len(got.ByBytes) != Most || len(got.ByPackets) != Most || len(got.SubscriberBytes) != Most || got.Dropped != 0 {
		t.Fatalf("span %d, %d and %d flows, %d subscribers", got.Span, len(got.ByBytes), len(got.ByPackets), len(got.SubscriberBytes))
	}
	// Its first piece was too light to be kept, and is not in the sum.
	if f := got.ByBytes[0]; f.Key.ID != 3 || f.Bytes != 2_000_050 || got.ByBytes[1].Key.ID != 499 {
		t.Errorf("first are %+v, %+v", f, got.ByBytes[1])
	}
	if f := got.ByPackets[0]; f.Key.ID != 0 || f.Packets != 500 {
		t.Errorf("first by packets is %+v", f)
	}
	s := got.SubscriberBytes[1]
	if want := (Subscriber{Addr: frame.Addr{10, 0, 1, 0xf3}, Domain: 2, Flows: 2, PacketsOut: 1, PacketsIn: 1, BytesOut: 500000, BytesIn: 500000}); s != want {
		t.Errorf("second subscriber is %+v, want %+v", s, want)
	}
	if s := got.SubscriberPacks[0]; s.Addr != (frame.Addr{10, 0, 0, 0}) || s.Packets() != 1000 {
		t.Errorf("first subscriber by packets is %+v", s)
	}
}

func TestNothingIsKeptWhileNobodyWatches(t *testing.T) {
	m := &Meter{}
	r := report(1, flow.Source, 100*second, 1, 1)
	if n := testing.AllocsPerRun(100, func() { m.Count(&r); m.Turn(100 * second) }); n != 0 || m.subs != nil {
		t.Errorf("%v allocations, %d subscribers", n, len(m.subs))
	}
	m = watching()
	r = report(1, flow.Source, second, 1, 1)
	m.Count(&r)
	m.Turn(2 * second)
	if got, _ := m.Watch(2 * second); len(got.ByBytes) != 1 {
		t.Errorf("%d flows while somebody watches", len(got.ByBytes))
	}
	m.Turn(20 * second) // nobody has asked for long
	if m.subs != nil || m.bytes != nil || m.last.ByBytes != nil {
		t.Error("it still listens, or keeps what it had heard")
	}
}

func TestAPartOfAnIntervalIsNotShown(t *testing.T) {
	m := &Meter{}
	m.Turn(second)
	_, next := m.Watch(second + 1)
	r := report(1, flow.Source, second+2, 1, 1) // a sweep is under way when somebody begins to watch
	m.Count(&r)
	m.Turn(2 * second)
	select {
	case <-next:
		t.Fatal("there is a reading of half an interval")
	default:
	}
	r = report(2, flow.Source, 2*second+1, 1, 1)
	m.Count(&r)
	m.Turn(3 * second)
	<-next
	if got, _ := m.Watch(3 * second); len(got.ByBytes) != 1 || got.ByBytes[0].Key.ID != 2 || got.Span != second {
		t.Errorf("it is %+v", got)
	}
}

// Whoever watches comes back in the middle of a sweep, just after the Meter had
// lost patience: what came before in the same interval counts too.
func TestAnIntervalIsCountedAsAWholeWhenSomebodyComesBackInItsMiddle(t *testing.T) {
	m := watching()
	m.Turn(watched) // the last interval that is listened to begins
	late := watched + second
	for host := range 2 {
		r := report(host, flow.Source, late, 1, 1)
		m.Count(&r)
		m.Watch(late)
	}
	m.Turn(late)
	if got, _ := m.Watch(late); len(got.ByBytes) != 2 || got.Span != second {
		t.Errorf("%d flows of two in %d ns", len(got.ByBytes), got.Span)
	}
}

func TestAMillionFlowsCostAFewMegabytes(t *testing.T) {
	m := watching()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	heavy := report(70000, flow.Source, second, 9, 1<<40)
	heavy.Key.Src = frame.Addr{10, 9, 9, 9}
	for i := range 1_000_000 {
		r := report(i%65536, flow.Source, second, 1, uint64(100+i%7))
		r.Key.ID = uint32(i)
		m.Count(&r)
		if i == 5000 {
			m.Count(&heavy)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("it grew by %d bytes", grown)
	}
	m.Turn(2 * second)
	got, _ := m.Watch(2 * second)
	if got.SubscriberBytes[0].BytesOut != 1<<40 || got.ByBytes[0].Bytes != 1<<40 || got.Dropped == 0 {
		t.Errorf("the heaviest had to go: %+v, %d made room", got.SubscriberBytes[0], got.Dropped)
	}
}

func TestBestIsASortedListCutShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(0, 8).Draw(t, "most")
		weights := rapid.SliceOfN(rapid.Uint64Range(0, 20), 0, 60).Draw(t, "weights")
		b := newBest[int, uint64](most)
		for k, w := range weights {
			b.put(k, w, w)
		}
		slices.SortFunc(weights, func(x, y uint64) int { return cmp.Compare(y, x) })
		if got, want := b.take(), weights[:min(most, len(weights))]; !slices.Equal(got, want) || b.Len() != 0 {
			t.Fatalf("it kept %v, want %v", got, want)
		}
	})
}

func BenchmarkCount(b *testing.B) {
	m := watching()
	r := report(1, flow.Source, second, 1, 100)
	for i := 0; b.Loop(); i++ {
		r.Key.Src[2], r.Key.ID = byte(i>>8), uint32(i)
		m.Count(&r)
	}
}
