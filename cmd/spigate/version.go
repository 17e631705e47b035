package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

func (a *app) newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print what this binary was built from",
		Example: exampleText("version", "version --json"),
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return printJSON(a.out, local(control.BuildVersion()))
			}
			_, err := fmt.Fprintln(a.out, versionLine())
			return err
		},
	}
}

// versionLine is the version for people.
func versionLine() string {
	v := control.BuildVersion()
	line := "spigate " + v.Version
	if len(v.Revision) >= 12 {
		line += " " + v.Revision[:12]
	}
	if v.Modified {
		line += " modified"
	}
	return fmt.Sprintf("%s (%s %s/%s)", line, v.Go, v.OS, v.Arch)
}
