package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
	"spigate/cmd/internal/doctor"
	"spigate/cmd/internal/wire"
)

// usualConfig is where the packages have the configuration.
const usualConfig = "/etc/spigate/spigate.toml"

// patient is where doctor looks besides the daemon.
type patient struct {
	config, stateDir string
}

func (a *app) newDoctor() *cobra.Command {
	s := &shower{app: a}
	var p patient
	var worst string
	cmd := command(s, view[control.Check]{
		noun: "doctor", short: "Look the router over: what is not well, and what to do about it",
		examples: []string{"doctor", "doctor --json", "doctor --config /etc/spigate/spigate.toml"},
		long: "Looks at each part of the router in the order in which a packet needs it, and\n" +
			"says what was found: ports, addresses, next hops, pools, tables, the NAT log,\n" +
			"flash, the clock, the configuration, tunnels and switches. It sends nothing and\n" +
			"changes nothing. What is not well has the next step below it. The exit code is 6\n" +
			"if something fails.\n\n" +
			"If no daemon answers it looks at the socket, at who asks, and at the configuration\n" +
			"that the next one would have: that of --config or --state-dir, or those at the\n" +
			"usual places.",
		ask: func(c *control.Client, ctx context.Context, _ control.Filter) iter.Seq2[control.Check, error] {
			rows, err := p.look(ctx, c, s.socket)
			worst = doctor.Worst(rows)
			return func(yield func(control.Check, error) bool) {
				for _, r := range rows {
					if !yield(r, nil) {
						return
					}
				}
				if err != nil {
					yield(control.Check{}, err)
				}
			}
		},
		print: printChecks,
		verdict: func() error {
			if worst == control.CheckFail {
				return &coded{exitUnhealthy, errors.New("unhealthy: see the lines that begin with FAIL")}
			}
			return nil
		},
	})
	s.addFlags(cmd)
	cmd.Flags().StringVar(&p.config, "config", "", "the `FILE` to look at if no daemon answers")
	cmd.Flags().StringVar(&p.stateDir, "state-dir", "", "the `DIR` with slots to look at if no daemon answers")
	return cmd
}

// look asks the daemon, or looks at why it cannot be asked.
func (p *patient) look(ctx context.Context, c *control.Client, socket string) (rows []control.Check, err error) {
	for r, err := range c.Doctor(ctx) {
		var refused *control.Error
		switch {
		case err == nil:
			rows = append(rows, r)
		case ctx.Err() != nil || errors.As(err, &refused):
			return rows, err
		default:
			return doctor.Outside(p.absent(socket, err)), nil
		}
	}
	return rows, nil
}

// absent gathers what can be known without a daemon.
func (p *patient) absent(socket string, why error) doctor.Absent {
	a := doctor.Absent{Socket: socket, Why: why, User: os.Geteuid()}
	if file, there := usual(p.config, usualConfig); there {
		_, _, err := wire.Load(file, time.Now())
		a.Files = append(a.Files, doctor.File{Path: file, Err: err})
	}
	if dir, there := usual(p.stateDir, defaultStateDir); there {
		d := doctor.StateDir{Path: dir}
		var names []string
		entries, err := os.ReadDir(dir)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		d.Slots, d.Err = doctor.SlotFiles(names), err
		a.StateDirs = append(a.StateDirs, d)
	}
	return a
}

// usual is what was named, or the usual path if something is there.
func usual(named, otherwise string) (path string, there bool) {
	if named != "" {
		return named, true
	}
	_, err := os.Stat(otherwise)
	return otherwise, err == nil
}

// printChecks prints the tree.
func printChecks(w io.Writer, bold bool, rows iter.Seq2[control.Check, error]) error {
	for r, err := range rows {
		if err != nil {
			return err
		}
		state := fmt.Sprintf("%-5s", r.State)
		if r.State == control.CheckFail {
			state = "FAIL "
		}
		if bold && r.State != control.CheckOK {
			state = "\x1b[1m" + state + "\x1b[0m"
		}
		line := state + " " + r.Part
		if r.Name != nil {
			line = state + "   " + printable(*r.Name)
		}
		if r.Found != "" {
			line += ": " + printable(r.Found)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
		if r.Do != nil {
			fmt.Fprintln(w, "          -> "+printable(*r.Do))
		}
	}
	return nil
}
