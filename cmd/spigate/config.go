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
	verb := newGroup("config", "The configuration that the router keeps", c.apply(), c.confirmed(), c.rollback(), c.history(), c.diff(), c.show())
	addSocket(verb, &c.socket)
	return verb
}

// configurer holds the flags of "config".
type configurer struct {
	*app
	socket, comment, confirm, against string
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
replaced. Files that the configuration names are relative to where it is kept.

With --confirm it is rolled back by itself when that time is over, unless "spigate
config confirm" comes before: it may be what locks you out. The daemon sees to
that, whatever becomes of this command. Until then the next start boots what was
before, so a crash or a power cut rolls back, too; a FILE that the router itself
boots, and that was edited in place, has what ran before again until then. Another
apply ends the time: it is then for good, or has its own --confirm with the same
way back. What takes effect at the next start only, or is what the next start boots
anyway, is refused with --confirm: it could not go back.

The answer says what became of the sessions of NAT, IPsec ALG, virtual servers and
tunnels: kept as they were; cleared, for what they need is gone; refused, for that
is there and takes them no more as they are.

What was before is kept: "spigate config history" lists it. With --state-dir that is
in the same directory as the slots, with --config in FILE.history beside the file.`,
		Example: `  spigate config apply office.toml --comment "second office"
  spigate config apply office.toml --confirm 5m`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error { return c.applyFile(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&c.comment, "comment", "", "`TEXT` that is kept with it, at most 200 bytes")
	cmd.Flags().StringVar(&c.confirm, "confirm", "", "roll back after this `TIME` (1s to 24h) unless it is confirmed")
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
	n := control.ConfigNew{File: name, Comment: c.comment}
	var err error
	if cmd.Flags().Changed("confirm") {
		if n.Confirm, err = control.ParseConfirm(c.confirm); err != nil {
			return usagef("--%w", err)
		}
	}
	if n.Text, err = readText(cmd, name, control.MaxConfig); err != nil {
		return err
	}
	done, err := control.NewClient(c.socket).ApplyConfig(cmd.Context(), n)
	return c.applied(done, err)
}

// applied prints the answer to an apply or a rollback.
func (c *configurer) applied(done control.ConfigApplied, err error) error {
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

// readText reads a file, or stdin for -, and a byte more than can be taken: who
// takes it says that it is too long.
func readText(cmd *cobra.Command, name string, most int64) ([]byte, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, most+1))
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
	if a.Applied != control.AppliedLive {
		return "applied: at the next start, because of: " + printable(strings.Join(a.Tables, ", ")) + "; " + where
	}
	text := "applied: live; " + where
	if a.Confirm != nil {
		text = fmt.Sprintf("applied: live for %s; confirm it with: spigate config confirm", *a.Confirm)
	}
	return text + "\n" + sessionWords(a.Sessions)
}

// sessionWords say what became of the sessions, in all and of each kind.
func sessionWords(s control.ConfigSessions) string {
	text := fmt.Sprintf("sessions: %d kept, %d cleared, %d refused", s.Kept, s.Cleared, s.Refused)
	for i, k := range s.Kinds {
		mark := "; "
		if i == 0 {
			mark = " ("
		}
		text += fmt.Sprintf("%s%s %d, %d, %d", mark, printable(k.Kind), k.Kept, k.Cleared, k.Refused)
	}
	if len(s.Kinds) > 0 {
		text += ")"
	}
	return text
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
