package load

import (
	"context"
	"fmt"
	"math"
	"time"

	"spigate/tests/bench/traffic"
)

// Way is a way that is laid out, with what sends and counts at its ends.
type Way struct {
	Name      string
	Generator *traffic.Generator
	Sink      *traffic.Sink
	CPU       int // which generates

	// Worked is the processor time that the forwarder's process has taken so
	// far; nil if it has none.
	Worked func() (time.Duration, error)
}

// Trial is what one rate came to.
type Trial struct {
	Offered             float64       // packets a second that were really sent
	Lost                float64       // share of them that did not arrive, or arrived wrong
	Wrong               uint64        // that arrived with another source than they must have
	Min, P50, P99, P999 time.Duration // one way
}

// Offer sends for about d at a rate, packets a second, and looks at what
// arrived.
func (w *Way) Offer(ctx context.Context, rate float64, d time.Duration) (t Trial, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", w.Name, err)
		}
	}()
	if rate <= 0 {
		return t, fmt.Errorf("offer %v packets a second", rate)
	}
	if err := w.Sink.Clear(); err != nil {
		return t, err
	}
	sent, err := w.Generator.Run(ctx, traffic.Load{Frames: math.MaxInt64, For: d, Rate: rate, CPU: w.CPU})
	if err != nil {
		return t, err
	}
	got, err := w.settle(ctx)
	if err != nil {
		return t, err
	}
	ages, err := w.Sink.Ages()
	if err != nil {
		return t, err
	}
	return Trial{
		Offered: sent.Rate(), Lost: 1 - float64(got.Arrived)/max(1, float64(sent.Frames)), Wrong: got.Wrong,
		Min: ages.Quantile(0), P50: ages.Quantile(0.5), P99: ages.Quantile(0.99), P999: ages.Quantile(0.999),
	}, nil
}

// quiet is how long nothing may arrive until everything has arrived.
const quiet = 20 * time.Millisecond

// settle waits until nothing arrives any more.
func (w *Way) settle(ctx context.Context) (last traffic.Counts, err error) {
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	for first := true; ; first = false {
		c, err := w.Sink.Counts()
		if err != nil || !first && c == last {
			return c, err
		}
		last = c
		select {
		case <-tick.C:
		case <-ctx.Done():
			return c, ctx.Err()
		}
	}
}
