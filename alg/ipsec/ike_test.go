package ipsec

import (
	"encoding/binary"
	"testing"
	"time"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func TestMalformedIKEIsPlainUDP(t *testing.T) {
	// R42
	good := ike{initiator: 1, exchange: exSAInit, body: 20}.bytes(2)
	change := func(f func(b []byte)) []byte {
		b := append([]byte(nil), good...)
		f(b)
		return b
	}
	for name, b := range map[string][]byte{
		"empty":                  {},
		"27 bytes":               good[:27],
		"length beyond datagram": change(func(b []byte) { binary.BigEndian.PutUint32(b[24:], uint32(len(b)+1)) }),
		"length 4 GB":            change(func(b []byte) { binary.BigEndian.PutUint32(b[24:], 1<<32-1) }),
		"length below header":    change(func(b []byte) { binary.BigEndian.PutUint32(b[24:], 27) }),
		"version 3":              change(func(b []byte) { b[17] = 0x30 }),
		"version 0":              change(func(b []byte) { b[17] = 0 }),
		"no initiator SPI":       change(func(b []byte) { clear(b[:8]) }),
		"fragment 0":             ike{initiator: 1, exchange: exAuth, frag: 0, of: 3, body: 20}.bytes(2),
		"fragment 4 of 3":        ike{initiator: 1, exchange: exAuth, frag: 4, of: 3, body: 20}.bytes(2),
		"fragment cut": change(func(b []byte) {
			b[16] = payloadSKF
			binary.BigEndian.PutUint32(b[24:], 30)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.client(addrA, 2).packet(ike{}, 500)
			p.Payload = b
			w.forwarded(w.step(p), addrA)
			if c := w.a.Counters(); c.MalformedIKE != 1 || c.IKESessions != 0 {
				t.Errorf("malformed %d, sessions %d; want 1 and 0", c.MalformedIKE, c.IKESessions)
			}
		})
	}
}

func TestPhase2Table(t *testing.T) {
	// Table 4.3
	v1, v2 := byte(1), byte(2)
	for _, c := range []struct {
		version  byte
		exchange byte
		flags    byte
		id       uint32
		want     bool
	}{
		{v1, exQuickMode, flagEncrypted, 7, true},
		{v1, exQuickMode, flagEncrypted, 0, false},
		{v1, exQuickMode, 0, 7, false},
		{v1, exInformational, flagEncrypted, 7, false}, // without a live quick mode
		{v1, exMainMode, flagEncrypted, 0, false},
		{v1, exAggressive, 0, 0, false},
		{v1, 1, 0, 0, false},
		{v1, 3, 0, 0, false},
		{v1, 6, flagEncrypted, 7, false}, // XAUTH, mode-cfg
		{v1, 33, flagEncrypted, 7, false},
		{v2, exAuth, 0, 11, true},
		{v2, exCreateChild, 0, 2, true},
		{v2, exFollowupKE, 0, 3, true},
		{v2, exSAInit, 0, 0, false},
		{v2, 37, 0, 4, false},
		{v2, 38, 0, 0, false},
		{v2, 43, 0, 1, false},
	} {
		w := newWorld(t)
		a := w.client(addrA, c.version)
		if c.version == 2 {
			a.tunnel()
		} else {
			a.phase1()
		}
		w.at(40)
		a.send(ike{dir: alg.In2Out, exchange: c.exchange, flags: c.flags, responder: a.responder, id: c.id, serial: 9})
		if got := w.gate().State == Provisional; got != c.want {
			t.Errorf("version %d exchange %d flags %#x id %d: phase 2 %v, want %v", c.version, c.exchange, c.flags, c.id, got, c.want)
		}
	}
}

func TestConnectedIsTheFourthMessageOfItsQuickMode(t *testing.T) {
	// RFC 2408 section 3.1, commit bit.
	w := newWorld(t)
	a := w.client(addrA, 1)
	a.phase1()
	for n := range byte(3) {
		w.at(1 + float64(n))
		a.quick(7, n+1)
	}
	w.at(9)
	a.send(ike{dir: alg.Out2In, exchange: exInformational, flags: flagEncrypted, responder: a.responder, id: 7, serial: 4})
	if g := w.gate(); g.Expires != int64(39*time.Second) {
		t.Errorf("CONNECTED re-arms to %v, want 39s", time.Duration(g.Expires))
	}
}

func TestQM3IsNotARetransmissionOfQM1(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 1)
	a.phase1()
	a.quick(7, 1)
	w.at(2)
	a.send(ike{dir: alg.In2Out, exchange: exQuickMode, flags: flagEncrypted, responder: a.responder, id: 7, serial: 99})
	if g := w.gate(); g.Expires != int64(10*time.Second) {
		t.Errorf("another QM1 before QM2 re-armed to %v", time.Duration(g.Expires))
	}
}

func TestN35_CookieAndInvalidKEStayOneHalfSession_R43(t *testing.T) {
	// N35
	w := newWorld(t)
	a := w.client(addrA, 2)
	a.send(ike{dir: alg.In2Out, exchange: exSAInit})
	a.send(ike{dir: alg.Out2In, exchange: exSAInit, flags: flagResponse}) // COOKIE, responder 0
	a.send(ike{dir: alg.In2Out, exchange: exSAInit, serial: 1})
	a.send(ike{dir: alg.Out2In, exchange: exSAInit, flags: flagResponse, responder: 0xbad}) // INVALID_KE
	a.send(ike{dir: alg.In2Out, exchange: exSAInit, serial: 2})
	if s := w.ikes(Filter{}); len(s) != 1 || s[0].State != Half {
		t.Fatalf("sessions %+v, want one HALF", s)
	}
	a.send(ike{dir: alg.Out2In, exchange: exSAInit, flags: flagResponse, responder: a.responder})
	a.ask(exAuth, 1)
	if s := w.ikes(Filter{}); len(s) != 1 || s[0].Responder != a.responder {
		t.Errorf("latched %x, want the echoed %x", s[0].Responder, a.responder)
	}
	w.lock(Provisional, addrA)
}

func TestForgerCannotLatch(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 2)
	a.phase1()
	a.send(ike{dir: alg.Out2In, exchange: exSAInit, flags: flagResponse, responder: 0xf04e})
	w.forwarded(a.ask(exAuth, 1), addrA)
	w.lock(Free, addrA) // the forgery hid the true value for one round trip ...
	w.forwarded(a.reply(exAuth, 1, 200), addrA)
	w.lock(Confirmed, addrA) // ... and the answer brings the lock (R46, R59)
	w.forwarded(a.in(1), addrA)
}

func TestServerInitiatedPhase1(t *testing.T) {
	// R44
	w := newWorld(t)
	a := w.client(addrA, 1).tunnel()
	m := ike{dir: alg.Out2In, initiator: 0x5e, exchange: exMainMode}
	a.send(m)
	m.dir, m.responder = alg.In2Out, 0xc1
	a.send(m)
	m.dir, m.serial = alg.Out2In, 1
	a.send(m)
	w.at(1)
	a.send(ike{dir: alg.Out2In, initiator: 0x5e, responder: 0xc1, exchange: exQuickMode, flags: flagEncrypted, id: 8})
	w.lock(Provisional, addrA)
}

func TestMidStreamPickup(t *testing.T) {
	// R46: after our restart the client goes on; the server's answer proves it.
	w := newWorld(t)
	a := w.client(addrA, 2)
	w.forwarded(a.ask(exCreateChild, 12), addrA)
	w.lock(Free, addrA)
	w.forwarded(a.reply(exCreateChild, 12, 200), addrA)
	w.lock(Confirmed, addrA)
	w.forwarded(a.out(1), addrA)
	w.forwarded(a.in(1), addrA)
}

func TestN17_ForgedPhase2TakesNoLock_R41_R56(t *testing.T) {
	// N17
	w := newWorld(t)
	for i := range uint64(100) {
		a := w.client(addrA, 1)
		a.initiator, a.responder = 0xf00d+i, 0xfeed+i
		r := a.quick(7, 1)
		if i < maxHalfOpen {
			w.forwarded(r, addrA)
		} else {
			w.dropped(r, drop.IKEHalfLimit)
		}
	}
	w.lock(Free, addrA)
	if c := w.a.Counters(); c.IKEHalfOpen != maxHalfOpen || c.IKEHalfLimit != 95 {
		t.Errorf("half-open %d, refused %d; want 5 and 95", c.IKEHalfOpen, c.IKEHalfLimit)
	}
}

func TestFloodOfForgedHeaders(t *testing.T) {
	// 10,000 headers from many subscribers: state is bounded, an established
	// session loses nothing, and after the flood everything is given back.
	w := newWorld(t)
	w.a = New(Config{MaxIKESessions: 1000})
	a := w.client(addrA, 2).tunnel()
	for i := range uint32(10000) {
		f := w.client(frame.Addr{10, 1, byte(i >> 8), byte(i)}, 2)
		f.initiator, f.mapping = uint64(i)+1, 1<<20+uint64(i)
		f.send(ike{dir: alg.In2Out, exchange: exSAInit})
		if i%100 == 0 {
			w.forwarded(a.in(2+i), addrA)
			w.forwarded(a.out(2+i), addrA)
		}
	}
	if c := w.a.Counters(); c.IKEHalfOpen != 500 {
		t.Errorf("half-open %d, want half of the table", c.IKEHalfOpen)
	}
	w.forwarded(a.ask(exCreateChild, 2), addrA)
	w.lock(Provisional, addrA)
	w.at(31)
	if c := w.a.Counters(); c.IKESessions != 1 {
		t.Errorf("%d IKE sessions after the flood, want A's", c.IKESessions)
	}
	for i := range w.a.subs {
		if n := len(w.a.subs[i].quota); n > 1 || n == 1 && w.a.subs[i].quota[addrA].all != 1 {
			t.Errorf("subscriber shard %d still counts %v", i, w.a.subs[i].quota)
		}
		if n := len(w.a.maps[i].use); n > 1 {
			t.Errorf("mapping shard %d still has %d", i, n)
		}
	}
}

func TestServersForgedInitiationsLeaveRoomForTheClient(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 2)
	for i := range uint64(20) {
		a.send(ike{dir: alg.Out2In, initiator: 0xf0 + i, exchange: exSAInit})
	}
	w.forwarded(a.send(ike{dir: alg.In2Out, exchange: exSAInit}), addrA)
}

func TestSubscriberHasAtMost64Sessions(t *testing.T) {
	w := newWorld(t)
	for i := range uint64(65) {
		a := w.client(addrA, 2)
		a.initiator, a.mapping = 0x100+i, 1<<20+i
		r := a.send(ike{dir: alg.In2Out, exchange: exSAInit})
		a.reply(exSAInit, 0, 200)
		if i == 64 {
			w.dropped(r, drop.IKESessionLimit)
			continue
		}
		a.send(ike{dir: alg.In2Out, exchange: 37, responder: a.responder, id: 1})
	}
}

func TestN27_MappingTimerFollowsItsSessions_R40(t *testing.T) {
	// R40, N27: with the last UP session gone the short timer is back.
	w := newWorld(t)
	a := w.client(addrA, 2).tunnel()
	if w.idle[a.mapping] != time.Hour {
		t.Errorf("UP: %v, want an hour", w.idle[a.mapping])
	}
	w.at(3590)
	a.send(ike{dir: alg.In2Out, initiator: 0x1234, exchange: exSAInit})
	if w.idle[a.mapping] != time.Hour {
		t.Errorf("a new half-open session shortened the timer to %v", w.idle[a.mapping])
	}
	w.at(3602)
	if w.idle[a.mapping] != 30*time.Second || w.removed[a.mapping] {
		t.Errorf("after the UP session ended: %v, removed %v", w.idle[a.mapping], w.removed[a.mapping])
	}
	w.at(3622)
	if !w.removed[a.mapping] {
		t.Error("the mapping is still there without a session")
	}
}

func TestWithoutAProfileNothingHappens(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 2).tunnel()
	w.profile = nil // R11: the profile was unbound
	w.forwarded(a.ask(exCreateChild, 2), addrA)
	w.lock(Free, addrA)
	w.forwarded(a.out(2), addrA)
	w.forwarded(a.in(2), addrA)
	a.spiOut++
	w.dropped(a.out(1), drop.ESPNoGateOut)
}
