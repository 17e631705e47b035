package control

import "testing"

func TestARateLooksBackTenSeconds(t *testing.T) {
	const second = int64(1e9)
	var r Rates
	if r.PerSecond(0) != 0 {
		t.Error("a rate before the first observation")
	}
	r.Observe([]uint64{100, 5}, 0)
	if r.PerSecond(0) != 0 {
		t.Error("a rate after one observation")
	}
	r.Observe([]uint64{130, 5}, 2*second)
	if got := r.PerSecond(0); got != 15 {
		t.Errorf("30 in two seconds is %v a second", got)
	}
	if got := r.PerSecond(1); got != 0 {
		t.Errorf("a counter that stands still has the rate %v", got)
	}
	for i := int64(3); i <= 12; i++ {
		r.Observe([]uint64{130, 5}, i*second)
	}
	if got := r.PerSecond(0); got != 0 {
		t.Errorf("ten quiet seconds later the rate is %v", got)
	}
	for _, i := range []int{-1, 2} {
		if r.PerSecond(i) != 0 {
			t.Errorf("counter %d does not exist", i)
		}
	}
}

func TestARateOfClocksAndCountersThatJump(t *testing.T) {
	var r Rates
	r.Observe([]uint64{10}, 5)
	r.Observe([]uint64{20}, 5)
	if r.PerSecond(0) != 0 {
		t.Error("a rate over no time")
	}
	r.Observe([]uint64{3}, 1e9)
	if r.PerSecond(0) != 0 {
		t.Error("a rate of a counter that went back")
	}
}

func TestACounterTellsWhenItLastGrew(t *testing.T) {
	const second = int64(1e9)
	var r Rates
	r.Observe([]uint64{0, 3, 0}, 5*second)
	r.Observe([]uint64{0, 3, 1}, 6*second)
	r.Observe([]uint64{0, 3, 2}, 7*second)
	for i := int64(8); i < 40; i++ {
		r.Observe([]uint64{0, 3, 2}, i*second)
	}
	for i, want := range []int64{0, 5 * second, 7 * second} {
		if at, ok := r.Grew(i); at != want || ok != (want != 0) {
			t.Errorf("counter %d grew at %d, %v; want %d", i, at, ok, want)
		}
	}
	for _, i := range []int{-1, 3} {
		if _, ok := r.Grew(i); ok {
			t.Errorf("counter %d does not exist", i)
		}
	}
}
