package main

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// Statistics pages as tmsh prints them: a title, then tables of which each line
// has a label and numbers that stand under the headings at the right.

// tmshForm says how numbers and pages are written.
type tmshForm struct {
	raw      bool // numbers in full
	fieldFmt bool // one field on a line, under the names that tmsh's scripts use
}

// addFlags gives a command the flags of the form. They are words in tmsh, and
// flags here.
func (f *tmshForm) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.raw, "raw", false, "numbers in full, not as 36.1K")
	cmd.Flags().BoolVar(&f.fieldFmt, "field-fmt", false, "one field on a line, for scripts")
}

// number prints a count: below 1000 as it is, above with one decimal and K, M,
// G or T for powers of 1000 (VR40).
func (f *tmshForm) number(n uint64) string {
	if f.raw || n < 1000 {
		return number(n)
	}
	unit := uint64(1000)
	for _, letter := range []string{"K", "M", "G", "T"} {
		tenths := n / (unit / 10)
		if n%(unit/10) >= unit/20 {
			tenths++
		}
		if tenths < 10_000 || letter == "T" {
			return fmt.Sprintf("%d.%d%s", tenths/10, tenths%10, letter)
		}
		unit *= 1000
	}
	return number(n) // not reached: T takes everything
}

// page is one object's, while it is written.
type page struct{ strings.Builder }

// pageWidth is how wide the rule is above and below a title.
const pageWidth = 66

// title begins a page, as "Ltm::Virtual Server: ipsec-2".
func (p *page) title(kind, name string) {
	rule := strings.Repeat("-", pageWidth)
	fmt.Fprintf(p, "%s\n%s: %s\n%s\n", rule, kind, printable(name), rule)
}

// facts adds a heading and lines of the form "label : value".
func (p *page) facts(heading string, facts [][2]string) {
	p.WriteString(heading + "\n")
	for _, f := range facts {
		fmt.Fprintf(p, "  %-16s : %s\n", f[0], printable(f[1]))
	}
}

// table adds lines of a label and cells below a heading and those of the
// columns. A column ends at ends at least; what is wider moves it to the right.
func (p *page) table(ends []int, headings []string, lines [][]string) {
	ends = slices.Clone(ends)
	label := len(headings[0])
	for _, l := range lines {
		label = max(label, len(l[0])+2)
	}
	for i := range ends {
		for _, l := range append(lines, headings) {
			if i+1 < len(l) {
				ends[i] = max(ends[i], label+2+len(l[i+1]))
			}
		}
		label = ends[i]
	}
	p.line(ends, headings)
	for _, l := range lines {
		p.line(ends, append([]string{"  " + l[0]}, l[1:]...))
	}
}

func (p *page) line(ends []int, cells []string) {
	width := len(cells[0])
	p.WriteString(cells[0])
	for i, cell := range cells[1:] {
		fmt.Fprintf(p, "%*s", ends[i]-width, cell)
		width = ends[i]
	}
	p.WriteByte('\n')
}

// field is a line of --field-fmt.
type field struct{ name, value string }

// writeFields prints an object as tmsh's field-fmt has it.
func writeFields(w io.Writer, kind, name string, fields []field) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s {\n", kind, printable(name))
	for _, f := range fields {
		fmt.Fprintf(&b, "    %s %s\n", f.name, f.value)
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// pagesOf prints a page for each row with an empty line between two, or the
// fields of each.
func pagesOf[T any](form *tmshForm, one func(io.Writer, *tmshForm, *T) error) func(io.Writer, bool, iter.Seq2[T, error]) error {
	return func(w io.Writer, _ bool, rows iter.Seq2[T, error]) error {
		gap := ""
		for row, err := range rows {
			if err != nil {
				return err
			}
			if _, err := io.WriteString(w, gap); err != nil {
				return err
			}
			if err := one(w, form, &row); err != nil {
				return err
			}
			if !form.fieldFmt {
				gap = "\n"
			}
		}
		return nil
	}
}

// pageCommand makes the command of a view that is printed as pages.
func pageCommand[T any](s *shower, v view[T], one func(io.Writer, *tmshForm, *T) error) *cobra.Command {
	form := &tmshForm{}
	v.print = pagesOf(form, one)
	return s.withForm(form, command(s, v))
}

// withForm gives a command the flags of the form.
func (s *shower) withForm(form *tmshForm, cmd *cobra.Command) *cobra.Command {
	form.addFlags(cmd)
	inner := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if s.json && (form.raw || form.fieldFmt) {
			return usagef("--json has its own form: not with --raw or --field-fmt")
		}
		return inner(cmd, args)
	}
	return cmd
}

// trafficLines are the lines of a page's traffic table that NAT and SNAT have,
// too, by the MIB.
func trafficLines(form *tmshForm, t *control.LTMTraffic) [][]string {
	n := form.number
	return [][]string{
		{"Bits In", n(t.BitsIn)}, {"Bits Out", n(t.BitsOut)}, {"Packets In", n(t.PacketsIn)}, {"Packets Out", n(t.PacketsOut)},
		{"Current Connections", n(t.Current)}, {"Maximum Connections", n(t.Maximum)}, {"Total Connections", n(t.Total)},
	}
}

// trafficFields are the same as fields of one side, in the order of names.
func trafficFields(form *tmshForm, side string, t *control.LTMTraffic) []field {
	n := form.number
	return []field{
		{side + ".bits-in", n(t.BitsIn)}, {side + ".bits-out", n(t.BitsOut)}, {side + ".cur-conns", n(t.Current)},
		{side + ".max-conns", n(t.Maximum)}, {side + ".pkts-in", n(t.PacketsIn)}, {side + ".pkts-out", n(t.PacketsOut)},
		{side + ".tot-conns", n(t.Total)},
	}
}
