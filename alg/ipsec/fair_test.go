package ipsec

import (
	"testing"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// holder returns a client that has the lock, with its session UP.
func (w *world) holder(inside frame.Addr) *peer {
	p := w.client(inside, 2).tunnel()
	w.forwarded(p.ask(exCreateChild, 2), inside)
	return p
}

func TestOneClientCannotShutOthersOutOfTheQueue_R58_R60(t *testing.T) {
	for _, c := range []struct {
		name  string
		body  int
		limit int
	}{
		{"by number", 200, maxHeld},
		{"by bytes", 1300, maxHeldBytes / 1332},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			a := w.holder(addrA)
			for id := range uint32(200) {
				a.send(ike{dir: alg.In2Out, exchange: exCreateChild, responder: a.responder, id: 100 + id, body: c.body})
			}
			if n := len(w.gate().Waiting); n != c.limit {
				t.Fatalf("%d wait, want %d: alone it may fill the queue", n, c.limit)
			}
			served := map[frame.Addr]bool{}
			for i := range byte(20) {
				b := w.client(frame.Addr{192, 0, 2, 100 + i}, 2)
				b.phase1()
				w.held(b.send(ike{dir: alg.In2Out, exchange: exAuth, responder: b.responder, id: 1, body: c.body}))
			}
			w.at(10.1) // nobody answers A: it goes behind all others
			for range 20 {
				p := w.client(w.gate().Inside, 2)
				served[p.inside] = true
				p.reply(exAuth, 1, 60)
			}
			if len(served) != 20 || served[addrA] {
				t.Errorf("%d others were served before A's next, want 20", len(served))
			}
		})
	}
}

func TestFullQueueIsSharedEvenly_R58(t *testing.T) {
	for _, c := range []struct{ clients, each, lost int }{{64, 1, 0}, {32, 2, 1}} {
		w := newWorld(t)
		w.holder(addrA)
		for i := range c.clients {
			w.client(frame.Addr{192, 0, 2, 100 + byte(i)}, 2).phase2Waits(uint32(c.each))
		}
		b := w.client(frame.Addr{192, 0, 2, 200}, 2)
		b.phase1()
		if r := b.ask(exAuth, 1); c.lost == 0 {
			w.dropped(r, drop.IKEHoldOverflow)
		} else {
			w.held(r)
		}
		w.dropped(b.ask(exAuth, 2), drop.IKEHoldOverflow) // one each is even
		if len(w.lost) != c.lost {
			t.Errorf("%d clients with %d: %d held messages were dropped, want %d", c.clients, c.each, len(w.lost), c.lost)
		}
	}
}

// phase2Waits brings a session UP and lets n of its requests wait.
func (p *peer) phase2Waits(n uint32) *peer {
	p.w.t.Helper()
	p.phase1()
	for id := range n {
		p.w.held(p.ask(exAuth, 1+id))
	}
	return p
}

func TestPenaltyHitsWhatWaitsAlready_R60(t *testing.T) {
	// A's messages waited before its third timeout: who comes after that goes
	// first all the same.
	w := newWorld(t)
	a := w.client(addrA, 2).tunnel()
	w.at(100)
	a.ask(exCreateChild, 2)
	for s := range 2 {
		w.at(100 + 15*float64(s))
		for id := range uint32(10) {
			a.ask(exCreateChild, 3+id)
		}
	}
	w.at(131) // three times ten seconds
	b, c := w.client(addrB, 2), w.client(addrC, 2)
	b.phase2Waits(1)
	w.at(141) // A's fourth
	w.lock(Provisional, addrB)
	c.phase2Waits(1)
	b.reply(exAuth, 1, 60)
	w.lock(Provisional, addrC)
}
