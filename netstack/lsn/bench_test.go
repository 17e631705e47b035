package lsn

import (
	"net/netip"
	"runtime"
	"slices"
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

// carrier is the network of issue 4: sessions of 100,000 subscribers, ten of
// each, on a pool of 64 addresses.
func carrier(b testing.TB, app AppProfile) *Table {
	t, err := New(Config{
		Clients:     []Client{{"C", []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10")}}},
		Pools:       []Pool{{Name: "P", Ranges: []Range{{frame.Addr{203, 0, 113, 0}, frame.Addr{203, 0, 113, 63}}}}},
		Groups:      []Group{{Name: "G", Client: "C", Pools: []string{"P"}, Apps: []AppProfile{app}}},
		MaxSessions: 2 * carrierSessions,
	})
	if err != nil {
		b.Fatal(err)
	}
	return t
}

const carrierSessions, carrierSubscribers = 1_000_000, 100_000

// carrierTuple is the n-th session: every subscriber's first comes first, then
// every one's second, each from a port of its own.
func carrierTuple(n int) Tuple {
	who, which := n%carrierSubscribers, n/carrierSubscribers
	inside := frame.Addr{100, byte(64 + who>>16), byte(who >> 8), byte(who)}
	remote := frame.Addr{198, 51, byte(n * 31 >> 8), byte(n * 31)}
	return udp(at(inside, uint16(40000+which)), at(remote, 443))
}

// TestASessionCostsAtMost200Bytes: of heap, with its mapping, all indices and
// the tables' own parts. Among fewer than a million the latter weigh more.
func TestASessionCostsAtMost200Bytes(t *testing.T) {
	const sessions = carrierSessions / 4
	for name, app := range map[string]AppProfile{
		"APDM": {Proto: frame.ProtoUDP},
		"EIM":  {Proto: frame.ProtoUDP, Pooling: Paired, Mapping: EIM, Filtering: EIF},
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		table := carrier(t, app)
		for i := range sessions {
			tup := carrierTuple(i)
			tup.Inside.Addr[2] &^= 3 // a quarter of the subscribers
			tup.Inside.Port += uint16(i % carrierSubscribers >> 8 & 3 * 100)
			commit(t, table, tup, 0)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if got := float64(after.HeapAlloc-before.HeapAlloc) / sessions; got > 200 || got < 100 {
			t.Errorf("%s: %.0f bytes", name, got)
		}
		if n := table.sessions.Load(); n != sessions {
			t.Errorf("%s: %d sessions, want %d", name, n, sessions)
		}
	}
}

// BenchmarkMemoryPerSession prints the heap of a whole table, divided by its
// sessions. With one port for all sessions of a subscriber, EIM makes one
// mapping for ten.
func BenchmarkMemoryPerSession(b *testing.B) {
	eim := AppProfile{Proto: frame.ProtoUDP, Pooling: Paired, Mapping: EIM, Filtering: EIF}
	for _, c := range []struct {
		name string
		app  AppProfile
		port uint16
	}{
		{"APDM", AppProfile{Proto: frame.ProtoUDP}, 0},
		{"ADM", AppProfile{Proto: frame.ProtoUDP, Mapping: ADM, Filtering: ADF}, 0},
		{"EIM", eim, 0},
		{"EIM10SessionsPerMapping", eim, 5060},
	} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				t := carrier(b, c.app)
				for i := range carrierSessions {
					tup := carrierTuple(i)
					if c.port != 0 {
						tup.Inside.Port = c.port
					}
					commit(b, t, tup, 0)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/carrierSessions, "B/session")
				b.ReportMetric(float64(t.live[1].mappings.Load()), "mappings")
				runtime.KeepAlive(t)
			}
		})
	}
}

func commit(b testing.TB, t *Table, tup Tuple, now int64) {
	pl, _ := t.DecideOut(tup, Hints{Bytes: 100}, now)
	if _, why := t.CommitOut(&pl, now); why != drop.None {
		b.Fatal(why)
	}
}

// BenchmarkSetUpAmongAMillion makes sessions while a million others are live,
// as a carrier's router does; each takes the place of one that has expired.
func BenchmarkSetUpAmongAMillion(b *testing.B) {
	for name, app := range map[string]AppProfile{
		"APDM": {Proto: frame.ProtoUDP},
		"EIM":  {Proto: frame.ProtoUDP, Pooling: Paired, Mapping: EIM, Filtering: EIF},
	} {
		b.Run(name, func(b *testing.B) {
			t := carrier(b, app)
			now := int64(0)
			next := func(n int) {
				tup := carrierTuple(n % carrierSessions)
				tup.Remote.Port = uint16(n / carrierSessions)
				commit(b, t, tup, now)
				now += 120 * second / carrierSessions
				if n%(carrierSessions/120) == 0 {
					t.Sweep(now)
				}
			}
			for n := range carrierSessions {
				next(n)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := range b.N {
				next(carrierSessions + n)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sessions/s")
			b.ReportMetric(float64(t.sessions.Load()), "live")
		})
	}
}

// BenchmarkIndexSplit is the longest pause of an index with 16,000 entries, as
// a shard has it among a million: a page that splits, with the directory.
func BenchmarkIndexSplit(b *testing.B) {
	var x index
	for ref := uint32(1); ref < 16_000 || !x.page(0).crowded() || len(x.page(0).entries) < pageMax; ref++ {
		x.add(mix(ref), ref)
	}
	dir, depth := x.dir, x.depth
	for b.Loop() {
		x.dir, x.depth = slices.Clone(dir), depth
		x.double()
		x.split(x.page(0), 0)
	}
}
