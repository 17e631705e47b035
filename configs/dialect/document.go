package dialect

import (
	"slices"
	"strings"
)

// Document is what was understood of a text: tables of our configuration in the
// order in which the text came to them.
type Document struct {
	Report
	tables []*Table
	index  map[string]*Table
}

// NewDocument returns an empty one.
func NewDocument() *Document { return &Document{index: map[string]*Table{}} }

// Table is one table.
type Table struct {
	Path    []string // the last one is the name of the object
	Line    int      // where the text came to it
	Defined bool     // false: the text only refers to it
	Command string   // of one that is not Defined: the command that is missing
	keys    []string
	values  map[string]value
}

// value is a string, int64, bool or []string, and the line that says it.
type value struct {
	data    any
	line    int
	missing string // made up: the command that would have said it
}

// Name is that of the object.
func (t *Table) Name() string { return t.Path[len(t.Path)-1] }

func joined(path []string) string { return strings.Join(path, "\x00") }

// Find returns a table, nil if there is none.
func (d *Document) Find(path ...string) *Table { return d.index[joined(path)] }

// Table returns a table, and makes an empty one that is not Defined if there is
// none.
func (d *Document) Table(line int, path ...string) *Table {
	if t := d.Find(path...); t != nil {
		return t
	}
	t := &Table{Path: slices.Clone(path), Line: line, values: map[string]value{}}
	d.tables = append(d.tables, t)
	d.index[joined(path)] = t
	return t
}

// Below lists the objects of a kind, in order.
func (d *Document) Below(path ...string) (out []*Table) {
	for _, t := range d.tables {
		if len(t.Path) == len(path)+1 && slices.Equal(t.Path[:len(path)], path) {
			out = append(out, t)
		}
	}
	return out
}

// Remove takes a table away.
func (d *Document) Remove(t *Table) {
	delete(d.index, joined(t.Path))
	d.tables = slices.DeleteFunc(d.tables, func(o *Table) bool { return o == t })
}

// Set gives a key a value: a string, int64, bool or []string.
func (t *Table) Set(line int, key string, data any) {
	if !t.Has(key) {
		t.keys = append(t.keys, key)
	}
	t.values[key] = value{data: data, line: line}
}

// Append adds to a list, unless the element is there already.
func (t *Table) Append(line int, key, element string) {
	if list := t.List(key); !slices.Contains(list, element) {
		t.Set(line, key, append(list, element))
	}
}

// Has reports whether the key has a value.
func (t *Table) Has(key string) bool { return slices.Contains(t.keys, key) }

// Text returns a string, "" if there is none.
func (t *Table) Text(key string) string {
	s, _ := t.values[key].data.(string)
	return s
}

// List returns a list, nil if there is none.
func (t *Table) List(key string) []string {
	l, _ := t.values[key].data.([]string)
	return l
}

// Flag returns a boolean, and whether there is one.
func (t *Table) Flag(key string) (is, there bool) {
	is, there = t.values[key].data.(bool)
	return is, there
}

// Number returns an integer, 0 if there is none.
func (t *Table) Number(key string) int64 {
	n, _ := t.values[key].data.(int64)
	return n
}

// LineOf is where the text has the key's value, or the table.
func (t *Table) LineOf(key string) int {
	if v, ok := t.values[key]; ok {
		return v.line
	}
	return t.Line
}

// Delete takes a key away, and reports whether it was there.
func (t *Table) Delete(key string) bool {
	if !t.Has(key) {
		return false
	}
	t.keys = slices.DeleteFunc(t.keys, func(k string) bool { return k == key })
	delete(t.values, key)
	return true
}

// Drop takes an element out of a list, and reports whether it was there.
func (t *Table) Drop(line int, key, element string) bool {
	list := t.List(key)
	i := slices.Index(list, element)
	if i < 0 {
		return false
	}
	if list = slices.Delete(slices.Clone(list), i, i+1); len(list) == 0 {
		return t.Delete(key)
	}
	t.Set(line, key, list)
	return true
}

// SetRoute makes the table of a route that leads somewhere by a key, "via" or
// "tunnel". It is named by its destination, or by name where that one is taken
// in another traffic domain.
func (d *Document) SetRoute(line int, name, to, domain, key, where string) {
	path := []string{"route", to}
	if d.Find(path...) != nil {
		if path[1] = strings.NewReplacer("/", "_", "%", "_").Replace(name); name == to {
			path[1] = strings.ReplaceAll(to, "/", "_") + "_" + domain
		}
	}
	if d.Find(path...) != nil {
		d.Tell(Left, line, "there is a route to %s already: this one is left out", to)
		return
	}
	t := d.Table(line, path...)
	t.Defined = true
	if path[1] != to {
		t.Set(line, "to", to)
	}
	t.Set(line, key, where)
	if n, err := Number(domain); err == nil && n != int64(0) {
		t.Set(line, "traffic_domain", n)
	}
}
