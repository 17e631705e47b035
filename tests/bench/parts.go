package main

import (
	"context"

	"spigate/tests/bench/inside"
	"spigate/tests/bench/pace"
	"spigate/tests/bench/path"
	"spigate/tests/bench/report"
	"spigate/tests/bench/tap"
)

// parts are all that is measured, in order. Those that goals are about come
// first.
func parts() []part {
	out := []part{{"hit path: the flow table in this process", func(_ context.Context, j *job) error {
		return inside.HitPath(j.rounds, j.flows, j.doc.Figures, j.out)
	}}}
	var all []path.Measured
	for _, s := range path.Sections() {
		out = append(out, part{"path: " + s.Title, func(ctx context.Context, j *job) error {
			m, err := path.Measure(ctx, s, path.Options{
				Binary: j.binary, Dir: j.dir, Rounds: j.rounds, Each: j.each, Flows: j.flows, Ways: j.ways, Progress: j.out,
			})
			all = append(all, m)
			j.add([]report.Table{m.Table()}, m.Missing)
			if err != nil {
				return err
			}
			path.Figures(all, j.doc.Figures)
			j.doc.Plot = path.Plot(all)
			return nil
		}})
	}
	return append(out,
		part{"pace: latency at half load, and lone pings", func(ctx context.Context, j *job) error {
			r, err := pace.Latency(ctx, j.pace(), j.doc.Figures)
			j.add(r.Tables, r.Missing)
			return err
		}},
		part{"pace: new flows a second", func(ctx context.Context, j *job) error {
			r, err := pace.SetUp(ctx, j.pace(), j.doc.Figures)
			j.add(r.Tables, r.Missing)
			return err
		}},
		part{"tap: between TAP devices", func(ctx context.Context, j *job) error {
			r, err := tap.Measure(ctx, tap.Options{Binary: j.binary, Dir: j.dir, Rounds: j.rounds, Each: j.each, Progress: j.out})
			j.add(r.Tables, r.Missing)
			return err
		}},
		part{"inside: parts of the router in this process", func(_ context.Context, j *job) error {
			return inside.Measure(min(j.rounds, 3), j.carrier, j.out)
		}},
		part{"beside: as hosts use it", asHostsUseIt},
	)
}

func (j *job) pace() pace.Options {
	return pace.Options{Binary: j.binary, Dir: j.dir, Rounds: j.rounds, Each: j.each, Progress: j.out}
}

// add prints tables and keeps them for the result, with what could not be
// measured.
func (j *job) add(tables []report.Table, missing []string) {
	for i := range tables {
		tables[i].Print(j.out)
	}
	j.doc.Tables = append(j.doc.Tables, tables...)
	j.doc.Missing = append(j.doc.Missing, missing...)
}
