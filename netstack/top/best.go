package top

import "container/heap"

// best keeps those of many that have the greatest weight, at most a given
// number. The zero value keeps none.
type best[K comparable, T any] struct {
	most int
	rows []ranked[K, T] // a heap, the lightest first
	at   map[K]int      // place in rows
}

type ranked[K comparable, T any] struct {
	key    K
	weight uint64
	row    T
}

// newBest keeps the most heaviest.
func newBest[K comparable, T any](most int) *best[K, T] {
	return &best[K, T]{most: most, rows: make([]ranked[K, T], 0, most), at: make(map[K]int, most)}
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (b *best[K, T]) Len() int           { return len(b.rows) }
func (b *best[K, T]) Less(i, j int) bool { return b.rows[i].weight < b.rows[j].weight }

func (b *best[K, T]) Swap(i, j int) {
	b.rows[i], b.rows[j] = b.rows[j], b.rows[i]
	b.at[b.rows[i].key], b.at[b.rows[j].key] = i, j
}

func (b *best[K, T]) Push(x any) {
	row := x.(ranked[K, T])
	b.at[row.key] = len(b.rows)
	b.rows = append(b.rows, row)
}

func (b *best[K, T]) Pop() any {
	last := b.rows[len(b.rows)-1]
	b.rows = b.rows[:len(b.rows)-1]
	delete(b.at, last.key)
	return last
}

// room reports whether something of this weight would be kept.
func (b *best[K, T]) room(weight uint64) bool {
	return len(b.rows) < b.most || b.most > 0 && weight > b.rows[0].weight
}

// have returns what is kept of a key.
func (b *best[K, T]) have(k K) (row T, weight uint64, ok bool) {
	if i, ok := b.at[k]; ok {
		return b.rows[i].row, b.rows[i].weight, true
	}
	return row, 0, false
}

// put keeps a row in place of what was kept of its key, or of the lightest.
func (b *best[K, T]) put(k K, row T, weight uint64) {
	if i, ok := b.at[k]; ok {
		b.rows[i].row, b.rows[i].weight = row, weight
		heap.Fix(b, i)
		return
	}
	if !b.room(weight) {
		return
	}
	if len(b.rows) == b.most {
		heap.Pop(b)
	}
	heap.Push(b, ranked[K, T]{k, weight, row})
}

// take returns what is kept, the heaviest first, and keeps nothing.
func (b *best[K, T]) take() []T {
	out := make([]T, len(b.rows))
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = heap.Pop(b).(ranked[K, T]).row
	}
	return out
}
