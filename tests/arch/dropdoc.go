package arch

import (
	"fmt"
	"strings"

	"spigate/netstack/drop"
)

// DropReasonsFile is generated from the table of package drop.
const DropReasonsFile = "docs/drop-reasons.md"

// DropReasons writes the page of all reasons for which a frame may be dropped.
func DropReasons() string {
	var b strings.Builder
	b.WriteString(`# Drop reasons

Every frame that does not go on is counted under one of these words: in ` + "`spigate show drops`" + `, in logs and in JSON.
The words are stable. This page is written by ` + "`go test ./tests/arch -run DropReasons -update`" + ` from ` + "`netstack/drop/table.go`" + `.

| word | what happened | what to do | rule |
|---|---|---|---|
`)
	for r := drop.None + 1; r < drop.NumReasons; r++ {
		in := r.Info()
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", in.Word, cell(in.Means), cell(in.Do), cell(in.Rule))
	}
	return b.String()
}

// cell keeps a text inside its cell.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
