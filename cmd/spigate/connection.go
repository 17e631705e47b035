package main

import (
	"net/netip"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

func (s *shower) sysConnection() *cobra.Command {
	cmd := command(s, view[control.Connection]{
		noun: "connection", short: "Connections that virtual servers, NATs and SNATs admitted",
		long: "Connections that virtual servers, NATs and SNATs admitted. CS is the side of the\n" +
			"client, who sent the first packet, with the addresses of its packets; SS is the\n" +
			"other side, with the addresses as they are sent on to it. The columns are tmsh's\n" +
			"(cs-client-addr, cs-server-addr, ss-client-addr, ss-server-addr), without that of\n" +
			"the CPU. --source-ip and --dest-ip find an address on either side. What an LSN\n" +
			"group translates stands in \"show lsn session\".",
		filters: control.FiltersOfConnections(),
		ask:     (*control.Client).Connections,
		print: rowsOf([]string{"CSClient", "CSServer", "SSClient", "SSServer", "Protocol", "Idle", "State", "Virtual", "TD"},
			func(c control.Connection) []string {
				return []string{
					socket(c.CSClientIP, c.CSClientPort), socket(c.CSServerIP, c.CSServerPort),
					socket(c.SSClientIP, c.SSClientPort), socket(c.SSServerIP, c.SSServerPort),
					c.Protocol, c.Idle.String(), c.State, c.Virtual, number(c.TD),
				}
			}),
	})
	cmd.Example = "  spigate show sys connection\n  spigate show sys connection --virtual ipsec-2\n  spigate show sys connection --source-ip 10.1.1.1 --json"
	return cmd
}

// socket prints ADDR:PORT; a port of 0 there is none.
func socket(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}
