package netstack

import (
	"strings"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// tunnel is one client's conversation with the server, told step by step.
type tunnel struct {
	w             *world
	client        frame.Addr
	id            uint64 // initiator SPI; the responder's is id+1
	nat           uint16 // the port that the NAT gave to its IKE
	spiIn, spiOut uint32
	seqIn, seqOut uint32
	server        frame.Addr
}

func (w *world) tunnel(client frame.Addr, id uint64) *tunnel {
	return &tunnel{w: w, client: client, id: id, server: server,
		spiIn: 0xc0000000 | uint32(id), spiOut: 0xd0000000 | uint32(id)}
}

func (k *tunnel) say(version uint8, responder uint64, exchange, flags uint8, id uint32) []byte {
	return udpTo(at(k.client, 500), at(k.server, 500), ike(version, k.id, responder, exchange, flags, id, 300))
}

func (k *tunnel) answer(version uint8, exchange, flags uint8, id uint32) []byte {
	return udpTo(at(k.server, 500), at(natAddr, k.nat), ike(version, k.id, k.id+1, exchange, flags, id, 300))
}

// init exchanges IKE_SA_INIT.
func (k *tunnel) init() {
	k.w.t.Helper()
	k.w.fromLAN(k.say(2, 0, ikeSAInit, flagV2Init, 0))
	k.nat = k.w.one(k.w.atWAN()).SrcPort
	k.w.fromWAN(k.answer(2, ikeSAInit, flagV2Resp, 0))
	k.w.one(k.w.atLAN())
}

// ask sends IKE_AUTH and returns what came out towards the server.
func (k *tunnel) ask() [][]byte {
	k.w.fromLAN(k.say(2, k.id+1, ikeAuth, flagV2Init, 1))
	return k.w.atWAN()
}

// reply sends the server's answer to it.
func (k *tunnel) reply() {
	k.w.t.Helper()
	k.w.fromWAN(k.answer(2, ikeAuth, flagV2Resp, 1))
	if p := k.w.one(k.w.atLAN()); p.Dst != k.client {
		k.w.t.Fatalf("the answer for %v went to %v", k.client, p.Dst)
	}
}

func (k *tunnel) out() []byte {
	k.seqOut++
	return esp(k.client, k.server, k.spiOut, k.seqOut, "outbound")
}

func (k *tunnel) in() []byte {
	k.seqIn++
	return esp(k.server, natAddr, k.spiIn, k.seqIn, "inbound")
}

// traffic sends one ESP packet each way and fails unless both arrive.
func (k *tunnel) traffic() {
	k.w.t.Helper()
	k.w.fromLAN(k.out())
	if p := k.w.one(k.w.atWAN()); p.Src != natAddr || p.SPI != k.spiOut || p.Seq != k.seqOut {
		k.w.t.Fatalf("left as %v spi %08x seq %d", p.Src, p.SPI, p.Seq)
	}
	k.w.fromWAN(k.in())
	if p := k.w.one(k.w.atLAN()); p.Dst != k.client || p.SPI != k.spiIn || p.Seq != k.seqIn {
		k.w.t.Fatalf("%v got spi %08x seq %d, meant for %v", p.Dst, p.SPI, p.Seq, k.client)
	}
}

func (k *tunnel) up() {
	k.w.t.Helper()
	k.init()
	k.w.one(k.ask())
	k.reply()
	k.traffic()
}

func TestTwoClientsBehindOneAddressSpeakPlainESPToOneGateway(t *testing.T) {
	w := newWorld(t)
	a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
	a.init()
	b.init()
	if a.nat == b.nat {
		t.Fatalf("both IKE sessions left from port %d (R38)", a.nat)
	}
	w.one(a.ask())
	w.none(b.ask()) // held: the gate of the first is open (N1, R58)
	w.none(b.ask()) // its retransmission is collapsed (R49)
	a.reply()
	w.fromLAN(a.out())
	w.one(w.atWAN())
	w.none(w.atLAN())
	w.fromWAN(a.in()) // two-way: the lock is free, and the held message goes out
	if p := w.one(w.atLAN()); p.Dst != client1 {
		t.Fatalf("first client's ESP went to %v", p.Dst)
	}
	if p := w.one(w.atWAN()); p.SrcPort != b.nat {
		t.Fatalf("released message left from port %d, want the second client's %d", p.SrcPort, b.nat)
	}
	b.reply()
	b.traffic()
	a.traffic()
	b.traffic()
	if len(w.dropped()) != 0 {
		t.Errorf("drops: %v", w.dropped())
	}
	for _, want := range []string{"GATE", "HELD", "ESP"} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("no %s event in the log:\n%s", want, w.log)
		}
	}
}

func TestEstablishedESPTakesTheFastPath(t *testing.T) {
	w := newWorld(t)
	a := w.tunnel(client1, 0x1000)
	a.up()
	a.traffic() // inserts both directions
	before := w.r.flows.Stats().Hits
	a.traffic()
	if hits := w.r.flows.Stats().Hits - before; hits != 2 {
		t.Errorf("%d hits of 2 packets", hits)
	}
}

func TestAFastTunnelOutlivesTheSessionTimeoutAndASilentOneDoesNot(t *testing.T) {
	w := newWorld(t)
	a := w.tunnel(client1, 0x1000)
	a.up()
	a.traffic()
	for range 70 { // 70 minutes, one packet each way a minute, all fast
		w.advance(time.Minute)
		a.traffic()
	}
	w.advance(61 * time.Minute)
	w.advance(2 * time.Second)
	w.fromWAN(a.in())
	w.none(w.atLAN())
}

func TestAHeldMessageIsServedWhenTheHolderNeverSendsESP(t *testing.T) {
	w := newWorld(t)
	a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
	a.init()
	b.init()
	w.one(a.ask())
	a.reply()
	w.advance(20 * time.Second)
	w.none(b.ask())
	w.advance(9 * time.Second)
	w.none(w.atWAN())
	w.advance(2 * time.Second) // 31 s after the last message of the first (N2, R55)
	if p := w.one(w.atWAN()); p.SrcPort != b.nat {
		t.Fatalf("served port %d, want %d", p.SrcPort, b.nat)
	}
	b.reply()
	b.traffic()
}

func TestESPAtAnOpenGateIsRefusedFromAnotherServer(t *testing.T) {
	w := newWorld(t)
	a := w.tunnel(client1, 0x1000)
	a.init()
	w.one(a.ask())
	w.wantDrop(drop.ESPNoGateIn, 1, func() { w.fromWAN(esp(server2, natAddr, 0xabcdef, 1, "forged")) })
	w.none(w.atLAN())
	a.reply()
	a.traffic()
}

func TestReservedSPIsAreRefusedBothWays(t *testing.T) {
	w := newWorld(t)
	a := w.tunnel(client1, 0x1000)
	a.up()
	for _, spi := range []uint32{0, 1, 255} {
		w.wantDrop(drop.ESPBadSPI, 2, func() {
			w.fromLAN(esp(client1, server, spi, 1, "x"))
			w.fromWAN(esp(server, natAddr, spi, 1, "x"))
		})
	}
	w.none(w.atLAN())
	w.none(w.atWAN())
}

func TestESPWithoutAGateIsRefusedToo(t *testing.T) {
	w := newWorld(t)
	a := w.tunnel(client1, 0x1000)
	a.init() // it has an address, but no gate yet
	w.wantDrop(drop.ESPNoGateOut, 1, func() { w.fromLAN(a.out()) })
	w.wantDrop(drop.ESPNoGateIn, 1, func() { w.fromWAN(a.in()) })
	w.none(w.atWAN())
}

func TestErrorsAboutESPFindTheirWayBySPI(t *testing.T) {
	w := newWorld(t)
	a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
	a.up()
	b.up()
	w.fromLAN(b.out())
	left := w.atWAN()
	router := addr("198.51.100.1")
	w.fromWAN(icmpError(router, natAddr, 3, 4, left[0], 28))
	p := w.one(w.atLAN())
	q, _ := p.Quote()
	if p.Dst != client2 || q.Src != client2 || q.SPI != b.spiOut {
		t.Fatalf("went to %v, quotes %v spi %08x", p.Dst, q.Src, q.SPI)
	}
	w.fromWAN(b.in())
	came := w.atLAN()
	w.fromLAN(icmpError(client2, server, 3, 4, came[0], 28))
	p = w.one(w.atWAN())
	if n := w.r.ICMPTranslated(); n != 2 {
		t.Errorf("%d errors are counted as translated, want 2 (R63)", n)
	}
	q, _ = p.Quote()
	if p.Src != natAddr || q.Dst != natAddr || q.SPI != b.spiIn {
		t.Fatalf("left from %v, quotes > %v spi %08x", p.Src, q.Dst, q.SPI)
	}
}

func TestMalformedIKEPassesAsPlainUDPAndOpensNothing(t *testing.T) {
	lying := ike(2, 1, 2, ikeAuth, flagV2Init, 1, 100)
	lying = lying[:24] + "\x00\x00\xff\xff" + lying[28:]
	for name, payload := range map[string]string{
		"truncated header": ike(2, 1, 0, ikeSAInit, flagV2Init, 0, 0)[:20],
		"lying length":     lying,
		"version 3":        ike(3, 1, 2, ikeAuth, flagV2Init, 1, 100),
		"nothing":          "",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.fromLAN(udpTo(at(client1, 500), at(server, 500), payload))
			out := w.one(w.atWAN())
			if string(out.UDPPayload()) != payload {
				t.Error("payload changed (R35)")
			}
			w.wantDrop(drop.ESPNoGateIn, 1, func() { w.fromWAN(esp(server, natAddr, 0x1234, 1, "x")) })
		})
	}
}

func TestAFloodOfForgedIKECostsAnEstablishedTunnelNothing(t *testing.T) {
	w := newWorld(t)
	a := w.tunnel(client1, 0x1000)
	a.up()
	for i := range 10_000 {
		w.fromLAN(udpTo(at(client2, uint16(1024+i%60000)), at(server, 500), ike(2, uint64(i+5), uint64(i), ikeAuth, flagV2Init, 1, 60)))
		if i%200 == 0 {
			w.atWAN()
			a.traffic()
		}
	}
	w.atWAN()
	a.traffic()
	if c := w.r.alg.Counters(); c.IKESessions > 70 || c.IKEHalfOpen > 10 {
		t.Errorf("%d IKE sessions, %d half open after the flood: not bounded (R41)", c.IKESessions, c.IKEHalfOpen)
	}
}
