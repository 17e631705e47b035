package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// Whose a NAT port is.

func (s *shower) lsnDeterministic() *cobra.Command {
	var filter *control.Filter
	cmd := command(s, view[control.LSNDeterministic]{
		noun: "deterministicNat", short: "The ports that arithmetic gives each subscriber",
		examples: []string{"show lsn deterministicNat", "show lsn deterministicNat --nat-ip 203.0.113.3"},
		long: "The block of ports that each subscriber of a deterministic group has. It follows\n" +
			"from the configuration alone, and was the same at any time at which that was.",
		filters: control.FiltersOfDeterministic(),
		ask: func(c *control.Client, ctx context.Context, f control.Filter) iter.Seq2[control.LSNDeterministic, error] {
			if filter.SourceIP.IsValid() {
				f.SourceIP = filter.SourceIP
			}
			return c.LSNDeterministic(ctx, f)
		},
		print: rowsOf([]string{"SubscrIP", "NatIP", "FirstPort", "LastPort", "SrcTD", "Group"},
			func(r control.LSNDeterministic) []string {
				return []string{r.SubscriberIP.String(), r.NATIP.String(), number(r.FirstPort), number(r.LastPort), number(r.SubscriberTD), r.Group}
			}),
	})
	filter = addSubscriber(cmd)
	return cmd
}

// addSubscriber adds NetScaler's word for --source-ip in this view.
func addSubscriber(cmd *cobra.Command) *control.Filter {
	filter := &control.Filter{}
	cmd.Flags().Var(&filterFlag{filter: filter, name: control.BySourceIP}, "subscr-ip", "the same as --source-ip, `ADDR` or *")
	cmd.MarkFlagsMutuallyExclusive("subscr-ip", "source-ip")
	return filter
}

func (s *shower) lsnBlock() *cobra.Command {
	return command(s, view[control.LSNBlock]{
		noun: "block", short: "Blocks of ports that subscribers have now",
		examples: []string{"show lsn block", "show lsn block --source-ip 192.0.2.10"},
		long: "The blocks of ports that were drawn for subscribers and are still in use. TCP,\n" +
			"UDP and ICMP are how many of a block's ports have a mapping.",
		filters: control.FiltersOfBlocks(),
		ask:     (*control.Client).LSNBlocks,
		print: rowsOf([]string{"SubscrIP", "SubscrTD", "NatIP", "FirstPort", "LastPort", "Mappings", "TCP", "UDP", "ICMP", "Pool", "Group"},
			func(r control.LSNBlock) []string {
				return []string{r.SubscriberIP.String(), number(r.SubscriberTD), r.NATIP.String(), number(r.FirstPort), number(r.LastPort),
					number(r.Mappings), number(r.UsedTCP), number(r.UsedUDP), number(r.UsedICMP), r.Pool, r.Group}
			}),
	})
}

// newWho makes "who ADDR:PORT".
func (a *app) newWho() *cobra.Command {
	s := &shower{app: a}
	var port portArgument
	var at timeFlag
	cmd := command(s, view[control.Who]{
		noun: "who", short: "Whose a NAT port is",
		examples: []string{"who 203.0.113.3:6234", "who 203.0.113.3:6234 --at \"2026-03-01 14:05\""},
		long: "Tells the subscriber behind a NAT address and port: whose block the port lies\n" +
			"in, and every mapping on it now. Several may share a port, for different\n" +
			"protocols and destinations.\n\n" +
			"With --at it tells who had it at another time. That is known without a record\n" +
			"where the block is computed (deterministic NAT) or the mapping static, as long\n" +
			"as the configuration was the same. Who had a port that was drawn stands in the\n" +
			"NAT log alone.",
		filters: []string{control.ByTD},
		ask: func(c *control.Client, ctx context.Context, f control.Filter) iter.Seq2[control.Who, error] {
			f.NATIP, f.NATPort = port.Addr(), port.Port()
			return found(c.Who(ctx, f), port.AddrPort, at)
		},
		print: rowsOf([]string{"KnownBy", "SubscrIP", "SubscrPort", "SubscrTD", "NatIP", "FirstPort", "LastPort", "Proto", "DstIP", "DstPort", "Group"},
			whoCells),
	})
	cmd.Use = "who ADDR:PORT"
	cmd.Args = port.take
	cmd.Flags().Var(&at, "at", "who had it at this `TIME`: 2026-03-01 14:05, or RFC 3339")
	inner := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return inner(cmd, nil) }
	s.addFlags(cmd)
	return cmd
}

func whoCells(r control.Who) []string {
	protocol := "-"
	if r.Protocol != nil {
		protocol = *r.Protocol
	}
	return []string{r.Known, r.SubscriberIP.String(), optional(r.SubscriberPort), number(r.SubscriberTD), r.NATIP.String(),
		number(r.FirstPort), number(r.LastPort), protocol, r.DestIP.String(), optional(r.DestPort), r.Group}
}

// optional prints a number that may be missing.
func optional(n *uint16) string {
	if n == nil {
		return "-"
	}
	return number(*n)
}

// found passes on what is known, and ends with an error if that is nothing. Of
// another time than now only what follows from the configuration is known.
func found(rows iter.Seq2[control.Who, error], port netip.AddrPort, at timeFlag) iter.Seq2[control.Who, error] {
	return func(yield func(control.Who, error) bool) {
		any := false
		for row, err := range rows {
			if err == nil && at.set() && !row.Lasting() {
				continue
			}
			if any = true; !yield(row, err) {
				return
			}
		}
		switch {
		case any:
		case at.set():
			yield(control.Who{}, &coded{exitNotFound, fmt.Errorf("%s is in no computed block and has no static mapping, so who had it at %s is not known here: look in the NAT log ([log.nat])", port, &at)})
		default:
			yield(control.Who{}, &coded{exitNotFound, fmt.Errorf("nobody has %s now; who had it before stands in the NAT log ([log.nat])", port)})
		}
	}
}

// portArgument is ADDR:PORT.
type portArgument struct{ netip.AddrPort }

// take is the cobra.PositionalArgs of a command with one endpoint.
func (p *portArgument) take(_ *cobra.Command, args []string) (err error) {
	if len(args) != 1 {
		return errors.New("want one endpoint, like 203.0.113.3:6234")
	}
	p.AddrPort, err = netip.ParseAddrPort(args[0])
	if err != nil || !p.Addr().Is4() || p.Addr().IsUnspecified() || p.Port() == 0 {
		return fmt.Errorf("%q is not an IPv4 address with a port, like 203.0.113.3:6234", args[0])
	}
	return nil
}

// timeFlag is an instant as people write it; without an offset it is local.
type timeFlag struct{ time.Time }

var timeForms = []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04"}

func (f *timeFlag) set() bool { return !f.IsZero() }

func (f *timeFlag) Set(text string) error {
	t, err := time.Parse(time.RFC3339, text)
	for _, form := range timeForms {
		if err != nil {
			t, err = time.ParseInLocation(form, text, time.Local)
		}
	}
	switch {
	case err != nil:
		return errors.New("want a time like 2026-03-01 14:05, or 2026-03-01T14:05:00Z")
	case t.After(time.Now()):
		return errors.New("that is still to come")
	}
	f.Time = t
	return nil
}

func (f *timeFlag) String() string {
	if !f.set() {
		return ""
	}
	return f.Format(time.RFC3339)
}

func (f *timeFlag) Type() string { return "string" }
