package netstack

import (
	"runtime"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func TestAFloodOfTinyPiecesCostsNobodyAHeldMessage(t *testing.T) { // R29, R58
	w := newWorld(t)
	a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
	a.init()
	b.init()
	w.one(a.ask())
	w.none(b.ask()) // held: the gate of the first is open
	a.reply()
	w.fromWAN(a.in())
	w.one(w.atLAN())
	var batch []frame.Frame // of first pieces, which let the others go
	for id := range uint16(16) {
		pieces := withID(fragments(udpTo(at(client1, 5353), at(server, 53), text(1000)), 28), id)
		w.fromLAN(pieces[1:]...)
		batch = append(batch, framed(lanMAC, pieces[0]))
	}
	w.r.Port(0).Input(append(batch, framed(lanMAC, a.out()))) // two-way: the lock is free, the held message is let go
	if d := w.dropped(); d[drop.IKEHoldOverflow.String()] != 0 || d[drop.FragmentOverflow.String()] == 0 {
		t.Errorf("drops: %v", d)
	}
}

// Every lane of every port asks after every batch.
func TestABatchThatLetsNothingGoWaitsForNoOtherLane(t *testing.T) {
	w := newWorld(t)
	w.r.later.mu.Lock() // as another lane that puts something there
	done := make(chan struct{})
	go func() {
		w.r.releaseHeld()
		close(done)
	}()
	for tries := 0; ; tries++ {
		select {
		case <-done:
			w.r.later.mu.Unlock()
			return
		default:
			runtime.Gosched()
		}
		if tries == 1_000_000 {
			t.Error("it waits for a lock")
			w.r.later.mu.Unlock()
			<-done
			return
		}
	}
}
