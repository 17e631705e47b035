package commands

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// A page of docs is played as a scenario: what stands in
//
//	<!-- play
//	daemon gw1 configs/examples/office.toml
//	-->
//
// are lines of a script that a reader need not see; a block with a
// name behind its kind, as ```toml office.toml, is a file; and each command of spigate in any other block is run, and must succeed
// unless the page says <!-- fails: N --> before (see failing). What stands below a command
// that begins with "$ " must be in what it prints, line for line; a line of
// three dots is any. <!-- volatile … --> is a scenario's
// file of that name, <!-- file NAME … --> any other.

// block is a fenced block of a page, or one of its comments.
type block struct {
	kind, name string // of the fence's first line; of a comment its first word, with "!"
	lines      []string
}

// blocks takes a page apart.
func blocks(text string) (out []block) {
	var in *block
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case in == nil && strings.HasPrefix(line, "```"):
			kind, name, _ := strings.Cut(strings.TrimPrefix(line, "```"), " ")
			in = &block{kind: kind, name: name}
		case in == nil && strings.HasPrefix(line, "<!-- "):
			kind, rest, _ := strings.Cut(strings.TrimPrefix(line, "<!-- "), " ")
			in = &block{kind: "!" + kind, name: rest}
			if rest, ended := strings.CutSuffix(rest, "-->"); ended {
				in.name = strings.TrimSpace(rest)
				out, in = append(out, *in), nil
			}
		case in != nil && (line == "```" || line == "-->" && in.kind[0] == '!'):
			out, in = append(out, *in), nil
		case in != nil:
			in.lines = append(in.lines, line)
		}
	}
	return out
}

// script makes a scenario of a page.
func script(page string) (text string, commands int) {
	var play, files strings.Builder
	fails := ""
	for _, b := range blocks(page) {
		if b.name != "" && b.kind != "!fails:" {
			fmt.Fprintf(&files, "-- %s --\n%s\n", b.name, strings.Join(b.lines, "\n"))
		}
		switch b.kind {
		case "!play":
			play.WriteString(strings.Join(b.lines, "\n") + "\n")
		case "!volatile":
			fmt.Fprintf(&files, "-- %s --\n%s\n", volatileFile, strings.Join(b.lines, "\n"))
		case "!fails:":
			fails = b.name
		case "toml":
		default:
			if b.name != "" {
				continue
			}
			n := 0
			for k, line := range b.lines {
				words, shown := strings.CutPrefix(line, "$ ")
				if !strings.HasPrefix(words, "spigate ") {
					continue
				}
				n++
				code, bad := failing(fails, words)
				if bad {
					play.WriteString("! ")
				}
				play.WriteString(played(words))
				if bad {
					fmt.Fprintf(&play, "exits %s\n", code)
				}
				if shown {
					expect(&play, &files, commands+n, b.lines[k+1:])
				}
			}
			if commands += n; n > 0 {
				fails = ""
			}
		}
	}
	return play.String() + files.String(), commands
}

// played is a command as a scenario has it: testscript quotes with ' alone and
// knows no >, and a capture ends after a second.
func played(words string) string {
	words = strings.ReplaceAll(remark.ReplaceAllString(words, ""), `"`, "'")
	if strings.HasPrefix(words, "spigate capture ") {
		words = seconds.ReplaceAllString(words, "") + " --seconds 1"
	}
	words, file, redirected := strings.Cut(words, " > ")
	if redirected {
		return words + "\ncp stdout " + file + "\n"
	}
	return words + "\n"
}

var seconds = regexp.MustCompile(` --seconds \d+`)

// failing reads <!-- fails: CODE [WORD …] -->: commands with one of the words;
// without words it is about every
// command of the next block.
func failing(fails, command string) (code string, yes bool) {
	code, verbs, some := strings.Cut(fails, " ")
	named := slices.ContainsFunc(strings.Fields(verbs), func(v string) bool { return slices.Contains(strings.Fields(command), v) })
	return code, code != "" && (!some || named)
}

var remark = regexp.MustCompile(`\s{2,}#.*$`)

// expect writes what a command must print: the lines up to the next one.
func expect(play, files *strings.Builder, n int, below []string) {
	if end := slices.IndexFunc(below, func(line string) bool { return strings.HasPrefix(line, "$ ") }); end >= 0 {
		below = below[:end]
	}
	below = slices.DeleteFunc(slices.Clone(below), func(line string) bool { return line == "" || line == "..." })
	if len(below) == 0 {
		return
	}
	fmt.Fprintf(play, "holds out%d\n", n)
	fmt.Fprintf(files, "-- out%d --\n%s\n", n, strings.Join(below, "\n"))
}

// pages are those of docs that are written by hand.
func pages(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(all) < 10 {
		t.Fatalf("%d pages: %v", len(all), err)
	}
	return all
}

// TestThePagesOfDocsCanBeFollowed runs every command of every page, in the order
// of the page.
func TestThePagesOfDocsCanBeFollowed(t *testing.T) {
	dir := t.TempDir()
	played := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		scenario, n := script(string(text))
		if played += n; n == 0 {
			continue
		}
		name := strings.TrimSuffix(filepath.Base(page), ".md") + ".txtar"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(scenario), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if played < 20 {
		t.Errorf("%d commands were found", played)
	}
	p := params(t)
	p.Dir = dir
	testscript.Run(t, p)
}

// TestThePagesOfDocsNameTargetsThatThereAre: what a page tells to run and is no
// command of spigate is a target of make, a package of ours, or one of a few
// programs that every machine has.
func TestThePagesOfDocsNameTargetsThatThereAre(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks(string(text)) {
			for _, line := range b.lines {
				words := strings.Fields(remark.ReplaceAllString(line, ""))
				switch {
				case b.kind == "!play" || len(words) < 2:
				case words[0] == "make":
					if !strings.Contains(string(makefile), "\n"+words[1]+":") {
						t.Errorf("%s: make has no target %s", page, words[1])
					}
				case words[0] == "go":
					for _, word := range words[1:] {
						if strings.HasPrefix(word, "./") {
							if _, err := os.Stat(filepath.Join("../..", strings.TrimSuffix(word, "/..."))); err != nil {
								t.Errorf("%s: %v", page, err)
							}
						}
					}
				}
			}
		}
	}
}
