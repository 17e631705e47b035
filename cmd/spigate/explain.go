package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// What would become of a packet, and why.

// newExplain makes "explain".
func (a *app) newExplain() *cobra.Command {
	s := &shower{app: a}
	cmd := command(s, view[control.Explained]{
		noun: "explain", short: "What would become of a packet, and which line decided",
		long: "Walks a packet through the router's steps as it would come in now, without\n" +
			"sending or changing anything, and tells what each step says of it and which\n" +
			"table of the configuration decided. What a real packet would draw at random is\n" +
			"told as the set that it would be drawn from.\n\n" +
			"The packet of --frame is one of\n\n" +
			"  udp,SRC:PORT,DST:PORT\n" +
			"  tcp,SRC:PORT,DST:PORT     a SYN, or what --flags says\n" +
			"  icmp,SRC,DST[,ID]         a ping; icmp-reply is its answer\n" +
			"  esp,SRC,DST,SPI           the SPI in hex\n" +
			"  gre,SRC,DST               also ah, ospf, ipip, sctp and numbers\n\n" +
			"or, with --hex in place of --frame, the frame itself from its destination MAC\n" +
			"address on, as a capture shows it: so malformed ones, ARP, other tags and ICMP\n" +
			"errors can be asked about, too. Its tag then says by which VLAN of the port of\n" +
			"--in it comes in. What begins with an IPv4 header is taken for a packet, whose\n" +
			"missing end is zeros: \"hex\" of show drops --json is such an example.",
		filters: control.FiltersOfExplain(),
		ask: func(c *control.Client, ctx context.Context, f control.Filter) iter.Seq2[control.Explained, error] {
			return func(yield func(control.Explained, error) bool) { yield(explained(c, ctx, f)) }
		},
		print: printExplained,
	})
	cmd.Use = "explain --in VLAN {--frame FRAME | --hex BYTES}"
	cmd.Example = "  spigate explain --in lan --frame udp,192.0.2.10:500,198.51.100.9:500\n" +
		"  spigate explain --in lan --hex 0200000000010600c000020b86dd60000000"
	for _, word := range []string{control.ByDF, control.ByUnsealed} {
		cmd.Flags().Lookup(word).NoOptDefVal = "true"
	}
	addSocket(cmd, &s.socket)
	return cmd
}

// explained asks the daemon. A question that nobody can answer is a usage error.
func explained(c *control.Client, ctx context.Context, f control.Filter) (control.Explained, error) {
	if !f.Question.Whole() {
		return control.Explained{}, usagef("--in and --frame are needed, like --in lan --frame udp,192.0.2.10:500,198.51.100.9:500, or --in and --hex")
	}
	row, err := c.Explain(ctx, f)
	var refused *control.Error
	if errors.As(err, &refused) && refused.Code == control.CodeBadRequest {
		err = usagef("%w", err)
	}
	return row, err
}

// questionHelp is filterHelp for the parts of a question.
func questionHelp(name string) string {
	switch name {
	case control.ByIn:
		return "the `VLAN` or tunnel that it comes in by"
	case control.ByFrame:
		return "the packet, `FRAME` as above"
	case control.ByFlags:
		return "`FLAGS` of a TCP segment, as syn|ack (default syn)"
	case control.ByTTL:
		return "its time to live, `N` (default 64)"
	case control.BySize:
		return "its length in `BYTES`, the IP header included"
	case control.ByDF:
		return "it must not be cut (DF)"
	case control.ByPayload:
		return "what is behind its transport header, in `HEX` digits"
	case control.ByHex:
		return "the frame itself, `BYTES` in hex digits, instead of --frame"
	}
	return "it came out of a tunnel"
}

// printExplained prints a line for each step and the fate.
func printExplained(w io.Writer, bold bool, rows iter.Seq2[control.Explained, error]) error {
	for row, err := range rows {
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s, in by %s\n\n", row.Packet, row.In)
		t := newTable(w, bold, "Hook", "Step", "Rule", "DecidedBy", "Says")
		for _, s := range row.Steps {
			if err := t.row(s.Hook, s.Step, s.Rule, s.Decided.String(), s.Says); err != nil {
				return err
			}
		}
		if len(row.Steps) > 0 {
			if err := t.end(); err != nil {
				return err
			}
			fmt.Fprintln(w)
		}
		if _, err := io.WriteString(w, fateText(&row.Fate)); err != nil {
			return err
		}
	}
	return nil
}

// fateText is how a packet ends, in words.
func fateText(f *control.ExplainFate) string {
	var b strings.Builder
	b.WriteString(endText(f))
	b.WriteString("\n")
	if f.Means != "" {
		b.WriteString(f.Means + "\n")
	}
	if f.Do != "" {
		b.WriteString("To do: " + f.Do + "\n")
	}
	if f.Told != "" {
		b.WriteString("Its sender is told: " + f.Told + "\n")
	}
	if f.Depends {
		b.WriteString("That is for the first of what would be drawn: for others it may end otherwise.\n")
	}
	return b.String()
}

func endText(f *control.ExplainFate) string {
	switch f.End {
	case control.EndForwarded:
		return fmt.Sprintf("forwarded on %s to %s as %s", f.Out, f.NextHop, leavesAs(f)) + arpText(f)
	case control.EndSealed:
		return fmt.Sprintf("sealed by selector %s with SA %s as %s, and sent to %s on %s", f.Selector, f.SPI, leavesAs(f), f.To, f.Out) + arpText(f)
	case control.EndDelivered:
		return "delivered to the router itself"
	case control.EndOpened:
		return fmt.Sprintf("opened with SA %s, if it is authentic: what is inside comes in by %s\n"+
			"Go on with: explain --in %s --unsealed --frame …", f.SPI, f.Label, f.Label)
	case control.EndHeld:
		if f.Selector != "" {
			return "held: it waits for a security association of selector " + f.Selector
		}
		return "held: it waits for the IPsec ALG"
	case control.EndDropped:
		if f.Reason != nil {
			return "dropped: " + *f.Reason
		}
	}
	return f.End
}

func arpText(f *control.ExplainFate) string {
	if f.NextHopKnown {
		return ""
	}
	return ", once ARP has found that"
}

// leavesAs are the two ends of a packet as it leaves.
func leavesAs(f *control.ExplainFate) string {
	to := endOf(f.DestIP, f.DestPort)
	if f.Drawn == nil {
		return endOf(f.SourceIP, f.SourcePort) + " > " + to
	}
	return drawnText(f.Drawn) + " > " + to
}

// mostNamed is how many addresses of a set are named.
const mostNamed = 3

// drawnText is a set of sources.
func drawnText(d *control.ExplainDrawn) string {
	var names []string
	for _, a := range d.Addresses[:min(len(d.Addresses), mostNamed)] {
		names = append(names, a.String())
	}
	if n := len(d.Addresses) - mostNamed; n > 0 {
		names = append(names, fmt.Sprintf("%d more", n))
	}
	text := strings.Join(names, " or ")
	if d.FirstPort != d.LastPort {
		text += fmt.Sprintf(" port %d-%d", d.FirstPort, d.LastPort)
	}
	return text
}

func endOf(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}
