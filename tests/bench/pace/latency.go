package pace

import (
	"context"
	"fmt"
	"time"

	"spigate/netstack/frame"
	"spigate/tests/bench/bed"
	"spigate/tests/bench/load"
	"spigate/tests/bench/path"
	"spigate/tests/bench/report"
)

// latencyTraffic is what latency is measured with.
var latencyTraffic = bed.Traffic{Proto: frame.ProtoESP, Flows: 1000, Length: 100}

// latencyLines: the kernel first, which the goal compares with; spigate's fast
// path second. XDP and the bare loop stand beside them.
func latencyLines() []line {
	return []line{
		{path.Forward, bed.TwoCores}, {path.FastPath, bed.TwoCores}, {path.Masquerade, bed.TwoCores}, {path.Loop, bed.TwoCores},
		{path.Forward, bed.OneCore}, {path.XDP, bed.OneCore},
	}
}

// Pings of an idle way, and the pause between two of them.
const (
	pings = 100
	pause = 5 * time.Millisecond
)

// Latency measures one-way latency at half load, and lone pings. What the goal
// is about, spigate's 99th percentile over the kernel's in each round, goes into
// figures.
func Latency(ctx context.Context, o Options, figures report.Figures) (r Result, err error) {
	lines, lanes, end := o.open(ctx, &r, latencyLines())
	defer end()
	pair := map[bed.Place][]int{}
	for i, l := range lines {
		pair[l.place] = append(pair[l.place], i)
	}
	for _, place := range []bed.Place{bed.TwoCores, bed.OneCore} {
		if err := o.atHalfLoad(ctx, &r, pick(lines, pair[place]), pick(lanes, pair[place]), figures); err != nil {
			return r, err
		}
	}
	return r, o.pings(ctx, &r, lines, lanes)
}

func pick[T any](of []T, which []int) (out []T) {
	for _, i := range which {
		out = append(out, of[i])
	}
	return out
}

// open lays out lines with their flows; those that cannot be are missing.
func (o *Options) open(ctx context.Context, r *Result, want []line) (lines []line, lanes []*path.Lane, end func()) {
	for i, l := range want {
		if !until(ctx) {
			break
		}
		v, err := wayNamed(l.way)
		var lane *path.Lane
		if err == nil {
			o.say("latency: opening %v", l)
			lane, err = path.Open(ctx, v, o.setup(l, latencyTraffic, fmt.Sprint("latency-", i)))
		}
		if err != nil {
			r.miss("latency", err)
			continue
		}
		lines, lanes = append(lines, l), append(lanes, lane)
	}
	return lines, lanes, func() {
		for i := range lanes {
			if err := lanes[i].Close(); err != nil {
				r.miss("latency, at the end", err)
			}
		}
	}
}

// atHalfLoad measures the lines of one place together: half of the slowest
// one's rate is what all of them are offered.
func (o *Options) atHalfLoad(ctx context.Context, r *Result, lines []line, lanes []*path.Lane, figures report.Figures) error {
	var ways []*load.Way
	for i := range lanes {
		if err := lanes[i].Prepare(ctx, path.Uniform); err != nil {
			r.miss("latency", err)
			return ctx.Err()
		}
		ways = append(ways, asWay(lines[i], lanes[i]))
	}
	if len(ways) == 0 {
		return nil
	}
	o.say("latency, %v: looking for the rate without loss", lines[0].place)
	got, err := load.AtHalfLoad(ctx, ways, load.Usual(max(o.Each/2, 100*time.Millisecond)), o.Rounds, o.Each)
	if err != nil {
		r.miss("latency", err)
		return ctx.Err()
	}
	r.Tables = append(r.Tables, latencyTable(lines, got))
	if kernel, ours := at(lines, path.Forward), at(lines, path.FastPath); kernel >= 0 && ours >= 0 {
		figures.Set(report.LatencyToKernel, report.Ratios(p99(got.Rounds[ours]), p99(got.Rounds[kernel])))
	}
	return nil
}

func at(lines []line, way string) int {
	for i, l := range lines {
		if l.way == way {
			return i
		}
	}
	return -1
}

func p99(of []load.Trial) []float64 {
	return values(of, func(t load.Trial) float64 { return float64(t.P99) })
}

func latencyTable(lines []line, l load.Latencies) report.Table {
	t := report.Table{
		Title: fmt.Sprintf("One-way latency at half load, %v, %v", latencyTraffic, lines[0].place),
		Head:  []string{"way", "loss-free kpps", "offered kpps", "lost", "least µs", "median µs", "99 % µs", "99.9 % µs"},
		Note: fmt.Sprintf("All are offered half of the slowest one's rate without loss, %.0f kpps, by the same pacer; the time is written where a frame is made "+
			"and read where it is dropped.", l.Rate/1e3),
	}
	for i, line := range lines {
		of := l.Rounds[i]
		t.Row(line.way, fmt.Sprintf("%.0f", l.LossFree[i]/1e3),
			report.Ranged(values(of, func(t load.Trial) float64 { return t.Offered }), 1e-3, 0),
			fmt.Sprintf("%.2f %%", 100*report.Median(values(of, func(t load.Trial) float64 { return t.Lost }))),
			microseconds(values(of, func(t load.Trial) float64 { return float64(t.Min) })),
			microseconds(values(of, func(t load.Trial) float64 { return float64(t.P50) })),
			microseconds(p99(of)),
			microseconds(values(of, func(t load.Trial) float64 { return float64(t.P999) })))
	}
	return t
}

// pings measures round trips when nothing else is sent.
func (o *Options) pings(ctx context.Context, r *Result, lines []line, lanes []*path.Lane) error {
	t := report.Table{
		Title: fmt.Sprintf("Round trip of a ping when all is idle, %d of them, %v between two", pings, pause),
		Head:  []string{"way", "cores", "least µs", "median µs", "99 % µs"},
	}
	for i, l := range lines {
		if l.way == path.Loop || !until(ctx) { // it goes one way only
			continue
		}
		o.say("ping: %v", l)
		trips, err := ping(ctx, lanes[i])
		if err != nil {
			r.miss("ping, "+l.String(), err)
			continue
		}
		us := values(trips, func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 })
		t.Row(l.way, l.place.String(), fmt.Sprintf("%.0f", report.Quantile(us, 0)), fmt.Sprintf("%.0f", report.Median(us)), fmt.Sprintf("%.0f", report.Quantile(us, 0.99)))
	}
	r.Tables = append(r.Tables, t)
	return ctx.Err()
}

// ping asks the far host.
func ping(ctx context.Context, l *path.Lane) ([]time.Duration, error) {
	return load.Ping(ctx, l.Bed.Source, bed.Remote.Addr(), pings, pause)
}
