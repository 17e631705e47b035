package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Latencies is what several ways gave at the same rate.
type Latencies struct {
	LossFree []float64 // of each way, packets a second
	Rate     float64   // that was asked for
	Rounds   [][]Trial // of each way
}

// AtHalfLoad looks for each way's highest rate without loss, and then offers all
// of them, in turns, half of the lowest one of ways. Those beside come last; they
// are offered the same, whether they can carry it or not.
func AtHalfLoad(ctx context.Context, ways []*Way, s Search, rounds int, each time.Duration, beside ...*Way) (l Latencies, err error) {
	if len(ways) == 0 {
		return l, errors.New("latency of no ways")
	}
	all := slices.Concat(ways, beside)
	for i, w := range all {
		rate, err := LossFree(ctx, w, s)
		if err != nil {
			return l, err
		}
		l.LossFree = append(l.LossFree, rate)
		if i >= len(ways) {
			continue
		}
		if rate == 0 {
			return l, fmt.Errorf("%s: packets are lost even at %.0f a second", w.Name, s.Low)
		}
		if l.Rate == 0 || rate/2 < l.Rate {
			l.Rate = rate / 2
		}
	}
	l.Rounds = make([][]Trial, len(all))
	for range rounds {
		for i, w := range all {
			t, err := w.Offer(ctx, l.Rate, each)
			if err != nil {
				return l, err
			}
			l.Rounds[i] = append(l.Rounds[i], t)
		}
	}
	return l, nil
}
