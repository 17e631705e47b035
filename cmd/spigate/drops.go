package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// Why frames die.

// drops makes "show drops".
func (s *shower) drops() *cobra.Command {
	var all bool
	cmd := command(s, view[control.Drop]{
		noun: "drops", short: "Why frames were dropped, and what to do about it", named: true,
		examples: []string{"show drops", "show drops vlan_miss", "show drops --all", "show drops --watch 2s", "show drops --json"},
		long: "Dropped frames by reason, with the rate over the last ten seconds and the\n" +
			"newest example. Below vlan_miss stands which virtual server was missed, where,\n" +
			"and what to change. With --json every reason is there, also those at zero.\n\n" +
			"With a REASON, that one alone, and its newest example in full: the question to\n" +
			"ask explain about it. Words that begin with stack_ are the TCP/IP stack's own,\n" +
			"which keeps no examples.",
		ask: func(c *control.Client, ctx context.Context, f control.Filter) iter.Seq2[control.Drop, error] {
			return dropsNamed(c.Drops(ctx), f.Name)
		},
		print: func(w io.Writer, bold bool, rows iter.Seq2[control.Drop, error]) error {
			return printDrops(w, bold, rows, all)
		},
	})
	cmd.Use = "drops [REASON]"
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		all = all || len(args) > 0
		return run(cmd, args)
	}
	cmd.ValidArgsFunction = s.reasons
	cmd.Flags().BoolVar(&all, "all", false, "also reasons that have not happened")
	return cmd
}

// reasons completes the first word to a reason.
func (s *shower) reasons(cmd *cobra.Command, args []string, begun string) (out []string, _ cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	for d, err := range control.NewClient(s.socket).Drops(ctx) {
		if err == nil && strings.HasPrefix(d.Reason, begun) {
			out = append(out, d.Reason)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// dropsNamed are the rows of one reason; all without a name. That there is none of
// it is an error.
func dropsNamed(rows iter.Seq2[control.Drop, error], name string) iter.Seq2[control.Drop, error] {
	if name == "" {
		return rows
	}
	return func(yield func(control.Drop, error) bool) {
		var known []string
		for d, err := range rows {
			switch {
			case err != nil:
				yield(d, err)
				return
			case d.Reason == name:
				yield(d, nil)
				return
			}
			known = append(known, d.Reason)
		}
		yield(control.Drop{}, control.NotFound("reason", name, known...))
	}
}

// printDrops prints the table and below it what the reasons in it mean, which
// is too long for a column.
func printDrops(w io.Writer, bold bool, rows iter.Seq2[control.Drop, error], all bool) error {
	var shown []control.Drop
	chosen := func(yield func(control.Drop, error) bool) {
		for d, err := range rows {
			if err == nil && d.Count == 0 && !all {
				continue
			}
			if err == nil {
				shown = append(shown, d)
			}
			if !yield(d, err) {
				return
			}
		}
	}
	err := rowsOf([]string{"Reason", "Count", "Rate/s", "LastSeen", "LastFrame"}, dropCells)(w, bold, chosen)
	if err != nil {
		return err
	}
	for i := range shown {
		if _, err := io.WriteString(w, dropText(&shown[i], len(shown) == 1 && all)); err != nil {
			return err
		}
	}
	return nil
}

// dropText is what a reason means, and in full what its example can be asked.
func dropText(d *control.Drop, full bool) string {
	rule := ""
	if d.Rule != "" {
		rule = " (" + d.Rule + ")"
	}
	text := fmt.Sprintf("\n%s: %s%s\n  To do: %s\n", d.Reason, d.Means, rule, d.Do)
	for i := range d.VLANMisses {
		text += "  " + printable(d.VLANMisses[i].Advice()) + "\n"
	}
	if full && d.Last != nil && !leaving(d.Reason) {
		text += "  Ask why: spigate explain --in VLAN --hex " + d.Last.Hex + "\n"
	}
	return text
}

// leaving reports whether frames die for a reason on their way out: the example
// is what would have left, and not what came in.
func leaving(reason string) bool {
	return reason == "tx_refused" || reason == "port_down" || reason == "frame_too_big"
}

func dropCells(d control.Drop) []string {
	ago, frame := "-", "-"
	if d.Last != nil {
		frame = d.Last.Summary
	}
	if d.Seen != nil {
		ago = d.Seen.String() + " ago"
	}
	return []string{d.Reason, number(d.Count), strconv.FormatFloat(d.Rate, 'f', 1, 64), ago, frame}
}
