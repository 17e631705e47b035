package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The manual: a page for each command, in roff, out of the texts that --help
// has. It is written by this test ("make man") and not by the program, whose
// flash is small.

var manual = flag.String("man", "", "write the manual pages into this `FOLDER`")

// exits is what scripts rely on, in the words of the manual.
func exits() [][2]string {
	return [][2]string{
		{"0", "fine; of \"config diff\": the same"}, {"1", "failed; of \"config diff\": different"}, {"2", "the words or flags are wrong"},
		{"3", "no daemon answers at the control socket"}, {"4", "there is no object of that name"},
		{"5", "the configuration is invalid"}, {"6", "the router is not well"},
	}
}

// pageName is the name of a command's page, in the manual and in docs/commands.
func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// roffText escapes what roff would take for its own.
func roffText(text string) string {
	var b strings.Builder
	for k, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case (r == '.' || r == '\'') && (k == 0 || text[k-1] == '\n'):
			b.WriteString(`\&` + string(r))
		case r > 126:
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// paragraphs splits a text at its empty lines. Those with indented lines are
// to be shown as they stand.
func paragraphs(text string, each func(text string, asItStands bool)) {
	for part := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		each(part, strings.HasPrefix(part, "  ") || strings.Contains(part, "\n  "))
	}
}

// options calls fn for each flag as it is typed, with what it means.
func options(flags *pflag.FlagSet, fn func(typed, means string)) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, means := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "[]" && d != "0s" && !strings.Contains(means, "default") {
			means += " (default " + d + ")"
		}
		fn(name, means)
	})
}

// roff is the manual page of a command.
func roff(cmd *cobra.Command) []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`.TH "%s" 1 "" "spigate" "The spigate manual"`, roffText(strings.ToUpper(pageName(cmd))))
	line(".SH NAME\n%s \\- %s", roffText(pageName(cmd)), roffText(cmd.Short))
	line(".SH SYNOPSIS\n.B %s", roffText(cmd.UseLine()))
	line(".SH DESCRIPTION")
	paragraphs(described(cmd), func(text string, asItStands bool) {
		if asItStands {
			line(".PP\n.nf\n%s\n.fi", roffText(text))
		} else {
			line(".PP\n%s", roffText(text))
		}
	})
	for k, flags := range []*pflag.FlagSet{cmd.NonInheritedFlags(), cmd.InheritedFlags()} {
		heading := []string{"OPTIONS", "OPTIONS OF EVERY COMMAND HERE"}[k]
		options(flags, func(typed, means string) {
			if heading != "" {
				line(".SH %s", heading)
				heading = ""
			}
			line(".TP\n.B %s\n%s", roffText(typed), roffText(means))
		})
	}
	line(".SH EXAMPLES\n.nf\n%s\n.fi", roffText(cmd.Example))
	line(".SH EXIT STATUS")
	for _, e := range exits() {
		line(".TP\n.B %s\n%s", e[0], roffText(e[1]))
	}
	line(".SH SEE ALSO\n%s", related(cmd))
	return b.Bytes()
}

// described is the long text of a command, or the short one as a sentence.
func described(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short + "."
}

// related are the pages around a command's own.
func related(cmd *cobra.Command) string {
	var out []string
	add := func(c *cobra.Command) { out = append(out, `.BR `+roffText(pageName(c))+` (1)`) }
	if cmd.HasParent() {
		add(cmd.Parent())
	}
	for _, child := range cmd.Commands() {
		if !child.Hidden {
			add(child)
		}
	}
	for k := range out[:max(0, len(out)-1)] {
		out[k] += " ,"
	}
	return strings.Join(out, "\n")
}

// TestManualPages has the manual read by the program that shows it, which
// warns of whatever it cannot make sense of. With -man it writes the pages.
func TestManualPages(t *testing.T) {
	folder := *manual
	if folder == "" {
		folder = t.TempDir()
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"-ww", "-b", "-man", "-Tutf8"}
	every(tree(), func(cmd *cobra.Command) {
		file := filepath.Join(folder, pageName(cmd)+".1")
		if err := os.WriteFile(file, roff(cmd), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	})
	shown := exec.Command("groff", args...)
	shown.Env = append(os.Environ(), "GROFF_NO_SGR=1")
	var warnings bytes.Buffer
	shown.Stderr = &warnings
	text, err := shown.Output()
	if err != nil || warnings.Len() > 0 {
		t.Errorf("groff (tests/deps.sh installs it): %v\n%s", err, warnings.String())
	}
	if len(args) < 60 || !bytes.Contains(text, []byte("show ltm virtual ipsec-2 --raw")) {
		t.Errorf("%d pages are shown as\n%.2000s", len(args)-4, text)
	}
}

func TestRoffTakesNoWordForItsOwn(t *testing.T) {
	for text, want := range map[string]string{
		".dot": `\&.dot`, "a\n'quote": "a\n\\&'quote", `back\slash`: `back\eslash`, "a-b…": `a\-b\[u2026]`, "a.b": "a.b",
	} {
		if got := roffText(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
