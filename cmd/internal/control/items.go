package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// writeBuffer is what is collected before it is written on.
const writeBuffer = 32 << 10

// ItemWriter writes {"version":1,"items":[…]} item by item, one on a line.
// Nothing is written before the first item or the end.
type ItemWriter struct {
	w    *bufio.Writer
	line bytes.Buffer
	enc  *json.Encoder
	n    int
}

// NewItemWriter returns a writer for one answer.
func NewItemWriter(w io.Writer) *ItemWriter {
	i := &ItemWriter{w: bufio.NewWriterSize(w, writeBuffer)}
	i.enc = json.NewEncoder(&i.line)
	i.enc.SetEscapeHTML(false)
	return i
}

// appender is a row of which there may be a million. It writes itself as
// json.Marshal would, and leaves nothing for the collector of garbage: between two
// collections the daemon would grow by a fifth.
type appender interface{ appendJSON(b []byte) []byte }

// Add writes one item. Items are collected: it may be a later one that gets
// the error of writing.
func (i *ItemWriter) Add(item any) error {
	i.line.Reset()
	if a, ok := item.(appender); ok {
		i.line.Write(a.appendJSON(i.line.AvailableBuffer()))
	} else if err := i.enc.Encode(item); err != nil {
		return err
	}
	if i.n == 0 {
		i.head()
	} else {
		i.w.WriteByte(',')
	}
	i.n++
	i.w.WriteByte('\n')
	_, err := i.w.Write(bytes.TrimSuffix(i.line.Bytes(), []byte("\n")))
	return err
}

// End closes the list and writes what is left.
func (i *ItemWriter) End() error {
	if i.n == 0 {
		i.head()
	} else {
		i.w.WriteByte('\n')
	}
	i.w.WriteString("]}\n")
	return i.w.Flush()
}

// Flush writes what was added so far, when there will be no End.
func (i *ItemWriter) Flush() error { return i.w.Flush() }

func (i *ItemWriter) head() { fmt.Fprintf(i.w, `{"version":%d,"items":[`, FormatVersion) }
