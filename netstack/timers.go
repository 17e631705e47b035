package netstack

import (
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// works is everything that happens in a Chassis without a packet: the sweep of
// a second, the gates of its Routers, which end at their own time (timers), and
// what an operator does.
type works struct {
	mu       sync.Mutex
	sweep    tcpip.Timer
	swept    atomic.Int64 // when the last sweep ended
	stopped  bool
	inFlight sync.WaitGroup
}

// Swept is when the last sweep ended, in monotonic ns: a second ago at most, and
// some time under load. A sweep goes through every table of every Router, so if
// one of them is stuck, this stands still.
func (ch *Chassis) Swept() int64 { return ch.works.swept.Load() }

// begin reports whether work may begin; if so, inFlight is to be told of its
// end.
func (w *works) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return false
	}
	w.inFlight.Add(1)
	return true
}

// timers is the gates' timer of one Router.
type timers struct {
	mu      sync.Mutex
	gate    tcpip.Timer
	gateAt  int64 // when gate fires; 0: it is not armed
	stopped bool
}

// now reads the stacks' monotonic clock, in nanoseconds.
func (ch *Chassis) now() int64 {
	return int64(ch.clock.NowMonotonic().Sub(tcpip.MonotonicTime{}))
}

// startSweep begins the sweep.
func (ch *Chassis) startSweep() {
	w := &ch.works
	w.swept.Store(ch.now())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sweep = ch.clock.AfterFunc(sweepEvery, func() {
		if !w.begin() {
			return
		}
		defer w.inFlight.Done()
		ch.sweep(ch.now())
		w.swept.Store(ch.now())
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.stopped {
			w.sweep.Reset(sweepEvery)
		}
	})
}

// stopTimers ends all timers and waits for what runs.
func (ch *Chassis) stopTimers() {
	w := &ch.works
	w.mu.Lock()
	w.stopped = true
	w.sweep.Stop()
	w.mu.Unlock()
	for _, r := range ch.routers {
		r.timers.stop()
	}
	w.inFlight.Wait()
}

func (t *timers) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	if t.gate != nil {
		t.gate.Stop()
	}
}

// fire does what a timer or an operator asks for, unless the Chassis is ending.
func (r *Router) fire(run func(now int64)) {
	if !r.works.begin() {
		return
	}
	defer r.works.inFlight.Done()
	run(r.now())
	r.releaseHeld()
}

// sweep runs once a second. The flow table goes first: what it reports keeps
// sessions alive that the Routers would expire (R22).
func (ch *Chassis) sweep(now int64) {
	ch.flows.Sweep(now)
	ch.watch.sweep()
	ch.top.Turn(now)
	for _, r := range ch.routers {
		r.lsn.Sweep(now)
		r.conns.Sweep(now, r.reset)
		r.lastResets.sweep(now)
		r.frags.Sweep(now)
		r.sweepTunnels(now)
		r.answerSYNs(now)
		r.gates(now)
		r.releaseHeld()
	}
}

// gates lets the ALG do what is due.
func (r *Router) gates(now int64) {
	r.actAtOnce(r.alg.Tick(now))
	r.arm(now + int64(gateRest))
}

// gateRest is the least time between two looks at the gates by their timer.
// Without it a deadline that Tick left in the past would make the timer spin.
const gateRest = 10 * time.Millisecond

// armDeadline winds the gate timer to the ALG's next deadline, if that is
// earlier than what it stands at.
func (r *Router) armDeadline() { r.arm(0) }

// arm is armDeadline, but not for before earliest.
func (r *Router) arm(earliest int64) {
	at, ok := r.alg.NextDeadline()
	if !ok {
		return
	}
	at = max(at, earliest)
	t := &r.timers
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.gateAt != 0 && t.gateAt <= at {
		return
	}
	wait := max(time.Duration(at-r.now()), time.Millisecond)
	t.gateAt = at
	if t.gate != nil {
		t.gate.Reset(wait)
		return
	}
	t.gate = r.clock.AfterFunc(wait, func() {
		t.mu.Lock()
		t.gateAt = 0
		t.mu.Unlock()
		r.fire(r.gates)
	})
}
