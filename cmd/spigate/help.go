package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// What --help has beside the words of each command. The manual pages and
// docs/commands are made of the same texts (manual_test.go, pages_test.go).

// exampleText is the Example of a command: lines as they are typed.
func exampleText(lines ...string) string {
	if len(lines) == 0 {
		return ""
	}
	return "  spigate " + strings.Join(lines, "\n  spigate ")
}

// mostExamples is how many a group takes over from the commands in it.
const mostExamples = 4

// giveExamples gives each group the first examples of the commands in it.
func giveExamples(cmd *cobra.Command) {
	var lines []string
	for _, child := range cmd.Commands() {
		giveExamples(child)
		first, _, _ := strings.Cut(child.Example, "\n")
		if first != "" && len(lines) < mostExamples {
			lines = append(lines, first)
		}
	}
	if cmd.Example == "" {
		cmd.Example = strings.Join(lines, "\n")
	}
}

// addOwn makes cobra's own commands now, which it would else make when it runs,
// and gives them examples too.
func addOwn(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Example = exampleText("help", "help show lsn session")
		case "completion":
			addShells(cmd)
		}
	}
}

// addShells gives the shells examples, but for one that is not found where this
// runs.
func addShells(completion *cobra.Command) {
	for _, shell := range completion.Commands() {
		if shell.Name() == "powershell" {
			completion.RemoveCommand(shell)
		}
		shell.Example = shellExample(shell.Name())
	}
}

// shellExample is how a completion is put where the shell finds it.
func shellExample(shell string) string {
	return exampleText("completion " + shell + " > " + map[string]string{
		"bash": "/usr/share/bash-completion/completions/spigate",
		"zsh":  "/usr/share/zsh/vendor-completions/_spigate",
		"fish": "/usr/share/fish/vendor_completions.d/spigate.fish",
	}[shell])
}
