package configs

import (
	"slices"
)

// Places tells where the tables of a configuration stand in its file.
type Places struct{ lines map[string]int }

// Line is the line on which a table begins, from 1: Line("ltm", "virtual",
// "ipsec-0") for [ltm.virtual.ipsec-0]. 0: there is none.
func (p Places) Line(path ...string) int { return p.lines[id(path)] }

// Table is the header of a table as it would be written.
func Table(path ...string) string { return "[" + spot{path: path, index: -1}.String() + "]" }

// tables finds the places of all tables.
func (d *document) tables() Places {
	p := Places{map[string]int{}}
	var breaks []int // where lines end
	for at, c := range []byte(d.text) {
		if c == '\n' {
			breaks = append(breaks, at)
		}
	}
	d.walk(nil, d.root, func(path []string) {
		if at, ok := d.keys[id(path)]; ok {
			line, _ := slices.BinarySearch(breaks, at)
			p.lines[id(path)] = line + 1
		}
	})
	return p
}

// walk visits the tables in a table.
func (d *document) walk(path []string, in map[string]any, visit func([]string)) {
	for name, value := range in {
		if table, ok := value.(map[string]any); ok {
			inner := append(path[:len(path):len(path)], name)
			visit(inner)
			d.walk(inner, table, visit)
		}
	}
}
