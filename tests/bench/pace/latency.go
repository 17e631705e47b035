package pace

import (
	"context"
	"fmt"
	"slices"
	"time"

	"spigate/netstack/frame"
	"spigate/tests/bench/bed"
	"spigate/tests/bench/load"
	"spigate/tests/bench/path"
	"spigate/tests/bench/report"
)

// latencyTraffic is what latency is measured with.
var latencyTraffic = bed.Traffic{Proto: frame.ProtoESP, Flows: 1000, Length: 100}

// judged are the ways that the goal compares; half of the slower one's rate
// without loss is what all are offered. beside are offered it, too. Where all is
// on one core, XDP takes the place of AF_PACKET.
func judged() []line {
	return []line{{path.Forward, bed.TwoCores}, {path.FastPath, bed.TwoCores}, {path.Forward, bed.OneCore}, {path.XDP, bed.OneCore}}
}

func beside() []line {
	return []line{{path.Masquerade, bed.TwoCores}, {path.Loop, bed.TwoCores}, {path.Masquerade, bed.OneCore}, {path.Redirect, bed.OneCore}}
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
	all := o.open(ctx, &r, append(judged(), beside()...))
	defer func() {
		for _, l := range all {
			if err := l.Close(); err != nil {
				r.miss("latency, at the end", err)
			}
		}
	}()
	for _, place := range []bed.Place{bed.TwoCores, bed.OneCore} {
		here := func(lines []line) (out []*lane) {
			for _, l := range all {
				if l.place == place && slices.Contains(lines, l.line) {
					out = append(out, l)
				}
			}
			return out
		}
		if err := o.atHalfLoad(ctx, &r, here(judged()), here(beside()), figures); err != nil {
			return r, err
		}
	}
	return r, o.pings(ctx, &r, all)
}

// lane is a line that is laid out.
type lane struct {
	line
	*path.Lane
}

// open lays out lines with their flows; those that cannot be are missing.
func (o *Options) open(ctx context.Context, r *Result, want []line) (lanes []*lane) {
	for i, l := range want {
		if ctx.Err() != nil {
			break
		}
		v, err := wayNamed(l.way)
		var opened *path.Lane
		if err == nil {
			o.say("latency: opening %v", l)
			opened, err = path.Open(ctx, v, o.setup(l, latencyTraffic, fmt.Sprint("latency-", i)))
		}
		if err != nil {
			r.miss("latency", err)
			continue
		}
		lanes = append(lanes, &lane{l, opened})
	}
	return lanes
}

// prepare sets the flows of lanes, and returns those that still have theirs.
func (o *Options) prepare(ctx context.Context, r *Result, lanes []*lane) (ready []*lane, ways []*load.Way) {
	for _, l := range lanes {
		if err := l.Prepare(ctx, path.Uniform); err != nil {
			r.miss("latency", err)
			continue
		}
		ready, ways = append(ready, l), append(ways, asWay(l.line, l.Lane))
	}
	return ready, ways
}

// atHalfLoad measures the lanes of one place together.
func (o *Options) atHalfLoad(ctx context.Context, r *Result, judged, beside []*lane, figures report.Figures) error {
	judged, ways := o.prepare(ctx, r, judged)
	beside, others := o.prepare(ctx, r, beside)
	if len(ways) == 0 {
		return ctx.Err()
	}
	o.say("latency, %v: looking for the rate without loss", judged[0].place)
	s := load.Usual(max(o.Each/2, 10*time.Millisecond))
	got, err := load.AtHalfLoad(ctx, ways, s, o.Rounds, o.Each, others...)
	if err != nil {
		r.miss("latency", err)
		return ctx.Err()
	}
	r.Tables = append(r.Tables, latencyTable(append(judged, beside...), got))
	if kernel, ours := at(judged, path.Forward), at(judged, path.FastPath); kernel >= 0 && ours >= 0 {
		figures.Set(report.LatencyToKernel, report.Ratios(p99(got.Rounds[ours]), p99(got.Rounds[kernel])))
	}
	return nil
}

func at(lanes []*lane, way string) int {
	return slices.IndexFunc(lanes, func(l *lane) bool { return l.way == way })
}

func p99(of []load.Trial) []float64 {
	return values(of, func(t load.Trial) float64 { return float64(t.P99) })
}

func latencyTable(lanes []*lane, l load.Latencies) report.Table {
	t := report.Table{
		Title: fmt.Sprintf("One-way latency at half load, %v, %v", latencyTraffic, lanes[0].place),
		Head:  []string{"way", "loss-free kpps", "offered kpps", "lost", "least µs", "median µs", "99 % µs", "99.9 % µs"},
		Note: fmt.Sprintf("All are offered %.0f kpps by the same pacer, half of what the slower one of the first two carries; the time is written where a frame is made "+
			"and read where it is dropped.", l.Rate/1e3),
	}
	for i, lane := range lanes {
		of := l.Rounds[i]
		t.Row(lane.way, fmt.Sprintf("%.0f", l.LossFree[i]/1e3),
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
func (o *Options) pings(ctx context.Context, r *Result, lanes []*lane) error {
	t := report.Table{
		Title: fmt.Sprintf("Round trip of a ping when all is idle, %d of them, %v between two", pings, pause),
		Head:  []string{"way", "cores", "least µs", "median µs", "99 % µs"},
	}
	for _, l := range lanes {
		if l.way == path.Loop || l.way == path.Redirect || ctx.Err() != nil { // these go one way only
			continue
		}
		o.say("ping: %v", l.line)
		trips, err := ping(ctx, l.Lane)
		if err != nil {
			r.miss("ping, "+l.line.String(), err)
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
