package pace

import (
	"context"
	"fmt"

	"spigate/netstack/frame"
	"spigate/tests/bench/bed"
	"spigate/tests/bench/load"
	"spigate/tests/bench/path"
	"spigate/tests/bench/report"
)

// New flows a second that are offered first, and at most; a way that sets up all
// of them is offered three times as many.
const (
	offeredFirst = 150_000
	offeredMost  = 450_000
)

// setUpLines: every flow's first packet takes spigate's slow path, with which
// driver ever; the kernel's forwarding has nothing to set up.
func setUpLines() []line {
	return []line{{path.FastPath, bed.TwoCores}, {path.Masquerade, bed.TwoCores}}
}

// SetUp measures new UDP flows of an LSN group in a second, each round on a
// router that has just been started, and beside it the kernel's masquerading.
func SetUp(ctx context.Context, o Options, figures report.Figures) (r Result, err error) {
	t := report.Table{
		Title: "New UDP flows set up in a second, one forwarding core",
		Head:  []string{"way", "offered", "set up", "µs of CPU each"},
		Note:  "One packet of each flow is sent; those that arrive are counted. CPU is the process's, what the kernel does for it included.",
	}
	lines := setUpLines()
	got := make([][]load.SetUp, len(lines))
	for round := range o.Rounds {
		for i, l := range lines {
			if ctx.Err() != nil {
				return r, ctx.Err()
			}
			o.say("new flows: %v, round %d of %d", l, round+1, o.Rounds)
			s, err := o.setUps(ctx, l, fmt.Sprint("setup-", i, "-", round))
			if err != nil {
				r.miss("new flows, "+l.String(), err)
				continue
			}
			got[i] = append(got[i], s)
		}
	}
	rate := func(s load.SetUp) float64 { return s.Rate }
	for i, l := range lines {
		t.Row(l.way, report.Ranged(values(got[i], func(s load.SetUp) float64 { return s.Offered }), 1, 0),
			report.Ranged(values(got[i], rate), 1, 0),
			report.Ranged(values(got[i], func(s load.SetUp) float64 { return s.Each.Seconds() * 1e6 }), 1, 1))
	}
	figures.Set(report.SetUpRate, values(got[0], rate))
	r.Tables = append(r.Tables, t)
	return r, ctx.Err()
}

// setUps measures one round of a line. The neighbours are known before: what is
// asked for first waits for ARP.
func (o *Options) setUps(ctx context.Context, l line, n string) (load.SetUp, error) {
	v, err := wayNamed(l.way)
	if err != nil {
		return load.SetUp{}, err
	}
	turn := 0
	open := func(flows int) (*load.Way, func() error, error) {
		turn++
		t := bed.Traffic{Proto: frame.ProtoUDP, Flows: flows, Length: 100}
		lane, err := path.Lay(ctx, v, o.setup(l, t, fmt.Sprint(n, "-", turn)))
		if err != nil {
			return nil, nil, err
		}
		if _, err := ping(ctx, lane); err != nil {
			return nil, nil, fmt.Errorf("%w, %w", err, lane.Close())
		}
		return asWay(l, lane), lane.Close, nil
	}
	return load.SetUps(ctx, open, offeredFirst, offeredMost, o.Each)
}
