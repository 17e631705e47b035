package main

import (
	"io"
	"iter"

	"spigate/cmd/internal/control"
)

// printJSON writes rows in the form of the control socket. If the first thing
// that comes is an error, nothing is written.
func printJSON[T any](out io.Writer, rows iter.Seq2[T, error]) error {
	w := control.NewItemWriter(out)
	for row, err := range rows {
		if err != nil {
			w.Flush()
			return err
		}
		if err := w.Add(row); err != nil {
			return err
		}
	}
	return w.End()
}

// withoutError makes local rows look like those of a daemon.
func withoutError[T any](rows iter.Seq[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}
