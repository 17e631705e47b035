package dialect

import (
	"fmt"
	"strconv"
	"strings"

	"spigate/configs"
)

// apart stands above what the text does not define.
const apart = "# ---- Not in the text, which only refers to it: made up, so that the rest can be checked. Replace it."

// writer prints a Document as TOML, and notes for each line which one of the
// text it comes from.
type writer struct {
	strings.Builder
	from []int
}

func (w *writer) line(from int, format string, args ...any) {
	fmt.Fprintf(w, format+"\n", args...)
	w.from = append(w.from, from)
}

// Finish returns the document as TOML, and everything that was found. What
// check refuses is told, too, at the line of the text that it comes from.
func (d *Document) Finish() *Result {
	w := &writer{}
	w.line(0, "version = 1")
	for _, t := range d.tables {
		if t.Defined {
			w.table(t)
		}
	}
	first := true
	for _, t := range d.tables {
		if t.Defined {
			continue
		}
		if first {
			w.line(0, "")
			w.line(0, apart)
			first = false
		}
		w.table(t)
	}
	text := w.String()
	d.judge(text, w.from)
	return &Result{TOML: text, Findings: d.Findings(), Empty: len(d.tables) == 0, found: d.worst}
}

// judge tells what check says of the TOML.
func (d *Document) judge(text string, from []int) {
	_, _, err := configs.Parse("import", []byte(text))
	for _, f := range configs.Faults(err) {
		line := 0
		if f.Line > 0 && f.Line <= len(from) {
			line = from[f.Line-1]
		}
		d.Tell(Fault, line, "%s: %s", f.Path, f.Text)
	}
}

func (w *writer) table(t *Table) {
	w.line(t.Line, "")
	if t.Command != "" {
		w.line(t.Line, "# missing: %s", t.Command)
	}
	names := make([]string, len(t.Path))
	for i, p := range t.Path {
		names[i] = Key(p)
	}
	w.line(t.Line, "[%s]", strings.Join(names, "."))
	for _, key := range t.keys {
		v := t.values[key]
		remark := ""
		if v.missing != "" {
			remark = " # made up; missing: " + v.missing
		}
		w.line(v.line, "%s = %s%s", Key(key), literal(v.data), remark)
	}
}

// Key spells a TOML key: in quotes where it must be.
func Key(name string) string {
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return quoted(name)
		}
	}
	if name == "" {
		return `""`
	}
	return name
}

func literal(data any) string {
	switch v := data.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	case []string:
		words := make([]string, len(v))
		for i, s := range v {
			words[i] = quoted(s)
		}
		return "[" + strings.Join(words, ", ") + "]"
	}
	return quoted(fmt.Sprint(data))
}

// quoted is a basic string of TOML.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
