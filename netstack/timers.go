package netstack

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// timers drives everything that happens without a packet: the sweep of a
// second, and the ALG's gates, which end at their own time.
type timers struct {
	mu       sync.Mutex
	sweep    tcpip.Timer
	gate     tcpip.Timer
	gateAt   int64 // when gate fires; 0: it is not armed
	stopped  bool
	inFlight sync.WaitGroup
}

// now reads the stack's monotonic clock, in nanoseconds.
func (r *Router) now() int64 {
	return int64(r.clock.NowMonotonic().Sub(tcpip.MonotonicTime{}))
}

// startTimers begins the sweep.
func (r *Router) startTimers() {
	t := &r.timers
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep = r.clock.AfterFunc(sweepEvery, func() { r.fire(r.sweep, &t.sweep) })
}

// stopTimers ends them and waits for one that is running.
func (r *Router) stopTimers() {
	t := &r.timers
	t.mu.Lock()
	t.stopped = true
	for _, timer := range []tcpip.Timer{t.sweep, t.gate} {
		if timer != nil {
			timer.Stop()
		}
	}
	t.mu.Unlock()
	t.inFlight.Wait()
}

// fire runs what a timer is for, unless the router is ending; again, if not
// nil, is the timer to wind up once more.
func (r *Router) fire(run func(now int64), again *tcpip.Timer) {
	t := &r.timers
	t.mu.Lock()
	if t.stopped {
		t.mu.Unlock()
		return
	}
	t.inFlight.Add(1)
	t.mu.Unlock()
	defer t.inFlight.Done()
	run(r.now())
	r.releaseHeld()
	t.mu.Lock()
	defer t.mu.Unlock()
	if again != nil && !t.stopped {
		(*again).Reset(sweepEvery)
	}
}

// sweep runs once a second. The flow table goes first: what it reports keeps
// sessions alive that the others would expire (R22).
func (r *Router) sweep(now int64) {
	r.flows.Sweep(now)
	r.lsn.Sweep(now)
	r.frags.Sweep(now)
	r.gates(now)
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
		r.fire(r.gates, nil)
	})
}
