package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

func (s *shower) status() *cobra.Command {
	var shown control.Status
	return command(s, view[control.Status]{
		noun: "status", short: "Is the router well: ports, fast and slow path",
		examples: []string{"show status", "show status --json", "show status --watch 2s"},
		long:     "The daemon's health. The exit code is 6 if it is not ready or a port is down.",
		ask: func(c *control.Client, ctx context.Context, _ control.Filter) iter.Seq2[control.Status, error] {
			return func(yield func(control.Status, error) bool) {
				var err error
				shown, err = c.Status(ctx)
				yield(shown, err)
			}
		},
		print:   printStatus,
		verdict: func() error { return verdict(&shown) },
	})
}

func verdict(s *control.Status) error {
	if why := s.Unhealthy(); why != "" {
		return &coded{exitUnhealthy, errors.New("unhealthy: " + why)}
	}
	return nil
}

func printStatus(w io.Writer, bold bool, rows iter.Seq2[control.Status, error]) error {
	for r, err := range rows {
		if err != nil {
			return err
		}
		if err := printOneStatus(w, bold, &r); err != nil {
			return err
		}
	}
	return nil
}

func printOneStatus(w io.Writer, bold bool, r *control.Status) error {
	facts := newTable(w, bold, "Ready", "Uptime", "PID", "FastHits", "SlowHits", "Flows", "Config")
	facts.row(yes(r.Ready), r.Uptime.String(), fmt.Sprint(r.PID), number(r.FastHits), number(r.SlowHits),
		fmt.Sprintf("%d of %d", r.Flows, r.FlowCapacity), r.Config)
	if err := facts.end(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := printOffload(w, bold, r.Offload); err != nil {
		return err
	}
	ports := newTable(w, bold, "Port", "Interface", "Up", "RxFrames", "RxBytes", "TxFrames", "TxBytes", "FastHits", "SlowHits", "Lost", "Offload")
	for _, p := range r.Ports {
		ports.row(p.Port, p.Interface, yes(p.Up), number(p.RxFrames), number(p.RxBytes), number(p.TxFrames), number(p.TxBytes),
			number(p.FastHits), number(p.SlowHits), number(p.Lost), cmp.Or(p.Offload, "none"))
	}
	if err := ports.end(); err != nil {
		return err
	}
	printOff(w, r.Ports)
	if r.Confirm != nil {
		fmt.Fprintf(w, "\nThe configuration is rolled back in %s unless it is confirmed: spigate config confirm\n", *r.Confirm)
	}
	return nil
}

// printOffload prints what is forwarded elsewhere, and nothing where nothing is.
func printOffload(w io.Writer, bold bool, o control.Offload) error {
	if o.Capacity == 0 {
		return nil
	}
	t := newTable(w, bold, "Offloaded", "Packets", "Refused")
	t.row(fmt.Sprintf("%d of %d", o.Flows, o.Capacity), number(o.Packets), number(o.Refused))
	if err := t.end(); err != nil {
		return err
	}
	if len(o.Left) > 0 {
		fmt.Fprintln(w)
		left := newTable(w, bold, "LeftToRouter", "Frames")
		for _, l := range o.Left {
			left.row(l.Reason, number(l.Frames))
		}
		if err := left.end(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

// printOff says which ports do not take part in it as they could.
func printOff(w io.Writer, ports []control.PortStatus) {
	said := ""
	for _, p := range ports {
		if p.OffloadWhy != "" && p.Port != said {
			how := "does not offload"
			if p.Offload != "off" {
				how = "offloads in " + p.Offload + " mode"
			}
			fmt.Fprintf(w, "\nPort %s %s: %s\n", p.Port, how, p.OffloadWhy)
			said = p.Port
		}
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
