package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// Walks of live packets.

// expressionHelp is the language of --match and --filter.
const expressionHelp = "An expression is made of\n\n" +
	"  [src|dst] host ADDR, [src|dst] net A/P, [udp|tcp] [src|dst] port N[-N]\n" +
	"  udp, tcp, icmp, esp, ah, gre, proto N, spi HEX, ip, arp, fragment\n" +
	"  in VLAN, out VLAN\n\n" +
	"with and, or, not and parentheses: host 192.0.2.11 and (esp or udp port 4500).\n"

// offloadHelp says what nobody sees.
const offloadHelp = "Packets that the kernel forwards by itself (offload, XDP) cannot be seen. Flows\n" +
	"that an expression chooses therefore stay with the router, or come back to it\n" +
	"within two seconds; without an expression none does."

// newTrace makes "trace".
func (a *app) newTrace() *cobra.Command {
	f, s := &flusher{app: a}, &shower{app: a}
	verb := newGroup("trace", "Record which steps live packets meet", f.traceAdd(), s.traceShow(), s.traceList(), f.traceRemove(), f.traceClear())
	verb.PersistentFlags().StringVar(&f.socket, "socket", defaultSocket, "the daemon's control socket, `PATH`")
	verb.PersistentPreRun = func(*cobra.Command, []string) { s.socket = f.socket }
	return verb
}

func (f *flusher) traceAdd() *cobra.Command {
	cmd := operation(f, operator[control.Trace]{
		noun: "add", short: "Record the next packets that match",
		examples: []string{
			`trace add --match "host 192.0.2.11 and udp port 500"`,
			`trace add rekey --match "esp and host 198.51.100.9" --count 5 --in wan`,
		},
		long: "Records the next packets that come in and match: what each step of the router\n" +
			"does with them, and how they end, in the words of \"explain\". \"trace show\" shows\n" +
			"them. A packet matches as it comes in: an answer has the NAT address then.\n\n" +
			expressionHelp + "\n" + offloadHelp,
		filters: control.FiltersOfTrace(),
		do: func(c *control.Client, ctx context.Context, f control.Filter) (control.Trace, error) {
			t, err := c.AddTrace(ctx, f)
			return t, asUsage(err)
		},
		told: func(t control.Trace) string {
			return "recording: " + traceText(&t) + unseenText(t.Unseen)
		},
	})
	cmd.Use, cmd.Args = "add [NAME]", cobra.MaximumNArgs(1)
	return cmd
}

// asUsage makes a usage error of what the daemon says that nobody can answer.
func asUsage(err error) error {
	var refused *control.Error
	if errors.As(err, &refused) && refused.Code == control.CodeBadRequest {
		return usagef("%w", err)
	}
	return err
}

func unseenText(unseen bool) string {
	if !unseen {
		return ""
	}
	return "\nflows are offloaded: without --match their packets are not seen"
}

// traceText is a trace in a line.
func traceText(t *control.Trace) string {
	text := fmt.Sprintf("trace %s, %d of %s", t.Name, t.Packets, count(uint64(t.Count), "packet"))
	if t.In != "" {
		text += ", in by " + t.In
	}
	if t.Match != "" {
		text += ", " + t.Match
	}
	return text
}

func (s *shower) traceList() *cobra.Command {
	return command(s, view[control.Trace]{
		noun: "list", short: "The traces, and how much they have", named: true,
		examples: []string{"trace list", "trace list --json"},
		ask:      (*control.Client).Traces,
		print: rowsOf([]string{"Name", "Packets", "Count", "In", "Age", "Match"}, func(t control.Trace) []string {
			return []string{t.Name, number(uint64(t.Packets)), number(uint64(t.Count)), t.In, t.Age.String(), t.Match}
		}),
	})
}

func (s *shower) traceShow() *cobra.Command {
	var each bool
	cmd := command(s, view[control.TraceWalk]{
		noun: "show", short: "What the recorded packets met, equal walks together", named: true,
		examples: []string{"trace show", "trace show rekey --each", "trace show --json"},
		long: "Shows the walks that were recorded: equal ones together, with their number and\n" +
			"what the first of them met; with --each packet by packet, with the time since\n" +
			"the trace began. Walks are equal if steps, verdicts and end are, whatever the\n" +
			"addresses. A packet that the fast path forwarded met no step.",
		ask: func(c *control.Client, ctx context.Context, f control.Filter) iter.Seq2[control.TraceWalk, error] {
			return c.TraceWalks(ctx, f, each)
		},
		print: func(w io.Writer, bold bool, rows iter.Seq2[control.TraceWalk, error]) error {
			return printWalks(w, bold, each, rows)
		},
	})
	cmd.Flags().BoolVar(&each, "each", false, "every packet by itself")
	cmd.Flags().Var((*interval)(&s.watch), "watch", "print again every so often, as `2s`")
	return cmd
}

// printWalks prints walks like explanations.
func printWalks(w io.Writer, bold, each bool, rows iter.Seq2[control.TraceWalk, error]) error {
	any := false
	for row, err := range rows {
		if err != nil {
			return err
		}
		if any {
			fmt.Fprintln(w)
		}
		any = true
		fmt.Fprintln(w, walkHead(&row, each))
		if len(row.Steps) > 0 {
			fmt.Fprintln(w)
		}
		if err := printSteps(w, bold, each, row.Steps); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "\n%s", walkEnd(&row)); err != nil {
			return err
		}
	}
	if !any {
		_, err := fmt.Fprintln(w, "no packet was recorded yet")
		return err
	}
	return nil
}

func walkHead(row *control.TraceWalk, each bool) string {
	head := fmt.Sprintf("%s: %s, the first: ", row.Trace, count(uint64(row.Packets), "packet"))
	if each {
		head = fmt.Sprintf("%s: packet %d at %.3fs: ", row.Trace, row.Number, float64(row.At))
	} else if row.Packets == 1 {
		head = fmt.Sprintf("%s: 1 packet: ", row.Trace)
	}
	head += row.Packet + ", in by " + row.In
	switch row.Again {
	case "opened":
		head += ", out of a tunnel"
	case "held":
		head += ", after it was held"
	}
	return head
}

func printSteps(w io.Writer, bold, each bool, steps []control.TraceStep) error {
	if len(steps) == 0 {
		return nil
	}
	header := []string{"Hook", "Step", "Verdict", "Rule", "DecidedBy", "Says"}
	if each {
		header = append([]string{"After"}, header...)
	}
	t := newTable(w, bold, header...)
	for _, s := range steps {
		row := []string{s.Hook, s.Step, s.Verdict, s.Rule, s.Decided.String(), s.Says}
		if each {
			row = append([]string{(time.Duration(s.After) * time.Microsecond).String()}, row...)
		}
		if err := t.row(row...); err != nil {
			return err
		}
	}
	return t.end()
}

// walkEnd is how a walk ended, in the words of explain.
func walkEnd(row *control.TraceWalk) string {
	if !row.Ended {
		return "it has not ended yet\n"
	}
	var b strings.Builder
	f := row.Fate
	if f.End == control.EndForwarded && !row.Waits {
		f.NextHopKnown = true
	}
	if f.End == control.EndDropped && f.Reason == nil {
		b.WriteString("the TCP/IP stack has kept it: see show drops, the reasons of stack_\n")
		return b.String()
	}
	b.WriteString(fateText(&f))
	if row.Left > 0 {
		fmt.Fprintf(&b, "%s more were not kept\n", count(uint64(row.Left), "step"))
	}
	return b.String()
}

func (f *flusher) traceRemove() *cobra.Command {
	return f.traceChange("del", "End a trace and forget its packets; without a name, all", "ended", (*control.Client).RemoveTraces)
}

func (f *flusher) traceClear() *cobra.Command {
	return f.traceChange("clear", "Forget the packets of a trace, or of all, and record anew", "cleared", (*control.Client).ClearTraces)
}

func (f *flusher) traceChange(noun, short, done string, do func(*control.Client, context.Context, control.Filter) (control.TraceChanged, error)) *cobra.Command {
	cmd := operation(f, operator[control.TraceChanged]{
		noun: noun, short: short, named: true, do: do,
		examples: []string{"trace " + noun, "trace " + noun + " rekey"},
		told: func(n control.TraceChanged) string {
			return done + ": " + count(uint64(n.Traces), "trace") + " with " + count(uint64(n.Packets), "packet")
		},
	})
	cmd.Use, cmd.Args = noun+" [NAME]", cobra.MaximumNArgs(1)
	return cmd
}

// lookingHelp is filterHelp for what chooses packets.
func lookingHelp(name string) (string, bool) {
	switch name {
	case control.ByMatch:
		return "the `EXPR` that chooses packets, as above (default: every packet)", true
	case control.ByLook:
		return "the `EXPR` that chooses packets, as above (default: every packet)", true
	case control.ByCount:
		return "end after `N` packets", true
	case control.ByLink:
		return "only VLANs of this `PORT`", true
	case control.ByVLAN:
		return "only this `VLAN`", true
	case control.ByPoint:
		return "only these `POINTS`, as " + strings.Join(control.Points(), ","), true
	case control.BySeconds:
		return "end after `N` seconds", true
	case control.BySnaplen:
		return "only the first `N` bytes of each packet", true
	case control.ByFormat:
		return "`FORMAT` of the file: pcapng, or the classic pcap", true
	}
	return "", false
}
