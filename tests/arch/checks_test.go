package arch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"spigate/netstack/drop"
)

// made loads a tree from texts by path.
func made(t *testing.T, files map[string]string) *Tree {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	tree, err := Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// finds compares findings with wanted ones, in any order.
func finds(t *testing.T, got []Finding, want ...string) {
	t.Helper()
	text := make([]string, len(got))
	for i, f := range got {
		text[i] = f.String()
	}
	slices.Sort(text)
	slices.Sort(want)
	if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(text, "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAForbiddenImportIsFound(t *testing.T) {
	finds(t, CheckImports(made(t, map[string]string{
		"netstack/drop/a.go":      "package drop\n\nimport \"spigate/netstack/frame\"\n",
		"netstack/drop/a_test.go": "package drop\n\nimport \"spigate/netstack/frame\"\n",
		"netstack/frame/a.go":     "package frame\n\nimport (\n\t\"spigate/netstack/drop\"\n\t\"gvisor.dev/gvisor/pkg/tcpip/header\"\n\t\"gvisor.dev/gvisor/pkg/tcpip/stack\"\n)\n",
		"netstack/link/a.go":      "package link\n\nimport (\n\t\"spigate/netstack/link/takeover\"\n\t\"golang.org/x/sys/unix\"\n\t\"net\"\n)\n",
		"netstack/lsn/a.go":       "package lsn\n\nimport \"spigate/alg\"\n",
		"alg/ipsec/a.go":          "package ipsec\n\nimport (\n\t\"spigate/alg\"\n\t\"spigate/netstack/lsn\"\n)\n",
		"cmd/internal/wire/a.go":  "package wire\n\nimport (\n\t\"spigate/netstack\"\n\t\"example.org/x\"\n)\n",
		"netstack/new/a.go":       "package new\n",
	}), Rules()),
		"netstack/drop/a.go:3: netstack/drop may not import spigate/netstack/frame",
		"netstack/frame/a.go:6: netstack/frame may not import gvisor.dev/gvisor/pkg/tcpip/stack",
		"netstack/link/a.go:4: netstack/link may not import spigate/netstack/link/takeover",
		"netstack/lsn/a.go:3: netstack/lsn may not import spigate/alg",
		"alg/ipsec/a.go:5: alg/ipsec may not import spigate/netstack/lsn",
		"netstack/new: no import rule is for this folder: add one to the design and to tests/arch")
}

func TestAModuleInTheWrongPlaceIsFound(t *testing.T) {
	finds(t, CheckModules(made(t, map[string]string{
		"go.mod": "module spigate\n\nrequire a.org/a v1\n\nrequire (\n\tb.org/b v1\n\tc.org/c v1 // indirect\n)\n",
		Dependencies: "| module | package | why |\n|---|---|---|\n| `a.org/a` | `x`, `y/z` | w |\n| `b.org/b` | tests | w |\n" +
			"| `d.org/d` | tool | w |\n",
		"x/a.go":      "package x\n\nimport \"a.org/a/sub\"\n",
		"x/b.go":      "package x\n\nimport \"b.org/b\"\n",
		"x/b_test.go": "package x\n\nimport \"b.org/b\"\n",
		"y/a.go":      "package y\n\nimport \"a.org/a\"\n",
	})),
		"go.mod: c.org/c is not in docs/dependencies.md",
		"docs/dependencies.md: d.org/d is not in go.mod",
		"x/b.go:3: docs/dependencies.md does not give b.org/b to this package",
		"y/a.go:3: docs/dependencies.md does not give a.org/a to this package")
}

func TestALongFileAndALongFunctionAreFound(t *testing.T) {
	body := func(n int) string { return "func f() {\n" + strings.Repeat("\t_ = 0\n", n-2) + "}\n" }
	finds(t, CheckSize(made(t, map[string]string{
		"a/ok.go":   "package a\n\n" + body(MaxFunctionLines),
		"a/long.go": "package a\n\n" + body(MaxFunctionLines+1),
		"a/file.go": "package a\n" + strings.Repeat("\n", MaxFileLines),
		"a/ok.c":    strings.Repeat("\n", MaxFileLines),
		"a/file.c":  strings.Repeat("\n", MaxFileLines+1),
		"a/file.h":  strings.Repeat("\n", MaxFileLines+1),
	})),
		"a/file.c: 401 lines; at most 400",
		"a/file.h: 401 lines; at most 400",
		"a/long.go:3: f has 101 lines; at most 100",
		"a/file.go:1: 401 lines; at most 400")
}

func TestDeepNestingIsFound(t *testing.T) {
	nest := func(n int) string {
		return "package a\n\nfunc f() {\n" + strings.Repeat("for {\n", n) + strings.Repeat("}\n", n) + "}\n"
	}
	chain := "package a\n\nfunc f() {\n\tif a {\n\t} else if b {\n\t} else if c {\n\t} else if d {\n\t} else {\n\t\tfor {\n\t\t}\n\t}\n}\n"
	finds(t, CheckNesting(made(t, map[string]string{
		"a/three.go":     nest(3),
		"a/four.go":      nest(4),
		"a/four_test.go": nest(4),
		"a/chain.go":     chain,
		"a/inside.go":    "package a\n\nfunc f() {\n\tg(func() {\n" + strings.Repeat("for {\n", 4) + strings.Repeat("}\n", 4) + "\t})\n}\n",
		"a/literal.go":   "package a\n\nfunc f() {\n\tfor {\n\t\tfor {\n\t\t\tg(func() {\n\t\t\t\tfor {\n\t\t\t\t\tif a {\n\t\t\t\t\t}\n\t\t\t\t}\n\t\t\t})\n\t\t}\n\t}\n}\n",
	})),
		"a/four.go:3: f nests 4 deep; at most 3",
		"a/inside.go:3: f nests 4 deep; at most 3")
}

func TestBadFormatIsFound(t *testing.T) {
	finds(t, CheckFormat(made(t, map[string]string{
		"a/a.go": "package a\n", "a/b.go": "package  a\n", "a/testdata/c.go": "package  a\n",
	})), "a/b.go: is not as gofmt writes it")
}

func TestAnInitIsFound(t *testing.T) {
	finds(t, CheckInit(made(t, map[string]string{
		"a/a.go": "package a\n\nfunc init() {}\n\nfunc (x) init() {}\n",
	})), "a/a.go:3: has an init function")
}

func TestAPackageWithoutACommentIsFound(t *testing.T) {
	finds(t, CheckPackageComments(made(t, map[string]string{
		"a/a.go": "// Package a is one.\npackage a\n", "a/b.go": "package a\n",
		"b/a.go": "package b\n",
		"c/a.go": "// Package c is one.\npackage c\n", "c/b.go": "// Package c is two.\npackage c\n",
	})), "b: has no package comment", "c: has more than one package comment")
}

func TestReadingTheClockIsFound(t *testing.T) {
	text := "package a\n\nimport %s\"time\"\n\nvar _ = %s.%s\n"
	finds(t, CheckClock(made(t, map[string]string{
		"netstack/a.go":          fmt.Sprintf(text, "", "time", "Now"),
		"netstack/b.go":          fmt.Sprintf(text, "clock ", "clock", "NewTimer"),
		"netstack/c.go":          fmt.Sprintf(text, "", "time", "Second"),
		"netstack/d.go":          "package a\n\nimport time \"example.org/time\"\n\nvar _ = time.Now\n",
		"netstack/e_test.go":     fmt.Sprintf(text, "", "time", "Sleep"),
		ClockOwner:               fmt.Sprintf(text, "", "time", "Now"),
		"cmd/a.go":               fmt.Sprintf(text, "", "time", "Sleep"),
		"cmd/a_test.go":          fmt.Sprintf(text, "", "time", "Sleep"),
		"tests/netns/a.go":       fmt.Sprintf(text, "", "time", "Sleep"),
		"tests/netns/a_test.go":  fmt.Sprintf(text, "", "time", "Sleep"),
		"tests/golden/a.go":      fmt.Sprintf(text, "", "time", "Sleep"),
		"tests/golden/a_test.go": fmt.Sprintf(text, "", "time", "Now"),
	})),
		"netstack/a.go:5: uses time.Now: take the time as an argument",
		"netstack/b.go:5: uses time.NewTimer: take the time as an argument",
		"netstack/e_test.go:5: a test sleeps",
		"cmd/a_test.go:5: a test sleeps",
		"tests/netns/a_test.go:5: a test sleeps",
		"tests/golden/a.go:5: a test sleeps")
}

func TestASkippedTestIsFound(t *testing.T) {
	finds(t, CheckSkip(made(t, map[string]string{
		"a/a_test.go": "package a\n\nfunc f(t *T) {\n\tt.Skip(\"no\")\n\tt.Log()\n\tb.SkipNow()\n}\n",
	})), "a/a_test.go:4: a test is skipped", "a/a_test.go:6: a test is skipped")
}

func TestAForbiddenWordIsFound(t *testing.T) {
	finds(t, CheckWords(made(t, map[string]string{
		"a.md": "fine /tmp/x and ~/x\n" + "/home" + "/me/x\n",
		"b.go": "package b\n\n// TO" + "DO: more\n// see https://proxy." + "golang.org/x\n// mirror.example\n",
		"c":    "\x00/home" + "/me/x\n",
	}), "mirror.example"),
		"a.md:2: has a path of somebody's machine",
		"b.go:3: has unfinished work",
		"b.go:4: has the host of a registry",
		"b.go:5: has the host of a registry")
}

func TestAMissingOrStrangeReadmeIsFound(t *testing.T) {
	sound := "# a\n\n" + strings.Join(Headings(), "\n\n") + "\n\n```\n## no heading\n```\n"
	finds(t, CheckReadmes(made(t, map[string]string{
		"a/README.md": sound, "a/a.go": "package a\n", "a/testdata/x.txt": "",
		"a/b/README.md": sound, "a/b/b.go": "package b\n",
		"c/d/readme.txt": "", "e/README.md": "# e\n\n## Purpose\n",
		".hidden/x.txt": "",
	})),
		`a/b/README.md: does not begin with "# a/b"`,
		"c: has no README.md",
		"e/README.md: has the headings ## Purpose; want ## Purpose, ## Picture, ## Files, ## Invariants, ## Try it")
}

func TestAReasonThatNoTestDrivesIsFound(t *testing.T) {
	finds(t, CheckReasons(made(t, map[string]string{
		"netstack/drop/reason.go":    "package drop\n\nconst (\n\tNone = iota\n\tShort\n\tLong\n\n\tNumReasons\n)\n",
		"netstack/drop/drop_test.go": "package drop\n\nvar _ = drop.Long\n",
		"netstack/a.go":              "package netstack\n\nimport \"spigate/netstack/drop\"\n\nvar _ = drop.Long\n",
		"netstack/a_test.go":         "package netstack\n\nimport \"spigate/netstack/drop\"\n\nvar _ = drop.Short\n",
	})), "netstack/drop/reason.go:6: no test drives drop.Long")
}

func TestThePageOfDropReasonsHasEachOnce(t *testing.T) {
	page := DropReasons()
	for r := drop.None + 1; r < drop.NumReasons; r++ {
		if n := strings.Count(page, "| `"+r.String()+"` |"); n != 1 {
			t.Errorf("%s stands there %d times", r, n)
		}
	}
}
