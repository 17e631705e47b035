package configs

import (
	"slices"
)

// Places tells where the tables, keys and elements of arrays of a configuration
// stand in its file.
type Places struct{ at map[string]Place }

// Line is the line on which a table begins, from 1: Line("ltm", "virtual",
// "ipsec-0") for [ltm.virtual.ipsec-0]. 0: there is none.
func (p Places) Line(path ...string) int { return p.at[id(path)].Line }

// Table is the header of a table as it would be written.
func Table(path ...string) string { return "[" + spot{path: path, index: -1}.String() + "]" }

// Fault makes a fault of something that is wrong about a configuration which
// was checked, as those find who would run it. It stands at the value of the
// key with a path, or at the nearest table around it.
func (c *Config) Fault(text string, path ...string) Fault { return c.FaultOf(-1, text, path...) }

// FaultOf is Fault at element i of the array with a path; -1: the array itself.
func (c *Config) FaultOf(i int, text string, path ...string) Fault {
	f := Fault{File: c.File, Line: 1, Col: 1, Path: spot{path: path, index: i}.String(), Text: oneLine(text)}
	if at, ok := c.Places.at[id(element(path, i))]; ok && i >= 0 {
		f.Line, f.Col = at.Line, at.Col
		return f
	}
	for n := len(path); n > 0; n-- {
		if at, ok := c.Places.at[id(path[:n])]; ok {
			f.Line, f.Col = at.Line, at.Col
			return f
		}
	}
	return f
}

// PortFault is Fault for a port of a switch, at its device. A port without a
// table of its own is where the first VLAN names it.
func (c *Config) PortFault(s *Switch, port, text string) Fault {
	if c.Places.Line("switch", s.Name, "port", port) != 0 {
		return c.Fault(text, "switch", s.Name, "port", port, "device")
	}
	for _, v := range c.VLANs {
		if v.Switch != s {
			continue
		}
		if i := slices.Index(v.Untagged, port); i >= 0 {
			return c.FaultOf(i, text, "vlan", v.Name, "untagged")
		}
		if i := slices.Index(v.Tagged, port); i >= 0 {
			return c.FaultOf(i, text, "vlan", v.Name, "tagged")
		}
	}
	return c.Fault(text, "switch", s.Name)
}

// Warning is Fault for what works, but perhaps not as its author thinks.
func (c *Config) Warning(text string, path ...string) Warning { return Warning(c.Fault(text, path...)) }

// placed finds the places of everything that the text has.
func (d *document) placed() Places {
	p := Places{map[string]Place{}}
	put := func(path []string, offset int) {
		line, col := d.position(offset)
		p.at[id(path)] = Place{line, col}
	}
	d.walk(nil, d.root, put)
	return p
}

// walk visits tables by their names, and what else is in them by the values.
func (d *document) walk(path []string, in map[string]any, put func(path []string, offset int)) {
	for name, value := range in {
		inner := append(path[:len(path):len(path)], name)
		table, ok := value.(map[string]any)
		if at, there := d.keys[id(inner)]; ok && there {
			put(inner, at)
		}
		if ok {
			d.walk(inner, table, put)
			continue
		}
		if at, there := d.values[id(inner)]; there {
			put(inner, at)
		}
		for i := 0; ; i++ {
			at, there := d.values[id(element(inner, i))]
			if !there {
				break
			}
			put(element(inner, i), at)
		}
	}
}
