package ipsec

import (
	"slices"
	"testing"
	"time"

	"spigate/alg"
	"spigate/netstack/drop"
)

// The nasty cases of the specification that no other file has. Those that
// need fragments of IP, ICMP, configuration or the NAT itself (N22, N24, N25,
// N26, N31, N33, N39) are shown where these live.

func TestN1_SecondClientsPhase2WhileAGateIsOpen_R58(t *testing.T) {
	w := newWorld(t)
	a, b := w.client(addrA, 1), w.client(addrB, 2)
	a.phase1()
	b.phase1()
	w.forwarded(a.quick(7, 1), addrA)
	w.held(b.ask(exAuth, 1))
	w.forwarded(a.quick(7, 2), addrA)
	w.forwarded(a.quick(7, 3), addrA)
	w.forwarded(a.out(1), addrA)
	if len(w.released) != 0 {
		t.Error("B's message was sent while A's inbound SPI is not bound")
	}
	w.forwarded(a.in(1), addrA)
	if len(w.released) != 1 {
		t.Errorf("%d messages given back, want B's", len(w.released))
	}
	w.dropped(w.esp(alg.In2Out, addrA, addrN, addrY, 0x999, 1), drop.ESPNoGateOut) // the gate is B's now
}

func TestN2_HolderNeverGetsESP_R55(t *testing.T) {
	w := newWorld(t)
	a, b := w.client(addrA, 1), w.client(addrB, 1)
	a.phase1()
	b.phase1()
	for n := range byte(3) { // distinct messages at 5, 10, 15 s
		w.at(5 + 5*float64(n))
		a.quick(7, n+1)
	}
	w.at(20)
	w.held(b.quick(9, 1))
	w.at(45)
	w.lock(Confirmed, addrA)
	w.at(45.001)
	w.lock(Provisional, addrB)
}

func TestN4_OutboundESPBeforeTheExchangeIsOver_R54(t *testing.T) {
	for _, version := range []byte{1, 2} {
		w := newWorld(t)
		a := w.client(addrA, version)
		a.phase1()
		if version == 1 { // before QM3
			a.quick(7, 1)
			a.quick(7, 2)
		} else { // before IKE_AUTH's response
			a.ask(exAuth, 1)
		}
		w.forwarded(a.out(1), addrA)
		w.forwarded(a.in(1), addrA)
		if s := w.sessions(Filter{}); len(s) != 1 || s[0].State != ESPEstablished {
			t.Errorf("version %d: %+v", version, s)
		}
	}
}

func TestN7_RekeyWithTrafficLosesNothing_R68(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 2).tunnel()
	seq := uint32(1)
	both := func(p *peer) {
		t.Helper()
		seq++
		w.forwarded(p.in(seq), addrA)
		w.forwarded(p.out(seq), addrA)
	}
	for i := range uint32(5) {
		w.at(100 * float64(i+1))
		old := *a
		a.ask(exCreateChild, 10+i)
		both(&old)
		a.reply(exCreateChild, 10+i, 200)
		both(&old)
		a.spiIn, a.spiOut = 0xa0000000+i, 0xb0000000+i
		seq = 0
		both(a)
		seq = 1000
		both(&old)
	}
	if c := w.a.Counters(); c.Dropped != 0 || c.Active != 6 {
		t.Errorf("dropped %d, active %d; want none and all six pairs", c.Dropped, c.Active)
	}
}

func TestN8_QuietRekeyAndTrafficTenMinutesLater_R66(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 2).tunnel()
	w.at(100)
	a.ask(exCreateChild, 2)
	a.reply(exCreateChild, 2, 200)
	a.spiIn, a.spiOut = 0xaaaa0001, 0xaaaa0002
	w.at(700)
	w.forwarded(a.out(1), addrA)
	w.forwarded(a.in(1), addrA)
	if c := w.a.Counters(); c.LateBind != 1 || c.Active != 2 {
		t.Errorf("late bindings %d, active %d; want 1 and 2", c.LateBind, c.Active)
	}
	a.spiOut++ // the token is used up
	w.at(800)
	w.dropped(a.out(1), drop.ESPNoGateOut)
}

func TestN10_ServerInitiatedRekey_R44_R58(t *testing.T) {
	w := newWorld(t)
	a, b := w.client(addrA, 2).tunnel(), w.client(addrB, 2).tunnel()
	w.at(100)
	w.forwarded(a.send(ike{dir: alg.Out2In, exchange: exCreateChild, responder: a.responder, id: 0}), addrA)
	w.held(b.send(ike{dir: alg.Out2In, exchange: exCreateChild, responder: b.responder, id: 0})) // the server's too
	w.forwarded(a.send(ike{dir: alg.In2Out, exchange: exCreateChild, flags: flagResponse, responder: a.responder, id: 0}), addrA)
	a.spiIn, a.spiOut = 0xaaaa0001, 0xaaaa0002
	w.forwarded(a.in(1), addrA)
	w.forwarded(a.out(1), addrA)
	if len(w.released) != 1 || w.released[0].Dir != alg.Out2In || w.released[0].In != 2 {
		t.Errorf("released %+v, want the server's request at the interface it came in", w.released)
	}
	w.lock(Provisional, addrB)
}

func TestN13_ErrorReplyFreesTheLockAtOnce_R52(t *testing.T) {
	for _, c := range []struct {
		size int // of the datagram
		want LockState
	}{{139, Free}, {140, Confirmed}} {
		w := newWorld(t)
		a := w.client(addrA, 2)
		a.phase1()
		a.ask(exAuth, 1)
		w.forwarded(a.reply(exAuth, 1, c.size-headerLen), addrA)
		w.lock(c.want, addrA)
		if got := w.gate().Open; got != (c.want != Free) {
			t.Errorf("%d bytes: gates open: %v", c.size, got)
		}
	}
}

func TestN20_TwoTunnelsOfOneClient_R57(t *testing.T) {
	// Two IKE sessions on one mapping; their exchanges take turns.
	w := newWorld(t)
	a, b := w.client(addrA, 2), w.client(addrA, 2)
	b.initiator, b.responder, b.spiIn, b.spiOut = 0xb1, 0xb2, 0xbbbb0001, 0xbbbb0002
	a.phase1()
	b.phase1()
	w.forwarded(a.ask(exAuth, 1), addrA)
	w.held(b.ask(exAuth, 1))
	a.reply(exAuth, 1, 200)
	w.forwarded(a.out(1), addrA)
	w.forwarded(a.in(1), addrA)
	w.forwarded(b.reply(exAuth, 1, 200), addrA)
	w.forwarded(b.out(1), addrA)
	w.forwarded(b.in(1), addrA)
	var pairs [][2]uint32
	for _, s := range w.sessions(Filter{}) {
		pairs = append(pairs, [2]uint32{s.SPIIn, s.SPIOut})
	}
	if want := [][2]uint32{{a.spiIn, a.spiOut}, {b.spiIn, b.spiOut}}; !slices.Equal(pairs, want) {
		t.Errorf("shown: %x, want %x", pairs, want)
	}
	if n := len(w.ikes(Filter{})); n != 2 {
		t.Errorf("%d IKE sessions, want 2", n)
	}
}

func TestN21_SourcePortDoesNotMatter_R36(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 1)
	for _, m := range []ike{
		{dir: alg.In2Out, exchange: exMainMode}, {dir: alg.Out2In, exchange: exMainMode, responder: a.responder},
		{dir: alg.In2Out, exchange: exMainMode, responder: a.responder, serial: 1},
		{dir: alg.In2Out, exchange: exQuickMode, flags: flagEncrypted, responder: a.responder, id: 7},
	} {
		m.initiator, m.body = a.initiator, 200
		p := a.packet(m, 500)
		p.InsidePort = 40001 // a second NAT in front of the client
		w.forwarded(w.step(p), addrA)
	}
	w.lock(Provisional, addrA)
}

func TestN28_FlushOfOneAddressLeavesTheOther_R69(t *testing.T) {
	// What is left to the ALG of a pool address that is unbound.
	w := newWorld(t)
	a, b := w.client(addrA, 2).tunnel(), w.client(addrB, 2)
	b.nat = addrN2
	b.tunnel()
	w.a.Flush(Filter{NAT: addrN}, w.now, w.do)
	if !w.removed[a.mapping] || w.removed[b.mapping] {
		t.Errorf("removed mappings %v, want A's only", w.removed)
	}
	w.forwarded(b.in(2), addrB)
	w.forwarded(b.out(2), addrB)
	a.nat, a.initiator, a.mapping = addrN2, 0x77, 77 // A comes again on the other address
	a.tunnel()
}

func TestN34_OnlyDifferencesOfTimeCount(t *testing.T) {
	play := func(start time.Duration) []string {
		w := newWorld(t)
		w.now = int64(start)
		at := func(s float64) { w.at(start.Seconds() + s) }
		a, b := w.client(addrA, 1), w.client(addrB, 2)
		a.phase1()
		b.phase1()
		a.quick(7, 1)
		b.ask(exAuth, 1)
		at(12)
		b.reply(exAuth, 1, 200)
		b.out(1)
		at(50)
		b.out(2)
		b.in(1)
		at(5000)
		w.now -= int64(time.Second) // another port's clock reading may be older
		b.in(2)
		at(10000)
		return w.lines
	}
	want := play(0)
	if len(want) < 10 {
		t.Fatalf("only %d lines", len(want))
	}
	for _, start := range []time.Duration{-time.Hour, time.Hour, 20 * 365 * 24 * time.Hour} {
		if got := play(start); !slices.Equal(got, want) {
			t.Errorf("started at %v:\n%q\nwant\n%q", start, got, want)
		}
	}
}

func TestN36_ConnectedLost_R54_R55(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 1)
	a.phase1()
	for n := range byte(3) {
		w.at(float64(n) * 5)
		a.quick(7, n+1)
	}
	w.at(39) // CONNECTED never passed; QM3 re-armed at 10 s
	w.forwarded(a.in(1), addrA)
	w.forwarded(a.out(1), addrA)
}

func TestN38_NATTraversalBesidePlainESP_R50(t *testing.T) {
	w := newWorld(t)
	a, b := w.client(addrA, 2), w.client(addrB, 2)
	a.phase1()
	b.phase1()
	w.forwarded(a.ask(exAuth, 1), addrA) // A has the lock
	for id := range uint32(20) {
		m := ike{dir: alg.Direction(id & 1), initiator: b.initiator, responder: b.responder, exchange: exAuth, id: id, body: 200}
		w.forwarded(w.step(b.packet(m, portNATT)), addrB)
	}
	esp := b.packet(ike{dir: alg.In2Out, initiator: 9, body: 60}, portNATT)
	esp.Payload = esp.Payload[8:] // ESP in UDP: an SPI in place of the marker
	w.forwarded(w.step(esp), addrB)
	w.lock(Provisional, addrA)
	w.forwarded(a.reply(exAuth, 1, 200), addrA)
	w.forwarded(a.out(1), addrA)
	w.forwarded(a.in(1), addrA)
	if c := w.a.Counters(); c.Dropped != 0 || c.P2Held != 0 || c.Active != 1 {
		t.Errorf("counters %+v", c)
	}
}
