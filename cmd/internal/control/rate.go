package control

// rateWindow is the number of seconds that a rate looks back.
const rateWindow = 10

// Rates turns counters that only grow into rates. The daemon calls Observe
// once a second with all of them and keeps the last ten seconds; it is not
// safe for concurrent use. The zero value is ready.
type Rates struct {
	ring [rateWindow + 1]observation
	n    int // observations so far
}

type observation struct {
	at     int64
	counts []uint64
}

// Observe notes the counters at now, in monotonic nanoseconds. counts always
// has the same length and is copied.
func (r *Rates) Observe(counts []uint64, now int64) {
	o := &r.ring[r.n%len(r.ring)]
	o.at, o.counts = now, append(o.counts[:0], counts...)
	r.n++
}

// PerSecond returns the rate of counter i over the observations kept, or 0
// while there are fewer than two.
func (r *Rates) PerSecond(i int) float64 {
	if r.n < 2 {
		return 0
	}
	newest := &r.ring[(r.n-1)%len(r.ring)]
	oldest := &r.ring[max(0, r.n-len(r.ring))%len(r.ring)]
	span := newest.at - oldest.at
	if span <= 0 || i < 0 || i >= min(len(newest.counts), len(oldest.counts)) || newest.counts[i] < oldest.counts[i] {
		return 0
	}
	return float64(newest.counts[i]-oldest.counts[i]) / (float64(span) / 1e9)
}
