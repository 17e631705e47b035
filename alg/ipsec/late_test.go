package ipsec

import (
	"testing"
	"time"

	"spigate/netstack/drop"
)

// waitingToken brings A a token, and then B the lock.
func waitingToken(w *world) (a, b *peer) {
	a, b = w.client(addrA, 2), w.client(addrB, 2)
	a.phase1()
	a.ask(exAuth, 1)
	a.reply(exAuth, 1, 200)
	w.at(31)
	b.phase1()
	b.ask(exAuth, 1)
	return a, b
}

func TestTokenBindsFourSPIsWhileSomebodyElseHasTheLock_R64_R66(t *testing.T) {
	// A sprays outbound SPIs with its token while the lock is B's: as many may
	// be bound as at a gate, whatever it costs A itself (N16).
	w := newWorld(t)
	a, b := waitingToken(w)
	for i := range uint32(1000) {
		w.now++
		a.spiOut = 0x10000 + i
		w.forwarded(a.out(1), addrA)
	}
	if n := len(w.sessions(Filter{Inside: addrA})); n != maxGateSPIs {
		t.Errorf("%d sessions, want %d", n, maxGateSPIs)
	}
	for range 2 { // four that are in use leave no room
		for i := range uint32(4) {
			w.now++
			a.spiOut = 0x20000 + i
			w.forwarded(a.out(1), addrA)
		}
	}
	a.spiOut = 0x30000
	w.dropped(a.out(1), drop.ESPNoGateOut)
	w.forwarded(b.in(1), addrB)
	w.forwarded(b.out(1), addrB)
	a.spiOut = 0x20000
	w.forwarded(a.out(3), addrA) // the lock is free: now the gate opens
	w.lock(Confirmed, addrA)
	w.forwarded(a.in(1), addrA)
	if c := w.a.Counters(); c.Active != 2 {
		t.Errorf("active %d, want both pairs", c.Active)
	}
}

func TestGatesEndWithTheirIKESessionWithoutATick_R22_R47(t *testing.T) {
	// An IKE session may be shorter than a gate: from 1 minute and up to 20.
	w := newWorld(t, func(p *Profile) { p.IKESessionTimeout, p.ESPGateTimeout = time.Minute, 20*time.Minute })
	a, b := w.client(addrA, 2), w.client(addrB, 2)
	a.phase1()
	a.ask(exAuth, 1)
	a.reply(exAuth, 1, 200)
	w.jump(50)
	b.phase1()
	w.held(b.ask(exAuth, 1))
	w.jump(60)
	w.dropped(b.out(1), drop.ESPNoGateOut)
	w.lock(Confirmed, addrA)
	w.jump(60.1)
	w.forwarded(b.ask(exAuth, 1), addrB)
	w.dropped(a.out(1), drop.ESPNoGateOut)
	w.forwarded(b.in(1), addrB)
}
