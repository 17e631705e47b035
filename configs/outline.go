package configs

import (
	"slices"
	"strings"
)

// outline is where the tables and pairs of a text stand.
type outline struct {
	text    string
	newline string
	tables  []section // in the order of the text; the first is the root's, without a header
}

// section is a table as it stands under one header.
type section struct {
	path     []string
	from, to int // bytes: from the header's line to the next header's, or its remarks
	head     int // where the lines behind the header begin
	pairs    []pair
}

// pair is KEY = VALUE.
type pair struct {
	path       []string // from the root
	from, to   int      // bytes of its lines
	value, end int      // bytes of the value
}

// outlined reads the outline of a text that is TOML.
func outlined(text string) *outline {
	o := &outline{text: text, newline: "\n", tables: []section{{}}}
	if n := strings.IndexByte(text, '\n'); n > 0 && text[n-1] == '\r' {
		o.newline = "\r\n"
	}
	s := &scanner{text: text, deep: -1, places: emptyPlaces()}
	for s.skipBlank(); s.at < len(text); s.skipBlank() {
		before, last := s.at, &o.tables[len(o.tables)-1]
		if s.peek() == '[' {
			from := o.remarksAbove(before)
			last.to = from
			path := s.header()
			o.tables = append(o.tables, section{path: path, from: from, head: o.lineEnd(s.at)})
		} else {
			p := pair{from: o.lineBegin(before), path: s.key(last.path)}
			s.skip("= \t")
			p.value = s.at
			s.value(nil)
			p.end = p.value + len(strings.TrimRight(text[p.value:s.at], " \t\r"))
			p.to = o.lineEnd(s.at)
			last.pairs = append(last.pairs, p)
		}
		if s.at == before {
			s.at++
		}
	}
	o.tables[len(o.tables)-1].to = len(text)
	return o
}

func (o *outline) lineBegin(at int) int { return strings.LastIndexByte(o.text[:at], '\n') + 1 }

// lineEnd is where the next line begins.
func (o *outline) lineEnd(at int) int {
	if n := strings.IndexByte(o.text[at:], '\n'); n >= 0 {
		return at + n + 1
	}
	return len(o.text)
}

// remarksAbove is where the lines of remarks begin that stand right above the
// line of at, and so speak of it.
func (o *outline) remarksAbove(at int) int {
	begin := o.lineBegin(at)
	for begin > 0 {
		above := o.lineBegin(begin - 1)
		if !strings.HasPrefix(strings.TrimLeft(o.text[above:begin], " \t"), "#") {
			break
		}
		begin = above
	}
	return begin
}

// edit makes one change in the text.
func (o *outline) edit(c Change) (string, error) {
	name, table := c.Path[len(c.Path)-1], c.Path[:len(c.Path)-1]
	if p := o.pair(c.Path); p != nil {
		if c.Value == "" {
			return o.text[:p.from] + o.text[p.to:], nil
		}
		return o.text[:p.value] + c.Value + o.text[p.end:], nil
	}
	switch {
	case c.Value == "":
		return o.without(c.Path), nil
	case c.Value == emptyTable:
		if o.has(c.Path) {
			return o.text, nil
		}
		return o.with(c.Path, ""), nil
	}
	line := Key(name) + " = " + c.Value + o.newline
	for i := range o.tables {
		if t := &o.tables[i]; slices.Equal(t.path, table) {
			return o.insert(t.tail(), line), nil
		}
	}
	return o.with(table, line), nil
}

// pair finds the pair of a path.
func (o *outline) pair(path []string) *pair {
	for i := range o.tables {
		for k := range o.tables[i].pairs {
			if p := &o.tables[i].pairs[k]; slices.Equal(p.path, path) {
				return p
			}
		}
	}
	return nil
}

// has reports whether there is a table, under a header of its own or one of what
// is below it.
func (o *outline) has(path []string) bool {
	return slices.ContainsFunc(o.tables, func(t section) bool { return under(t.path, path) })
}

// under reports whether path is at top or below it.
func under(path, top []string) bool {
	return len(path) >= len(top) && slices.Equal(path[:len(top)], top)
}

// without is the text without a table and what is below it.
func (o *outline) without(path []string) string {
	var out strings.Builder
	for _, t := range o.tables {
		if len(t.path) == 0 || !under(t.path, path) {
			out.WriteString(o.text[t.from:t.to])
		}
	}
	return out.String()
}

// tail is where a line is added to a section: behind its last pair.
func (t *section) tail() int {
	if n := len(t.pairs); n > 0 {
		return t.pairs[n-1].to
	}
	return t.head
}

// with is the text with a new table: behind its last sibling, or at the end.
func (o *outline) with(path []string, line string) string {
	at := len(o.text)
	for _, t := range o.tables {
		if len(path) > 1 && len(t.path) > 0 && under(t.path, path[:len(path)-1]) {
			at = t.tail()
		}
	}
	head := o.newline + Table(path...) + o.newline
	if at == 0 {
		head = head[len(o.newline):]
	}
	if at < len(o.text) && !strings.HasPrefix(o.text[at:], o.newline) {
		line += o.newline
	}
	return o.insert(at, head+line)
}

// insert puts lines in, behind a line that may lack its end.
func (o *outline) insert(at int, lines string) string {
	if at > 0 && o.text[at-1] != '\n' {
		lines = o.newline + lines
	}
	return o.text[:at] + lines + o.text[at:]
}

// Key is a name as a key of TOML.
func Key(name string) string { return spot{path: []string{name}, index: -1}.String() }
