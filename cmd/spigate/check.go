package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/wire"
	"spigate/configs"
)

func (a *app) newCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Find all faults of a configuration file",
		Long: "Reads a configuration file and changes nothing. Faults and warnings go to\n" +
			"stderr, each as file:line:col: path: text. The exit code is 5 if there is a\n" +
			"fault; warnings alone are fine.",
		Example: exampleText("check configs/examples/office.toml", "check /etc/spigate/spigate.toml --json"),
		Args:    oneFile,
		RunE:    func(_ *cobra.Command, args []string) error { return a.check(args[0]) },
	}
}

func (a *app) check(file string) error {
	_, warnings, err := wire.Load(file, time.Now())
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
