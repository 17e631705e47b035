package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"spigate/configs/dialect"
	"spigate/configs/dialect/netscaler"
	"spigate/configs/dialect/tmsh"
)

// Configurations of other machines become TOML.

func (a *app) newImport() *cobra.Command {
	return newGroup("import", "Turn another machine's configuration into TOML",
		a.importFrom("netscaler", "NetScaler's commands", "ns.conf", netscaler.Import),
		a.importFrom("tmsh", "BIG-IP's objects and commands", "bigip.conf", tmsh.Import))
}

// importing holds the flags of one import.
type importing struct {
	*app
	read   func([]byte) *dialect.Result
	strict bool
	output string
}

// importFrom makes the command for one dialect.
func (a *app) importFrom(noun, what, file string, read func([]byte) *dialect.Result) *cobra.Command {
	im := &importing{app: a, read: read}
	cmd := &cobra.Command{
		Use: noun + " FILE", Short: "Turn " + what + " into TOML",
		Long: `Reads a configuration as it was saved or pasted, - for stdin, and prints TOML. First
comes what the text defines; then, under a line that says so, what it refers to
and does not define, made up with addresses for documentation. Nothing is guessed
silently: stderr has a line file:line: kind: text for each

  note      that was read as it was meant, not as it stood (a dash, a blank)
  missing   command, for which something was made up
  unknown   command, option or value, which is not in the TOML
  left out  command or option that was understood and has no counterpart
  fault     that check finds in the TOML, which is printed though (exit code 5)

With --strict nothing is printed, and the exit code is 1, unless the text is
complete and understood: notes alone are fine. With --json these lines are rows on
stdout, and the TOML is only written with --output. It may have keys in it that
were in the text: a file is written for its owner alone.`,
		Example: fmt.Sprintf("  spigate import %s %s --output new.toml\n  spigate import %[1]s %[2]s --strict > new.toml", noun, file),
		Args:    oneFile,
		RunE:    func(cmd *cobra.Command, args []string) error { return im.run(cmd, args[0]) },
	}
	cmd.Flags().BoolVar(&im.strict, "strict", false, "make nothing up and leave nothing out: exit 1 instead")
	cmd.Flags().StringVarP(&im.output, "output", "o", "", "write the TOML to `FILE`")
	return cmd
}

// imported is a row of "import --json".
type imported struct {
	Severity string `json:"severity"` // note, missing, unknown, left out or fault
	File     string `json:"file"`
	Line     int    `json:"line"` // 0: of none
	Command  string `json:"command,omitempty"`
	Text     string `json:"text"`
}

func (im *importing) run(cmd *cobra.Command, name string) error {
	text, err := readText(cmd, name, dialect.MaxText)
	if err != nil {
		return err
	}
	if name == "-" {
		name = "stdin"
	}
	result := im.read(text)
	if err := im.tell(name, result); err != nil {
		return err
	}
	refused := im.strict && result.Has(dialect.Missing, dialect.Unknown, dialect.Left, dialect.Fault)
	switch {
	case result.Empty:
		return fmt.Errorf("%s: no command was understood: is it the right dialect?", name)
	case refused:
		return fmt.Errorf("%s: not complete and understood, so --strict prints nothing", name)
	}
	if err := im.write(result.TOML); err != nil {
		return err
	}
	if result.Has(dialect.Fault) {
		return &coded{exitConfigInvalid, errReported}
	}
	return nil
}

// tell says what was found: rows on stdout, or lines on stderr.
func (im *importing) tell(name string, result *dialect.Result) error {
	var rows []imported
	for _, f := range result.Findings {
		rows = append(rows, imported{f.Kind.String(), name, f.Line, f.Command, f.Text})
		if !im.json {
			fmt.Fprintln(im.errs, printable(f.In(name)))
		}
	}
	if im.json {
		return printJSON(im.out, local(rows...))
	}
	return nil
}

func (im *importing) write(text string) error {
	switch {
	case im.output != "":
		return os.WriteFile(im.output, []byte(text), 0o600)
	case im.json:
		return nil
	}
	_, err := io.WriteString(im.out, text)
	return err
}
