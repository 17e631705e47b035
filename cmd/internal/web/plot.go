//go:build !noweb

package web

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// The coordinates of a plot, which the browser stretches over its room.
const (
	plotWide = 720.0
	plotHigh = 120.0
)

// plot is a drawing of the last hour, as the template "plot" has it.
type plot struct {
	Title, Unit string
	Top         string // what the upper edge stands for
	Lines       []plotLine
	Empty       bool // there is nothing to draw yet
}

// plotLine is a curve with what it is now. Class names its colour.
type plotLine struct {
	Class, Name, Now string
	Path, Area       string
}

// curve is a value at times. NaN is a gap.
type curve struct {
	class, name string
	values      []float64
}

// draw makes a plot of curves over the same times.
func draw(title, unit string, times []time.Time, curves ...curve) plot {
	top := 0.0
	for _, c := range curves {
		for _, v := range c.values {
			if v > top { // false for NaN
				top = v
			}
		}
	}
	top = roundUp(top)
	out := plot{Title: title, Unit: unit, Top: short(top), Empty: len(times) < 2}
	for _, c := range curves {
		line := plotLine{Class: c.class, Name: c.name, Now: "-"}
		if n := len(c.values); n > 0 && !math.IsNaN(c.values[n-1]) {
			line.Now = short(c.values[n-1])
		}
		line.Path, line.Area = trace(times, c.values, top)
		out.Lines = append(out.Lines, line)
	}
	return out
}

// trace is a curve in SVG, and the area under it. The right edge is the newest
// time, the left one an hour before.
func trace(times []time.Time, values []float64, top float64) (line, area string) {
	var l, a strings.Builder
	begun, lastX := false, 0.0
	for i, v := range values {
		x := plotWide - plotWide*times[len(times)-1].Sub(times[i]).Seconds()/sampleSpan.Seconds()
		if math.IsNaN(v) || x < 0 {
			continue
		}
		y := plotHigh - plotHigh*v/top
		if !begun {
			fmt.Fprintf(&l, "M%.1f %.1f", x, y)
			fmt.Fprintf(&a, "M%.1f %.0fL%.1f %.1f", x, plotHigh, x, y)
		} else {
			fmt.Fprintf(&l, "L%.1f %.1f", x, y)
			fmt.Fprintf(&a, "L%.1f %.1f", x, y)
		}
		begun, lastX = true, x
	}
	if begun {
		fmt.Fprintf(&a, "L%.1f %.0fZ", lastX, plotHigh)
	}
	return l.String(), a.String()
}

// roundUp is the next of 1, 2 and 5 times a power of ten.
func roundUp(v float64) float64 {
	if v <= 1 || math.IsInf(v, 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 5} {
		if v <= step*power {
			return step * power
		}
	}
	return 10 * power
}

// rates turns counters into what they grew by in a second. Where a counter is
// smaller than before it was cleared, and there is a gap.
func rates(all []sample, of func(*sample) uint64) []float64 {
	out := make([]float64, 0, len(all))
	for i := 1; i < len(all); i++ {
		was, is := of(&all[i-1]), of(&all[i])
		seconds := all[i].at.Sub(all[i-1].at).Seconds()
		if is < was || seconds <= 0 {
			out = append(out, math.NaN())
			continue
		}
		out = append(out, float64(is-was)/seconds)
	}
	return out
}
