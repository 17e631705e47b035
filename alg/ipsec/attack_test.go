package ipsec

import (
	"testing"

	"spigate/alg"
	"spigate/netstack/frame"
)

// honest counts what happens to the ESP of somebody who does nothing wrong.
type honest struct{ sent, lost int }

func (h *honest) packet(r Result, inside frame.Addr) {
	h.sent++
	if r.Verdict != alg.Forward || r.Inside != inside {
		h.lost++
	}
}

func TestSprayFromOutsideCostsTheVictimOneSA_R56_R64(t *testing.T) {
	// An attacker who spoofs the server sprays 10,000 ESP packets a second, and
	// as much IKE, at the open gate of A, while B waits and C has a tunnel. A
	// loses the SA that it was about to make, at most; it is served again at its
	// next exchange, B waits no longer than without the attack, C loses nothing.
	w := newWorld(t)
	a, b, c := w.client(addrA, 2), w.client(addrB, 2), w.client(addrC, 2).tunnel()
	var others honest
	forged := uint32(0xbad00000)
	spray := func(seconds float64) {
		end := w.now + int64(seconds*1e9)
		for w.now < end {
			w.now += 100e3
			forged++
			w.esp(alg.Out2In, addrA, addrN, addrY, forged, 1+forged%1024)
			f := w.client(addrA, 2) // the attacker guesses SPIs
			f.send(ike{dir: alg.Out2In, initiator: uint64(forged), responder: uint64(forged), exchange: exAuth, flags: flagResponse, id: 1, body: 60})
			if forged%1000 == 0 {
				others.packet(c.in(forged), addrC)
				others.packet(c.out(forged), addrC)
			}
		}
		w.lines = w.lines[:0]
	}
	w.at(100)
	a.phase1()
	lostSAs := 0
	for round := range uint32(5) { // A's exchanges, one SA each
		a.spiIn, a.spiOut = 0xa0000000+round, 0xa1000000+round
		w.forwarded(a.ask(exCreateChild, 10+round), addrA)
		spray(0.5)
		a.reply(exCreateChild, 10+round, 200)
		w.forwarded(a.out(1), addrA)
		if r := a.in(1); r.Inside != addrA {
			lostSAs++
		}
		if n := len(w.sessions(Filter{Inside: addrA})); n > int(round+1)*(maxGateSPIs+1) {
			t.Errorf("after %d gates A has %d sessions, want at most 4 at a gate", round+1, n)
		}
	}
	if lostSAs != 0 {
		t.Errorf("nobody waited, and A lost %d of 5 SAs; want none (the gate stays open to it)", lostSAs)
	}
	// The worst case: B waits, so that the first forged packet and A's own
	// outbound one are two-way ESP and end A's turn.
	w.at(float64(w.now)/1e9 + 40)
	b.phase1()
	a.spiIn, a.spiOut = 0xa2000000, 0xa3000000
	w.forwarded(a.ask(exCreateChild, 20), addrA)
	w.held(b.ask(exAuth, 1))
	waited := w.now
	spray(0.5)
	a.reply(exCreateChild, 20, 200)
	a.out(1)
	w.lock(Provisional, addrB)
	if waited = w.now - waited; waited > 1e9 {
		t.Errorf("B waited %d ns", waited)
	}
	first := a.in(1)
	t.Logf("worst case: A's new SA goes to %v", first.Inside)
	b.reply(exAuth, 1, 200)
	b.out(1)
	b.in(1)
	a.spiIn, a.spiOut = 0xa4000000, 0xa5000000 // one exchange later
	w.forwarded(a.ask(exCreateChild, 21), addrA)
	a.reply(exCreateChild, 21, 200)
	w.forwarded(a.out(1), addrA)
	w.forwarded(a.in(1), addrA)
	if others.lost != 0 || others.sent < 50 {
		t.Errorf("C lost %d of %d packets, want none", others.lost, others.sent)
	}
	if x := w.a.Counters(); x.IKESessions > 3+maxHalfOpen-reservedHalf || x.P2Dropped != 0 {
		t.Errorf("%d IKE sessions, %d phase-2 messages dropped; want the three clients', three forged ones (R45) and none", x.IKESessions, x.P2Dropped)
	}
	t.Logf("%d forged ESP and as many forged IKE packets; C lost %d of %d; sessions of A at the end: %d",
		forged-0xbad00000, others.lost, others.sent, len(w.sessions(Filter{Inside: addrA})))
}

func TestInsideFloodOfForgedIKECostsTenSecondsATurn_R41_R56_R60(t *testing.T) {
	// X sends 1000 forged IKE messages a second: invented SPIs at first, and
	// then, worse, phase 2 under a session that the server has answered, which
	// nobody can tell from a true one. B, C and D rekey every 20 s. Each of
	// their messages is served, and waits ten seconds for X once at most, until
	// the penalty puts X behind who comes meanwhile as well.
	w := newWorld(t)
	x := w.client(frame.Addr{192, 0, 2, 66}, 2)
	clients := []*peer{w.client(addrB, 2).tunnel(), w.client(addrC, 2).tunnel(), w.client(frame.Addr{192, 0, 2, 13}, 2).tunnel()}
	var others honest
	for i := range uint64(1000) {
		x.send(ike{dir: alg.In2Out, initiator: 1 + i, responder: 7, exchange: exAuth, id: 1})
	}
	w.lock(Free, addrA)
	if c := w.a.Counters(); c.IKEHalfOpen != maxHalfOpen {
		t.Errorf("%d half-open sessions, want %d (R41)", c.IKEHalfOpen, maxHalfOpen)
	}
	w.at(31)
	x.phase1()
	longest, sum, served := int64(0), int64(0), 0
	asked := map[*peer]int64{}
	for ms := int64(0); ms < 100000; ms++ {
		w.at(40 + float64(ms)/1000)
		x.send(ike{dir: alg.In2Out, exchange: exCreateChild, responder: x.responder, id: uint32(ms), body: 100})
		for i, p := range clients {
			if ms%20000 == int64(i)*6000+500 {
				asked[p] = w.now
			}
			if since, ok := asked[p]; ok && ms%250 == 0 {
				id := uint32(since / 1e6)
				p.ask(exCreateChild, id)
				if g := w.gate(); g.Inside == p.inside && g.State != Free { // its turn
					p.reply(exCreateChild, id, 200)
					p.spiIn, p.spiOut = 0xb0000000+uint32(ms)<<2+uint32(i), 0xd0000000+uint32(ms)<<2+uint32(i)
					others.packet(p.out(1), p.inside)
					others.packet(p.in(1), p.inside)
					longest, sum, served = max(longest, w.now-since), sum+w.now-since, served+1
					delete(asked, p)
				}
			}
		}
		if ms%1000 == 0 {
			w.sent = slicesTail(w.sent)
			w.lines, w.lost = w.lines[:0], w.lost[:0]
		}
	}
	c := w.a.Counters()
	t.Logf("100,000 forged messages: %d turns of the others, longest wait %.1f s, on average %.1f s; X failed %d times; %d bytes held at the end",
		served, float64(longest)/1e9, float64(sum)/float64(served)/1e9, c.GateFail, w.a.count.heldBytes.Load())
	if served < 14 || others.lost != 0 {
		t.Errorf("%d of 15 turns, %d of %d packets lost", served, others.lost, others.sent)
	}
	if longest > 11e9 {
		t.Errorf("somebody waited %.1f s for X, want at most the ten seconds of R56", float64(longest)/1e9)
	}
}

// slicesTail keeps what messages that are held may still refer to: their
// numbers stay valid, the bytes of what is long gone do not.
func slicesTail(sent []IKEPacket) []IKEPacket {
	for i := 0; i < len(sent)-100000; i++ {
		sent[i] = IKEPacket{}
	}
	return sent
}
