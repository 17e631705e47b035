package flow

import "spigate/netstack/frame"

// Reader looks packets up for one receiving goroutine. The packets of one flow
// must go through one Reader at a time: a flow's counter has one adder.
type Reader struct{ t *Table }

// Reader returns a Reader of its own for the goroutine that calls Process.
func (t *Table) Reader() *Reader { return &Reader{t} }

// Process forwards what the table knows: every frame whose flow is in it is
// rewritten, and its Out is set. All other frames are untouched, and are the
// stack's. now is monotonic nanoseconds. It returns the number of frames with
// Out set.
func (r *Reader) Process(batch []frame.Frame, now int64) (hits int) { return r.t.Process(batch, now) }

// Close ends the Reader; its counts stay in the table's.
func (r *Reader) Close() {}
