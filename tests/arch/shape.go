package arch

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"path"
	"strings"
)

// The limits of the house.
const (
	MaxFileLines     = 400
	MaxFunctionLines = 100
	MaxNesting       = 3
)

// CheckSize: no file over MaxFileLines, in Go or C, and no Go function over
// MaxFunctionLines.
func CheckSize(t *Tree) []Finding {
	out := longC(t)
	for _, f := range t.Files {
		if n := bytes.Count(t.Text[f.Path], []byte("\n")); n > MaxFileLines {
			out = append(out, t.at(f, f.AST, "%d lines; at most %d", n, MaxFileLines))
		}
		for _, fn := range functions(f) {
			if n := t.Fset.Position(fn.End()).Line - t.Line(fn) + 1; n > MaxFunctionLines {
				out = append(out, t.at(f, fn, "%s has %d lines; at most %d", fn.Name.Name, n, MaxFunctionLines))
			}
		}
	}
	return out
}

// longC finds the files in C that are too long.
func longC(t *Tree) (out []Finding) {
	for name, text := range t.Text {
		n := bytes.Count(text, []byte("\n"))
		if ext := path.Ext(name); n > MaxFileLines && (ext == ".c" || ext == ".h") {
			out = append(out, Finding{name, fmt.Sprintf("%d lines; at most %d", n, MaxFileLines)})
		}
	}
	return out
}

func functions(f *File) []*ast.FuncDecl {
	var out []*ast.FuncDecl
	for _, d := range f.AST.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
			out = append(out, fn)
		}
	}
	return out
}

// CheckNesting: blocks are nested at most MaxNesting deep in code that ships.
// A function literal begins anew; "else if" is no deeper than its "if".
func CheckNesting(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		if f.Test || within(f.Dir, "tests") {
			continue
		}
		for _, fn := range functions(f) {
			if n := deepest(fn.Body); n > MaxNesting {
				out = append(out, t.at(f, fn, "%s nests %d deep; at most %d", fn.Name.Name, n, MaxNesting))
			}
		}
	}
	return out
}

// deepest is the depth of a body or of a function literal in it.
func deepest(body ast.Node) int {
	n := depth(body)
	ast.Inspect(body, func(m ast.Node) bool {
		if lit, ok := m.(*ast.FuncLit); ok {
			n = max(n, depth(lit.Body))
		}
		return true
	})
	return n
}

// depth is the greatest number of control statements around a statement of n,
// without those in function literals.
func depth(n ast.Node) int {
	deepest := 0
	ast.Inspect(n, func(m ast.Node) bool {
		if m == nil || m == n {
			return true
		}
		inner := 0
		switch s := m.(type) {
		case *ast.IfStmt:
			inner = 1 + depth(s.Body)
			if chain, ok := s.Else.(*ast.IfStmt); ok {
				inner = max(inner, depth(&ast.BlockStmt{List: []ast.Stmt{chain}}))
			} else if s.Else != nil {
				inner = max(inner, 1+depth(s.Else))
			}
		case *ast.ForStmt:
			inner = 1 + depth(s.Body)
		case *ast.RangeStmt:
			inner = 1 + depth(s.Body)
		case *ast.SwitchStmt:
			inner = 1 + depth(s.Body)
		case *ast.TypeSwitchStmt:
			inner = 1 + depth(s.Body)
		case *ast.SelectStmt:
			inner = 1 + depth(s.Body)
		case *ast.FuncLit:
		default:
			return true
		}
		deepest = max(deepest, inner)
		return false
	})
	return deepest
}

// CheckFormat: every Go file is as gofmt writes it.
func CheckFormat(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		if done, err := format.Source(t.Text[f.Path]); err != nil || !bytes.Equal(done, t.Text[f.Path]) {
			out = append(out, Finding{f.Path, "is not as gofmt writes it"})
		}
	}
	return out
}

// CheckInit: no init function, for importing a package must do nothing.
func CheckInit(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		for _, fn := range functions(f) {
			if fn.Name.Name == "init" && fn.Recv == nil {
				out = append(out, t.at(f, fn, "has an init function"))
			}
		}
	}
	return out
}

// CheckPackageComments: every package says in one file what it is.
func CheckPackageComments(t *Tree) []Finding {
	var out []Finding
	for dir, files := range t.packages() {
		n := 0
		for _, f := range files {
			if f.AST.Doc != nil && strings.TrimSpace(f.AST.Doc.Text()) != "" {
				n++
			}
		}
		if n != 1 {
			out = append(out, Finding{dir, map[bool]string{true: "has no package comment", false: "has more than one package comment"}[n == 0]})
		}
	}
	return out
}

// names maps the names under which a file knows packages to their paths.
func (f *File) names() map[string]string {
	out := map[string]string{}
	for i, spec := range f.AST.Imports {
		path := f.Imports[i].Path
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		out[name] = path
	}
	return out
}

// calls visits every use of NAME.SELECTOR where NAME is the package path.
func (t *Tree) calls(f *File, path string, visit func(sel *ast.SelectorExpr)) {
	names := f.names()
	ast.Inspect(f.AST, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && names[id.Name] == path && id.Pos() != token.NoPos {
			visit(sel)
		}
		return true
	})
}
