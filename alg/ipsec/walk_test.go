package ipsec

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spigate/alg"
	"spigate/netstack/drop"
)

func TestW1_OneIKEv1Client(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 1)
	a.send(ike{dir: alg.In2Out, exchange: exMainMode})
	if got := w.ikes(Filter{})[0].State; got != Half {
		t.Errorf("after message 1 the session is %v, want HALF", got)
	}
	if w.idle[a.mapping] != 30*time.Second {
		t.Errorf("the mapping of a half-open session idles out after %v, want 30s (R40)", w.idle[a.mapping])
	}
	a.send(ike{dir: alg.Out2In, exchange: exMainMode, responder: a.responder})
	if got := w.ikes(Filter{})[0].State; got != Half {
		t.Errorf("a reply alone makes it %v, want HALF (R43)", got)
	}
	a.send(ike{dir: alg.In2Out, exchange: exMainMode, responder: a.responder, serial: 1})
	if got := w.ikes(Filter{})[0]; got.State != Up || got.Responder != a.responder {
		t.Errorf("after the echo the session is %v with responder %x", got.State, got.Responder)
	}
	if w.idle[a.mapping] != 60*time.Minute {
		t.Errorf("the mapping idles out after %v, want ikeSessionTimeout (R40)", w.idle[a.mapping])
	}
	w.lock(Free, addrA)
	w.at(1)
	w.forwarded(a.quick(7, 1), addrA)
	w.lock(Provisional, addrA)
	if g := w.gate(); !g.Open {
		t.Error("the gates do not open with the request (R54)")
	}
	w.at(2)
	w.forwarded(a.quick(7, 2), addrA)
	w.lock(Confirmed, addrA)
	w.at(3)
	w.forwarded(a.quick(7, 3), addrA)
	if g := w.gate(); g.Expires != int64(33*time.Second) {
		t.Errorf("QM3 re-arms to %v, want 33s", time.Duration(g.Expires))
	}
	w.at(4)
	r := a.out(1)
	w.forwarded(r, addrA)
	if r.NAT != addrN || r.Cache {
		t.Errorf("outbound: NAT %v, cache %v; want %v and no cache while HALF", r.NAT, r.Cache, addrN)
	}
	if s := w.sessions(Filter{}); len(s) != 1 || s[0].State != ESPHalf || s[0].SPIIn != 0 {
		t.Errorf("after one way: %+v", s)
	}
	r = a.in(1)
	w.forwarded(r, addrA)
	if !r.Cache || r.Idle != 60*time.Minute {
		t.Errorf("two-way: cache %v idle %v, want cached for espSessionTimeout", r.Cache, r.Idle)
	}
	w.lock(Free, addrA)
	s := w.sessions(Filter{})
	if len(s) != 1 || s[0].State != ESPEstablished || s[0].SPIIn != a.spiIn || s[0].SPIOut != a.spiOut || s[0].Inside != addrA {
		t.Errorf("show: %+v", s)
	}
	c := w.a.Counters()
	if c.Total != 1 || c.Active != 1 || c.RxPkts != 1 || c.TxPkts != 1 || c.Dropped != 0 {
		t.Errorf("counters %+v", c)
	}
	want := []string{
		"IKE CREATED src=192.0.2.10 nat=203.0.113.3 dst=198.51.100.1 cookie=00000000c0ffee0a",
		"IKE UP src=192.0.2.10 nat=203.0.113.3 dst=198.51.100.1 cookie=00000000c0ffee0a",
		"GATE OPEN src=192.0.2.10 nat=203.0.113.3 dst=198.51.100.1 cookie=00000000c0ffee0a msgid=00000007",
		"GATE MATCH_OUT src=192.0.2.10 nat=203.0.113.3 dst=198.51.100.1 spiin=- spiout=5100000a",
		"ESP CREATED src=192.0.2.10 nat=203.0.113.3 dst=198.51.100.1 spiin=c100000a spiout=5100000a",
		"GATE MATCH_IN src=192.0.2.10 nat=203.0.113.3 dst=198.51.100.1 spiin=c100000a spiout=5100000a",
		"GATE RELEASE src=192.0.2.10 nat=203.0.113.3 dst=198.51.100.1 cookie=00000000c0ffee0a msgid=00000007 reason=two_way",
	}
	if d := cmp.Diff(want, w.lines); d != "" {
		t.Errorf("log (-want +got):\n%s", d)
	}
}

func TestW2_SecondClientWaitsForTheFirst(t *testing.T) {
	w := newWorld(t)
	a, b := w.client(addrA, 2), w.client(addrB, 2)
	a.phase1()
	w.forwarded(a.ask(exAuth, 1), addrA)
	w.forwarded(b.send(ike{dir: alg.In2Out, exchange: exSAInit}), addrB) // not phase 2: passes
	b.reply(exSAInit, 0, 200)
	w.at(1)
	w.held(b.ask(exAuth, 1))
	w.at(2)
	w.held(b.ask(exAuth, 1))
	w.at(3)
	w.held(b.ask(exAuth, 1))
	if c := w.a.Counters(); c.Blocked != 1 || c.P2Held != 1 {
		t.Errorf("blocked %d, held %d; want one message however often it is sent", c.Blocked, c.P2Held)
	}
	w.forwarded(a.reply(exAuth, 1, 200), addrA)
	w.forwarded(a.out(1), addrA)
	w.at(4)
	w.forwarded(a.in(1), addrA)
	if len(w.released) != 1 || w.released[0].Inside != addrB {
		t.Fatalf("released %d messages, want B's one", len(w.released))
	}
	w.lock(Provisional, addrB)
	if g := w.gate(); !g.Open || g.Inside != addrB {
		t.Errorf("gates: %+v, want open to B", g)
	}
	w.forwarded(b.reply(exAuth, 1, 200), addrB)
	w.forwarded(b.out(1), addrB)
	w.forwarded(b.in(1), addrB)
	w.forwarded(a.in(2), addrA)
	w.forwarded(b.in(2), addrB)
	if c := w.a.Counters(); c.Blocked != 0 || c.Active != 2 || c.Dropped != 0 {
		t.Errorf("counters %+v", c)
	}
}

func TestW3_NoESPAtAll(t *testing.T) {
	for _, late := range []bool{true, false} {
		w := newWorld(t, func(p *Profile) { p.LateBindingOut = late })
		a, b := w.client(addrA, 1), w.client(addrB, 1)
		a.phase1()
		b.phase1()
		a.quick(7, 1)
		a.quick(7, 2)
		a.quick(7, 3)
		w.at(1)
		w.held(b.quick(9, 1))
		w.at(30)
		w.lock(Confirmed, addrA) // idle must exceed the timeout (R22)
		w.jump(30.000000001)
		w.do(w.a.Tick(w.now))
		w.lock(Provisional, addrB)
		b.quick(9, 2)
		b.quick(9, 3)
		b.out(1)
		b.in(1)
		w.at(45)
		if late {
			w.forwarded(a.out(1), addrA)
			w.lock(Confirmed, addrA)
			w.forwarded(a.in(1), addrA)
			if c := w.a.Counters(); c.LateBind != 1 || c.Active != 2 || c.GateTimeout != 1 {
				t.Errorf("late binding: counters %+v", c)
			}
		} else {
			w.dropped(a.out(1), drop.ESPNoGateOut)
		}
	}
}

func TestW4_ServerRekeys(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 2).tunnel()
	w.at(60)
	r := a.send(ike{dir: alg.Out2In, exchange: exCreateChild, responder: a.responder, id: 0})
	w.forwarded(r, addrA)
	w.lock(Provisional, addrA)
	w.forwarded(a.send(ike{dir: alg.In2Out, exchange: exCreateChild, flags: flagResponse, responder: a.responder}), addrA)
	w.lock(Confirmed, addrA)
	old := *a
	a.spiIn, a.spiOut = 0xc2000000, 0x52000000
	w.forwarded(a.out(1), addrA)
	w.forwarded(a.in(1), addrA)
	w.at(61)
	w.forwarded(old.in(2), addrA)
	w.forwarded(old.out(2), addrA)
	w.at(60 + 3600)
	w.forwarded(a.in(2), addrA)
	w.at(61 + 3600)
	if n := len(w.sessions(Filter{})); n != 2 {
		t.Errorf("%d sessions at the timeout, want both pairs (R68)", n)
	}
	w.jump(61 + 3600.1)
	w.dropped(old.in(3), drop.ESPStaleSPI)
	if n := len(w.sessions(Filter{})); n != 1 {
		t.Errorf("%d sessions after 60 min idle, want the new pair only", n)
	}
}

func TestW5_IKERekeyBurnsNoGateTimeout(t *testing.T) {
	for _, first := range []alg.Direction{alg.In2Out, alg.Out2In} {
		w := newWorld(t)
		a := w.client(addrA, 2).tunnel()
		b := w.client(addrB, 2)
		w.at(60)
		b.phase1()
		a.ask(exCreateChild, 2)
		a.reply(exCreateChild, 2, 300)
		w.lock(Confirmed, addrA)
		w.held(b.ask(exAuth, 1))
		w.at(61)
		fresh := ike{dir: first, initiator: 0xbeef, responder: 0xfeed, exchange: 37}
		w.forwarded(a.send(fresh), addrA)
		fresh.dir, fresh.flags = first.Reverse(), flagResponse
		w.forwarded(a.send(fresh), addrA)
		w.lock(Provisional, addrB)
		if c := w.a.Counters(); c.GateTimeout != 0 || c.GateFail != 0 {
			t.Errorf("%v first: a timeout was burnt: %+v", first, c)
		}
		up := 0
		for _, s := range w.ikes(Filter{Inside: addrA}) {
			if s.State == Up {
				up++
			}
		}
		if up != 2 {
			t.Errorf("%v first: %d IKE sessions UP, want the old and the new one (R45)", first, up)
		}
	}
}

func TestW6_NATTraversalTakesNoLock(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 2)
	a.phase1()
	auth := ike{dir: alg.In2Out, initiator: a.initiator, responder: a.responder, exchange: exAuth, id: 1, body: 200}
	w.forwarded(w.step(a.packet(auth, portNATT)), addrA)
	w.lock(Free, addrA)
	if s := w.ikes(Filter{}); s[0].State != Floated {
		t.Errorf("the session is %v, want FLOATED", s[0].State)
	}
	keepalive := a.packet(auth, portNATT)
	keepalive.Payload = []byte{0xff}
	w.forwarded(w.step(keepalive), addrA)
	if c := w.a.Counters(); c.MalformedIKE != 0 {
		t.Error("a keepalive counts as malformed IKE")
	}
	w.at(60)
	if n := len(w.ikes(Filter{})); n != 1 {
		t.Error("the floated session does not linger 60 s (R50)")
	}
	w.at(62)
	if n := len(w.ikes(Filter{})); n != 0 || !w.removed[a.mapping] {
		t.Error("after 60 s the session and its mapping of port 500 are still there")
	}
}

func TestW7_SilentServer(t *testing.T) {
	w := newWorld(t)
	a, b := w.client(addrA, 1), w.client(addrB, 1)
	a.phase1()
	b.phase1()
	a.quick(7, 1)
	w.at(4)
	w.forwarded(a.quick(7, 1), addrA) // a retransmission re-arms nothing (R49)
	w.at(5)
	w.held(b.quick(9, 1))
	w.at(10)
	w.lock(Provisional, addrA)
	w.at(10.1)
	w.lock(Provisional, addrB)
	w.at(11)
	w.held(a.quick(7, 1))
	w.dropped(a.out(1), drop.ESPNoGateOut)
	b.quick(9, 2)
	b.quick(9, 3)
	b.out(1)
	b.in(1)
	w.lock(Provisional, addrA)
	if c := w.a.Counters(); c.GateFail != 1 {
		t.Errorf("gateFail %d, want 1", c.GateFail)
	}
}
