package dialect

import (
	"cmp"
	"fmt"
	"slices"
)

// MaxText is how long a text may be, in bytes. What is longer is not read.
const MaxText = 1 << 20

// maxFindings bounds what is told one by one.
const maxFindings = 1000

// Kind says what a Finding is about.
type Kind uint8

// The kinds. Only with Note is everything in the TOML that was in the text.
const (
	Note    Kind = iota // read as it was meant, not as it stood
	Missing             // something was made up for a command that is missing
	Unknown             // not understood
	Left                // understood, and left out
	Fault               // carried over, and refused by check
)

// String returns the word that stands in messages and in JSON.
func (k Kind) String() string {
	return [...]string{"note", "missing", "unknown", "left out", "fault"}[k]
}

// Finding is what is to be told of one line.
type Finding struct {
	Line    int // of the text that was read, from 1; 0: of none
	Kind    Kind
	Text    string
	Command string // with Missing: what would have defined it, in its dialect
}

// String returns "kind: text", with the missing command in front.
func (f Finding) String() string {
	if f.Command != "" {
		return fmt.Sprintf("%s: %s: %s", f.Kind, f.Command, f.Text)
	}
	return fmt.Sprintf("%s: %s", f.Kind, f.Text)
}

// In is String behind "file:line: ".
func (f Finding) In(file string) string {
	if f.Line == 0 {
		return file + ": " + f.String()
	}
	return fmt.Sprintf("%s:%d: %s", file, f.Line, f)
}

// Report collects findings.
type Report struct {
	findings []Finding
	untold   int
	worst    map[Kind]bool
}

// Tell adds a finding.
func (r *Report) Tell(kind Kind, line int, format string, args ...any) {
	r.add(Finding{Line: line, Kind: kind, Text: fmt.Sprintf(format, args...)})
}

func (r *Report) add(f Finding) {
	if r.worst == nil {
		r.worst = map[Kind]bool{}
	}
	r.worst[f.Kind] = true
	if len(r.findings) >= maxFindings {
		r.untold++
		return
	}
	r.findings = append(r.findings, f)
}

// Findings returns what was told, in the order of lines.
func (r *Report) Findings() []Finding {
	out := slices.Clone(r.findings)
	slices.SortStableFunc(out, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	if r.untold > 0 {
		out = append(out, Finding{Kind: Unknown, Text: fmt.Sprintf("%d more are not told", r.untold)})
	}
	return out
}

// Result is what became of a text.
type Result struct {
	TOML     string
	Findings []Finding // in the order of lines
	Empty    bool      // nothing of the text is in the TOML
	found    map[Kind]bool
}

// Has reports whether there is a finding of one of the kinds, also among those
// that are too many to be in Findings.
func (r *Result) Has(kinds ...Kind) bool {
	return slices.ContainsFunc(kinds, func(k Kind) bool { return r.found[k] })
}
