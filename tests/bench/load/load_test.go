package load

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/netstack/frame"
	"spigate/tests/bench/traffic"
	"spigate/tests/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheRateAtWhichLossesBeginIsFound(t *testing.T) {
	for _, limit := range []float64{60e3, 700e3, 4.9e6} {
		tries := 0
		s := Usual(time.Second)
		got, err := s.find(func(rate float64) (Trial, error) {
			tries++
			return Trial{Offered: rate, Lost: max(0, 1-limit/rate)}, nil
		})
		if err != nil || got > limit*1.01 || got < limit/1.05 || tries > (s.Steps+1)*s.Tries {
			t.Errorf("%.0f, limit %.0f, after %d tries: %v", got, limit, tries, err)
		}
	}
}

func TestOneTryWithoutLossIsEnough(t *testing.T) {
	tries := map[float64]int{}
	got, err := Search{Low: 1, High: 16, Steps: 3, Tries: 2}.find(func(rate float64) (Trial, error) {
		tries[rate]++
		return Trial{Offered: rate, Lost: float64(1 - tries[rate]/2)}, nil // the second one
	})
	if err != nil || got < 10 {
		t.Errorf("%v: %v", got, err)
	}
}

func TestASearchThatFindsNothingSaysSo(t *testing.T) {
	lossy := func(rate float64) (Trial, error) { return Trial{Offered: rate, Lost: 1}, nil }
	if got, err := Usual(time.Second).find(lossy); got != 0 || err != nil {
		t.Errorf("%v: %v", got, err)
	}
	broken := errors.New("broken")
	if _, err := Usual(time.Second).find(func(float64) (Trial, error) { return Trial{}, broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := (Search{}).find(lossy); err == nil {
		t.Error("a search between nothing and nothing")
	}
	// A sender that cannot make what is asked for is the limit.
	got, err := Usual(time.Second).find(func(rate float64) (Trial, error) { return Trial{Offered: min(rate, 1e6)}, nil })
	if got != 1e6 || err != nil {
		t.Errorf("%v: %v", got, err)
	}
}

// cable is two namespaces with nothing in between.
type cable struct {
	source, sink *netns.Namespace
	flows        traffic.Flows
}

func newCable(t *testing.T, flows int) *cable {
	t.Helper()
	lab := netns.For(t)
	c := &cable{}
	var err error
	c.source, err = lab.Namespace("source")
	must(t, err)
	c.sink, err = lab.Namespace("sink")
	must(t, err)
	must(t, lab.Wire(netns.End{In: c.source, Device: "eth0"}, netns.End{In: c.sink, Device: "eth0"}))
	must(t, c.source.Address("eth0", netip.PrefixFrom(netns.Client1, 24)))
	must(t, c.sink.Address("eth0", netip.PrefixFrom(netns.Client2, 24)))
	c.flows = traffic.Flows{
		Proto: frame.ProtoUDP, Source: netns.Client1.As4(), Target: netns.Client2.As4(),
		SourcePort: 1024, TargetPort: 9, Count: flows, Length: 100,
	}
	return c
}

func (c *cable) way(t *testing.T) *Way {
	t.Helper()
	g, err := traffic.Open(c.source, "eth0", c.flows)
	must(t, err)
	t.Cleanup(func() { must(t, g.Close()) })
	e := traffic.Expect{Proto: c.flows.Proto, Target: c.flows.Target, Source: netip.PrefixFrom(netns.Client1, 32)}
	s, err := traffic.OpenSink(c.sink, "eth0", e, traffic.AtXDP)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return &Way{Name: "cable", Generator: g, Sink: s}
}

func TestWaysAreOfferedTheSameRateAndTheirLatencyIsTold(t *testing.T) {
	w := newCable(t, 10).way(t)
	s := Search{Low: 1000, High: 4000, Steps: 1, Lost: 1, Tries: 1, Each: 5 * time.Millisecond}
	l, err := AtHalfLoad(t.Context(), []*Way{w, w}, s, 3, 20*time.Millisecond)
	must(t, err)
	if len(l.LossFree) != 2 || len(l.Rounds) != 2 || len(l.Rounds[1]) != 3 || l.Rate != min(l.LossFree[0], l.LossFree[1])/2 {
		t.Fatalf("%+v", l)
	}
	for _, round := range l.Rounds[1] {
		if round.Lost != 0 || round.Wrong != 0 || round.Min <= 0 || round.Min > round.P50 || round.P50 > round.P99 || round.P99 > round.P999 {
			t.Errorf("%+v", round)
		}
	}
	down := newCable(t, 10)
	lossy := down.way(t)
	must(t, down.sink.SetLink("eth0", false))
	l, err = AtHalfLoad(t.Context(), []*Way{w}, s, 1, 5*time.Millisecond, lossy)
	if err != nil || l.Rate != l.LossFree[0]/2 || len(l.Rounds) != 2 || l.Rounds[1][0].Lost != 1 {
		t.Errorf("beside a way that carries nothing: %+v, %v", l, err)
	}
	if _, err := AtHalfLoad(t.Context(), nil, s, 1, time.Millisecond); err == nil {
		t.Error("latency of nothing")
	}
	if _, err := w.Offer(t.Context(), 0, time.Second); err == nil {
		t.Error("nothing a second was offered")
	}
}

func TestLossIsSeen(t *testing.T) {
	c := newCable(t, 10)
	w := c.way(t)
	must(t, c.sink.SetLink("eth0", false))
	got, err := w.Offer(t.Context(), 10_000, 10*time.Millisecond)
	if err != nil || got.Lost != 1 || got.P99 != 0 {
		t.Errorf("%+v: %v", got, err)
	}
	rate, err := LossFree(t.Context(), w, Search{Low: 1000, High: 2000, Tries: 1, Each: time.Millisecond})
	if rate != 0 || err != nil {
		t.Errorf("%v: %v", rate, err)
	}
	s := Search{Low: 1000, High: 2000, Tries: 1, Each: time.Millisecond}
	if _, err := AtHalfLoad(t.Context(), []*Way{w}, s, 1, time.Millisecond); err == nil {
		t.Error("half of nothing was offered")
	}
}

// On a cable all of them arrive, so more are offered until the bound.
func TestEachNewFlowIsOfferedOnce(t *testing.T) {
	opened, closed := 0, 0
	open := func(flows int) (*Way, func() error, error) {
		opened++
		w := newCable(t, flows).way(t)
		w.Worked = func() (time.Duration, error) { return 0, nil }
		return w, func() error { closed++; return nil }, nil
	}
	s, err := SetUps(t.Context(), open, 10_000, 40_000, 20*time.Millisecond)
	must(t, err)
	if opened < 1 || opened > 3 || closed != opened || s.Flows == 0 || s.Flows > 801 || s.Rate > s.Offered*1.01 || s.Offered > 44_000 {
		t.Errorf("%+v, %d opened, %d closed", s, opened, closed)
	}
	broken := errors.New("broken")
	_, err = SetUps(t.Context(), func(int) (*Way, func() error, error) { return nil, nil, broken }, 1, 2, time.Second)
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	w := newCable(t, 10).way(t)
	w.Worked = func() (time.Duration, error) { return 0, broken }
	_, err = SetUps(t.Context(), func(int) (*Way, func() error, error) { return w, func() error { return nil }, nil }, 9, math.Inf(1), time.Second)
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

func TestAPingComesBack(t *testing.T) {
	c := newCable(t, 1)
	trips, err := Ping(t.Context(), c.source, netns.Client2, 3, time.Millisecond)
	if err != nil || len(trips) != 3 || trips[0] <= 0 {
		t.Errorf("%v: %v", trips, err)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if _, err := Ping(ended, c.source, netns.Client2, 1000, time.Millisecond); err == nil {
		t.Error("a ping whose context has ended went on")
	}
}
