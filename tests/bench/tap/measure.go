package tap

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"spigate/netstack/frame"
	"spigate/tests/bench/bed"
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

// row is one line of a table.
type row struct {
	way   string
	place bed.Place
}

// rows are what is measured between TAP devices; the first one is what the
// others are compared with.
func rows() []row {
	return []row{
		{path.Forward, bed.TwoCores}, {path.Masquerade, bed.TwoCores}, {path.SlowPath, bed.TwoCores},
		{path.FastPath, bed.TwoCores}, {path.Loop, bed.TwoCores}, {path.XDP, bed.OneCore},
	}
}

// flows is how many there are.
const flows = 1000

// Measure measures the rows in turns, for each length of packet.
func Measure(ctx context.Context, o Options) (r Result, err error) {
	for _, length := range []int{100, 1400} {
		if err := o.section(ctx, &r, length); err != nil {
			return r, err
		}
	}
	return r, nil
}

// section measures one length of packet.
func (o *Options) section(ctx context.Context, r *Result, length int) error {
	traffic := bed.Traffic{Proto: frame.ProtoESP, Flows: flows, Length: length}
	lanes := map[row]*lane{}
	defer func() {
		for w, l := range lanes {
			if err := l.close(); err != nil {
				r.Missing = append(r.Missing, fmt.Sprintf("TAP, %s, at the end: %v", w.way, err))
			}
		}
	}()
	for i, w := range rows() {
		fmt.Fprintf(o.Progress, "TAP, %d bytes: opening %s, %v\n", length, w.way, w.place)
		l, err := o.open(ctx, w, bed.Setup{
			Traffic: traffic, Place: w.place, Binary: o.Binary, Dir: filepath.Join(o.Dir, fmt.Sprintf("tap-%d-%d", length, i)),
		})
		if err != nil {
			r.Missing = append(r.Missing, err.Error())
			continue
		}
		lanes[w] = l
	}
	all := map[row][]flood{}
	for range o.Rounds {
		for _, w := range rows() {
			if ctx.Err() != nil || lanes[w] == nil {
				continue
			}
			f, err := lanes[w].flood(ctx, o.Each)
			if err != nil {
				r.Missing = append(r.Missing, fmt.Sprintf("TAP, %s: %v", w.way, err))
				continue
			}
			all[w] = append(all[w], f)
		}
	}
	r.Tables = append(r.Tables, o.table(traffic, all))
	return ctx.Err()
}

func (o *Options) open(ctx context.Context, w row, s bed.Setup) (*lane, error) {
	i := slices.IndexFunc(path.Ways(), func(v bed.Variant) bool { return v.Name == w.way })
	if i < 0 {
		return nil, fmt.Errorf("TAP: there is no way %q", w.way)
	}
	return open(ctx, path.Ways()[i], s)
}

// mostSlow is the share of packets that may go another way than the one that is
// measured before a row is void.
const mostSlow = 0.01

func (o *Options) table(t bed.Traffic, all map[row][]flood) report.Table {
	out := report.Table{
		Title: fmt.Sprintf("Between TAP devices, %v", t),
		Head:  []string{"way", "cores", "kpps offered", "kpps arrived", "Gbit/s", "ns of CPU a packet, process", "÷ ip_forward"},
		Note:  "A program writes and another one reads every frame by a system call of its own, on the sender's core: mostly, that is what is measured.",
	}
	arrived := func(w row) []float64 { return values(all[w], func(f flood) float64 { return f.arrived }) }
	for _, w := range rows() {
		if len(all[w]) == 0 {
			continue
		}
		if slow := report.Median(values(all[w], func(f flood) float64 { return f.slow })); slow > mostSlow {
			out.Row(w.way, w.place.String(), fmt.Sprintf("void: %.1f %% went another way", 100*slow))
			continue
		}
		own := ""
		if of := values(all[w], func(f flood) float64 { return float64(f.own) }); report.Median(of) > 0 {
			own = report.Ranged(of, 1, 0)
		}
		out.Row(w.way, w.place.String(), report.Ranged(values(all[w], func(f flood) float64 { return f.offered }), 1e-3, 0),
			report.Ranged(arrived(w), 1e-3, 0), fmt.Sprintf("%.2f", report.Median(arrived(w))*float64(t.Length)*8/1e9), own,
			fmt.Sprintf("%.2f", report.Median(report.Ratios(arrived(w), arrived(rows()[0])))))
	}
	return out
}

func values(of []flood, value func(flood) float64) (out []float64) {
	for _, f := range of {
		out = append(out, value(f))
	}
	return out
}
