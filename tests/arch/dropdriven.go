package arch

import (
	"go/ast"
	"strings"
)

// reasonsFile declares every drop reason.
const reasonsFile = "netstack/drop/reason.go"

// CheckReasons: every drop reason is named by a test outside package drop, which
// drives it: a reason that nothing can cause explains nothing.
func CheckReasons(t *Tree) []Finding {
	reasons := map[string]*ast.ValueSpec{}
	named := map[string]bool{}
	var in *File
	for _, f := range t.Files {
		switch {
		case f.Path == reasonsFile:
			in = f
			declared(f, reasons)
		case f.Test && f.Dir != "netstack/drop":
			t.calls(f, Module+"/netstack/drop", func(sel *ast.SelectorExpr) { named[sel.Sel.Name] = true })
		}
	}
	var out []Finding
	for name, at := range reasons {
		if !named[name] {
			out = append(out, t.at(in, at, "no test drives drop.%s", name))
		}
	}
	return out
}

// declared collects the reasons: the constants between None and NumReasons.
func declared(f *File, reasons map[string]*ast.ValueSpec) {
	ast.Inspect(f.AST, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, id := range spec.Names {
			if id.IsExported() && id.Name != "None" && !strings.HasPrefix(id.Name, "Num") {
				reasons[id.Name] = spec
			}
		}
		return false
	})
}
