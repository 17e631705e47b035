package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// tree is the command line as it is, without a run of it.
func tree() *cobra.Command {
	a := &app{out: &output{w: os.Stdout}, errs: os.Stderr}
	return a.newRoot()
}

// every calls fn for each command that users see, parents first.
func every(cmd *cobra.Command, fn func(*cobra.Command)) {
	if cmd.Hidden {
		return
	}
	fn(cmd)
	for _, child := range cmd.Commands() {
		every(child, fn)
	}
}

// typed splits a line as a shell does: words, and those in quotes. What is
// behind a redirection or a pipe is the shell's.
func typed(line string) (words []string) {
	line, _, _ = strings.Cut(line, " > ")
	line, _, _ = strings.Cut(line, " | ")
	for k, part := range strings.Split(line, `"`) {
		if k%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

func TestEachCommandHasExamplesThatTheCommandLineTakes(t *testing.T) {
	every(tree(), func(cmd *cobra.Command) {
		if strings.TrimSpace(cmd.Example) == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example) {
			tryExample(t, cmd, strings.TrimSuffix(line, "\n"))
		}
	})
}

// tryExample parses one line with the real tree, up to what the command would
// do.
func tryExample(t *testing.T, of *cobra.Command, line string) {
	text, ok := strings.CutPrefix(line, "  spigate ")
	words := typed(text)
	if !ok || len(words) == 0 {
		t.Errorf("%s: the example %q does not begin with the program's name, two spaces in", of.CommandPath(), line)
		return
	}
	cmd, args, err := tree().Find(words)
	if err != nil || !strings.HasPrefix(cmd.CommandPath(), of.CommandPath()) {
		t.Errorf("%s: the example %q is of %s: %v", of.CommandPath(), line, cmd.CommandPath(), err)
		return
	}
	if cmd.Name() == "help" {
		if _, rest, err := tree().Find(args); err != nil || len(rest) > 0 {
			t.Errorf("%s: no help about %v: %v", line, args, err)
		}
		return
	}
	if err := cmd.ParseFlags(args); err != nil {
		t.Errorf("%s: %v", line, err)
	}
	if cmd.HasSubCommands() && !cmd.HasParent() {
		return
	}
	if cmd.HasAvailableSubCommands() && len(cmd.Flags().Args()) > 0 {
		t.Errorf("%s: %s has no %v", line, cmd.CommandPath(), cmd.Flags().Args())
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		t.Errorf("%s: %v", line, err)
	}
	for _, word := range words {
		checkFile(t, line, word)
	}
}

// checkFile wants files in examples to be of the project, or in a place where
// users have theirs.
func checkFile(t *testing.T, line, word string) {
	if filepath.Ext(word) != ".toml" || strings.HasPrefix(word, "/etc/spigate/") || !strings.Contains(word, "/") {
		return // a name alone is whatever the user has called it
	}
	if _, err := os.Stat(filepath.Join("../..", word)); err != nil {
		t.Errorf("%s: %v", line, err)
	}
}

// widest is what a terminal of 80 columns shows without breaking lines.
const widest = 80

func TestTextsOfTheHelpFitATerminal(t *testing.T) {
	every(tree(), func(cmd *cobra.Command) {
		for _, text := range []string{cmd.Long, cmd.UseLine()} {
			for line := range strings.Lines(text) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > widest+4 {
					t.Errorf("%s: a line of %d columns: %s", cmd.CommandPath(), n, line)
				}
			}
		}
		if len(cmd.Short) > widest-14 {
			t.Errorf("%s: its short text has %d columns: %q", cmd.CommandPath(), len(cmd.Short), cmd.Short)
		}
	})
}
