package main

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// defaultSocket is where a daemon without [control] listens.
const defaultSocket = "/run/spigate.sock"

// shower holds the flags of the show family.
type shower struct {
	*app
	socket string
	watch  time.Duration
}

func (a *app) newShow() *cobra.Command {
	s := &shower{app: a}
	show := newGroup("show", "Print what the running router is doing",
		newGroup("ipsecalg", "The IPsec ALG", s.ipsecSession(), s.ipsecGate(), s.ipsecProfile()),
		newGroup("lsn", "Large scale NAT", s.lsnSession(), s.lsnBlock(), s.lsnDeterministic(),
			s.lsnClient(), s.lsnPool(), s.lsnGroup(), s.lsnAppsProfile(), s.lsnStatic()),
		newGroup("ltm", "Virtual servers, NATs and SNATs", s.ltmVirtual(), s.ltmNAT(), s.ltmSNAT()),
		newGroup("net", "The network", s.netVLAN(), s.netRoute(), s.netARP(),
			newGroup("ipsec", "IPsec tunnels that end here", s.netIPsecSA(), s.netIPsecSelector(), s.netIPsecPeer(), s.netIPsecStat())),
		newGroup("sys", "The system", s.sysConnection()),
		s.switches(), s.flow(), s.drops(), s.status())
	s.addFlags(show)
	return show
}

// addFlags gives a verb the flags that all its views have.
func (s *shower) addFlags(verb *cobra.Command) {
	addSocket(verb, &s.socket)
	verb.PersistentFlags().Var((*interval)(&s.watch), "watch", "print again every so often, as `2s`")
}

// checkWatch refuses what would be a load test of the daemon.
func (s *shower) checkWatch() error {
	if s.watch != 0 && s.watch < leastWatch {
		return usagef("--watch %s: at least %s", s.watch, leastWatch)
	}
	return nil
}

func addSocket(verb *cobra.Command, socket *string) {
	verb.PersistentFlags().StringVar(socket, "socket", defaultSocket, "the daemon's control socket, `PATH`")
}

// view is one noun of "show" or "stat".
type view[T any] struct {
	noun, short string
	aliases     []string // what tmsh calls it
	long        string
	examples    []string // lines of it as they are typed, without the program's name
	named       bool     // a name may follow the noun
	filters     []string
	ask         func(*control.Client, context.Context, control.Filter) iter.Seq2[T, error]
	print       func(w io.Writer, bold bool, rows iter.Seq2[T, error]) error
	verdict     func() error // what the exit code says about the rows that were shown; may be nil
}

// words is what of a view does not depend on its rows.
type words struct {
	noun, short string
	aliases     []string
	long        string
	examples    []string
	named       bool
	filters     []string
}

// command makes the cobra command of a view. There are many kinds of rows, and
// the compiler makes the generic functions for each of them: what they share is
// in functions that are not generic.
func command[T any](s *shower, v view[T]) *cobra.Command {
	shared := words{v.noun, v.short, v.aliases, v.long, v.examples, v.named, v.filters}
	return s.command(shared, func(ctx context.Context, w io.Writer, client *control.Client, filter control.Filter) error {
		rows, err := v.ask(client, ctx, filter), error(nil)
		if s.json {
			err = printJSON(w, untyped(rows))
		} else {
			err = v.print(w, s.bold(), rows)
		}
		if err == nil && v.verdict != nil {
			return v.verdict()
		}
		return err
	})
}

// command makes a cobra command that draws once, or again and again.
func (s *shower) command(v words, draw func(context.Context, io.Writer, *control.Client, control.Filter) error) *cobra.Command {
	var filter control.Filter
	cmd := &cobra.Command{
		Use: v.noun, Aliases: v.aliases, Short: v.short, Long: v.long, Example: exampleText(v.examples...),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := setName(&filter, args); err != nil {
				return err
			}
			if err := s.checkWatch(); err != nil {
				return err
			}
			client := control.NewClient(s.socket)
			return s.repeat(cmd.Context(), cmd.CommandPath(), s.watch, func(w io.Writer) error {
				return draw(cmd.Context(), w, client, filter)
			})
		},
	}
	if v.named {
		cmd.Use, cmd.Args = v.noun+" [NAME]", cobra.MaximumNArgs(1)
	}
	addFilters(cmd, &filter, v.filters)
	return cmd
}

// setName takes the word behind the noun, if there is one.
func setName(f *control.Filter, args []string) error {
	for _, name := range args {
		if err := f.Set(control.ByName, name); err != nil {
			return usagef("%w", err)
		}
	}
	return nil
}

// addFilters makes a flag of each filter.
func addFilters(cmd *cobra.Command, f *control.Filter, names []string) {
	for _, name := range names {
		flag := &filterFlag{filter: f, name: name}
		cmd.Flags().Var(flag, strings.ReplaceAll(name, "_", "-"), filterHelp(cmd.Name(), name))
	}
}

// filterHelp explains a filter of a view. The word in back quotes is what
// --help prints for the value.
func filterHelp(noun, name string) string {
	switch {
	case noun == "flow" && name == control.BySourceIP:
		return "only this sender, `ADDR` or *"
	case noun == "flow" && name == control.ByDestIP:
		return "only this receiver, `ADDR` or *"
	case noun == "connection" && name == control.BySourceIP:
		return "only this client, `ADDR` or *"
	case noun == "connection" && name == control.ByDestIP:
		return "only this server, `ADDR` or *"
	case noun == "sa" && name == control.ByDestIP:
		return "only this other end, `ADDR` or *"
	}
	if help, ok := lookingHelp(name); ok {
		return help
	}
	if slices.Contains(control.FiltersOfExplain(), name) && name != control.ByTD {
		return questionHelp(name)
	}
	switch name {
	case control.ByVirtual:
		return "only what the virtual server, NAT or SNAT of this `NAME` admitted"
	case control.BySelector:
		return "only SAs of the traffic selector of this `NAME`"
	case control.ByPeer:
		return "only what the peer of this `NAME` negotiates"
	case control.BySPI:
		return "only this `SPI`, in hex digits"
	case control.BySourceIP:
		return "only this subscriber, `ADDR` or *"
	case control.ByNATIP:
		return "only this NAT address, `ADDR` or *"
	case control.ByDestIP:
		return "only this remote, `ADDR` or *"
	case control.ByNATPort:
		return "only this NAT `PORT`"
	case control.ByClient:
		return "only subscribers of the LSN client of this `NAME`"
	case control.ByNetwork:
		return "only subscribers in this network, `A/P`"
	}
	return "only this traffic domain, `TD`"
}

// filterFlag is one filter as a flag.
type filterFlag struct {
	filter *control.Filter
	name   string
	text   string
}

func (f *filterFlag) Set(text string) error {
	if err := f.filter.Set(f.name, text); err != nil {
		return errors.Unwrap(err) // pflag names the flag
	}
	f.text = text
	return nil
}

func (f *filterFlag) String() string { return f.text }

func (f *filterFlag) Type() string { return "string" }
