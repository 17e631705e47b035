package main

import (
	"io"
	"iter"

	"spigate/cmd/internal/control"
)

// printJSON writes rows in the form of the control socket. If the first thing
// that comes is an error, nothing is written.
func printJSON(out io.Writer, rows iter.Seq2[any, error]) error {
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

// untyped passes rows on to what takes rows of any kind.
func untyped[T any](rows iter.Seq2[T, error]) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		rows(func(row T, err error) bool { return yield(row, err) })
	}
}

// local makes rows of this process look like those of a daemon.
func local[T any](rows ...T) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}
