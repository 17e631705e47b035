package main

import (
	"strings"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// The views of the running configuration.

func (s *shower) ipsecProfile() *cobra.Command {
	return command(s, view[control.IPsecProfile]{
		noun: "profile", short: "Profiles of the IPsec ALG", named: true,
		examples: []string{"show ipsecalg profile", "show ipsecalg profile IPSECALGPROFILE-1 --json"},
		long: "The profiles of the IPsec ALG, as the router uses them now. LateOut and LateIn\n" +
			"are late_binding_out and late_binding_in, KeepWithESP is ike_keep_with_esp,\n" +
			"Parallel is same_client_parallel, Port500 is ike_port_preserve, and ByCookie is\n" +
			"ike_cookie_demux.",
		ask: (*control.Client).IPsecProfiles,
		print: rowsOf(
			[]string{"Name", "IKESession", "ESPSession", "ESPGate", "IKEHalfOpen", "ConnFailover", "BlockMode",
				"LateOut", "LateIn", "KeepWithESP", "Parallel", "Port500", "ByCookie", "GateSeqMax", "Groups"},
			func(p control.IPsecProfile) []string {
				return []string{p.Name, p.IKESessionTimeout.String(), p.ESPSessionTimeout.String(), p.ESPGateTimeout.String(),
					p.IKEHalfOpenTimeout.String(), yes(p.ConnFailover), p.BlockMode, yes(p.LateBindingOut), yes(p.LateBindingIn),
					yes(p.IKEKeepWithESP), yes(p.SameClientParallel), yes(p.IKEPortPreserve), yes(p.IKECookieDemux), number(uint64(p.GateSeqMax)), commas(p.Groups)}
			}),
	})
}

func (s *shower) lsnClient() *cobra.Command {
	return command(s, view[control.LSNClient]{
		noun: "client", short: "Networks of subscribers", named: true,
		examples: []string{"show lsn client", "show lsn client LSN-CLIENT-1"},
		filters:  control.FiltersOfObjects(),
		ask:      (*control.Client).LSNClients,
		print: rowsOf([]string{"Name", "TD", "Networks", "Groups"}, func(c control.LSNClient) []string {
			return []string{c.Name, number(c.TD), commas(c.Networks), commas(c.Groups)}
		}),
	})
}

func (s *shower) lsnPool() *cobra.Command {
	return command(s, view[control.LSNPool]{
		noun: "pool", short: "NAT addresses, and how many of their ports are in use", named: true,
		examples: []string{"show lsn pool", "show lsn pool LSN-POOL-1 --watch 5s"},
		long: "NAT addresses. Ports is how many ports all addresses of the pool have together,\n" +
			"for each protocol; the columns behind it are how many of them are in use. Held\n" +
			"is how many of all protocols wait before they are given again. Blocks is how\n" +
			"many blocks of ports there are, and Taken how many of them are somebody's.",
		filters: control.FiltersOfObjects(),
		ask:     (*control.Client).LSNPools,
		print: rowsOf([]string{"Name", "TD", "Addresses", "Count", "Ports", "TCP", "UDP", "ICMP", "Held", "Blocks", "Taken", "Groups"},
			func(p control.LSNPool) []string {
				return []string{p.Name, number(p.TD), commas(p.Addresses), number(p.AddressCount), number(p.Ports),
					number(p.UsedTCP), number(p.UsedUDP), number(p.UsedICMP),
					number(p.Held), number(p.Blocks), number(p.UsedBlocks), commas(p.Groups)}
			}),
	})
}

func (s *shower) lsnGroup() *cobra.Command {
	return command(s, view[control.LSNGroup]{
		noun: "group", short: "What belongs together: client, pools, profiles", named: true,
		examples: []string{"show lsn group", "show lsn group LSN-GROUP-1"},
		filters:  control.FiltersOfObjects(),
		ask:      (*control.Client).LSNGroups,
		print: rowsOf([]string{"Name", "TD", "Client", "Pools", "AppsProfiles", "TransportProfiles", "IPsecALGProfile"},
			func(g control.LSNGroup) []string {
				alg := ""
				if g.IPsecALGProfile != nil {
					alg = *g.IPsecALGProfile
				}
				return []string{g.Name, number(g.TD), g.Client, commas(g.Pools), commas(g.AppsProfiles), commas(g.TransportProfiles), alg}
			}),
	})
}

func (s *shower) lsnAppsProfile() *cobra.Command {
	return command(s, view[control.LSNAppsProfile]{
		noun: "appsprofile", short: "How the ports of an application are mapped", named: true,
		examples: []string{"show lsn appsprofile", "show lsn appsprofile LSN-APPSPROFILE-1"},
		ask:      (*control.Client).LSNAppsProfiles,
		print: rowsOf([]string{"Name", "Protocol", "IPPooling", "Mapping", "Filtering", "Ports", "TD", "Groups"},
			func(p control.LSNAppsProfile) []string {
				ports := "all"
				if len(p.Ports) > 0 {
					ports = commas(p.Ports)
				}
				td := "-"
				if p.TD != nil {
					td = number(*p.TD)
				}
				return []string{p.Name, p.Protocol, p.IPPooling, p.Mapping, p.Filtering, ports, td, commas(p.Groups)}
			}),
	})
}

func commas(w control.Words) string { return strings.Join(w, ",") }
