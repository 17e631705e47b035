package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

func (a *app) newConfig() *cobra.Command {
	c := &configurer{app: a}
	verb := newGroup("config", "The configuration that the router keeps", c.apply(), c.show())
	addSocket(verb, &c.socket)
	return verb
}

// configurer holds the flags of "config".
type configurer struct {
	*app
	socket, comment string
}

func (c *configurer) apply() *cobra.Command {
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "Make a file the configuration, now and at the next start",
		Long: `Sends a configuration to the daemon, - for that on stdin. The daemon tells all its
faults (exit code 5), or makes it its own: it writes it, applies it, and keeps it
for its next start; a power cut meanwhile leaves the old one or the new one. If
it cannot be written, the router goes on with the old one (exit code 1).
What differs in tables that are read at the start only is not applied live, and
nothing else then is: the answer names them. A daemon with --config has its file
replaced. Files that the configuration names are relative to where it is kept.`,
		Example: "  spigate config apply office.toml --comment \"second office\"",
		Args:    oneFile,
		RunE:    func(cmd *cobra.Command, args []string) error { return c.applyFile(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&c.comment, "comment", "", "`TEXT` that is kept with it, at most 200 bytes")
	return cmd
}

// oneFile takes the one argument FILE.
func oneFile(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("want one FILE, not %d", len(args))
	}
	return nil
}

func (c *configurer) applyFile(cmd *cobra.Command, name string) error {
	text, err := readConfig(cmd, name)
	if err != nil {
		return err
	}
	done, err := control.NewClient(c.socket).ApplyConfig(cmd.Context(), control.ConfigNew{File: name, Comment: c.comment, Text: text})
	switch {
	case len(configs.Faults(err)) > 0 && c.json:
		return c.checkJSON(nil, err)
	case err != nil:
		return err
	case c.json:
		return printJSON(c.out, local(done))
	}
	for _, w := range done.Warnings {
		fmt.Fprintln(c.errs, printable(configs.Warning(w).String()))
	}
	_, err = fmt.Fprintln(c.out, appliedWords(done))
	return err
}

// readConfig reads what is to be applied, and not more than can be.
func readConfig(cmd *cobra.Command, name string) ([]byte, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, control.MaxConfig+1))
	if err == nil && len(text) == 0 {
		err = errors.New(name + ": is empty")
	}
	return text, err
}

// appliedWords say what became of a configuration.
func appliedWords(a control.ConfigApplied) string {
	where := "kept in " + printable(a.Path)
	if !a.Written {
		where = "was in " + printable(a.Path) + " already"
	}
	if a.Applied == control.AppliedLive {
		return "applied: live; " + where
	}
	return "applied: at the next start, because of: " + printable(strings.Join(a.Tables, ", ")) + "; " + where
}

func (c *configurer) show() *cobra.Command {
	return &cobra.Command{
		Use: "show [SLOT]", Short: "Print the configuration that is kept",
		Long: `Prints the text that SIGHUP reads: the running slot, or the daemon's file; or
that of the slot candidate (what was tried last), running, or confirmed (what
the next start boots). Keys and secrets that are written in it are not printed:
such a text cannot be applied again before they are put back. Those in files
(file:PATH) are not in it anyway.`,
		Example:   exampleText("config show", "config show confirmed"),
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: []string{"candidate", "running", "confirmed"},
		RunE: func(cmd *cobra.Command, args []string) error {
			shown, err := control.NewClient(c.socket).ShowConfig(cmd.Context(), strings.Join(args, ""))
			if err != nil {
				return err
			}
			if c.json {
				return printJSON(c.out, local(shown))
			}
			_, err = io.WriteString(c.out, shown.Text)
			return err
		},
	}
}
