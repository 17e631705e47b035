package ipsec

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

// heap returns the live bytes after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// tunnels is populate without keeping the clients, so that only the ALG's own
// memory is measured.
func tunnels(b *testing.B, n int) *world {
	w, peers := populate(b, n)
	clear(peers)
	w.sent, w.lines = nil, nil
	clear(w.idle)
	return w
}

// BenchmarkMillion brings up tunnels of one client each and prints the memory
// of a tunnel (an IKE session and an ESP session) and of the ESP session that
// is left when IKE has fallen silent, then the longest that one Tick and one
// shard of it take while nothing, and while everything ends.
func BenchmarkMillion(b *testing.B) {
	const n = 1000000
	for b.Loop() {
		before := heap()
		w := tunnels(b, n)
		full := heap()
		b.ReportMetric(float64(full-before)/n, "B/tunnel")

		quiet := w.ticks(b, func() { w.now += 100e6 }, 100)
		b.ReportMetric(float64(quiet.tick)/1e6, "ms/tick-quiet")

		w.now = 3000e9
		for i := range w.a.shards {
			for id := range w.a.shards[i].byID {
				w.a.FlowActive(id, 0, w.now, 1, 100)
			}
		}
		w.now = 3700e9
		ike := w.ticks(b, func() { w.now += 10e6 }, 6000)
		b.ReportMetric(float64(ike.shard99)/1e6, "ms/shard-ike-ends-p99")
		b.ReportMetric(float64(ike.shard)/1e6, "ms/shard-ike-ends-max")
		if c := w.a.Counters(); c.Active != n || c.IKESessions != 0 {
			b.Fatalf("%d ESP and %d IKE sessions", c.Active, c.IKESessions)
		}
		w.removed, w.idle = map[uint64]bool{}, map[uint64]time.Duration{}
		b.ReportMetric(float64(heap()-before)/n, "B/esp-session")

		w.now = 7000e9
		esp := w.ticks(b, func() { w.now += 10e6 }, 6000)
		b.ReportMetric(float64(esp.shard99)/1e6, "ms/shard-esp-ends-p99")
		b.ReportMetric(float64(esp.shard)/1e6, "ms/shard-esp-ends-max")
		b.ReportMetric(float64(esp.next), "ns/NextDeadline")
		if c := w.a.Counters(); c.ESPSessions != 0 {
			b.Fatalf("%d sessions are left", c.ESPSessions)
		}
		w.flows = map[uint64]bool{}
		b.ReportMetric(float64(heap()-before)/n, "B/left")
	}
}

// times of many ticks: one shard's part (the longest, and that which 99 of 100
// keep below, because the machine has other work too), all shards, and
// NextDeadline on average.
type times struct{ shard, shard99, tick, next time.Duration }

// ticks measures n ticks by the benchmark's own clock.
func (w *world) ticks(b *testing.B, step func(), n int) (out times) {
	var parts []time.Duration
	for range n {
		step()
		from := b.Elapsed()
		for i := range w.a.shards {
			one := b.Elapsed()
			w.a.tick(&w.a.shards[i], w.now)
			if took := b.Elapsed() - one; took > 20*time.Microsecond {
				parts = append(parts, took)
			}
		}
		out.tick = max(out.tick, b.Elapsed()-from)
		from = b.Elapsed()
		w.a.NextDeadline()
		out.next += b.Elapsed() - from
	}
	out.next /= time.Duration(n)
	slices.Sort(parts)
	if len(parts) > 0 {
		out.shard, out.shard99 = parts[len(parts)-1], parts[len(parts)*99/100]
	}
	return out
}
