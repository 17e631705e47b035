package natlog

import "sync"

// queue is a bounded ring of records. A full one refuses new records and
// remembers how many and from when to when; a Gap stands in the queue exactly
// where they would have stood.
type queue struct {
	mu      sync.Mutex
	ring    []Record
	head, n int

	lost  Record // a Gap that has no place in the ring yet; Lost = 0: none
	total uint64 // all records lost here
}

func newQueue(size int) *queue { return &queue{ring: make([]Record, size)} }

// push takes r, or counts it as lost. wake: the reader may be asleep.
func (q *queue) push(r *Record) (wake bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	need := 1
	if q.lost.Lost > 0 {
		need = 2
	}
	if q.n+need > len(q.ring) {
		q.lost.widen(1, r.Wall, r.Wall)
		q.total++
		return false
	}
	if need == 2 {
		q.append(q.gap())
	}
	q.append(r)
	return q.n == need
}

func (q *queue) append(r *Record) {
	i := q.head + q.n
	if i >= len(q.ring) {
		i -= len(q.ring)
	}
	q.ring[i] = *r
	q.n++
}

// pop appends records to dst until it has at most most of them. Once the ring
// is empty a pending gap follows: it must be told even if nothing else happens.
func (q *queue) pop(dst []Record, most int) []Record {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.n > 0 && len(dst) < most {
		dst = append(dst, q.ring[q.head])
		q.ring[q.head] = Record{}
		q.n--
		if q.head++; q.head == len(q.ring) {
			q.head = 0
		}
	}
	if q.n == 0 && q.lost.Lost > 0 && len(dst) < most {
		dst = append(dst, *q.gap())
	}
	return dst
}

// gap takes the pending gap.
func (q *queue) gap() *Record {
	g := q.lost
	g.LostTotal = q.total
	q.lost = Record{}
	return &g
}

// depth returns how many records wait and how many were lost so far.
func (q *queue) depth() (waiting int, lost uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n, q.total
}

// widen makes a gap of r, or a larger one.
func (r *Record) widen(count uint64, from, to int64) {
	if r.Lost == 0 {
		*r = Record{Kind: Gap, LostFrom: from, Wall: to}
	}
	r.Lost += count
	r.LostFrom, r.Wall = min(r.LostFrom, from), max(r.Wall, to)
}
