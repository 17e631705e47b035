package main

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// app is one run of the command line: where it prints, and the flags that
// every command shares.
type app struct {
	out     *output
	errs    io.Writer
	color   bool
	started bool // a command's own code was reached: what fails now is not its words

	json    bool
	noColor bool
}

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer, color bool) int {
	a := &app{out: &output{w: stdout}, errs: stderr, color: color}
	root := a.newRoot()
	root.SetArgs(args)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil || a.out.broken:
		return exitOK
	case !a.started:
		err = usagef("%w", err)
	}
	report(stderr, err)
	code := exitCode(err)
	if code == exitUsage {
		io.WriteString(stderr, "See: "+cmd.CommandPath()+" --help\n")
	}
	return code
}

func (a *app) newRoot() *cobra.Command {
	root := newGroup("spigate", "An IPsec-aware NAT router")
	root.SetOut(a.out) // which completion remembers when it is made
	root.SilenceErrors, root.SilenceUsage = true, true
	a.versionFlag(root)
	flags := root.PersistentFlags()
	flags.BoolVar(&a.json, "json", false, `print {"version":1,"items":[…]}`)
	flags.BoolVar(&a.noColor, "no-color", false, "no bold header, no redrawing")
	root.AddCommand(newRunCommand(), a.newCheck(), a.newConfig(), a.newShow(), a.newList(), a.newStat(), a.newWho(), a.newDoctor(), a.newTop(), a.newExplain(), a.newFlush(), a.newRekey(), a.newInitiate(), a.newVersion())
	root.AddCommand(a.newTrace(), a.newCapture())
	root.AddCommand(a.newImport())
	root.AddCommand(a.newWeb())
	addOwn(root)
	giveExamples(root)
	complete(root)
	a.noteStart(root)
	return root
}

// versionFlag gives root its --version. It is not cobra's own, which needs a
// template: with text/template linked in, no method of any type can be left
// out of the binary, which costs 3.3 MB on ARM.
func (a *app) versionFlag(root *cobra.Command) {
	version := root.Flags().Bool("version", false, "print the version")
	words := root.RunE
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if !*version {
			return words(cmd, args)
		}
		_, err := io.WriteString(a.out, versionLine()+"\n")
		return err
	}
}

// noteStart wraps every command so that errors of cobra (flags, arguments)
// can be told from those of our own code.
func (a *app) noteStart(cmd *cobra.Command) {
	if inner := cmd.RunE; inner != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			a.started = true
			return inner(cmd, args)
		}
	}
	for _, child := range cmd.Commands() {
		a.noteStart(child)
	}
}

// newGroup returns a command that only has others below it. Called without
// one of their words it lists them, which is a usage error.
func newGroup(use, short string, children ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use: use, Short: short,
		Args:                       cobra.ArbitraryArgs,
		SuggestionsMinimumDistance: 2,
		RunE:                       missingWord,
	}
	// The flags of a misspelt word are not known here; the word is what is
	// wrong.
	group.FParseErrWhitelist.UnknownFlags = true
	group.AddCommand(children...)
	return group
}

// missingWord says what could have stood behind cmd.
func missingWord(cmd *cobra.Command, args []string) error {
	var list strings.Builder
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			list.WriteString("\n  " + child.Name() + strings.Repeat(" ", max(1, 12-len(child.Name()))) + child.Short)
		}
	}
	if len(args) == 0 {
		return usagef("a word is missing after %q, one of:%s", cmd.CommandPath(), &list)
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usagef("unknown word %q after %q, did you mean %q?", args[0], cmd.CommandPath(), near[0])
	}
	return usagef("unknown word %q after %q, want one of:%s", args[0], cmd.CommandPath(), &list)
}

// bold reports whether headers may be made bold and screens redrawn.
func (a *app) bold() bool { return a.color && !a.noColor }
