package main

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

func (s *shower) lsnStat() *cobra.Command {
	var clear clearFlag
	cmd := command(s, view[control.LSNStat]{
		noun: "lsn", short: "Counters of the large scale NAT",
		examples: []string{"stat lsn", "stat lsn --watch 2s", "stat lsn --json"},
		long: "Counters of the large scale NAT since the daemon began. Rx is what came from\n" +
			"remotes, Tx what went to them; Dropped are packets for which there was no\n" +
			"session (\"show drops\" has the reasons). Sessions and Subscribers are what is\n" +
			"there now; ESP sessions are among those of UDP. With --clear-stats the counters\n" +
			"are set to zero after they were read, those of groups too; basic and full do\n" +
			"the same here.",
		filters: control.FiltersOfObjects(),
		ask: func(c *control.Client, ctx context.Context, f control.Filter) iter.Seq2[control.LSNStat, error] {
			return func(yield func(control.LSNStat, error) bool) {
				switch {
				case clear.text == "":
					yield(c.LSNStat(ctx, f))
				case s.watch != 0:
					yield(control.LSNStat{}, usagef("--clear-stats clears once: not with --watch"))
				default:
					yield(c.ClearLSNStat(ctx, f))
				}
			}
		},
		print: linesOf([]string{"Subscribers"}, func(r control.LSNStat) []string { return []string{number(r.Subscribers)} }),
	})
	cmd.Flags().Var(&clear, "clear-stats", "set counters to zero after printing them: `LEVEL` is basic or full")
	cmd.AddCommand(s.lsnGroupStat(), s.lsnPoolStat(), s.lsnHelperStat(), s.lsnLogStat())
	return cmd
}

func (s *shower) lsnGroupStat() *cobra.Command {
	return command(s, view[control.LSNStat]{
		noun: "group", short: "Counters of each group, or of the one of this name", named: true,
		examples: []string{"stat lsn group", "stat lsn group LSN-GROUP-1"},
		filters:  control.FiltersOfObjects(),
		ask:      (*control.Client).LSNGroupStats,
		print: linesOf([]string{"Group", "TD", "Subscribers"}, func(r control.LSNStat) []string {
			return []string{*r.Group, number(*r.TD), number(r.Subscribers)}
		}),
	})
}

// linesOf prints a line for each protocol of each row, behind the cells that
// they have in common.
func linesOf(header []string, common func(control.LSNStat) []string) func(io.Writer, bool, iter.Seq2[control.LSNStat, error]) error {
	header = append(header, "Protocol", "Sessions", "RxPkts", "RxBytes", "TxPkts", "TxBytes", "Dropped")
	return func(w io.Writer, bold bool, rows iter.Seq2[control.LSNStat, error]) error {
		lines := func(yield func([]string, error) bool) {
			for r, err := range rows {
				if err != nil {
					yield(nil, err)
					return
				}
				for _, line := range protocolLines(&r, common) {
					if !yield(line, nil) {
						return
					}
				}
			}
		}
		return rowsOf(header, func(cells []string) []string { return cells })(w, bold, lines)
	}
}

func protocolLines(r *control.LSNStat, common func(control.LSNStat) []string) (lines [][]string) {
	for _, p := range r.Protocols {
		lines = append(lines, append(common(*r), p.Protocol, number(p.Sessions),
			number(p.RxPackets), number(p.RxBytes), number(p.TxPackets), number(p.TxBytes), number(p.Dropped)))
	}
	return lines
}

func (s *shower) lsnPoolStat() *cobra.Command {
	return command(s, view[control.LSNPoolStat]{
		noun: "pool", short: "How far each pool is used, or the one of this name", named: true,
		examples: []string{"stat lsn pool", "stat lsn pool LSN-POOL-1"},
		long: "How far each pool is used. IPs is how many NAT addresses it has, Allocated how\n" +
			"many of them have a port in use; the last columns are the share of all ports.",
		filters: control.FiltersOfObjects(),
		ask:     (*control.Client).LSNPoolStats,
		print: rowsOf([]string{"Pool", "TD", "IPs", "Allocated", "TCP%", "NonTCP%"}, func(p control.LSNPoolStat) []string {
			return []string{p.Name, number(p.TD), number(p.Addresses), number(p.Allocated), fmt.Sprintf("%.1f", p.TCP), fmt.Sprintf("%.1f", p.NonTCP)}
		}),
	})
}

func (s *shower) lsnStatic() *cobra.Command {
	return command(s, view[control.LSNStatic]{
		noun: "static", short: "Static mappings", named: true,
		examples: []string{"show lsn static", "show lsn static web"},
		long: "Static mappings. * is every port, or every remote. One is INACTIVE as long as\n" +
			"another mapping, from before it was configured, has its port.",
		filters: control.FiltersOfStatic(),
		ask:     (*control.Client).LSNStatics,
		print: rowsOf([]string{"Name", "Protocol", "SubscrIP", "SubscrPort", "SubscrTD", "NatIP", "NatPort", "DestIP", "Status", "Group"},
			func(r control.LSNStatic) []string {
				dest := "*"
				if r.DestIP.IsValid() {
					dest = r.DestIP.String()
				}
				return []string{r.Name, r.Protocol, r.SubscriberIP.String(), everyPort(r.SubscriberPort), number(r.SubscriberTD),
					r.NATIP.String(), everyPort(r.NATPort), dest, r.Status, r.Group}
			}),
	})
}

func everyPort(p *uint16) string {
	if p == nil {
		return "*"
	}
	return number(*p)
}
