package boot

import (
	"fmt"
	"strings"
)

// Sizes of the log.
const (
	maxLine  = 1 << 10 // bytes of a line; the rest of it is cut off
	ringSize = 96 << 10
	lineCost = 32 // what a line takes beside its bytes
)

// Ring is the log in memory: the last lines, with the kernel's time before
// each. It is not safe for concurrent use.
type Ring struct {
	lines []string
	first uint64 // number of lines[0]
	bytes int
}

// Add appends a line. now is nanoseconds since the boot.
func (r *Ring) Add(line string, now int64) {
	line = stamp(now) + printable(line)
	r.lines = append(r.lines, line)
	r.bytes += len(line) + lineCost
	for r.bytes > ringSize {
		r.bytes -= len(r.lines[0]) + lineCost
		r.lines[0] = ""
		r.lines = r.lines[1:]
		r.first++
	}
}

// Next is the number that the next line will have.
func (r *Ring) Next() uint64 { return r.first + uint64(len(r.lines)) }

// Line returns the line of a number, or the oldest there is after it; the
// number that follows; and how many were lost before it. ok is false if there
// is none yet.
func (r *Ring) Line(n uint64) (line string, next, lost uint64, ok bool) {
	if n < r.first {
		lost, n = r.first-n, r.first
	}
	if n >= r.Next() {
		return "", n, lost, false
	}
	return r.lines[n-r.first], n + 1, lost, true
}

// Text returns all lines.
func (r *Ring) Text() string {
	if len(r.lines) == 0 {
		return ""
	}
	return strings.Join(r.lines, "\n") + "\n"
}

// stamp is the time as the kernel's log has it.
func stamp(now int64) string { return fmt.Sprintf("[%5d.%06d] ", now/1e9, now%1e9/1e3) }

// printable is a line that a terminal shows and does not obey: somebody else
// may have chosen its bytes. It is cut to maxLine bytes.
func printable(line string) string {
	if len(line) > maxLine {
		line = line[:maxLine]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(line, "?"))
}

// lines cuts a stream into lines, without an end of line, and keeps no more
// than maxLine bytes of one.
type lines struct {
	part []byte
	cut  bool // the rest of this line is thrown away
	emit func(line string)
}

// Write implements io.Writer; it never fails.
func (l *lines) Write(p []byte) (int, error) {
	for _, b := range p {
		switch {
		case b == '\n':
			l.flush()
		case l.cut:
		case len(l.part) == maxLine:
			l.cut = true
		default:
			l.part = append(l.part, b)
		}
	}
	return len(p), nil
}

func (l *lines) flush() {
	l.emit(strings.TrimSuffix(string(l.part), "\r"))
	l.part, l.cut = l.part[:0], false
}
