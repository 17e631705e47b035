package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

func (a *app) newFlush() *cobra.Command {
	f := &flusher{app: a}
	verb := newGroup("flush", "Remove sessions from the running router",
		newGroup("ipsecalg", "The IPsec ALG", f.ipsecSession()),
		newGroup("lsn", "Large scale NAT", f.lsnSession()),
		newGroup("net", "The network", newGroup("ipsec", "IPsec tunnels that end here", f.netIPsecSA())))
	addSocket(verb, &f.socket)
	return verb
}

// flusher holds the flags of the verbs that change something.
type flusher struct {
	*app
	socket string
}

func (f *flusher) ipsecSession() *cobra.Command {
	return operation(f, operator[control.IPsecFlushed]{
		noun: "session", short: "ESP and IKE sessions, gates, and what waits for them",
		examples: []string{"flush ipsecalg session --source-ip 192.0.2.10", "flush ipsecalg session --nat-ip 203.0.113.3 --dest-ip 198.51.100.9"},
		long: "Removes the ESP sessions, gates, locks, waiting messages and IKE sessions that\n" +
			"pass all filters; without a filter, all. Their VPN clients have to negotiate\n" +
			"anew, which they do when they notice. That nothing passes is no failure.",
		filters: control.FiltersOfIPsecFlush(),
		do:      (*control.Client).FlushIPsec,
		told: func(n control.IPsecFlushed) string {
			return "flushed: " + count(n.ESPSessions, "ESP session") + ", " + count(n.IKESessions, "IKE session") + ", " +
				count(n.HeldMessages, "held message")
		},
	})
}

func (f *flusher) lsnSession() *cobra.Command {
	return operation(f, operator[control.LSNFlushed]{
		noun: "session", short: "NAT mappings with their sessions",
		examples: []string{"flush lsn session --source-ip 192.0.2.10", "flush lsn session --nat-ip 203.0.113.3 --nat-port 6234"},
		long: "Removes the NAT mappings that pass all filters, with their sessions and the\n" +
			"IKE sessions on them; without a filter, all. ESP sessions stay: those are\n" +
			"flushed by \"flush ipsecalg session\". That nothing passes is no failure.",
		filters: control.FiltersOfLSNFlush(),
		do:      (*control.Client).FlushLSN,
		told: func(n control.LSNFlushed) string {
			return "flushed: " + count(n.Sessions, "session") + " of " + count(n.Mappings, "mapping")
		},
	})
}

// operator is one noun of a verb that changes something.
type operator[T any] struct {
	noun, short string
	aliases     []string
	long        string
	examples    []string
	named       bool // a name follows the noun
	filters     []string
	do          func(*control.Client, context.Context, control.Filter) (T, error)
	told        func(T) string
}

// operation makes the cobra command of an operator.
func operation[T any](f *flusher, o operator[T]) *cobra.Command {
	shared := words{o.noun, o.short, o.aliases, o.long, o.examples, o.named, o.filters}
	return f.command(shared, func(ctx context.Context, client *control.Client, filter control.Filter) error {
		done, err := o.do(client, ctx, filter)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(f.out, local(done))
		}
		_, err = fmt.Fprintln(f.out, o.told(done))
		return err
	})
}

// command makes a cobra command that does something once.
func (f *flusher) command(o words, do func(context.Context, *control.Client, control.Filter) error) *cobra.Command {
	var filter control.Filter
	cmd := &cobra.Command{
		Use: o.noun, Aliases: o.aliases, Short: o.short, Long: o.long, Example: exampleText(o.examples...),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := setName(&filter, args); err != nil {
				return err
			}
			return do(cmd.Context(), control.NewClient(f.socket), filter)
		},
	}
	if o.named {
		cmd.Use, cmd.Args = o.noun+" NAME", cobra.ExactArgs(1)
	}
	addFilters(cmd, &filter, o.filters)
	return cmd
}

// count prints a number of things.
func count(n uint64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
