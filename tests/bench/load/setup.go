package load

import (
	"context"
	"fmt"
	"time"

	"spigate/tests/bench/traffic"
)

// SetUp is how fast a way sets up flows.
type SetUp struct {
	Offered float64       // new flows a second
	Rate    float64       // that were set up: their first packet arrived
	Each    time.Duration // of processor time that the forwarder's process took for one; 0 if it has none
	Flows   uint64        // that were set up
}

// saturated is the share of new flows that must be lost for the rate to be the
// way's and not the sender's.
const saturated = 0.05

// SetUps offers new flows for about d, more a second each time until the way does
// not set up all of them, and returns the last result. open lays the way out
// anew, without any flow: a generator must offer each flow once, in order, so it
// is for at least most flows. close ends the way.
func SetUps(ctx context.Context, open func(flows int) (w *Way, close func() error, err error), offered, most float64, d time.Duration) (s SetUp, err error) {
	for ; ; offered *= 3 {
		offered = min(offered, most)
		if s, err = setUp(ctx, open, offered, d); err != nil {
			return s, err
		}
		if offered == most || s.Rate < (1-saturated)*s.Offered {
			return s, nil
		}
	}
}

func setUp(ctx context.Context, open func(flows int) (*Way, func() error, error), offered float64, d time.Duration) (s SetUp, err error) {
	flows := min(int(offered*d.Seconds())+1, traffic.MaxFlows)
	w, end, err := open(flows)
	if err != nil {
		return s, fmt.Errorf("new flows: %w", err)
	}
	defer func() {
		if closeErr := end(); err == nil {
			err = closeErr
		}
	}()
	if s, err = w.fresh(ctx, flows, offered); err != nil {
		err = fmt.Errorf("%s: new flows: %w", w.Name, err)
	}
	return s, err
}

// fresh offers each flow once. What arrives when all has been sent counts as
// arrived, so that a queue that is emptied afterwards does not.
func (w *Way) fresh(ctx context.Context, flows int, rate float64) (s SetUp, err error) {
	if err := w.Generator.Draw(traffic.Once(flows)); err != nil {
		return s, err
	}
	if err := w.Sink.Clear(); err != nil {
		return s, err
	}
	before, err := w.worked()
	if err != nil {
		return s, err
	}
	sent, err := w.Generator.Run(ctx, traffic.Load{Frames: uint64(flows), For: time.Minute, Rate: rate, CPU: w.CPU})
	if err != nil {
		return s, err
	}
	got, err := w.Sink.Counts()
	if err != nil {
		return s, err
	}
	after, err := w.worked()
	if err != nil {
		return s, err
	}
	if got.Wrong > 0 {
		return s, fmt.Errorf("%d packets arrived with a wrong source", got.Wrong)
	}
	return SetUp{
		Offered: sent.Rate(), Rate: float64(got.Arrived) / sent.Took.Seconds(),
		Each: (after - before) / time.Duration(max(1, got.Arrived)), Flows: got.Arrived,
	}, nil
}

func (w *Way) worked() (time.Duration, error) {
	if w.Worked == nil {
		return 0, nil
	}
	return w.Worked()
}
