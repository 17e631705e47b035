package report

import (
	"fmt"
	"math"
	"slices"
)

// Median returns the middle of values, the lower one of two, or 0 for none.
func Median(values []float64) float64 { return Quantile(values, 0.5) }

// Quantile returns the smallest value that at least the share q of values do
// not exceed, or 0 for none.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(at, 0), len(sorted)-1)]
}

// Spread returns the lowest and the highest value, nothing for no values.
func Spread(values []float64) []float64 {
	if len(values) == 0 {
		return []float64{}
	}
	return []float64{slices.Min(values), slices.Max(values)}
}

// Ratios divides a by b, round by round: what a slow minute of the machine does
// to both of a round cancels. Rounds without a b are left out.
func Ratios(a, b []float64) []float64 {
	out := []float64{}
	for i := range min(len(a), len(b)) {
		if b[i] != 0 {
			out = append(out, a[i]/b[i])
		}
	}
	return out
}

// Ratio prints a/b, or a dash if there is no b.
func Ratio(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}
