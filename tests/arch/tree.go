package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Module is the module's path, the prefix of our own imports.
const Module = "spigate"

// Finding is one place that breaks a rule.
type Finding struct {
	Where string // file, file:line or folder
	What  string
}

// String returns "where: what".
func (f Finding) String() string { return f.Where + ": " + f.What }

// Tree is the project: its folders, its text and its parsed Go files.
type Tree struct {
	Fset  *token.FileSet
	Dirs  []string          // slash-separated, "." is the root
	Text  map[string][]byte // every regular file by its path
	Files []*File
}

// File is one Go file.
type File struct {
	Path    string // from the root
	Dir     string // the package's folder
	Test    bool   // _test.go
	AST     *ast.File
	Imports []Import
}

// Import is one import of a file.
type Import struct {
	Path string
	Line int
}

// maxFileSize is the size up to which files that are not Go are read: more is
// recorded traffic.
const maxFileSize = 1 << 20

// Load reads a tree. Hidden folders, build results and testdata are left out.
func Load(fsys fs.FS) (*Tree, error) {
	t := &Tree{Fset: token.NewFileSet(), Text: map[string][]byte{}}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return t.addDir(name)
		}
		return t.addFile(fsys, name, d)
	})
	if err != nil {
		return nil, fmt.Errorf("read the tree: %w", err)
	}
	return t, nil
}

func (t *Tree) addDir(name string) error {
	base := path.Base(name)
	if name != "." && strings.HasPrefix(base, ".") && base != ".ci" || name == "bin" || name == "dist" {
		return fs.SkipDir
	}
	t.Dirs = append(t.Dirs, name)
	return nil
}

func (t *Tree) addFile(fsys fs.FS, name string, d fs.DirEntry) error {
	if name == ".git" {
		return nil // of a linked work tree: it says where the repository is
	}
	info, err := d.Info()
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxFileSize {
		return err
	}
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	t.Text[name] = text
	if path.Ext(name) != ".go" || InTestdata(name) {
		return nil
	}
	parsed, err := parser.ParseFile(t.Fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	f := &File{Path: name, Dir: path.Dir(name), Test: strings.HasSuffix(name, "_test.go"), AST: parsed}
	for _, spec := range parsed.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		f.Imports = append(f.Imports, Import{p, t.Line(spec)})
	}
	t.Files = append(t.Files, f)
	return nil
}

// Line is the line on which a node begins.
func (t *Tree) Line(n ast.Node) int { return t.Fset.Position(n.Pos()).Line }

// InTestdata reports whether a path is below a testdata folder.
func InTestdata(name string) bool {
	return slices.Contains(strings.Split(name, "/"), "testdata")
}

// packages groups the Go files by folder.
func (t *Tree) packages() map[string][]*File {
	out := map[string][]*File{}
	for _, f := range t.Files {
		out[f.Dir] = append(out[f.Dir], f)
	}
	return out
}

// at makes a finding at a node of a file.
func (t *Tree) at(f *File, n ast.Node, format string, args ...any) Finding {
	return Finding{fmt.Sprintf("%s:%d", f.Path, t.Line(n)), fmt.Sprintf(format, args...)}
}

// within reports whether dir is root or a folder below it.
func within(dir, root string) bool {
	return dir == root || strings.HasPrefix(dir, root+"/")
}
