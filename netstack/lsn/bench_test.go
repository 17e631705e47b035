package lsn

import (
	"runtime"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// benchTuple is the n-th session of a busy network: 64 subscribers, some
// hundred remotes.
func benchTuple(n int) Tuple {
	return udp(at(frame.Addr{192, 0, 2, byte(n & 63)}, uint16(n>>6)), at(frame.Addr{198, 51, byte(n >> 20), byte(n >> 12)}, 443))
}

func benchTable(b *testing.B, limit int, apps ...AppProfile) *Table {
	c := config(frame.Addr{203, 0, 113, 66}, apps...)
	c.Rand, c.MaxSessions = nil, limit
	t, err := New(c)
	if err != nil {
		b.Fatal(err)
	}
	return t
}

func establish(b *testing.B, t *Table, n int) Binding {
	pl, _ := t.DecideOut(benchTuple(n), Hints{Bytes: 100}, 0)
	bind, why := t.CommitOut(&pl, 0)
	if why != drop.None {
		b.Fatal(why)
	}
	return bind
}

func benchSetUp(b *testing.B, app AppProfile) {
	const round = 200_000 // sessions, then all expire
	t := benchTable(b, round, app)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if n := i % round; n == 0 && i > 0 {
			b.StopTimer()
			t.Sweep(1000 * second)
			b.StartTimer()
		}
		establish(b, t, i%round)
	}
}

func BenchmarkSetUpAPDM(b *testing.B) { benchSetUp(b, AppProfile{Proto: frame.ProtoUDP}) }
func BenchmarkSetUpPairedEIM(b *testing.B) {
	benchSetUp(b, AppProfile{Proto: frame.ProtoUDP, Pooling: Paired, Mapping: EIM, Filtering: EIF})
}

func BenchmarkHitOut(b *testing.B) {
	const sessions = 100_000
	t := benchTable(b, sessions)
	for i := range sessions {
		establish(b, t, i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		establish(b, t, i*7919%sessions)
	}
}

func BenchmarkHitIn(b *testing.B) {
	const sessions = 100_000
	t := benchTable(b, sessions)
	binds := make([]Binding, sessions)
	for i := range sessions {
		binds[i] = establish(b, t, i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		bind := &binds[i*7919%sessions]
		pl, _ := t.DecideIn(bind.Proto, bind.Outside, bind.Remote, Hints{Bytes: 100}, 1)
		if _, why := t.CommitIn(&pl, 1); why != drop.None {
			b.Fatal(why)
		}
	}
}

func BenchmarkSweepAMillion(b *testing.B) {
	t := benchTable(b, 1<<20)
	for i := range 1 << 20 {
		establish(b, t, i)
	}
	b.ResetTimer()
	for range b.N {
		t.Sweep(second)
	}
}

func BenchmarkMemoryPerSession(b *testing.B) {
	const sessions = 500_000
	for range b.N {
		var before, after runtime.MemStats
		t := benchTable(b, sessions)
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range sessions {
			establish(b, t, i)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/sessions, "B/session")
		runtime.KeepAlive(t)
	}
}
