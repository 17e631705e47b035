package control

import "iter"

// Passing returns the rows that pass a filter: what the server does to the rows
// of every view, for those who ask a Backend in process.
func Passing[T row](f Filter, rows iter.Seq[T]) iter.Seq[T] {
	return func(yield func(T) bool) {
		for r := range rows {
			if r.passes(&f) && !yield(r) {
				return
			}
		}
	}
}
