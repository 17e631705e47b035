package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"spigate/board"
	"spigate/cmd/internal/wire"
	"spigate/configs"
)

func (a *app) newCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Find all faults of a configuration file",
		Long: "Reads a configuration file and changes nothing. Faults and warnings go to\n" +
			"stderr, each as file:line:col: path: text. The exit code is 5 if there is a\n" +
			"fault; warnings alone are fine.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("want one FILE, not %d", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.check(args[0]) },
	}
}

func (a *app) check(file string) error {
	_, warnings, err := load(file)
	if err != nil && len(configs.Faults(err)) == 0 {
		return err // the file could not be read at all
	}
	if a.json {
		return a.checkJSON(warnings, err)
	}
	printWarnings(a.errs, warnings)
	if err != nil {
		return err // report prints the faults
	}
	_, err = fmt.Fprintf(a.out, "%s: ok\n", file)
	return err
}

// load reads a configuration, and asks those who would run it. It returns what
// "check" prints and what the daemon logs.
func load(file string) (*configs.Config, []configs.Warning, error) {
	c, warnings, err := configs.LoadWith(file, wire.LoadOptions(os.DirFS("/proc")))
	if err != nil {
		return nil, warnings, err
	}
	more, faults := wire.Check(c, time.Now())
	warnings = append(warnings, more...)
	if b, err := boardOf(c); err == nil { // the loading has judged the name
		more, wrong := wire.CheckBoard(c, b)
		warnings, faults = append(warnings, more...), append(faults, wrong...)
	}
	slices.SortStableFunc(warnings, func(a, b configs.Warning) int { return cmp.Compare(a.Line, b.Line) })
	if len(faults) > 0 {
		return nil, warnings, errors.Join(faults...)
	}
	return c, warnings, nil
}

// boardOf is the board that c is for.
func boardOf(c *configs.Config) (board.Board, error) {
	return wire.BoardOf(c.Board.Model, os.DirFS("/proc"))
}

// printWarnings tells warnings, each on its line.
func printWarnings(w io.Writer, warnings []configs.Warning) {
	for _, warning := range warnings {
		fmt.Fprintln(w, warning)
	}
}

// finding is a row of "check --json".
type finding struct {
	Severity string `json:"severity"` // error or warning
	File     string `json:"file"`
	Line     int    `json:"line"`
	Col      int    `json:"col"`
	Path     string `json:"path"`
	Text     string `json:"text"`
}

func (a *app) checkJSON(warnings []configs.Warning, faulty error) error {
	var found []finding
	for _, f := range configs.Faults(faulty) {
		found = append(found, finding{"error", f.File, f.Line, f.Col, f.Path, f.Text})
	}
	for _, w := range warnings {
		found = append(found, finding{"warning", w.File, w.Line, w.Col, w.Path, w.Text})
	}
	if err := printJSON(a.out, local(found...)); err != nil {
		return err
	}
	if faulty != nil {
		return &coded{exitConfigInvalid, errReported}
	}
	return nil
}
