package arch

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// Dependencies is the table in docs/dependencies.md.
const Dependencies = "docs/dependencies.md"

// Dependency is a row: a module, and the folders whose packages may import it.
type Dependency struct {
	Module  string
	Folders []string // "tests" stands for tests, "tool" for what no package imports
}

// ParseDependencies reads the rows whose first cell is a module in backquotes.
func ParseDependencies(text []byte) []Dependency {
	var out []Dependency
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		cells := strings.Split(lines.Text(), "|")
		if len(cells) < 4 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		d := Dependency{Module: strings.Trim(strings.TrimSpace(cells[1]), "`")}
		for _, folder := range strings.Split(cells[2], ",") {
			d.Folders = append(d.Folders, strings.Trim(strings.TrimSpace(folder), "`"))
		}
		out = append(out, d)
	}
	return out
}

// CheckModules: a module of somebody else is imported where the table says,
// and the table names every module that go.mod requires, and no other.
func CheckModules(t *Tree) []Finding {
	table := map[string]Dependency{}
	for _, d := range ParseDependencies(t.Text[Dependencies]) {
		table[d.Module] = d
	}
	var out []Finding
	required := Required(t.Text["go.mod"])
	for _, m := range required {
		if _, ok := table[m]; !ok {
			out = append(out, Finding{"go.mod", m + " is not in " + Dependencies})
		}
		delete(table, m)
	}
	for m := range table {
		out = append(out, Finding{Dependencies, m + " is not in go.mod"})
	}
	for _, d := range ParseDependencies(t.Text[Dependencies]) {
		table[d.Module] = d
	}
	for _, f := range t.Files {
		for _, imp := range f.Imports {
			if standard(imp.Path) || within(imp.Path, Module) {
				continue
			}
			if !mayUse(table, f, imp.Path) {
				out = append(out, Finding{fmt.Sprintf("%s:%d", f.Path, imp.Line), Dependencies + " does not give " + imp.Path + " to this package"})
			}
		}
	}
	return out
}

// mayUse reports whether the row of path's module names the file's folder.
func mayUse(table map[string]Dependency, f *File, path string) bool {
	for module, d := range table {
		if !within(path, module) {
			continue
		}
		for _, folder := range d.Folders {
			if folder == f.Dir || (f.Test || within(f.Dir, "tests")) && folder != "tool" {
				return true
			}
		}
	}
	return false
}

// Required lists the modules of go.mod's require blocks, indirect ones too.
func Required(gomod []byte) []string {
	var out []string
	inside := false
	lines := bufio.NewScanner(bytes.NewReader(gomod))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0:
		case fields[0] == "require" && len(fields) > 2:
			out = append(out, fields[1])
		case fields[0] == "require":
			inside = true
		case fields[0] == ")":
			inside = false
		case inside:
			out = append(out, fields[0])
		}
	}
	return out
}
