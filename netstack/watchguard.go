package netstack

import (
	"runtime/debug"
	"time"
)

// survive is deferred by what a lane calls of the watch: who only looks on must not
// end the router. The packet goes on without it. It is logged once a second at
// most.
func (w *watch) survive() {
	what := recover()
	if what == nil {
		return
	}
	now := w.ch.now()
	if until := w.quietUntil.Load(); now >= until && w.quietUntil.CompareAndSwap(until, now+int64(time.Second)) {
		w.ch.log.Error("a trace or a capture panicked on a packet; it was recovered, and the packet goes on", "panic", what, "stack", string(debug.Stack()))
	}
}
