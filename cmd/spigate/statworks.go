package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

func (s *shower) lsnLogStat() *cobra.Command {
	return command(s, view[control.LSNLogStat]{
		noun: "log", short: "Counters of each target of the NAT log, or of the one of this name", named: true,
		examples: []string{"stat lsn log", "stat lsn log --json"},
		long: "Counters of each target in [log.nat]. Sent are records that went to the network:\n" +
			"over UDP nobody knows what arrived. Lost are those that found the queue full; the\n" +
			"collector is told of them as a gap.",
		ask: (*control.Client).LSNLogStats,
		print: rowsOf([]string{"Target", "Kind", "Address", "Up", "Queued", "Sent", "Lost", "Messages", "Bytes", "Failures"},
			func(l control.LSNLogStat) []string {
				up := "no"
				if l.Up {
					up = "yes"
				}
				return []string{l.Name, l.Kind, l.Address, up, number(l.Queued), number(l.Sent), number(l.Lost),
					number(l.Messages), number(l.Bytes), number(l.Failures)}
			}),
	})
}

func (s *shower) lsnHelperStat() *cobra.Command {
	return command(s, view[control.LSNHelperStat]{
		noun: "helper", short: "Counters of the helpers for FTP and TFTP, or of this one", named: true,
		examples: []string{"stat lsn helper", "stat lsn helper ftp"},
		long: "Counters of the helpers for FTP and TFTP; the IPsec ALG has \"stat ipsecalg\".\n\n" +
			"ftp: live and watched control connections, now and ever; unwatched segments of\n" +
			"connections beyond the helper's room; opened ports. Lines left as they are: foreign\n" +
			"(another's address), well_known (a port below 1024), refused (no port was free).\n" +
			"Segments dropped: gaps (the one before is missing), backlog (no room), malformed.\n" +
			"tftp: requests that opened a port or were refused one; strange ones are no requests.\n" +
			"expected: connections that a helper has opened, those used, those waiting.",
		filters: control.FiltersOfObjects(),
		ask:     (*control.Client).LSNHelperStats,
		print: rowsOf([]string{"Helper", "TD", "Counters"}, func(h control.LSNHelperStat) []string {
			var cells []string
			for _, name := range slices.Sorted(maps.Keys(h.Counters)) {
				cells = append(cells, fmt.Sprintf("%s=%d", name, h.Counters[name]))
			}
			return []string{h.Name, number(h.TD), strings.Join(cells, " ")}
		}),
	})
}
