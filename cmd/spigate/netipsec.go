package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// The views of IPsec tunnels. The words are those that operators know from
// tmsh, and its nouns are understood, too.

func (s *shower) netIPsecSA() *cobra.Command {
	var all bool
	cmd := command(s, view[control.NetIPsecSA]{
		noun: "sa", aliases: []string{"ipsec-sa"}, short: "Security associations of ESP",
		examples: []string{"show net ipsec sa", "show net ipsec sa --selector my-nat-selector --all-properties", "show net ipsec sa --peer gw2 --json"},
		long: "The security associations (SAs), one row for each direction: In is opened, Out\n" +
			"is sealed. Ends without a port are of bare ESP, those with one of ESP in UDP. A\n" +
			"dying SA is being replaced or closed. Packets and bytes are what passed; Seq is\n" +
			"the last number sent, or the highest that came. Errors are packets that could\n" +
			"not be sealed or opened, by the words of \"show drops\". With --all-properties\n" +
			"everything, one SA after the other. Keys are never shown.",
		filters: control.FiltersOfNetIPsecSAs(),
		ask: func(c *control.Client, ctx context.Context, f control.Filter) iter.Seq2[control.NetIPsecSA, error] {
			return noteIfNone(s, c, ctx, c.NetIPsecSAs(ctx, f))
		},
		print: func(w io.Writer, bold bool, rows iter.Seq2[control.NetIPsecSA, error]) error {
			if all {
				return printSAs(w, rows)
			}
			return rowsOf([]string{"SPI", "Dir", "State", "Selector", "Local", "Remote", "Mode", "Suite", "Age", "Idle", "Expires", "Packets", "Bytes", "Seq", "Window", "TD", "Errors"},
				saCells)(w, bold, rows)
		},
	})
	everything(cmd, &all)
	return cmd
}

func everything(cmd *cobra.Command, all *bool) {
	cmd.Flags().BoolVar(all, "all-properties", false, "everything that is known, one after the other")
}

func saCells(r control.NetIPsecSA) []string {
	return []string{r.SPI.String(), r.Direction, r.State, commas(r.Selectors), endpoint(r.LocalIP, r.LocalPort), endpoint(r.RemoteIP, r.RemotePort),
		r.Mode, r.Suite, r.Age.String(), r.Idle.String(), orNever(r.Expires), number(r.Packets), number(r.Bytes), number(r.Sequence),
		windowWord(r.Window), number(r.TD), errorWords(r.Errors)}
}

func windowWord(n uint64) string {
	if n == 0 {
		return "-"
	}
	return number(n)
}

// orNever prints a time that may not come.
func orNever(s *control.Seconds) string {
	if s == nil {
		return "never"
	}
	return s.String()
}

// errorWords are the counters that are not zero, in the order of their words.
func errorWords(e control.NetIPsecErrors) string {
	var words []string
	for word, n := range e {
		if n > 0 {
			words = append(words, fmt.Sprintf("%s %d", word, n))
		}
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// or prints a text that may be missing.
func or(text *string, other string) string {
	if text == nil {
		return other
	}
	return *text
}

// printSAs prints SAs as tmsh does with all-properties, and what it does not
// have.
func printSAs(w io.Writer, rows iter.Seq2[control.NetIPsecSA, error]) error {
	p, n := &page{}, 0
	p.WriteString("IPsec::SecurityAssociations\n")
	for r, err := range rows {
		if err != nil {
			return err
		}
		n++
		p.sa(&r)
		if _, err := io.WriteString(w, p.String()); err != nil {
			return err
		}
		p.Reset()
	}
	fmt.Fprintf(p, "Total records returned: %d\n", n)
	_, err := io.WriteString(w, p.String())
	return err
}

func (p *page) sa(r *control.NetIPsecSA) {
	from, to := endpoint(r.LocalIP, r.LocalPort), endpoint(r.RemoteIP, r.RemotePort)
	if r.Direction == control.DirectionIn {
		from, to = to, from
	}
	encapsulation := "esp"
	if r.LocalPort != nil {
		encapsulation = "esp in udp"
	}
	cipher, bytesLeft, esn := "Authenticated Encryption", "unlimited bytes", ""
	if strings.Contains(r.Suite, "+") {
		cipher = "Encryption and Authentication"
	}
	if r.BytesLeft != nil {
		bytesLeft = number(*r.BytesLeft) + " bytes"
	}
	if r.ESN {
		esn = " (extended)"
	}
	fmt.Fprintf(p, "%s -> %s\n%s\n", from, to, strings.Repeat("-", pageWidth))
	p.pairs("Direction", r.Direction, "SPI", fmt.Sprintf("0x%08x(%d)", uint32(r.SPI), uint32(r.SPI)), "Traffic Domain", number(r.TD))
	p.pairs("Selector", strings.Join(r.Selectors, ", "), "Policy", r.Policy, "Peer", or(r.Peer, "none, manual"))
	p.pairs("Protocol", encapsulation, "Mode", r.Mode, "State", r.State)
	p.pairs(cipher, r.Suite)
	for _, t := range r.Traffic {
		p.pairs("Traffic", pairWords(&t))
	}
	p.pairs("Current Usage", number(r.Bytes)+" bytes", "Packets", number(r.Packets), "Dummies", number(r.Dummies))
	p.pairs("Hard lifetime", orNever(r.Expires), "Left", bytesLeft)
	p.pairs("Soft lifetime", orNever(r.Rekey))
	p.pairs("Sequence number", number(r.Sequence)+esn, "Replay window size", windowWord(r.Window))
	p.pairs("Last use", r.Idle.String()+" ago", "Create", r.Age.String()+" ago")
	p.pairs("Errors", errorWords(r.Errors))
}

// pairs adds a line of labels and values.
func (p *page) pairs(words ...string) {
	for i := 0; i+1 < len(words); i += 2 {
		separator := "; "
		if i == 0 {
			separator = "  "
		}
		fmt.Fprintf(p, "%s%s: %s", separator, words[i], printable(words[i+1]))
	}
	p.WriteByte('\n')
}

func pairWords(t *control.NetIPsecPair) string {
	return side(t.Local, t.LocalPort) + " to " + side(t.Remote, t.RemotePort) + ", protocol " + t.Protocol
}

// side is a network, with a port if it is not every one.
func side(network, port string) string {
	if port == "any" {
		return network
	}
	return network + ":" + port
}

func (s *shower) netIPsecSelector() *cobra.Command {
	return command(s, view[control.NetIPsecSelector]{
		noun: "selector", aliases: []string{"traffic-selector"}, short: "Traffic selectors in the order in which they are asked", named: true,
		examples: []string{"show net ipsec selector", "show net ipsec selector my-nat-selector"},
		long: "Traffic selectors, in the order in which they are asked: the first that matches\n" +
			"decides. Source and Destination are as packets have them on their way out, after\n" +
			"NAT. One is up if it has SAs for both directions. NoSA are packets that found no\n" +
			"SA, Reject came in clear and should have been protected, Discard and Bypass did\n" +
			"what the action says. Packets are those of its SAs, also of SAs that are gone;\n" +
			"Errors, too. --json has more.",
		filters: control.FiltersOfNetIPsecSelectors(),
		ask: func(c *control.Client, ctx context.Context, f control.Filter) iter.Seq2[control.NetIPsecSelector, error] {
			return noteIfNone(s, c, ctx, c.NetIPsecSelectors(ctx, f))
		},
		print: rowsOf([]string{"Selector", "Order", "Source", "Destination", "Proto", "Dir", "Action", "Policy", "Mode", "Peer", "State", "SPIsOut", "SPIsIn",
			"PktsOut", "PktsIn", "NoSA", "Reject", "Discard", "Bypass", "TD", "Errors"}, selectorCells),
	})
}

func selectorCells(r control.NetIPsecSelector) []string {
	peer := or(r.Peer, "-")
	if r.Manual {
		peer = "manual"
	}
	mode := or(r.Mode, "-")
	if r.Tunnel != nil {
		mode += " " + *r.Tunnel
	}
	return []string{r.Name, fmt.Sprint(r.Order), side(r.Source, r.SrcPort), side(r.Dest, r.DstPort), r.Protocol, r.Direction, r.Action,
		or(r.Policy, "-"), mode, peer, or(r.State, "-"), spiWords(r.SPIsOut), spiWords(r.SPIsIn), number(r.PacketsOut), number(r.PacketsIn),
		number(r.NoSA), number(r.SelectorReject), number(r.Discarded), number(r.Bypassed), number(r.TD), errorWords(r.Errors)}
}

func spiWords(spis []control.SPI) string {
	words := make([]string, len(spis))
	for i, spi := range spis {
		words[i] = spi.String()
	}
	return strings.Join(words, ",")
}

// noteIfNone says on stderr why there is nothing to be seen, which is seldom
// what was expected. JSON and --watch speak for themselves.
func noteIfNone[T any](s *shower, c *control.Client, ctx context.Context, rows iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		any := false
		for row, err := range rows {
			any = true
			if !yield(row, err) {
				return
			}
		}
		if !any && !s.json && s.watch == 0 {
			fmt.Fprintln(s.errs, whyNone(c, ctx))
		}
	}
}

func whyNone(c *control.Client, ctx context.Context) string {
	for _, err := range c.NetIPsecSelectors(ctx, control.Filter{}) {
		if err == nil {
			return "nothing here; \"spigate show net ipsec peer\" tells why a tunnel is not up, \"show net ipsec selector\" what it is for"
		}
	}
	return "no IPsec tunnel is configured: [net.ipsec.policy.…], [net.ipsec.selector.…] and [net.ipsec.peer.…] make one"
}
