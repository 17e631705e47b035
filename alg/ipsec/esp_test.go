package ipsec

import (
	"testing"
	"time"
	"unsafe"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func TestKeysAreSmallAndHaveNoPadding(t *testing.T) {
	for name, got := range map[string][2]uintptr{
		"pair": {unsafe.Sizeof(pairKey{}), 8},
		"spi":  {unsafe.Sizeof(spiKey{}), 12},
		"out":  {unsafe.Sizeof(outKey{}), 12},
	} {
		if got[0] != got[1] {
			t.Errorf("%s key: %d bytes, want %d", name, got[0], got[1])
		}
	}
}

func TestReservedSPIs(t *testing.T) {
	w := newWorld(t)
	w.client(addrA, 2).tunnel()
	for _, spi := range []uint32{0, 1, 255} {
		w.dropped(w.esp(alg.In2Out, addrA, addrN, addrY, spi, 1), drop.ESPBadSPI)
		w.dropped(w.esp(alg.Out2In, addrA, addrN, addrY, spi, 1), drop.ESPBadSPI)
	}
}

func TestESPWithoutAGate(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 2)
	w.dropped(a.out(1), drop.ESPNoGateOut)
	w.dropped(a.in(1), drop.ESPNoGateIn)
	a.nat = frame.Addr{}
	w.dropped(a.out(1), drop.ESPNoNATAddress)
	if c := w.a.Counters(); c.ESPNoGateIn != 1 || c.ESPNoGateOut != 1 || c.Dropped != 3 {
		t.Errorf("counters %+v", c)
	}
}

func TestAnotherServerCannotUseTheGate(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 2)
	a.phase1()
	a.ask(exAuth, 1)
	w.dropped(w.esp(alg.Out2In, addrA, addrN, addrY2, 0x1234, 1), drop.ESPNoGateIn)
	w.dropped(w.esp(alg.Out2In, addrA, addrN2, addrY, 0x1234, 1), drop.ESPNoGateIn)
	w.dropped(w.esp(alg.In2Out, addrB, addrN, addrY, 0x1234, 1), drop.ESPNoGateOut)
	if n := len(w.sessions(Filter{})); n != 0 {
		t.Errorf("%d sessions were bound", n)
	}
}

func TestN5_InboundESPFirst_R54_R64(t *testing.T) {
	// N4, N5: inbound first, before IKE_AUTH's response.
	w := newWorld(t)
	a := w.client(addrA, 2)
	a.phase1()
	a.ask(exAuth, 1)
	w.forwarded(a.in(1), addrA)
	w.lock(Confirmed, addrA)
	w.forwarded(a.out(1), addrA)
	w.lock(Free, addrA)
	w.forwarded(a.reply(exAuth, 1, 200), addrA)
	w.forwarded(a.ask(exAuth, 1), addrA)
	w.lock(Free, addrA) // a retransmission does not take the lock again
}

func TestHighSequenceNumberIsNotANewSA(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 2)
	a.phase1()
	a.ask(exAuth, 1)
	w.dropped(a.in(1025), drop.ESPSeq)
	w.forwarded(a.in(1024), addrA)
	w.forwarded(a.in(5000), addrA) // the test is for the first packet only
}

func TestN14_StaleSPIOfADeadClientIsRefused_R64_R69(t *testing.T) {
	// N14: B's server keeps sending to B's old SPI while A's gate is open.
	w := newWorld(t)
	b := w.client(addrB, 2).tunnel()
	w.at(3601)
	a := w.client(addrA, 2)
	a.phase1()
	a.ask(exAuth, 1)
	w.dropped(b.in(2), drop.ESPStaleSPI)
	w.forwarded(a.in(1), addrA)
	w.at(3601 + 601)
	a.ask(exCreateChild, 2)
	w.forwarded(b.in(2), addrA) // after ten minutes it is a new SPI like any other
}

func TestN15_ForgedSPIsCannotShutTheGate_R64(t *testing.T) {
	// N15: an attacker sprays while A's gate is open; A's true SPI still binds.
	w := newWorld(t)
	w.pairs = map[Event]bool{}
	a := w.client(addrA, 2)
	a.phase1()
	a.ask(exAuth, 1)
	a.reply(exAuth, 1, 200)
	for i := range uint32(100) {
		w.now++
		w.esp(alg.Out2In, addrA, addrN, addrY, 0xbad00000+i, 1)
	}
	w.now++
	w.forwarded(a.out(1), addrA)
	w.now++
	w.forwarded(a.in(1), addrA)
	w.now++
	w.forwarded(a.in(2), addrA)
	if n := len(w.sessions(Filter{})); n > maxGateSPIs+1 {
		t.Errorf("%d sessions, want at most the gate's four", n)
	}
	for i := range uint32(100) { // A's SPI carried two packets: it stays
		w.now++
		w.esp(alg.Out2In, addrA, addrN, addrY, 0xbad10000+i, 1)
	}
	w.forwarded(a.in(3), addrA)
	paired := false
	for _, s := range w.sessions(Filter{}) {
		paired = paired || s.SPIIn == a.spiIn && s.SPIOut == a.spiOut && s.State == ESPEstablished
	}
	if !paired {
		t.Errorf("the true SPIs are not paired: %+v", w.sessions(Filter{}))
	}
	w.checkPairs()
}

func TestN16_SubscriberSpraysOutboundSPIs_R64(t *testing.T) {
	// N16
	w := newWorld(t)
	a := w.client(addrA, 2)
	a.phase1()
	a.ask(exAuth, 1)
	for i := range uint32(1000) {
		w.now++
		w.esp(alg.In2Out, addrA, addrN, addrY, 0x10000+i, 1)
	}
	if n := len(w.sessions(Filter{})); n > maxGateSPIs {
		t.Errorf("%d sessions, want at most %d", n, maxGateSPIs)
	}
}

func TestN6_OneWayTrafficKeepsFlowing_R67(t *testing.T) {
	// N6
	w := newWorld(t)
	a := w.client(addrA, 2)
	a.phase1()
	a.ask(exAuth, 1)
	a.reply(exAuth, 1, 200)
	for s := 1.0; s < 7200; s += 100 {
		w.at(s)
		w.forwarded(a.out(uint32(s)), addrA)
	}
	if s := w.sessions(Filter{}); len(s) != 1 || s[0].State != ESPHalf {
		t.Errorf("sessions %+v, want one HALF", s)
	}
	w.jump(7101 + 120)
	w.forwarded(a.out(1), addrA)
	w.jump(7101 + 120 + 120.1)
	w.dropped(a.out(1), drop.ESPNoGateOut)
}

func TestWrongBindingHeals(t *testing.T) {
	// R64a: B's SPI was bound to A, who never sends ESP. It ends after 120 s
	// although packets come, and leaves no tombstone: B's gate gets it.
	w := newWorld(t)
	a, b := w.client(addrA, 2), w.client(addrB, 2)
	a.phase1()
	a.ask(exAuth, 1)
	for s := 1.0; s <= 120; s++ {
		w.at(s)
		if r := b.in(uint32(s)); r.Inside != addrA {
			t.Fatalf("at %v s the SPI moved to %v", s, r.Inside)
		}
	}
	w.jump(121.1)
	w.dropped(b.in(121), drop.ESPNoGateIn)
	b.phase1()
	b.ask(exAuth, 1)
	w.forwarded(b.in(122), addrB)
}

func TestN18_SPICollisionNeverMovesASession_R71(t *testing.T) {
	// N18, R71: B's client picks the SPI that A's has.
	w := newWorld(t)
	a, b := w.client(addrA, 2).tunnel(), w.client(addrB, 2)
	for i := range uint32(1100) {
		w.forwarded(a.in(2+i), addrA)
	}
	b.spiIn = a.spiIn
	b.phase1()
	b.ask(exAuth, 1)
	b.reply(exAuth, 1, 200)
	w.forwarded(b.out(1), addrB)
	w.forwarded(b.in(1), addrA)
	w.at(31)
	if c := w.a.Counters(); c.SPICollisionSuspect != 1 {
		t.Errorf("collisions suspected: %d, want 1", c.SPICollisionSuspect)
	}
}

func TestN9_ServerFirstAfterAQuietRekey_R66(t *testing.T) {
	// R66, N9: only if one client alone can be meant.
	for _, both := range []bool{false, true} {
		w := newWorld(t, func(p *Profile) { p.LateBindingIn = true })
		a, b := w.client(addrA, 2), w.client(addrB, 2)
		a.phase1()
		a.ask(exAuth, 1)
		a.reply(exAuth, 1, 200)
		w.at(31)
		if both {
			b.phase1()
			b.ask(exAuth, 1)
			b.reply(exAuth, 1, 200)
			w.at(62)
			w.dropped(a.in(1), drop.ESPNoGateIn)
			w.forwarded(a.out(1), addrA) // the client's packet repairs it
			w.forwarded(a.in(1), addrA)
			continue
		}
		w.forwarded(a.in(1), addrA)
		w.forwarded(a.out(1), addrA)
		w.lock(Free, addrA)
	}
}

func TestQuietServerIsRepairedByTheClientsNextPacket(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 2)
	a.phase1()
	a.ask(exAuth, 1)
	a.reply(exAuth, 1, 200)
	a.out(1)
	w.at(40)
	w.dropped(a.in(1), drop.ESPNoGateIn)
	w.forwarded(a.out(2), addrA)
	w.forwarded(a.in(1), addrA)
	if s := w.sessions(Filter{}); len(s) != 1 || s[0].State != ESPEstablished {
		t.Errorf("sessions %+v, want the pair", s)
	}
}

func TestLateBindingWhileSomebodyElseHasTheLock(t *testing.T) {
	w := newWorld(t)
	a, b := w.client(addrA, 2), w.client(addrB, 2)
	a.phase1()
	a.ask(exAuth, 1)
	a.reply(exAuth, 1, 200)
	w.at(31)
	b.phase1()
	b.ask(exAuth, 1)
	w.forwarded(a.out(1), addrA)
	w.lock(Provisional, addrB)
	w.forwarded(b.in(1), addrB) // B's gate is not A's
	w.forwarded(b.out(1), addrB)
	w.forwarded(a.out(2), addrA)
	w.lock(Confirmed, addrA)
	w.forwarded(a.in(1), addrA)
	if c := w.a.Counters(); c.Active != 2 {
		t.Errorf("active %d, want both", c.Active)
	}
}

func TestN19_TwoServersReuseAnSPI_R62_R74(t *testing.T) {
	// R74, N19
	w := newWorld(t)
	a, b := w.client(addrA, 2), w.client(addrB, 2)
	a.spiOut, b.spiOut = 0x777, 0x777
	a.tunnel()
	if in, r := w.a.OwnerOfOutbound(addrN, addrY, 0x777); in != addrA || r != drop.None {
		t.Errorf("owner %v, %v; want A", in, r)
	}
	if n, ok := w.a.NATOfInbound(addrA, addrY, a.spiIn); n != addrN || !ok {
		t.Errorf("NAT address %v %v, want %v", n, ok, addrN)
	}
	b.tunnel()
	if _, r := w.a.OwnerOfOutbound(addrN, addrY, 0x777); r != drop.ICMPAmbiguous {
		t.Errorf("two owners: %v, want %v", r, drop.ICMPAmbiguous)
	}
	w.a.Flush(Filter{Inside: addrA}, w.now, w.do)
	if in, r := w.a.OwnerOfOutbound(addrN, addrY, 0x777); in != addrB || r != drop.None {
		t.Errorf("owner %v, %v; want B", in, r)
	}
	if _, ok := w.a.NATOfInbound(addrA, addrY, a.spiIn); ok {
		t.Error("an ended session still has a NAT address")
	}
	if _, r := w.a.OwnerOfOutbound(addrN, addrY, 0x778); r != drop.ICMPNoFlow {
		t.Errorf("no owner: %v, want %v", r, drop.ICMPNoFlow)
	}
}

func TestFlowTableKeepsASessionAlive(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 2).tunnel()
	id := w.sessions(Filter{})[0].ID
	for s := 1000.0; s < 20000; s += 1000 {
		w.at(s)
		w.a.FlowActive(id, alg.Out2In, w.now, 10, 1000)
	}
	w.forwarded(a.out(2), addrA)
	s := w.sessions(Filter{})[0]
	if s.RxPackets != 1+190 || s.RxBytes != 100+19000 {
		t.Errorf("counted %d packets, %d bytes", s.RxPackets, s.RxBytes)
	}
	w.at(19000 + 3700 + 1001)
	if len(w.sessions(Filter{})) != 0 || !w.flows[id] {
		t.Error("the idle session or its flows are still there")
	}
	w.a.FlowActive(id, alg.Out2In, w.now, 1, 1) // too late: no effect, no panic
}

func TestN11_IKESessionExpiresWhileESPIsUp_R47_R48(t *testing.T) {
	// R48, N11
	for _, keep := range []bool{true, false} {
		w := newWorld(t, func(p *Profile) { p.IKEKeepWithESP = keep })
		a := w.client(addrA, 2).tunnel()
		for s := 1000.0; s <= 8000; s += 1000 {
			w.at(s)
			w.forwarded(a.out(uint32(s)), addrA)
		}
		if got := len(w.ikes(Filter{})) == 1; got != keep {
			t.Errorf("keep %v: IKE session alive: %v", keep, got)
		}
		if keep && w.idle[a.mapping] < 24*time.Hour {
			t.Errorf("the mapping idles out after %v although ESP keeps it", w.idle[a.mapping])
		}
		if !keep && !w.removed[a.mapping] {
			t.Error("the mapping outlives its IKE session (R47)")
		}
		w.forwarded(a.in(2), addrA) // ESP sessions stay either way
	}
}

func TestESPTableIsBounded(t *testing.T) {
	w := newWorld(t)
	w.a = New(Config{MaxESPSessions: 1})
	w.client(addrA, 2).tunnel()
	b := w.client(addrB, 2)
	b.phase1()
	b.ask(exAuth, 1)
	w.jump(1)
	r := w.a.StepESP(&ESPPacket{Dir: alg.Out2In, NAT: addrN, Server: addrY, SPI: b.spiIn, Seq: 1}, w.now)
	w.dropped(r, drop.ALGTableFull)
}

func TestKnownSPIAllocatesNothing(t *testing.T) {
	w := newWorld(t)
	a := w.client(addrA, 2).tunnel()
	in := ESPPacket{Dir: alg.Out2In, NAT: addrN, Server: addrY, SPI: a.spiIn, Seq: 5, Len: 100}
	out := ESPPacket{Dir: alg.In2Out, Profile: w.profile, Inside: addrA, NAT: addrN, Server: addrY, SPI: a.spiOut, Seq: 5, Len: 100}
	for _, p := range []*ESPPacket{&in, &out} {
		if n := testing.AllocsPerRun(100, func() { w.a.StepESP(p, w.now) }); n != 0 {
			t.Errorf("%v: %v allocations", p.Dir, n)
		}
	}
}
