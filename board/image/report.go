package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Budgets in bytes. A part over its budget is marked; tests of the binary's
// size fail by themselves.
const (
	budgetBinary    = 12_000_000
	budgetBinaryXZ  = 3_500_000
	budgetKernel    = 6_000_000
	budgetInitramfs = 5_000_000
	budgetFlash     = 16 << 20
)

// report is the table of sizes: parts against budgets, then each kernel module.
func report(bin *routerBinary, binXZ int, k *kernel, cost []moduleCost, all []output) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "part\tbytes\tbudget\t\t")
	row := func(name string, n, budget int) {
		mark := ""
		if n > budget {
			mark = fmt.Sprintf("%.1f MB over", float64(n-budget)/1e6)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t\n", name, n, budget, mark)
	}
	row("spigate", len(bin.data), budgetBinary)
	row("spigate, xz", binXZ, budgetBinaryXZ)
	budgets := map[string]int{"vmlinuz": budgetKernel, "initramfs": budgetInitramfs, "flash.img": budgetFlash}
	for _, o := range all {
		if budget, ok := budgets[o.name]; ok {
			row(o.name, len(o.data), budget)
		}
	}
	w.Flush()
	fmt.Fprintf(&b, "\nkernel modules of %s (bytes before packing)\n", k.modules.Release)
	w = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	total := 0
	for _, c := range cost {
		by := "every board"
		if len(c.by) > 0 {
			by = strings.Join(c.by, ", ")
		}
		total += c.bytes
		fmt.Fprintf(w, "  %s\t%8d\t%s\n", c.name, c.bytes, by)
	}
	fmt.Fprintf(w, "  in all\t%8d\t\n", total)
	w.Flush()
	return b.String()
}
