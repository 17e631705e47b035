package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// docs/commands has a page for each command, out of the texts that --help has.
// With -update it is written anew.

const pagesFolder = "../../docs/commands"

// leaves calls fn for each command that does something.
func leaves(root *cobra.Command, fn func(*cobra.Command)) {
	every(root, func(cmd *cobra.Command) {
		if !cmd.HasAvailableSubCommands() {
			fn(cmd)
		}
	})
}

// pageFile is the file of a command's page.
func pageFile(cmd *cobra.Command) string {
	return strings.TrimPrefix(pageName(cmd), "spigate-") + ".md"
}

// plain escapes what Markdown would take for its own.
func plain(text string) string {
	return strings.NewReplacer("*", `\*`, "_", `\_`, "<", "&lt;", "|", `\|`).Replace(text)
}

// page is the page of a command.
func commandPage(cmd *cobra.Command) []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# %s\n\n%s.\n\n```\n%s\n```\n", cmd.CommandPath(), plain(cmd.Short), cmd.UseLine())
	if len(cmd.Aliases) > 0 {
		line("It is also called `%s`.\n", strings.Join(cmd.Aliases, "`, `"))
	}
	if cmd.Long != "" {
		paragraphs(cmd.Long, func(text string, asItStands bool) {
			if asItStands {
				line("```\n%s\n```\n", text)
			} else {
				line("%s\n", plain(text))
			}
		})
	}
	line("## Examples\n\n```\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(cmd.Example, "  "), "\n  ", "\n"))
	if output := printed(cmd); output != "" {
		line("It prints what looks like this:\n\n```\n%s```\n", output)
	}
	line("## Flags\n\n| flag | means |\n|---|---|")
	for _, flags := range []*pflag.FlagSet{cmd.NonInheritedFlags(), cmd.InheritedFlags()} {
		options(flags, func(typed, means string) { line("| `%s` | %s |", strings.ReplaceAll(typed, "|", `\|`), plain(means)) })
	}
	line("\nExit codes are those of [every command](README.md#exit-codes).")
	return b.Bytes()
}

// widestOutput is how many columns of a view fit a page.
const widestOutput = 150

// printed is the golden text of a view, if it is one and can be read on a page.
func printed(cmd *cobra.Command) string {
	for name, words := range views {
		if "spigate "+words != cmd.CommandPath() {
			continue
		}
		text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
		if err != nil || slices.ContainsFunc(strings.Split(string(text), "\n"), func(l string) bool { return len(l) > widestOutput }) {
			return ""
		}
		return string(text)
	}
	return ""
}

// pagesIndex is the README of the folder.
func pagesIndex(root *cobra.Command) []byte {
	var b bytes.Buffer
	b.WriteString(`# docs/commands

## Purpose

A page for each command: what it does, examples, what it prints, its flags. They are made of the same texts as ` + "`--help`" + ` and the manual pages
(` + "`make man`" + `); a test of ` + "`cmd/spigate`" + ` holds them together, and ` + "`tests/commands`" + ` plays each command.

## Picture

` + "```" + `
spigate VERB NOUN [NAME] [FLAGS]         results on stdout, talk on stderr
        │    │    │      └ --json, --no-color on every command; --socket, --watch where a daemon is asked
        │    │    └ of an object, as the configuration has it; the tab key offers those there are
        │    └ NetScaler's (lsn, ipsecalg), BIG-IP's (ltm, net, sys), or our own
        └ show and stat look, list prints configuration, flush and rekey change what is there
` + "```" + `

### Exit codes

| code | means |
|---|---|
`)
	for _, e := range exits() {
		fmt.Fprintf(&b, "| %s | %s |\n", e[0], e[1])
	}
	b.WriteString("\n## Files\n\n| file | command |\n|---|---|\n")
	leaves(root, func(cmd *cobra.Command) {
		fmt.Fprintf(&b, "| [`%s`](%s) | %s |\n", strings.TrimPrefix(cmd.CommandPath(), "spigate "), pageFile(cmd), plain(cmd.Short))
	})
	b.WriteString(`
## Invariants

* Nothing here is written by hand: ` + "`go test ./cmd/spigate -update`" + ` writes the folder anew.
* The examples parse with the command line that users have.

## Try it

` + "```" + `
go test ./cmd/spigate -run Pages
make man && man -l dist/man/spigate-show-lsn-session.1
` + "```" + `
`)
	return b.Bytes()
}

func TestPagesOfTheCommandsAreCurrent(t *testing.T) {
	root := tree()
	want := map[string]string{"README.md": string(pagesIndex(root))}
	leaves(root, func(cmd *cobra.Command) { want[pageFile(cmd)] = string(commandPage(cmd)) })
	if *update {
		writePages(t, want)
	}
	got := map[string]string{}
	found, err := filepath.Glob(filepath.Join(pagesFolder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got[filepath.Base(file)] = string(text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/commands is not current; go test ./cmd/spigate -update writes it (-want +got):\n%.3000s", diff)
	}
}

func writePages(t *testing.T, pages map[string]string) {
	if err := os.RemoveAll(pagesFolder); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(pagesFolder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(pagesFolder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
