package link

import (
	"context"
	"runtime"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// insist calls send until it reports that the kernel had room for what it sends,
// or there has been none for long. A veth hands frames to a queue of the
// processor that all namespaces share: who fills it, a benchmark for example,
// takes everybody's room for a moment.
func insist(send func() (room bool)) {
	if send() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for !send() && ctx.Err() == nil {
		runtime.Gosched()
	}
}

// writeAll writes frames, and those for which there was no room again. Frames
// of different lengths may overtake each other then.
func writeAll(d Lane, batch []frame.Frame) (sent int, why drop.Reason) {
	insist(func() bool {
		n, r := d.Write(batch[sent:])
		sent += n
		if r != drop.None {
			why = r
		}
		return r != drop.TxRefused
	})
	if sent == len(batch) {
		why = drop.None
	}
	return sent, why
}

func sendAll(t testing.TB, d Driver, batch ...frame.Frame) {
	t.Helper()
	if n, why := writeAll(d, batch); n != len(batch) {
		t.Fatalf("sent %d of %d: %v", n, len(batch), why)
	}
}

// patientRing is a ring that waits for room.
type patientRing struct{ *ring }

func (r patientRing) Write(batch []frame.Frame) (int, drop.Reason) { return writeAll(r.ring, batch) }

func (r patientRing) Lanes() []Lane {
	out := append([]Lane(nil), r.ring.Lanes()...)
	for i := range out {
		out[i] = patientLane{out[i]}
	}
	return out
}

type patientLane struct{ Lane }

func (l patientLane) Write(batch []frame.Frame) (int, drop.Reason) { return writeAll(l.Lane, batch) }
