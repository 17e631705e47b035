package netns

import (
	"context"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// A veth hands its frames to a queue of the processor on which it sends
// (net.core.netdev_max_backlog), and all namespaces share that queue. Whoever
// fills it for a moment, a benchmark for example, takes the room of every other
// test, whose frame is then refused: ENOBUFS, or drop.TxRefused. A router rightly
// goes on without it. A test that counts frames sends it again.

// noRoom is how long the queue may stay full.
const noRoom = 20 * time.Second

// Insist calls send until it reports that there was room for what it sends, or
// there has been none for too long: what send heard last is the outcome.
func Insist(send func() (room bool)) {
	if send() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), noRoom)
	defer cancel()
	_ = Poll(ctx, time.Millisecond, send)
}

// Patient is a port on a veth that waits until the kernel has room for a frame,
// as a cable would. It sends frames one by one: in a batch those behind a refused
// one would overtake it. A frame that is longer than the other end's MTU is held
// back too, and refused in the end. It has one lane.
func Patient(d link.Driver) link.Driver { return patient{d} }

type patient struct{ link.Driver }

func (p patient) Write(batch []frame.Frame) (sent int, why drop.Reason) {
	for i := range batch {
		n, r := 0, drop.None
		Insist(func() bool {
			n, r = p.Driver.Write(batch[i : i+1])
			return r != drop.TxRefused
		})
		if n == 0 {
			why = r
			continue
		}
		batch[sent], batch[i] = batch[i], batch[sent]
		sent++
	}
	return sent, why
}
