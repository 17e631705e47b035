package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// What becomes of a configuration after its apply.

func (c *configurer) confirmed() *cobra.Command {
	return &cobra.Command{
		Use: "confirm", Short: "Keep what was applied with --confirm for good",
		Long: `Ends the time of "config apply --confirm": what runs is what the next start boots,
and is not rolled back. Fails if nothing waits for it.`,
		Example: "  spigate config confirm",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			done, err := control.NewClient(c.socket).ConfirmConfig(cmd.Context())
			if err != nil {
				return err
			}
			if c.json {
				return printJSON(c.out, local(done))
			}
			_, err = fmt.Fprintf(c.out, "confirmed, with %s left; kept in %s\n", done.Left, printable(done.Path))
			return err
		},
	}
}

func (c *configurer) rollback() *cobra.Command {
	return &cobra.Command{
		Use: "rollback [N]", Short: "Apply an earlier configuration again",
		Long: `Without a number it goes back to what ran well before: during the time of "config
apply --confirm" to what that has replaced, at once; otherwise to the newest
configuration in "config history" that was there for good, as an apply of its own.
N is a number of that list: 0 is the confirmed configuration, 1 to 10 are those
before it. It is checked and applied as any other, and kept for the next start.
"spigate config diff --against N" shows before what would change.`,
		Example: "  spigate config rollback\n  spigate config rollback 3",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n := control.RollbackLast
			if len(args) == 1 {
				var err error
				if n, err = strconv.Atoi(args[0]); err != nil || n < 0 || n > 1000 {
					return usagef("rollback %q: want a number of \"spigate config history\"", args[0])
				}
			}
			done, err := control.NewClient(c.socket).RollbackConfig(cmd.Context(), n)
			return c.applied(done, err)
		},
	}
}

func (c *configurer) history() *cobra.Command {
	return &cobra.Command{
		Use: "history", Short: "List the configurations that are kept",
		Long: `Lists what is kept, the newest first, with the number for "config rollback". State:
running (and booted next), pending (runs, and is rolled back unless it is
confirmed), confirmed (booted next, while another one is pending), next_start
(booted next, while an earlier one runs), candidate (tried in vain), previous,
replaced and rolled_back (never confirmed), damaged (its file cannot be read).`,
		Example: "  spigate config history",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows := control.NewClient(c.socket).ConfigHistory(cmd.Context())
			if c.json {
				return printJSON(c.out, untyped(rows))
			}
			t := newTable(c.out, c.bold(), "N", "Sequence", "Applied", "By", "State", "Bytes", "Comment")
			for r, err := range rows {
				if err != nil {
					return err
				}
				if err := t.row(historyCells(r)...); err != nil {
					return err
				}
			}
			return t.end()
		},
	}
}

func historyCells(r control.ConfigRevision) []string {
	cells := []string{"-", "-", "-", "-", r.State, fmt.Sprint(r.Size), r.Comment}
	if r.Number != nil {
		cells[0] = fmt.Sprint(*r.Number)
	}
	if r.Sequence != nil {
		cells[1] = fmt.Sprint(*r.Sequence)
	}
	if r.Time != nil {
		cells[2] = *r.Time
	}
	if r.By != "" {
		cells[3] = r.By
	}
	if r.Why != "" {
		cells[4] += ": " + r.Why
	}
	return cells
}

func (c *configurer) diff() *cobra.Command {
	cmd := &cobra.Command{
		Use: "diff [FILE]", Short: "Show what a configuration would change",
		Long: `Compares FILE (- for stdin) with the configuration that runs and prints a unified
diff; without FILE it compares what runs with what the next start boots: during
the time of "config apply --confirm" that is what waits. --against compares with
something else: running, confirmed, candidate, or a number of "config history".
Exit code 0: the same, 1: different, 2 and more: trouble. Secrets are shown on
neither side; one that differs is <secret, changed>.`,
		Example: "  spigate config diff office.toml\n  spigate config diff --against 1",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.compare(cmd, args) },
	}
	cmd.Flags().StringVar(&c.against, "against", "", "compare with this `SLOT` or number")
	return cmd
}

// errTrouble turns an error of a comparison into one that does not look like a
// difference: 1 means that there is one.
func errTrouble(err error) error {
	if exitCode(err) == exitFailed {
		return &coded{exitUsage, err}
	}
	return err
}

func (c *configurer) compare(cmd *cobra.Command, args []string) error {
	against := c.against
	var text []byte
	if len(args) == 0 && against == "" {
		against = "confirmed"
	}
	if len(args) == 1 {
		var err error
		if text, err = readText(cmd, args[0], control.MaxConfig); err != nil {
			return errTrouble(err)
		}
	}
	d, err := control.NewClient(c.socket).DiffConfig(cmd.Context(), text, against)
	if err != nil {
		return errTrouble(err)
	}
	if c.json {
		err = printJSON(c.out, local(d))
	} else {
		_, err = io.WriteString(c.out, d.Text)
	}
	if err == nil && !d.Same {
		err = &coded{exitFailed, errReported}
	}
	return err
}
