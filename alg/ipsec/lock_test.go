package ipsec

import (
	"testing"
	"time"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// lockEvents is what can happen to a lock. A is the holder where there is one,
// with the exchange of message id 2.
var lockEvents = map[string]func(w *world, a, b *peer){
	"request":             func(w *world, a, b *peer) { a.ask(exCreateChild, 2) },
	"response":            func(w *world, a, b *peer) { a.reply(exCreateChild, 2, 200) },
	"short reply":         func(w *world, a, b *peer) { a.reply(exCreateChild, 2, 80) },
	"other exchange of A": func(w *world, a, b *peer) { a.ask(exCreateChild, 3) },
	"request of B":        func(w *world, a, b *peer) { b.ask(exCreateChild, 2) },
	"liveness check":      func(w *world, a, b *peer) { a.ask(37, 4) },
	"outbound ESP":        func(w *world, a, b *peer) { a.out(1) },
	"inbound ESP":         func(w *world, a, b *peer) { a.in(1) },
	"two-way ESP":         func(w *world, a, b *peer) { a.out(1); a.in(1) },
	"10 s":                func(w *world, a, b *peer) { w.at(110.1) },
	"gate timeout":        func(w *world, a, b *peer) { w.at(130.1) },
	"float": func(w *world, a, b *peer) {
		w.step(a.packet(ike{dir: alg.In2Out, initiator: a.initiator, responder: a.responder, exchange: 37, id: 9, body: 60}, portNATT))
	},
	"flush":        func(w *world, a, b *peer) { w.a.Flush(Filter{Inside: addrA}, w.now, w.do) },
	"mapping gone": func(w *world, a, b *peer) { w.do(w.a.MappingGone(a.mapping, w.now)) },
	"IKE rekey": func(w *world, a, b *peer) {
		a.send(ike{dir: alg.In2Out, initiator: 0xbeef, responder: 0xfeed, exchange: 37})
	},
}

// lockStart brings the pair into a state: FREE, or held by A.
var lockStart = map[string]func(w *world, a, b *peer){
	"free":        func(w *world, a, b *peer) {},
	"provisional": func(w *world, a, b *peer) { a.ask(exCreateChild, 2) },
	"confirmed":   func(w *world, a, b *peer) { a.ask(exCreateChild, 2); a.reply(exCreateChild, 2, 200) },
	"confirmed, B waits": func(w *world, a, b *peer) {
		a.ask(exCreateChild, 2)
		a.reply(exCreateChild, 2, 200)
		b.ask(exCreateChild, 2)
	},
}

func TestLockEveryStateAndEvent(t *testing.T) {
	type want struct {
		state  LockState
		holder frame.Addr
	}
	free, provA, confA := want{}, want{Provisional, addrA}, want{Confirmed, addrA}
	provB := want{Provisional, addrB}
	table := map[string]map[string]want{
		"free": {
			"request": provA, "response": confA, "short reply": free, "other exchange of A": provA,
			"request of B": provB, "liveness check": free, "outbound ESP": free, "inbound ESP": free, "two-way ESP": free,
			"10 s": free, "gate timeout": free, "float": free, "flush": free, "mapping gone": free, "IKE rekey": free,
		},
		"provisional": {
			"request": provA, "response": confA, "short reply": free, "other exchange of A": provA,
			"request of B": provA, "liveness check": provA, "outbound ESP": confA, "inbound ESP": confA, "two-way ESP": free,
			"10 s": free, "gate timeout": free, "float": free, "flush": free, "mapping gone": free, "IKE rekey": free,
		},
		"confirmed": {
			"request": confA, "response": confA, "short reply": free, "other exchange of A": confA,
			"request of B": confA, "liveness check": confA, "outbound ESP": confA, "inbound ESP": confA, "two-way ESP": free,
			"10 s": confA, "gate timeout": free, "float": free, "flush": free, "mapping gone": free, "IKE rekey": free,
		},
		"confirmed, B waits": {
			"request": confA, "response": confA, "short reply": provB, "other exchange of A": confA,
			"request of B": confA, "liveness check": confA, "outbound ESP": confA, "inbound ESP": confA, "two-way ESP": provB,
			"10 s": confA, "gate timeout": provB, "float": provB, "flush": provB, "mapping gone": provB, "IKE rekey": provB,
		},
	}
	for start, row := range table {
		for event, expect := range row {
			t.Run(start+"/"+event, func(t *testing.T) {
				w := newWorld(t)
				a, b := w.client(addrA, 2).tunnel(), w.client(addrB, 2).tunnel()
				a.spiIn, a.spiOut = 0xaaaa0001, 0xaaaa0002 // the next SA's
				w.at(100)
				lockStart[start](w, a, b)
				lockEvents[event](w, a, b)
				w.lock(expect.state, expect.holder)
			})
		}
		if len(row) != len(lockEvents) {
			t.Errorf("%s: %d of %d events in the table", start, len(row), len(lockEvents))
		}
	}
}

func TestN3_HolderRetransmitsToADeadServer_R55_R60(t *testing.T) {
	// N3: the holder retransmits for ever to a dead server.
	w := newWorld(t)
	a, b := w.client(addrA, 2).tunnel(), w.client(addrB, 2).tunnel()
	w.at(100)
	a.ask(exCreateChild, 2)
	served := 0.0
	for s := 100.0; s < 200; s++ {
		w.at(s)
		a.ask(exCreateChild, 2)
		b.ask(exCreateChild, 2)
		if g := w.gate(); g.Inside == addrB && served == 0 {
			served = s
		}
	}
	if served == 0 || served > 111 {
		t.Errorf("B was served at %v s, want after A's 10 s", served)
	}
}

func TestTenureEndsWhenOthersWait(t *testing.T) {
	// R55: every distinct quick mode message re-arms, but not beyond twice
	// the gate timeout if somebody waits.
	w := newWorld(t, func(p *Profile) { p.SameClientParallel = true })
	a, b := w.client(addrA, 2).tunnel(), w.client(addrB, 2).tunnel()
	w.at(100)
	for i := range uint32(20) { // R57: the holder runs one exchange after another
		w.at(100 + 5*float64(i))
		if i == 11 {
			w.held(b.ask(exCreateChild, 2))
		}
		r := a.ask(exCreateChild, 2+i)
		if w.now <= 155e9 {
			w.forwarded(r, addrA)
		}
		a.reply(exCreateChild, 2+i, 200)
	}
	if len(w.released) == 0 || w.released[0].Inside != addrB {
		t.Error("B was not served after A's tenure")
	}
}

func TestThreeTimeoutsInARowGoBehindTheOthers(t *testing.T) {
	// R60: A times out three times; then A is held before C, and still C is
	// served first.
	w := newWorld(t)
	a, b, c := w.client(addrA, 2).tunnel(), w.client(addrB, 2).tunnel(), w.client(addrC, 2).tunnel()
	for i := range 3 {
		w.at(100 + 20*float64(i))
		a.ask(exCreateChild, 2)
		w.at(100 + 20*float64(i) + 11)
		w.lock(Free, addrA)
	}
	w.at(200)
	b.ask(exCreateChild, 2)
	w.at(201)
	w.held(a.ask(exCreateChild, 2))
	w.at(202)
	w.held(c.ask(exCreateChild, 2))
	b.reply(exCreateChild, 2, 80)
	w.lock(Provisional, addrC)
	c.reply(exCreateChild, 2, 80)
	w.lock(Provisional, addrA) // nobody else waits: no penalty
}

func TestN12_EAPRoundsReleaseEachTime_R52(t *testing.T) {
	// N12: eight rounds, the user types for 40 s.
	w := newWorld(t)
	a := w.client(addrA, 2)
	a.phase1()
	for id := range uint32(8) {
		w.forwarded(a.ask(exAuth, 1+id), addrA)
		w.lock(Provisional, addrA)
		w.forwarded(a.reply(exAuth, 1+id, 60), addrA)
		w.lock(Free, addrA)
	}
	w.at(20)
	a.ask(37, 0) // keeps the session known
	w.at(40)
	w.forwarded(a.ask(exAuth, 9), addrA)
	w.forwarded(a.reply(exAuth, 9, 200), addrA)
	w.lock(Confirmed, addrA)
	w.forwarded(a.in(1), addrA)
}

func TestN23_FragmentsAreOneMessage_R49_R58(t *testing.T) {
	// N23: RFC 7383 fragments, some lost, all sent again.
	w := newWorld(t)
	a, b := w.client(addrA, 2), w.client(addrB, 2)
	a.phase1()
	b.phase1()
	part := func(p *peer, dir alg.Direction, flags byte, n uint16) Result {
		return p.send(ike{dir: dir, flags: flags, exchange: exAuth, responder: p.responder, id: 1, frag: n, of: 3})
	}
	w.forwarded(part(a, alg.In2Out, 0, 1), addrA)
	w.lock(Provisional, addrA)
	for _, n := range []uint16{1, 2, 3} {
		w.held(part(b, alg.In2Out, 0, n))
	}
	w.held(part(b, alg.In2Out, 0, 2))
	if c := w.a.Counters(); c.Blocked != 1 || c.P2Held != 1 {
		t.Errorf("blocked %d, held %d: want one logical message", c.Blocked, c.P2Held)
	}
	w.at(1)
	for _, n := range []uint16{1, 2, 3} {
		w.forwarded(part(a, alg.In2Out, 0, n), addrA)
	}
	w.at(2)
	for _, n := range []uint16{1, 2, 3, 1, 2, 3} {
		w.forwarded(part(a, alg.In2Out, 0, n), addrA)
	}
	if g := w.gate(); g.Expires != int64(11*time.Second) {
		t.Errorf("resent fragments re-armed the lock to %v, want 11s", time.Duration(g.Expires))
	}
	for _, n := range []uint16{3, 1, 2} {
		w.forwarded(part(a, alg.Out2In, flagResponse, n), addrA)
	}
	w.lock(Confirmed, addrA)
	a.out(1)
	a.in(1)
	w.lock(Provisional, addrB)
	if len(w.released) != 3 {
		t.Errorf("%d pieces given back, want 3", len(w.released))
	}
}

func TestN37_The65thWaiterIsDropped_R58(t *testing.T) {
	// N37: the 65th waiter is dropped.
	w := newWorld(t)
	a := w.client(addrA, 2).tunnel()
	w.at(10)
	a.ask(exCreateChild, 2)
	var last Result
	for i := range 65 {
		p := w.client(frame.Addr{192, 0, 2, byte(100 + i)}, 2)
		p.phase1()
		last = p.ask(exAuth, 1)
	}
	w.dropped(last, drop.IKEHoldOverflow)
	if c := w.a.Counters(); c.Blocked != 64 || c.P2Dropped != 1 {
		t.Errorf("blocked %d dropped %d, want 64 and 1", c.Blocked, c.P2Dropped)
	}
	w.at(200)
	if held := w.a.count.heldBytes.Load(); held != 0 {
		t.Errorf("%d bytes are still counted as held", held)
	}
	if c := w.a.Counters(); c.Blocked != 0 {
		t.Errorf("blocked %d after all timeouts", c.Blocked)
	}
}

func TestHeldMessageAges(t *testing.T) {
	w := newWorld(t)
	a, b := w.client(addrA, 1).tunnel(), w.client(addrB, 1).tunnel()
	w.at(10)
	a.quick(8, 1)
	w.held(b.quick(8, 1))
	for s := 11.0; s < 40; s += 9 {
		w.at(s)
		a.quick(8, byte(1+int(s/9)%3))
	}
	w.at(41)
	if len(w.lost) != 1 || w.lost[0] != drop.IKEHoldExpired || len(w.released) != 0 {
		t.Errorf("lost %v, released %d; want the held message dropped by age", w.lost, len(w.released))
	}
	w.lock(Confirmed, addrA) // re-armed by QM3
}

func TestBlockModeDrop(t *testing.T) {
	w := newWorld(t, func(p *Profile) { p.BlockMode = BlockDrop })
	a, b := w.client(addrA, 2).tunnel(), w.client(addrB, 2).tunnel()
	w.at(10)
	a.ask(exCreateChild, 2)
	w.dropped(b.ask(exCreateChild, 2), drop.IKEBlocked)
	if c := w.a.Counters(); c.P2Dropped != 1 || c.Dropped != 1 || c.P2Held != 0 {
		t.Errorf("counters %+v", c)
	}
}

func TestOtherServersAndOtherNATAddressesRunInParallel(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.client(addrA, 2).tunnel(), w.client(addrB, 2), w.client(addrC, 2)
	b.server = addrY2
	c.nat = addrN2
	b.phase1()
	c.phase1()
	w.at(10)
	w.forwarded(a.ask(exCreateChild, 2), addrA)
	w.forwarded(b.ask(exAuth, 1), addrB)
	w.forwarded(c.ask(exAuth, 1), addrC)
}

func TestFollowupKEContinuesTheExchange(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 2).tunnel()
	w.at(10)
	a.ask(exCreateChild, 2)
	a.reply(exCreateChild, 2, 200)
	w.at(20)
	w.forwarded(a.ask(exFollowupKE, 3), addrA)
	w.forwarded(a.reply(exFollowupKE, 3, 200), addrA)
	w.forwarded(a.reply(exCreateChild, 2, 200), addrA) // a late copy
	if g := w.gate(); g.Expires != int64(50*time.Second) || g.MessageID != 3 {
		t.Errorf("%+v: want the lock re-armed by message 3", g)
	}
}

func TestN29_FlushDropsWhatIsHeld(t *testing.T) {
	// N29
	w := newWorld(t)
	a, b := w.client(addrA, 2).tunnel(), w.client(addrB, 2).tunnel()
	w.at(10)
	a.ask(exCreateChild, 2)
	w.held(b.ask(exCreateChild, 2))
	w.a.Flush(Filter{NAT: addrN}, w.now, w.do)
	if len(w.lost) != 1 || w.lost[0] != drop.IKEFlushed || len(w.released) != 0 {
		t.Errorf("lost %v, released %d; want one flushed and none released", w.lost, len(w.released))
	}
	w.lock(Free, addrA)
	if len(w.sessions(Filter{}))+len(w.ikes(Filter{})) != 0 {
		t.Error("sessions survive the flush")
	}
	w.dropped(a.in(9), drop.ESPStaleSPI)
	w.a.Flush(Filter{}, w.now, w.do) // nothing left: success
}

func TestN32_GateTimeoutChangedDuringAGate_R10(t *testing.T) {
	// N32
	w := newWorld(t)
	a := w.client(addrA, 2).tunnel()
	w.at(10)
	a.ask(exCreateChild, 2)
	a.reply(exCreateChild, 2, 200)
	w.at(12)
	short := *w.profile
	short.ESPGateTimeout = 3 * time.Second
	w.do(w.a.SetProfile("P", short, w.now))
	if g := w.gate(); g.Expires != int64(13*time.Second) {
		t.Errorf("the gate expires at %v, want 13s", time.Duration(g.Expires))
	}
	w.at(13.1)
	w.lock(Free, addrA)
	short.IKESessionTimeout = time.Minute // R10: it was last seen at 10 s
	w.do(w.a.SetProfile("P", short, w.now))
	if w.idle[a.mapping] != time.Minute {
		t.Errorf("the mapping idles out after %v, want the new minute", w.idle[a.mapping])
	}
	w.at(71.1)
	if !w.removed[a.mapping] {
		t.Error("the IKE session outlives the new timeout")
	}
}
