package main

import (
	"context"

	"spigate/tests/bench/inside"
	"spigate/tests/bench/path"
)

// parts are all that is measured, in order. Those that goals are about come
// first.
func parts() []part {
	var out []part
	var all []path.Measured
	for _, s := range path.Sections() {
		out = append(out, part{"path: " + s.Title, func(ctx context.Context, j *job) error {
			m, err := path.Measure(ctx, s, path.Options{
				Binary: j.binary, Dir: j.dir, Rounds: j.rounds, Each: j.each, Flows: j.flows, Ways: j.ways, Progress: j.out,
			})
			if err != nil {
				return err
			}
			all = append(all, m)
			t := m.Table()
			t.Print(j.out)
			j.doc.Tables = append(j.doc.Tables, t)
			j.doc.Missing = append(j.doc.Missing, m.Missing...)
			path.Figures(all, j.doc.Figures)
			j.doc.Plot = path.Plot(all)
			return nil
		}})
	}
	return append(out,
		part{"inside: parts of the router in this process", func(_ context.Context, j *job) error {
			return inside.Measure(min(j.rounds, 3), j.carrier, j.out)
		}},
		part{"beside: as hosts use it", asHostsUseIt},
	)
}
