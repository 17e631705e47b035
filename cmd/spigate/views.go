package main

import (
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// rowsOf prints a plain table: a header and a function that makes the cells.
func rowsOf[T any](header []string, cells func(T) []string) func(io.Writer, bool, iter.Seq2[T, error]) error {
	return func(w io.Writer, bold bool, rows iter.Seq2[T, error]) error {
		return printTable(w, bold, header, func(yield func([]string, error) bool) {
			rows(func(row T, err error) bool {
				if err != nil {
					return yield(nil, err)
				}
				return yield(cells(row), nil)
			})
		})
	}
}

// printTable prints rows that are cells already.
func printTable(w io.Writer, bold bool, header []string, rows iter.Seq2[[]string, error]) error {
	var t *table
	for cells, err := range rows {
		if err != nil {
			if t != nil {
				t.end()
			}
			return err
		}
		if t == nil {
			t = newTable(w, bold, header...)
		}
		if err := t.row(cells...); err != nil {
			return err
		}
	}
	if t == nil {
		t = newTable(w, bold, header...)
	}
	return t.end()
}

func (s *shower) ipsecSession() *cobra.Command {
	return command(s, view[control.IPsecSession]{
		noun: "session", short: "ESP sessions and their SPIs",
		examples: []string{"show ipsecalg session", "show ipsecalg session --source-ip 192.0.2.10 --watch 2s", "show ipsecalg session --client LSN-CLIENT-1 --json"},
		long: "ESP sessions. SPIIn is chosen by the client and stands in packets to it,\n" +
			"SPIOut by the server. A session that is \"half\" has seen one of them: \"-\".\n" +
			"Rx counts packets from the server, Tx packets to it.",
		filters: control.FiltersOfIPsec(),
		ask:     (*control.Client).IPsecSessions,
		print: rowsOf(
			[]string{"SourceIP", "NatIP", "DestIP", "SPIIn", "SPIOut", "State", "Idle", "RxPkts", "TxPkts", "Profile", "Group", "TD"},
			func(r control.IPsecSession) []string {
				return []string{r.SourceIP.String(), r.NATIP.String(), r.DestIP.String(), r.SPIIn.String(), r.SPIOut.String(),
					r.State, r.Idle.String(), number(r.RxPackets), number(r.TxPackets), r.Profile, r.Group, number(r.TD)}
			}),
	})
}

func (s *shower) ipsecGate() *cobra.Command {
	return command(s, view[control.IPsecGate]{
		noun: "gate", short: "Who negotiates, who waits, which gate is open",
		examples: []string{"show ipsecalg gate --watch 1s", "show ipsecalg gate --dest-ip 198.51.100.9"},
		long: "The lock of each pair of NAT address and server, with the gates that its\n" +
			"holder has open for SPIs that are not known yet, and the clients that wait.",
		filters: control.FiltersOfIPsec(),
		ask:     (*control.Client).IPsecGates,
		print: rowsOf(
			[]string{"NatIP", "DestIP", "State", "Holder", "Exchange", "Opened", "Expires", "TD", "SPIs", "Waiters"},
			gateCells),
	})
}

func gateCells(r control.IPsecGate) []string {
	exchange, opened, expires := "-", "-", "-"
	if r.Exchange != nil {
		exchange = r.Exchange.String()
	}
	if r.State != control.StateFree {
		opened, expires = r.Opened.String(), r.Expires.String()
	}
	spis := make([]string, len(r.SPIs))
	for i, spi := range r.SPIs {
		spis[i] = spi.String()
	}
	waiters := make([]string, len(r.Waiters))
	for i, w := range r.Waiters {
		waiters[i] = fmt.Sprintf("%s (%s, %s)", w.SourceIP, w.Exchange, w.Waiting)
	}
	return []string{r.NATIP.String(), r.DestIP.String(), r.State, r.Holder.String(), exchange, opened, expires, number(r.TD),
		strings.Join(spis, ","), strings.Join(waiters, ", ")}
}

func (s *shower) lsnSession() *cobra.Command {
	return command(s, view[control.LSNSession]{
		noun: "session", short: "NAT sessions",
		examples: []string{"show lsn session --source-ip 192.0.2.10", "show lsn session --nat-ip 203.0.113.3 --nat-port 6234", "show lsn session --network 192.0.2.0/24 --json"},
		long:     "NAT sessions. For ICMP queries the ports are the query's identifier.",

		filters: control.FiltersOfLSN(),
		ask:     (*control.Client).LSNSessions,
		print: rowsOf(
			[]string{"SubscrIP", "SubscrPort", "SubscrTD", "DstIP", "DstPort", "DstTD", "NatIP", "NatPort", "Proto", "Dir"},
			func(r control.LSNSession) []string {
				return []string{r.SubscriberIP.String(), number(r.SubscriberPort), number(r.SubscriberTD),
					r.DestIP.String(), number(r.DestPort), number(r.DestTD),
					r.NATIP.String(), number(r.NATPort), r.Protocol, r.Direction}
			}),
	})
}

func (s *shower) flow() *cobra.Command {
	return command(s, view[control.Flow]{
		noun: "flow", short: "What the fast path forwards by itself",
		examples: []string{"show flow", "show flow --source-ip 192.0.2.10", "show flow --network 192.0.2.0/24 --json"},
		long: "Entries of the fast path: one direction of one established flow, with its\n" +
			"addresses as the packets come in, and what is rewritten. Path offload: the\n" +
			"kernel forwards it by itself, from and to ports that have XDP.",
		filters: control.FiltersOfFlow(),
		ask:     (*control.Client).Flows,
		print: rowsOf(
			[]string{"Proto", "Source", "Destination", "ID", "In", "Out", "Rewrite", "NewAddress", "Packets", "Bytes", "Idle", "TD", "Path", "Owner"},
			flowCells),
	})
}

func flowCells(r control.Flow) []string {
	id := "-"
	switch {
	case r.SPI != 0:
		id = "spi " + r.SPI.String()
	case r.ICMPID != nil:
		id = "icmp " + number(*r.ICMPID)
	}
	rewrite := r.Side
	if !r.NewIP.IsValid() {
		rewrite = "none"
	}
	path := "fast"
	if r.Offloaded {
		path = "offload"
	}
	return []string{r.Protocol, endpoint(r.SourceIP, r.SourcePort), endpoint(r.DestIP, r.DestPort), id,
		r.InInterface, r.OutInterface, rewrite, endpoint(r.NewIP, r.NewPort),
		number(r.Packets), number(r.Bytes), r.Idle.String(), number(r.TD), path, r.Owner + " " + number(r.OwnerID)}
}

// number prints any unsigned number.
func number[N uint16 | uint64](n N) string { return strconv.FormatUint(uint64(n), 10) }

// endpoint prints ADDR:PORT, or ADDR alone.
func endpoint(a fmt.Stringer, port *uint16) string {
	if port == nil || a.String() == "-" {
		return a.String()
	}
	return a.String() + ":" + number(*port)
}
