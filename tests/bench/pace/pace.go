package pace

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"spigate/tests/bench/bed"
	"spigate/tests/bench/load"
	"spigate/tests/bench/path"
	"spigate/tests/bench/report"
)

// Options say how much is measured.
type Options struct {
	Binary   string // of spigate
	Dir      string // for files
	Rounds   int
	Each     time.Duration // how long one measurement sends
	Progress io.Writer     // a line for each step
}

// Result is what was measured, as far as it could be.
type Result struct {
	Tables  []report.Table
	Missing []string // what could not be measured, and why
}

func (r *Result) miss(what string, err error) {
	r.Missing = append(r.Missing, fmt.Sprintf("%s: %v", what, err))
}

// wayNamed finds one of package path's ways.
func wayNamed(name string) (bed.Variant, error) {
	i := slices.IndexFunc(path.Ways(), func(v bed.Variant) bool { return v.Name == name })
	if i < 0 {
		return bed.Variant{}, fmt.Errorf("%s: there is no such way", name)
	}
	return path.Ways()[i], nil
}

// line is a way and where its work is done.
type line struct {
	way   string
	place bed.Place
}

func (l line) String() string { return fmt.Sprintf("%s, %v", l.way, l.place) }

// setup is how a line is laid out; n tells folders apart.
func (o *Options) setup(l line, t bed.Traffic, n string) bed.Setup {
	return bed.Setup{Traffic: t, Place: l.place, Binary: o.Binary, Dir: filepath.Join(o.Dir, "pace-"+n)}
}

// asWay is an open lane as package load measures it.
func asWay(l line, lane *path.Lane) *load.Way {
	return &load.Way{
		Name: l.String(), Generator: lane.Generator, Sink: lane.Sink, CPU: bed.SenderCPU, Worked: lane.Running.Worked,
	}
}

// values are what the trials of a line have.
func values[T any](of []T, value func(T) float64) (out []float64) {
	for _, v := range of {
		out = append(out, value(v))
	}
	return out
}

// microseconds prints a median with its spread.
func microseconds(v []float64) string { return report.Ranged(v, 1e-3, 1) }

func (o *Options) say(format string, args ...any) { fmt.Fprintf(o.Progress, format+"\n", args...) }
