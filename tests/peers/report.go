package peers

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// control is the column of Control.
const control = "masquerade"

// Cell is one row in one scenario.
type Cell struct {
	Row      Row
	Scenario Scenario
}

// Cells returns what is run: every row with traffic and every scenario in at
// least two rows, or with soak the full cross product.
func Cells(soak bool) []Cell {
	rows := Rows()
	var all []Cell
	for _, sc := range Scenarios() {
		for i, row := range rows {
			if soak || slices.Contains(sample(sc.Name), i) {
				all = append(all, Cell{row, sc})
			}
		}
	}
	return all
}

// sample names the rows, by index, in which a scenario is run when time is
// short; rows that must wait for a lifetime to rekey are left to soak.
func sample(scenario string) []int {
	switch scenario {
	case "traffic":
		return []int{0, 1, 2, 3, 4, 5}
	case "gateway first":
		return []int{0, 3}
	case "rekey busy":
		return []int{0, 4}
	case "rekey idle":
		return []int{4}
	case "dead peer":
		return []int{2}
	case "restart":
		return []int{1, 3}
	}
	return []int{2, 5}
}

// Matrix lays the results out as tables for people: rows, scenarios, and in
// each cell the verdict, the seconds, and a star where it is played without
// soak, too.
func Matrix(results []Result) string {
	short := map[[2]string]bool{}
	for _, c := range Cells(false) {
		short[[2]string{c.Row.Name, c.Scenario.Name}] = true
	}
	var rows, columns []string
	for _, row := range Rows() {
		rows = append(rows, row.Name)
		short[[2]string{row.Name, control}] = true
	}
	for _, sc := range Scenarios() {
		columns = append(columns, sc.Name)
	}
	text := table("clients-gateway", rows, append(columns, control), results, short)
	rows, columns = nil, nil
	for _, row := range EndRows() {
		rows = append(rows, row.Name())
	}
	for _, sc := range EndScenarios() {
		columns = append(columns, sc.Name)
	}
	for _, c := range EndCells(false) {
		short[[2]string{c.Row.Name(), c.Scenario.Name}] = true
	}
	return text + "\n" + table("ends of spigate's tunnels", rows, columns, results, short)
}

func table(corner string, rows, columns []string, results []Result, short map[[2]string]bool) string {
	cell := map[[2]string]string{}
	for _, r := range results {
		verdict := "pass"
		if r.Err != nil {
			verdict = "FAIL"
		}
		if r.Tries > 1 {
			verdict += " (2nd try)"
		}
		key := [2]string{r.Row, r.Scenario}
		cell[key] = fmt.Sprintf("%s %.0fs", verdict, r.Took.Seconds())
		if short[key] {
			cell[key] += " *"
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | %s |\n|---|%s\n", corner, strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |", row)
		for _, c := range columns {
			text := cell[[2]string{row, c}]
			if text == "" {
				text = "-"
			}
			fmt.Fprintf(&b, " %s |", text)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TimeTable lists how long the parts took.
func TimeTable(laps []Lap) string {
	var b strings.Builder
	total := time.Duration(0)
	for _, l := range laps {
		fmt.Fprintf(&b, "%7.1fs  %s\n", l.Took.Seconds(), l.Part)
		total += l.Took
	}
	fmt.Fprintf(&b, "%7.1fs  in all\n", total.Seconds())
	return b.String()
}
