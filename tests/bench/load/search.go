package load

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Search says how the highest rate without loss is looked for.
type Search struct {
	Low, High float64       // packets a second: between which it is
	Steps     int           // of halving the distance, by ratio
	Lost      float64       // share that still counts as no loss
	Tries     int           // at one rate; one without loss is enough
	Each      time.Duration // of one try
}

// Usual is a search from 50,000 to 5,000,000 packets a second, exact to 4 %. A
// packet in a thousand may be lost: on a machine that does other things, too,
// somebody takes the processor away now and then.
func Usual(each time.Duration) Search {
	return Search{Low: 50e3, High: 5e6, Steps: 7, Lost: 0.001, Tries: 2, Each: each}
}

// LossFree returns the highest rate at which nothing is lost: the one that was
// really offered. It is 0 if there are losses even at the lowest rate. Where the
// sender cannot make more, what it can make is the answer.
func LossFree(ctx context.Context, w *Way, s Search) (rate float64, err error) {
	return s.find(func(rate float64) (Trial, error) { return w.Offer(ctx, rate, s.Each) })
}

// find searches by bisection. One rate is tried until a try is without loss.
func (s Search) find(try func(rate float64) (Trial, error)) (best float64, err error) {
	if s.Low <= 0 || s.High < s.Low || s.Tries < 1 {
		return 0, fmt.Errorf("search from %v to %v, %d tries", s.Low, s.High, s.Tries)
	}
	passes := func(rate float64) (bool, error) {
		for range s.Tries {
			t, err := try(rate)
			if err != nil {
				return false, err
			}
			if t.Lost <= s.Lost {
				best = max(best, t.Offered)
				return true, nil
			}
		}
		return false, nil
	}
	low, high := s.Low, s.High
	if ok, err := passes(low); !ok || err != nil {
		return best, err
	}
	for range s.Steps {
		middle := math.Sqrt(low * high)
		ok, err := passes(middle)
		if err != nil {
			return best, err
		}
		if ok {
			low = middle
		} else {
			high = middle
		}
	}
	return best, nil
}
