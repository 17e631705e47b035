package configs

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// maxText bounds the file: a configuration of a few thousand objects has some
// hundred kilobytes, and the parser's memory is a multiple of the text.
const maxText = 1 << 20

// maxDepth bounds nested brackets and dotted keys. The TOML library descends
// into them recursively, and half a million of them kept it busy for minutes.
// The schema needs four.
const maxDepth = 32

// document is the first layer: the tables of a text, and where they stand.
type document struct {
	file string
	text string
	root map[string]any
	ends []int // where the lines end
	places
}

// read parses the text as TOML. A syntax error ends it: nothing after it can
// be trusted.
func read(file string, text []byte) (*document, error) {
	d := &document{file: file, text: strings.TrimPrefix(string(text), "\ufeff")}
	for at := range len(d.text) {
		if d.text[at] == '\n' {
			d.ends = append(d.ends, at)
		}
	}
	if len(text) > maxText {
		return nil, Fault{file, 1, 1, "", fmt.Sprintf("the file has %d bytes; at most %d are read", len(text), maxText)}
	}
	var deep int
	if d.places, deep = locate(d.text); deep >= 0 {
		line, col := d.position(deep)
		return nil, Fault{file, line, col, "", fmt.Sprintf("tables and arrays are nested deeper than %d", maxDepth)}
	}
	if _, err := toml.Decode(d.text, &d.root); err != nil {
		return nil, d.syntax(err)
	}
	return d, nil
}

// syntax turns the TOML library's error into a Fault.
func (d *document) syntax(err error) Fault {
	var pe toml.ParseError
	if !errors.As(err, &pe) {
		return Fault{d.file, 1, 1, "", oneLine(err.Error())}
	}
	line, col := d.position(pe.Position.Start)
	return Fault{d.file, line, col, oneLine(pe.LastKey), oneLine(pe.Message)}
}

// position turns an offset into line and column, both from 1.
func (d *document) position(offset int) (line, col int) {
	offset = min(max(offset, 0), len(d.text))
	before, _ := slices.BinarySearch(d.ends, offset)
	begin := 0
	if before > 0 {
		begin = d.ends[before-1] + 1
	}
	return before + 1, offset - begin + 1
}

// oneLine keeps a message on one line, whatever bytes the file had.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// spot names a place: a key, its value, or an element of its value.
type spot struct {
	path  []string
	index int  // element of an array, or -1
	onKey bool // the key itself is meant, not the value
}

// offset finds the place in the text, or the nearest table around it: a key
// that is missing is reported where its table begins.
func (d *document) offset(s spot) int {
	if at, ok := d.values[id(element(s.path, s.index))]; ok && s.index >= 0 {
		return at
	}
	if at, ok := d.values[id(s.path)]; ok && !s.onKey {
		return at
	}
	for n := len(s.path); n > 0; n-- {
		if at, ok := d.keys[id(s.path[:n])]; ok {
			return at
		}
	}
	return 0
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// String returns the path as it would be written in TOML.
func (s spot) String() string {
	parts := make([]string, len(s.path))
	for i, p := range s.path {
		parts[i] = p
		if !bareKey.MatchString(p) {
			parts[i] = fmt.Sprintf("%q", p)
		}
	}
	out := strings.Join(parts, ".")
	if s.index >= 0 {
		out += fmt.Sprintf("[%d]", s.index)
	}
	return out
}

// fault makes a Fault at a place.
func (d *document) fault(s spot, text string) Fault {
	line, col := d.position(d.offset(s))
	return Fault{d.file, line, col, s.String(), oneLine(text)}
}
