package main

import (
	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

func (s *shower) netRoute() *cobra.Command {
	cmd := command(s, view[control.Route]{
		noun: "route", short: "Where packets go next: the routing tables", named: true,
		examples: []string{"show net route", "show net route 0.0.0.0/0"},
		long: "The routing table of each traffic domain, the longest prefix first: of the routes\n" +
			"that hold an address the first one counts. Connected are the networks of our own\n" +
			"addresses, static those by a next hop, tunnel those into an IPsec interface. With\n" +
			"a name, which is a destination such as 0.0.0.0/0, only that one.",
		filters: control.FiltersOfObjects(),
		ask:     (*control.Client).Routes,
		print: rowsOf([]string{"Destination", "Type", "Via", "Out", "TD"}, func(r control.Route) []string {
			return []string{r.Destination, r.Type, or(r.Via, "-"), r.Out, number(r.TD)}
		}),
	})
	cmd.Use = "route [DESTINATION]"
	return cmd
}

func (s *shower) netARP() *cobra.Command {
	cmd := command(s, view[control.Neighbor]{
		noun: "arp", short: "Neighbours on the VLANs, as ARP knows them", named: true,
		examples: []string{"show net arp", "show net arp 198.51.100.254", "show net arp --td 7 --watch 2s"},
		long: "The hosts that the router has asked or heard of by ARP, or the one of this address.\n" +
			"A neighbour that is incomplete has not answered yet, one that is unreachable did\n" +
			"not answer for three seconds: is it on, in this VLAN, with this netmask? One that\n" +
			"is stale has not been needed lately, and is asked again when it is.",
		filters: control.FiltersOfObjects(),
		ask:     (*control.Client).ARP,
		print: rowsOf([]string{"Address", "MAC", "VLAN", "State", "Since", "TD"}, func(n control.Neighbor) []string {
			return []string{n.Address, or(n.MAC, "-"), n.VLAN, n.State, n.Since.String(), number(n.TD)}
		}),
	})
	cmd.Use = "arp [ADDRESS]"
	return cmd
}
