package control

// rateWindow is the number of seconds that a rate looks back.
const rateWindow = 10

// Rates turns counters that only grow into rates. The daemon calls Observe
// once a second with all of them and keeps the last ten seconds; it is not
// safe for concurrent use. The zero value is ready.
type Rates struct {
	ring [rateWindow + 1]observation
	n    int     // observations so far
	grew []int64 // when each counter was seen to have grown, 0 for never
}

type observation struct {
	at     int64
	counts []uint64
}

// Observe notes the counters at now, in monotonic nanoseconds. counts always
// has the same length and is copied.
func (r *Rates) Observe(counts []uint64, now int64) {
	if len(r.grew) != len(counts) {
		r.grew = make([]int64, len(counts))
	}
	var before []uint64 // none: they began at zero
	if r.n > 0 {
		before = r.ring[(r.n-1)%len(r.ring)].counts
	}
	for i, n := range counts {
		if i < len(before) && n > before[i] || i >= len(before) && n > 0 {
			r.grew[i] = now
		}
	}
	o := &r.ring[r.n%len(r.ring)]
	o.at, o.counts = now, append(o.counts[:0], counts...)
	r.n++
}

// Grew returns when counter i was first observed at its value, in monotonic
// nanoseconds: to a second when it last grew. ok is false if it never did.
func (r *Rates) Grew(i int) (at int64, ok bool) {
	if i < 0 || i >= len(r.grew) || r.grew[i] == 0 {
		return 0, false
	}
	return r.grew[i], true
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
