package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// listTmsh lists everything that tmsh has words for.
func (s *shower) listTmsh() *cobra.Command {
	return &cobra.Command{
		Use: "tmsh", Short: "All that has words in tmsh",
		Long: `The running configuration as "tmsh list" prints it: VLANs, addresses, routes,
tunnels, virtual servers, NATs, SNATs and their profiles. "spigate import tmsh"
makes the same configuration of it, but for what tmsh has no words for: LSN
groups, ports' devices, switches, logs. Keys are never printed.`,
		Example: "  spigate list tmsh > bigip.conf",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.checkWatch(); err != nil {
				return err
			}
			client := control.NewClient(s.socket)
			return s.repeat(cmd.Context(), cmd.CommandPath(), s.watch, func(w io.Writer) error { return s.everything(cmd.Context(), w, client) })
		},
	}
}

// kindRow is a row of "list tmsh --json".
type kindRow struct {
	Kind       string                `json:"kind"` // ltm virtual
	Name       string                `json:"name"`
	TD         *uint16               `json:"td"`
	Properties []control.LTMProperty `json:"properties"`
}

func (s *shower) everything(ctx context.Context, w io.Writer, client *control.Client) error {
	var rows []kindRow
	var text strings.Builder
	for _, kind := range control.LTMKinds() {
		objects, err := gather(client.LTMConfig(ctx, kind, control.Filter{}))
		if err != nil {
			return err
		}
		objects = withProperties(objects, nil)
		for i := range objects {
			o := &objects[i]
			rows = append(rows, kindRow{kind.Words(), o.Name, o.TD, append([]control.LTMProperty{}, o.Properties...)})
			writeObject(&text, kind, o)
		}
	}
	if s.json {
		return printJSON(w, local(rows...))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// listNetScaler lists commands: of all kinds, of those whose first word is noun,
// or of one kind and one object. object is a kind for the examples.
func (s *shower) listNetScaler(noun, short, object string) *cobra.Command {
	cmd := &cobra.Command{
		Use: noun + " [KIND [NAME]]", Short: short,
		Long: short + `, of the running configuration,
as "show run" of a NetScaler prints them: objects before those that refer to
them, options that are not at their default. Options that a NetScaler has not are
printed in its manner. Lines that begin with # say what no command can.
"spigate import netscaler" makes the same configuration of them.`,
		Example: fmt.Sprintf("  spigate list %s", noun),
		Args:    cobra.MaximumNArgs(2),
	}
	prefix := noun + " "
	if object == "" {
		cmd.Use, cmd.Args, prefix = noun, cobra.NoArgs, ""
	} else {
		_, kind, _ := strings.Cut(object, " ")
		cmd.Example += fmt.Sprintf("\n  spigate list %s %s", noun, kind)
		cmd.ValidArgsFunction = s.completeLines(prefix)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := s.checkWatch(); err != nil {
			return err
		}
		client := control.NewClient(s.socket)
		return s.repeat(cmd.Context(), cmd.CommandPath(), s.watch, func(w io.Writer) error {
			rows, err := gather(client.NetScalerConfig(cmd.Context()))
			if err == nil {
				rows, err = chosenLines(rows, prefix, args)
			}
			if err != nil {
				return err
			}
			return s.writeLines(w, rows)
		})
	}
	return cmd
}

func (s *shower) writeLines(w io.Writer, rows []control.NetScalerLine) error {
	if s.json {
		return printJSON(w, local(rows...))
	}
	var text strings.Builder
	for _, row := range rows {
		text.WriteString(printable(row.Command) + "\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// lsnKinds are the words that may stand behind "list lsn" and "list ipsecalg".
func lsnKinds(prefix string) (out []string) {
	for _, kind := range []string{
		"lsn client", "lsn pool", "lsn appsattributes", "lsn appsprofile", "lsn transportprofile", "lsn logprofile", "lsn group", "lsn static", "ipsecalg profile",
	} {
		if word, ok := strings.CutPrefix(kind, prefix); ok {
			out = append(out, word)
		}
	}
	return out
}

// chosenLines applies the words behind the noun: a kind, then a name.
func chosenLines(rows []control.NetScalerLine, prefix string, args []string) ([]control.NetScalerLine, error) {
	kind := ""
	if len(args) > 0 {
		if kind = prefix + args[0]; !slices.Contains(lsnKinds(prefix), args[0]) {
			return nil, usagef("%q is not one of %s", args[0], strings.Join(lsnKinds(prefix), ", "))
		}
	}
	var names []string
	rows = slices.DeleteFunc(rows, func(r control.NetScalerLine) bool {
		return !strings.HasPrefix(r.Kind, prefix) || kind != "" && r.Kind != kind
	})
	if len(args) < 2 {
		return rows, nil
	}
	for _, r := range rows {
		names = append(names, r.Name)
	}
	if !slices.Contains(names, args[1]) {
		return nil, control.NotFound(kind, args[1], slices.Compact(names)...)
	}
	return slices.DeleteFunc(rows, func(r control.NetScalerLine) bool { return r.Name != args[1] }), nil
}

// completeLines completes a kind, then a name that the daemon has of it.
func (s *shower) completeLines(prefix string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) (out []string, _ cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			for _, kind := range lsnKinds(prefix) {
				if strings.HasPrefix(kind, begun) {
					out = append(out, kind)
				}
			}
		case 1:
			return namesOf(prefix+args[0])(cmd, args, begun)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
