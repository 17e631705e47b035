package arch

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// forbidden lists what must not stand in any text of the project, with the
// reason. The patterns are written so that they do not match themselves.
func forbidden() map[string]*regexp.Regexp {
	return map[string]*regexp.Regexp{
		"a path of somebody's machine": regexp.MustCompile(`/(home|Users)[/]\w+/|/root[/]\w|/(work|farm)[/]\w`),
		"the host of a registry":       regexp.MustCompile(`(?i)(proxy|sum)[.]golang[.]org|goproxy[.]|artifac[t]ory|registry[.]npmjs|[.]pypi[.]org`),
		"unfinished work":              regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`),
	}
}

// CheckWords looks for forbidden words. hosts are further ones: those of the
// module proxy that this machine uses.
func CheckWords(t *Tree, hosts ...string) []Finding {
	var out []Finding
	for name, text := range t.Text {
		if binary(text) {
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			if why := badWord(line, hosts); why != "" {
				out = append(out, Finding{fmt.Sprintf("%s:%d", name, i+1), "has " + why})
			}
		}
	}
	return out
}

func badWord(line string, hosts []string) string {
	for why, re := range forbidden() {
		if re.MatchString(line) {
			return why
		}
	}
	for _, h := range hosts {
		if h != "" && strings.Contains(line, h) {
			return "the host of a registry"
		}
	}
	return ""
}

// binary reports whether a file is no text.
func binary(text []byte) bool {
	return strings.ContainsRune(string(text[:min(len(text), 512)]), 0)
}

// Headings are those of every README, in this order.
func Headings() []string {
	return []string{"## Purpose", "## Picture", "## Files", "## Invariants", "## Try it"}
}

// CheckReadmes: each folder at the top and each folder with Go files has a
// README.md with its path as the title and the five headings.
func CheckReadmes(t *Tree) []Finding {
	packages := t.packages()
	var out []Finding
	for _, dir := range t.Dirs {
		top := dir != "." && !strings.Contains(dir, "/") && !strings.HasPrefix(dir, ".")
		if InTestdata(dir) || packages[dir] == nil && !top {
			continue
		}
		text, ok := t.Text[path.Join(dir, "README.md")]
		if !ok {
			out = append(out, Finding{dir, "has no README.md"})
			continue
		}
		out = append(out, checkReadme(path.Join(dir, "README.md"), dir, string(text))...)
	}
	return out
}

func checkReadme(name, dir, text string) []Finding {
	var out []Finding
	var headings []string
	fenced := false
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if !fenced && strings.HasPrefix(line, "## ") {
			headings = append(headings, line)
		}
	}
	if !strings.HasPrefix(text, "# "+dir+"\n") {
		out = append(out, Finding{name, "does not begin with \"# " + dir + "\""})
	}
	if got, want := strings.Join(headings, ", "), strings.Join(Headings(), ", "); got != want {
		out = append(out, Finding{name, "has the headings " + got + "; want " + want})
	}
	return out
}
