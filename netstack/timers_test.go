package netstack

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"spigate/alg/ipsec"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// countingClock counts how often a timer is wound up.
type countingClock struct {
	*faketime.ManualClock
	wound atomic.Int64
}

func (c *countingClock) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	c.wound.Add(1)
	return &countingTimer{c.ManualClock.AfterFunc(d, f), c}
}

type countingTimer struct {
	tcpip.Timer
	c *countingClock
}

func (t *countingTimer) Reset(d time.Duration) {
	t.c.wound.Add(1)
	t.Timer.Reset(d)
}

// A held message, a gate that times out, a late binding and idle sessions: in
// two hours of all that the timers fire a few times a second at most.
func TestTheTimersNeverSpin(t *testing.T) {
	clock := &countingClock{}
	w := newWorld(t, func(c *Config) { clock.ManualClock = c.Clock.(*faketime.ManualClock); c.Clock = clock })
	var waiting []*tunnel
	for i := range byte(20) {
		k := w.tunnel(frame.Addr{192, 0, 2, 11 + i%2}, 0x1000*uint64(i+1))
		k.init()
		w.none(w.atLAN())
		k.ask() // the first is let through, the others wait for each other
		waiting = append(waiting, k)
	}
	waiting[0].reply()
	w.advance(2 * time.Hour)
	w.wan.Drain()
	const perSecond = 5
	if n := clock.wound.Load(); n > 2*3600*perSecond {
		t.Errorf("timers were wound up %d times in two hours", n)
	}
	if g := slices.Collect(w.r.alg.Gates(ipsec.Filter{})); len(g) != 0 {
		t.Errorf("%d gates are still open", len(g))
	}
	if at, ok := w.r.alg.NextDeadline(); ok {
		t.Errorf("a deadline at %d and no session", at)
	}
}

func TestADeadlineInThePastIsTriedAgainOnlyAfterARest(t *testing.T) {
	w := newWorld(t)
	a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
	a.init()
	b.init()
	a.ask()
	b.ask()
	now := w.r.now()
	at, ok := w.r.alg.NextDeadline()
	if !ok || at <= now {
		t.Fatal("no gate is open")
	}
	w.r.timers.gateAt = 0 // as when its timer has just fired
	w.r.arm(at + int64(time.Second))
	if w.r.timers.gateAt != at+int64(time.Second) {
		t.Errorf("the gate timer stands at %d, want a second after %d", w.r.timers.gateAt, at)
	}
	w.r.armDeadline()
	if w.r.timers.gateAt != at {
		t.Errorf("the gate timer stands at %d, want the earlier %d", w.r.timers.gateAt, at)
	}
}

// quietly is init and ask over null drivers, where nothing can be looked at.
func (k *tunnel) quietly() {
	k.w.t.Helper()
	k.w.fromLAN(k.say(2, 0, ikeSAInit, flagV2Init, 0))
	b, ok := k.w.r.lsn.FindOut(lsn.Tuple{Proto: frame.ProtoUDP, Inside: at(k.client, 500), Remote: at(k.server, 500)})
	if !ok {
		k.w.t.Fatalf("no mapping for %v; drops: %v", k.client, k.w.dropped())
	}
	k.nat = b.Outside.Port
	k.w.fromWAN(k.answer(2, ikeSAInit, flagV2Resp, 0))
	k.w.fromLAN(k.say(2, k.id+1, ikeAuth, flagV2Init, 1))
}

func TestMoreGatesThanTheQueueHoldsEndAtOnceAndNobodyIsForgotten(t *testing.T) {
	w := newWorld(t, onNull)
	const servers = maxLater + 100
	for i := range servers {
		for n := range 2 { // the second waits for the first
			k := w.tunnel(frame.Addr{192, 0, 2, byte(11 + i/50*2 + n)}, uint64(i+1)<<16|uint64(n)<<8)
			k.server = frame.Addr{198, 51, byte(i >> 8), byte(i)}
			w.neighbor(lanIf, k.client)
			k.quietly()
		}
	}
	before := w.r.Counters()[1].TxFrames
	w.advance(11 * time.Second) // no answers: provisional locks end after 10 s
	if n := w.r.Counters()[1].TxFrames - before; n != servers {
		t.Errorf("%d of %d waiting messages left; drops: %v", n, servers, w.dropped())
	}
}

func TestCloseEndsTheTimersAndMayBeCalledTwiceAtOnce(t *testing.T) {
	w := newWorld(t)
	a := w.tunnel(client1, 0x1000)
	a.init()
	a.ask() // a gate's timer is running
	var all sync.WaitGroup
	for range 4 {
		all.Go(w.r.Close)
	}
	all.Wait()
	w.lan.Drain()
	w.wan.Drain()
	w.advance(time.Hour)
	w.none(w.atWAN())
	w.none(w.atLAN())
	w.fromLAN(udpTo(at(client1, 1), at(server, 1), "x")) // a frame that was on its way
	w.r.armDeadline()
	w.advance(time.Hour)
	w.none(w.atWAN())
}
