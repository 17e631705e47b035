package load

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Latencies is what several ways gave at the same rate.
type Latencies struct {
	LossFree []float64 // of each way, packets a second
	Rate     float64   // that was asked for: half of the lowest of them
	Rounds   [][]Trial // of each way
}

// AtHalfLoad looks for each way's highest rate without loss, and then offers all
// of them, in turns, half of the lowest one.
func AtHalfLoad(ctx context.Context, ways []*Way, s Search, rounds int, each time.Duration) (l Latencies, err error) {
	if len(ways) == 0 {
		return l, errors.New("latency of no ways")
	}
	for _, w := range ways {
		rate, err := LossFree(ctx, w, s)
		if err != nil {
			return l, err
		}
		if rate == 0 {
			return l, fmt.Errorf("%s: packets are lost even at %.0f a second", w.Name, s.Low)
		}
		l.LossFree = append(l.LossFree, rate)
		if l.Rate == 0 || rate/2 < l.Rate {
			l.Rate = rate / 2
		}
	}
	l.Rounds = make([][]Trial, len(ways))
	for range rounds {
		for i, w := range ways {
			t, err := w.Offer(ctx, l.Rate, each)
			if err != nil {
				return l, err
			}
			l.Rounds[i] = append(l.Rounds[i], t)
		}
	}
	return l, nil
}
