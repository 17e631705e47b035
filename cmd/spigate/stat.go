package main

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

func (a *app) newStat() *cobra.Command {
	s := &shower{app: a}
	stat := newGroup("stat", "Print counters of the running router", s.ipsecStat(), s.lsnStat())
	s.addFlags(stat)
	return stat
}

func (s *shower) ipsecStat() *cobra.Command {
	var detail bool
	var clear clearFlag
	cmd := command(s, view[control.IPsecStat]{
		noun: "ipsecalg", short: "Counters of the IPsec ALG", named: true,
		examples: []string{"stat ipsecalg", "stat ipsecalg IPSECALGPROFILE-1 --detail", "stat ipsecalg --clear-stats basic"},
		long: "Counters of the IPsec ALG since the daemon began, or of the one profile of this\n" +
			"name. Active and Blocked are what is there now. With --detail every counter,\n" +
			"and what it counts; --json always has all of them. What cannot be laid to one\n" +
			"profile is \"-\" there. With --clear-stats the counters are set to zero after\n" +
			"they were read: basic clears Total, Dropped, RxPkts and TxPkts, full every\n" +
			"counter. What is there now is no counter and stays.",
		ask: func(c *control.Client, ctx context.Context, f control.Filter) iter.Seq2[control.IPsecStat, error] {
			return func(yield func(control.IPsecStat, error) bool) {
				switch {
				case clear.text == "":
					yield(c.IPsecStat(ctx, f.Name))
				case s.watch != 0:
					yield(control.IPsecStat{}, usagef("--clear-stats clears once: not with --watch"))
				default:
					yield(c.ClearIPsecStat(ctx, f.Name, clear.level))
				}
			}
		},
		print: func(w io.Writer, bold bool, rows iter.Seq2[control.IPsecStat, error]) error {
			if detail {
				return printIPsecDetail(w, bold, rows)
			}
			return rowsOf([]string{"Total", "Dropped", "Active", "Blocked", "RxPkts", "TxPkts"}, func(r control.IPsecStat) []string {
				return []string{number(r.Total), number(r.Dropped), number(r.Active), number(r.Blocked), number(r.RxPackets), number(r.TxPackets)}
			})(w, bold, rows)
		},
	})
	cmd.Flags().BoolVar(&detail, "detail", false, "every counter, and what it counts")
	cmd.Flags().Var(&clear, "clear-stats", "set counters to zero after printing them: `LEVEL` is basic or full")
	return cmd
}

// clearFlag is the value of --clear-stats.
type clearFlag struct {
	level control.ClearLevel
	text  string
}

func (f *clearFlag) Set(text string) error {
	switch text {
	case "basic":
		f.level = control.ClearBasic
	case "full":
		f.level = control.ClearFull
	default:
		return errors.New("basic or full")
	}
	f.text = text
	return nil
}

func (f *clearFlag) String() string { return f.text }

func (f *clearFlag) Type() string { return "string" }

// printIPsecDetail prints one counter on a line.
func printIPsecDetail(w io.Writer, bold bool, rows iter.Seq2[control.IPsecStat, error]) error {
	for r, err := range rows {
		if err != nil {
			return err
		}
		t := newTable(w, bold, "Counter", "Value", "Counts")
		for _, l := range ipsecLines(&r) {
			t.row(l.name, l.value, l.counts)
		}
		if err := t.end(); err != nil {
			return err
		}
	}
	return nil
}

// statLine is one counter. counts says of what, in words for a person.
type statLine struct{ name, value, counts string }

func ipsecLines(r *control.IPsecStat) []statLine {
	return []statLine{
		{"Total", number(r.Total), "ESP sessions that became established"},
		{"Dropped", number(r.Dropped), "packets that the ALG dropped"},
		{"Active", number(r.Active), "established ESP sessions now"},
		{"Blocked", number(r.Blocked), "phase-2 messages that wait for the lock now"},
		{"RxPkts", number(r.RxPackets), "ESP packets from servers"},
		{"TxPkts", number(r.TxPackets), "ESP packets to servers"},
		{"ahDropped", counted(r.AHDropped), "AH packets: AH cannot pass a NAT (R36)"},
		{"espNoGateIn", number(r.ESPNoGateIn), "ESP from a server with an unknown SPI and no open gate"},
		{"espNoGateOut", number(r.ESPNoGateOut), "ESP from a client with an unknown SPI and no open gate"},
		{"gateTimeout", number(r.GateTimeout), "locks that ended without ESP both ways (R55)"},
		{"gateFail", number(r.GateFail), "phase-2 requests without an answer, or refused by the server"},
		{"lateBind", number(r.LateBind), "SPIs bound after their gate had closed (R66)"},
		{"spiCollisionSuspect", number(r.SPICollisionSuspect), "clients that seem to have chosen another's SPI (R71)"},
		{"staleSpi", number(r.StaleSPI), "ESP packets of SPIs that have ended (R69)"},
		{"seqReject", number(r.SeqReject), "ESP packets at a gate with a sequence number too high for a new SA (R65)"},
		{"p2Held", number(r.P2Held), "phase-2 messages that had to wait (R58)"},
		{"p2Dropped", number(r.P2Dropped), "phase-2 messages that waited in vain (R58)"},
		{"ikeHalfLimit", number(r.IKEHalfLimit), "IKE sessions refused: too many half-open ones (R41)"},
		{"malformedIke", number(r.MalformedIKE), "IKE messages that are none (R42)"},
		{"icmpTranslated", counted(r.ICMPTranslated), "ICMP errors about ESP that were passed on (R74)"},
		{"fragDropped", counted(r.FragDropped), "fragments that could not be assigned (R29)"},
		{"espSessions", number(r.ESPSessions), "ESP sessions now, half ones included"},
		{"ikeSessions", number(r.IKESessions), "IKE sessions now"},
		{"ikeHalfOpen", number(r.IKEHalfOpen), "of these, half-open"},
	}
}

// counted prints a counter that may not be kept.
func counted(n *uint64) string {
	if n == nil {
		return "-"
	}
	return number(*n)
}
