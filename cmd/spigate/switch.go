package main

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

func (s *shower) switches() *cobra.Command {
	return command(s, view[control.Switch]{
		noun: "switch", short: "Switch chips with their ports, or the one of this name", named: true,
		examples: []string{"show switch", "show switch sw0"},
		long: "Each switch: whether it does what [switch] and [vlan] say, and if not, why. Then\n" +
			"its ports: cable, VLANs, and what the switch has counted. Untagged is the VLAN of\n" +
			"frames without tag; a port in no VLAN is off. The router's own port is in all VLANs.",
		ask:   (*control.Client).Switches,
		print: printSwitches,
	})
}

func printSwitches(w io.Writer, bold bool, rows iter.Seq2[control.Switch, error]) error {
	var all []control.Switch
	for row, err := range rows {
		if err != nil {
			return err
		}
		all = append(all, row)
	}
	chips := newTable(w, bold, "Switch", "Driver", "Chip", "State", "Since", "Repairs", "Silent")
	for _, c := range all {
		chips.row(c.Name, c.Driver, c.Chip, c.State, c.Since.String(), number(c.Repairs), number(c.Silent))
	}
	if err := chips.end(); err != nil {
		return err
	}
	for _, c := range all {
		if c.Error != nil {
			fmt.Fprintf(w, "%s: %s\n", c.Name, printable(*c.Error))
		}
	}
	fmt.Fprintln(w)
	ports := newTable(w, bold, "Switch", "Port", "Link", "Untagged", "Tagged",
		"RxFrames", "RxBytes", "TxFrames", "TxBytes", "RxErrors", "RxDropped", "TxDropped")
	for _, c := range all {
		for _, p := range c.Ports {
			ports.row(c.Name, portName(p), cable(p), or(p.Untagged, "-"), list(p.Tagged),
				number(p.RxFrames), number(p.RxBytes), number(p.TxFrames), number(p.TxBytes),
				number(p.RxErrors), number(p.RxDropped), number(p.TxDropped))
		}
	}
	return ports.end()
}

// portName marks the port that the router is at.
func portName(p control.SwitchPort) string {
	if p.CPU {
		return p.Port + " (router)"
	}
	return p.Port
}

// cable is "1000 full", "up" or "down".
func cable(p control.SwitchPort) string {
	if p.Link != control.LinkUp || p.Speed == nil {
		return p.Link
	}
	duplex := ""
	if p.FullDuplex != nil && *p.FullDuplex {
		duplex = " full"
	} else if p.FullDuplex != nil {
		duplex = " half"
	}
	return fmt.Sprintf("%d%s", *p.Speed, duplex)
}

func list(words control.Words) string { return cmp.Or(strings.Join(words, ","), "-") }

func (s *shower) netVLAN() *cobra.Command {
	return command(s, view[control.VLAN]{
		noun: "vlan", short: "VLANs: the router's interfaces, or the one of this name", named: true,
		examples: []string{"show net vlan", "show net vlan external"},
		long: "Each [vlan]: the port that it comes by, the switch between with the ports that are\n" +
			"its members, our addresses in it, and what the router has counted.",
		filters: control.FiltersOfObjects(),
		ask:     (*control.Client).VLANs,
		print: rowsOf([]string{"VLAN", "Id", "TD", "Port", "Switch", "Untagged", "Tagged", "Addresses", "Up", "RxFrames", "RxBytes", "TxFrames", "TxBytes"},
			func(v control.VLAN) []string {
				return []string{v.Name, number(v.ID), number(v.TD), v.Port, or(v.Switch, "-"), list(v.Untagged), list(v.Tagged), list(v.Addresses),
					yes(v.Up), number(v.RxFrames), number(v.RxBytes), number(v.TxFrames), number(v.TxBytes)}
			}),
	})
}
