package main

import (
	"bytes"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"
)

// tableChunk is how many rows are aligned at a time. tabwriter keeps what it
// aligns in memory, and there may be a million rows.
const tableChunk = 1024

// table prints rows in aligned columns. Cells are never cut; a column that
// becomes wider in a later chunk stays so from there on.
type table struct {
	tab    *tabwriter.Writer
	widths []int // widest cell of each column so far
	rows   int
}

// newTable begins a table with its header, in bold if wanted.
func newTable(w io.Writer, bold bool, header ...string) *table {
	if bold {
		w = &boldLine{w: w}
	}
	t := &table{tab: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0), widths: make([]int, len(header))}
	t.write(header)
	return t
}

// row adds one row, with as many cells as the header has.
func (t *table) row(cells ...string) error {
	t.write(cells)
	if t.rows++; t.rows%tableChunk == 0 {
		return t.tab.Flush()
	}
	return nil
}

// end prints what is left.
func (t *table) end() error { return t.tab.Flush() }

// write hands a line to tabwriter, padded to the widths of earlier chunks.
// Its errors come up again at Flush.
func (t *table) write(cells []string) {
	var line strings.Builder
	for i, cell := range cells {
		cell = printable(cell)
		width := utf8.RuneCountInString(cell)
		line.WriteString(cell)
		if i == len(cells)-1 {
			break
		}
		line.WriteString(strings.Repeat(" ", max(0, t.widths[i]-width)))
		line.WriteByte('\t')
		t.widths[i] = max(t.widths[i], width)
	}
	line.WriteByte('\n')
	io.WriteString(t.tab, line.String())
}

// printable makes sure that a cell is there, and is no command to the
// terminal or to tabwriter.
func printable(cell string) string {
	if cell == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, cell)
}

// boldLine prints the first line that passes through it in bold.
type boldLine struct {
	w    io.Writer
	done bool
	line []byte
}

func (b *boldLine) Write(p []byte) (int, error) {
	if b.done {
		return b.w.Write(p)
	}
	b.line = append(b.line, p...)
	first, rest, whole := bytes.Cut(b.line, []byte("\n"))
	if !whole {
		return len(p), nil
	}
	b.done = true
	_, err := io.WriteString(b.w, "\x1b[1m"+string(first)+"\x1b[0m\n"+string(rest))
	return len(p), err
}
