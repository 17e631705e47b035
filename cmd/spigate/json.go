package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"spigate/cmd/internal/control"
)

// printJSON writes rows in the form of the control socket, one on a line. If
// the first thing that comes is an error, nothing is written.
func printJSON[T any](out io.Writer, rows iter.Seq2[T, error]) error {
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	head := fmt.Sprintf("{\"version\":%d,\"items\":[", control.FormatVersion)
	separator := head + "\n"
	for row, err := range rows {
		if err != nil {
			w.Flush()
			return err
		}
		w.WriteString(separator)
		if err := enc.Encode(row); err != nil {
			return err
		}
		separator = ","
	}
	if separator != "," {
		w.WriteString(head)
	}
	w.WriteString("]}\n")
	return w.Flush()
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
