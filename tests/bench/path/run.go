package path

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"spigate/tests/bench/bed"
	"spigate/tests/bench/report"
)

// Options say how much is measured.
type Options struct {
	Binary   string // of spigate
	Dir      string // for files
	Rounds   int
	Each     time.Duration  // how long one measurement sends
	Flows    int            // lines with more flows are left out
	Ways     *regexp.Regexp // lines whose way does not match are left out; nil: none
	Progress io.Writer      // a line for each step
}

// Result is a line with what its rounds gave.
type Result struct {
	Line
	Floods []Flood
}

// Measured is a section with its results, in the plan's order; lines that were
// left out or could not be measured are not there.
type Measured struct {
	Section
	Results []*Result
	Missing []string // what could not be measured, and why
}

// run is a section that is being measured.
type run struct {
	Measured
	o      Options
	lanes  map[Line]*Lane
	failed map[Line]bool
}

// lane is the line's key among lanes: lines that differ in their draw alone
// share one.
func (l Line) lane() Line {
	l.Draw = Uniform
	return l
}

// Measure lays out the lines of a section and measures them in turns. It is an
// error only if ctx has ended; what cannot be measured is in Missing.
func Measure(ctx context.Context, s Section, o Options) (Measured, error) {
	r := &run{Measured: Measured{Section: s}, o: o, lanes: map[Line]*Lane{}, failed: map[Line]bool{}}
	defer r.close()
	for _, line := range s.Lines {
		if line.Flows > o.Flows || ctx.Err() != nil || o.Ways != nil && !o.Ways.MatchString(line.Way) {
			continue
		}
		if err := r.open(ctx, line); err != nil {
			r.miss(line, err)
			continue
		}
		r.Results = append(r.Results, &Result{Line: line})
	}
	for i := range o.Rounds {
		fmt.Fprintf(o.Progress, "%s: round %d of %d\n", s.Title, i+1, o.Rounds)
		r.round(ctx, i)
	}
	r.Results = slices.DeleteFunc(r.Results, func(res *Result) bool { return r.failed[res.lane()] })
	return r.Measured, ctx.Err()
}

func (r *run) close() {
	for line, l := range r.lanes {
		if err := l.Close(); err != nil {
			r.Missing = append(r.Missing, fmt.Sprintf("%s, %v: at the end: %v", r.Title, line, err))
		}
	}
}

// miss says once for each lane why it is not measured.
func (r *run) miss(line Line, err error) {
	if !r.failed[line.lane()] {
		r.Missing = append(r.Missing, fmt.Sprintf("%s: %v", r.Title, err))
	}
	r.failed[line.lane()] = true
}

var errFailed = errors.New("the lane failed before")

func (r *run) open(ctx context.Context, line Line) error {
	switch {
	case r.failed[line.lane()]:
		return errFailed
	case r.lanes[line.lane()] != nil:
		return nil
	}
	i := slices.IndexFunc(Ways(), func(v bed.Variant) bool { return v.Name == line.Way })
	if i < 0 {
		return fmt.Errorf("%s: there is no such way", line.Way)
	}
	fmt.Fprintf(r.o.Progress, "%s: opening %s, %s, %d flows\n", r.Title, line.Way, line.Place, line.Flows)
	l, err := Open(ctx, Ways()[i], bed.Setup{
		Traffic: bed.Traffic{Proto: r.Proto, Flows: line.Flows, Length: r.Length}, Place: line.Place, Binary: r.o.Binary,
		Dir: filepath.Join(r.o.Dir, fmt.Sprintf("%d-%d-%d", r.Proto, r.Length, len(r.lanes))),
	})
	if err == nil {
		r.lanes[line.lane()] = l
	}
	return err
}

// round measures each line once, in the plan's order and the other way round in
// turns: a machine that slows down slows down nobody more than others.
func (r *run) round(ctx context.Context, i int) {
	order := slices.Clone(r.Results)
	if i%2 == 1 {
		slices.Reverse(order)
	}
	for _, res := range order {
		if ctx.Err() != nil || r.failed[res.lane()] {
			continue
		}
		l := r.lanes[res.lane()]
		err := l.Prepare(ctx, res.Draw)
		var f Flood
		if err == nil {
			f, err = l.Flood(ctx, r.o.Each, 0)
		}
		if err != nil {
			r.miss(res.Line, err)
			continue
		}
		res.Floods = append(res.Floods, f)
	}
}

// mostSlow is the share of packets that may go another way than the one that is
// measured before the line is void.
const mostSlow = 0.002

// Slow is the median of the shares that went another way.
func (r *Result) Slow() float64 {
	return report.Median(r.values(func(f Flood) float64 { return f.Slow }))
}

// Void reports whether the line counts for nothing: too much has not gone the
// way that it is about.
func (r *Result) Void() bool { return r.Slow() > mostSlow }

func (r *Result) values(of func(Flood) float64) (out []float64) {
	for _, f := range r.Floods {
		out = append(out, of(f))
	}
	return out
}

// Arrived are the rounds' rates, in packets a second.
func (r *Result) Arrived() []float64 {
	return r.values(func(f Flood) float64 { return f.Arrived })
}

// Path are the rounds' CPU times of the whole path for each packet, in
// nanoseconds; none where they cannot be told.
func (r *Result) Path() []float64 {
	return nonzero(r.values(func(f Flood) float64 { return f.Path }))
}

// Own are the rounds' CPU times of the forwarder's process for each packet, in
// nanoseconds.
func (r *Result) Own() []float64 { return nonzero(r.values(func(f Flood) float64 { return f.Own })) }

func nonzero(values []float64) []float64 {
	if slices.Contains(values, 0) {
		return nil
	}
	return values
}
