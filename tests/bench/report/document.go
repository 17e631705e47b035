package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// Table is a table for people, in a terminal and in Markdown.
type Table struct {
	Title string
	Head  []string
	Rows  [][]string
	Note  string // below it, may be ""
}

// Row adds one.
func (t *Table) Row(cells ...string) { t.Rows = append(t.Rows, cells) }

// Print writes the table for a terminal. An error of out shows in what follows.
func (t *Table) Print(out io.Writer) {
	if t.Title != "" {
		fmt.Fprintln(out, t.Title)
	}
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	for _, r := range append([][]string{t.Head}, t.Rows...) {
		fmt.Fprintln(w, strings.TrimRight(strings.Join(r, "\t"), "\t"))
	}
	w.Flush()
	if t.Note != "" {
		fmt.Fprintln(out, t.Note)
	}
	fmt.Fprintln(out)
}

// Markdown writes the table under a heading.
func (t *Table) Markdown(out io.Writer) {
	fmt.Fprintf(out, "## %s\n\n", t.Title)
	line := func(cells []string) {
		row := make([]string, len(t.Head))
		copy(row, cells)
		fmt.Fprintf(out, "| %s |\n", strings.Join(row, " | "))
	}
	line(t.Head)
	line(strings.Split(strings.TrimSuffix(strings.Repeat("---,", len(t.Head)), ","), ","))
	for _, r := range t.Rows {
		line(r)
	}
	fmt.Fprintln(out)
	if t.Note != "" {
		fmt.Fprintf(out, "%s\n\n", t.Note)
	}
}

// Document is all that one run has measured.
type Document struct {
	Machine string
	Rounds  int
	Each    time.Duration
	Figures Figures
	Tables  []Table
	Missing []string // what could not be measured, and why
	Plot    Plot
}

// GoalTable says which goals are met.
func (d *Document) GoalTable() Table {
	t := Table{Title: "Goals", Head: []string{"measure", "goal", "median", "lowest to highest", "met"}}
	for _, m := range Measures(d.Figures) {
		value, spread, met := "not measured", "", "no"
		if m.Value != nil {
			value, spread = number(*m.Value), fmt.Sprintf("%s to %s", number(m.Spread[0]), number(m.Spread[1]))
		}
		if m.Met {
			met = "yes"
		}
		t.Row(m.Name, m.Goal, value, spread, met)
	}
	return t
}

// The files of a result, in its folder.
const (
	JSONFile     = "latest.json"
	MarkdownFile = "latest.md"
	PlotFile     = "latest.svg"
)

// Write makes the files of the result in a folder.
func (d *Document) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(struct {
		Version  int       `json:"version"`
		Measures []Measure `json:"measures"`
	}{1, Measures(d.Figures)}, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", JSONFile, err)
	}
	var md, svg strings.Builder
	d.markdown(&md)
	d.Plot.SVG(&svg)
	return errors.Join(
		os.WriteFile(filepath.Join(dir, JSONFile), append(text, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, MarkdownFile), []byte(md.String()), 0o644),
		os.WriteFile(filepath.Join(dir, PlotFile), []byte(svg.String()), 0o644),
	)
}

func (d *Document) markdown(out io.Writer) {
	fmt.Fprintf(out, "# What `make bench` measured\n\n%s.\n\n", d.Machine)
	fmt.Fprintf(out, "Medians of %d rounds in which every way was measured in turn, %v each, with the lowest and the highest round.\n", d.Rounds, d.Each)
	fmt.Fprintf(out, "A ratio is the median of the rounds' ratios. How it is measured stands in `tests/bench/README.md`.\n\n![plot](%s)\n\n", PlotFile)
	goals := d.GoalTable()
	goals.Markdown(out)
	if len(d.Missing) > 0 {
		fmt.Fprintf(out, "## Missing\n\n")
		for _, m := range d.Missing {
			fmt.Fprintf(out, "* %s\n", strings.ReplaceAll(m, "\n", " "))
		}
		fmt.Fprintln(out)
	}
	for i := range d.Tables {
		d.Tables[i].Markdown(out)
	}
}

// number prints with the digits that can mean something.
func number(v float64) string {
	switch {
	case v == float64(int64(v)) && v < 1e5:
		return fmt.Sprint(v)
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Ranged prints a median with its spread, times scale, with so many digits.
func Ranged(values []float64, scale float64, digits int) string {
	if len(values) == 0 {
		return "-"
	}
	s := Spread(values)
	return fmt.Sprintf("%.*f (%.*f to %.*f)", digits, Median(values)*scale, digits, s[0]*scale, digits, s[1]*scale)
}
