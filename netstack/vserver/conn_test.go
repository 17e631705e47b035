package vserver

import (
	"testing"
	"time"

	"spigate/netstack/frame"
)

var (
	client = tcpKey("10.2.1.1", 40000, "10.1.1.1", 80)
	syn    = Segment{Length: 40, Flags: frame.TCPSyn, Seq: 100, Size: 1}
	data   = Segment{Length: 140, Flags: tcpAck, Seq: 101, Ack: 501, Size: 100}
)

func oneServer(s Server, p FastL4) Config {
	p.Name, s.Profile = "p", "p"
	return Config{Servers: []Server{s}, Profiles: []FastL4{p}}
}

func plain() Config { return oneServer(vs("s", "any", "any", 0, 0), FastL4{}) }

func (w *world) lives(k Key) bool {
	_, ok := w.tab.Find(k, Segment{Flags: tcpAck}, w.now)
	return ok
}

func TestBothSidesWereResetAfter300IdleSeconds_Q14(t *testing.T) {
	w := newWorld(t, plain())
	w.handshake(client)
	w.mustPass(client, data)
	w.mustPass(client.Reversed(), Segment{Length: 90, Flags: tcpAck, Seq: 501, Ack: 201, Size: 50})
	w.mustPass(client, Segment{Length: 40, Flags: tcpAck, Seq: 201, Ack: 551})
	w.now += 299 * second
	w.sweep()
	if len(w.resets) != 0 || !w.lives(client) {
		t.Fatalf("over after 299 s: %+v", w.resets)
	}
	w.now += second
	if w.lives(client) || w.lives(client.Reversed()) {
		t.Error("found at 300 s")
	}
	w.sweep()
	if len(w.resets) != 2 {
		t.Fatalf("%d RSTs: %+v", len(w.resets), w.resets)
	}
	// The client wants byte 551 next and has sent up to 201; the server the
	// other way round.
	toClient, toServer := w.resets[0], w.resets[1]
	if toClient.Key != client.Reversed() || toClient.Seq != 551 || toClient.Ack != 201 || toClient.Out != lan || !toClient.HasAck {
		t.Errorf("to the client %+v", toClient)
	}
	if toServer.Key != client || toServer.Seq != 201 || toServer.Ack != 551 || toServer.To != Remote {
		t.Errorf("to the server %+v", toServer)
	}
	if s := w.stats("s"); s.Expired != 1 || s.Current != 0 || s.MaxDuration != 300*time.Second || w.tab.Len() != 0 {
		t.Errorf("%+v, %d left", s, w.tab.Len())
	}
	if _, v := w.open(client, data, lan); v != NotSYN {
		t.Errorf("data afterwards: %v", v)
	}
}

func TestTheRSTHasTheNumbersTheReceiverWantsEvenIfBytesWereLost_VR17(t *testing.T) {
	w := newWorld(t, plain())
	w.handshake(client)
	w.mustPass(client, data) // the server never acknowledges it
	w.mustPass(client.Reversed(), Segment{Flags: tcpAck, Seq: 501, Ack: 0x70000000})
	w.now += 300 * second
	w.sweep()
	if len(w.resets) != 2 || w.resets[1].Seq != 101 {
		t.Errorf("to a server that wants 101: %+v", w.resets)
	}
}

func TestTheNumbersGoRoundZero_VR17(t *testing.T) {
	w := newWorld(t, plain())
	w.mustOpen(client, Segment{Flags: frame.TCPSyn, Seq: 0xffffffff, Size: 1})
	w.mustPass(client.Reversed(), Segment{Flags: frame.TCPSyn | tcpAck, Seq: 0xfffffff0, Ack: 0, Size: 1})
	w.mustPass(client, Segment{Flags: tcpAck, Seq: 0, Ack: 0xfffffff1, Size: 10})
	w.mustPass(client.Reversed(), Segment{Flags: tcpAck, Seq: 0xfffffff1, Ack: 10, Size: 100})
	w.mustPass(client, Segment{Flags: tcpAck, Seq: 10, Ack: 0x55})
	w.now += 300 * second
	w.sweep()
	if len(w.resets) != 2 || w.resets[0].Seq != 0x55 || w.resets[1].Seq != 10 {
		t.Errorf("%+v", w.resets)
	}
}

func TestAHalfOpenConnectionEndsQuietlyAfterFiveSeconds_VR16(t *testing.T) {
	w := newWorld(t, plain())
	w.mustOpen(client, syn)
	w.now += 3 * second
	w.mustPass(client, syn) // sent again: the five seconds go on
	w.mustPass(client.Reversed(), Segment{Flags: frame.TCPSyn | tcpAck, Seq: 500, Ack: 101, Size: 1})
	w.now += 2*second - 1
	if !w.lives(client) {
		t.Error("over before 5 s")
	}
	w.now++
	w.sweep()
	if w.lives(client) || w.tab.Len() != 0 || len(w.resets) != 0 {
		t.Errorf("%d left, %+v", w.tab.Len(), w.resets)
	}
}

func fin(seq uint32) Segment { return Segment{Flags: frame.TCPFin | tcpAck, Seq: seq, Size: 1} }

func TestAClosedConnectionGoesAfterFiveSeconds_VR16(t *testing.T) {
	w := newWorld(t, plain())
	w.handshake(client)
	w.mustPass(client, fin(101))
	w.now += 200 * second
	w.sweep()
	w.mustPass(client.Reversed(), Segment{Flags: tcpAck, Seq: 501, Size: 10}) // half closed, and alive
	w.mustPass(client.Reversed(), fin(511))
	w.now += 5*second - 1
	w.mustPass(client, Segment{Flags: tcpAck, Seq: 102, Ack: 512})
	w.now++
	if w.lives(client) {
		t.Error("found after the close timeout")
	}
	w.sweep()
	if w.tab.Len() != 0 || len(w.resets) != 0 {
		t.Errorf("%d left, %+v", w.tab.Len(), w.resets)
	}
	if s := w.stats("s"); s.Closed != 1 || s.Expired != 0 {
		t.Errorf("its ends closed it: %+v", s)
	}
}

func TestLooseCloseEndsAfterTheFirstFIN_VR16(t *testing.T) {
	w := newWorld(t, oneServer(vs("s", "any", "any", 0, 0), FastL4{LooseClose: true}))
	w.handshake(client)
	w.mustPass(client.Reversed(), fin(501))
	w.now += 5 * second
	w.sweep()
	if w.tab.Len() != 0 {
		t.Error("it is still there")
	}
}

func TestASYNOnAClosedConnectionIsANewAttempt(t *testing.T) {
	w := newWorld(t, plain())
	w.handshake(client)
	w.mustPass(client, fin(101))
	w.mustPass(client.Reversed(), fin(501))
	if _, ok := w.tab.Find(client, syn, w.now); ok {
		t.Fatal("the SYN is the old connection's")
	}
	w.mustOpen(client, syn)
	if s := w.stats("s"); s.Total != 2 || s.Current != 1 || s.Closed != 1 || w.tab.Len() != 1 {
		t.Errorf("%+v, %d in the table", s, w.tab.Len())
	}
	if !w.lives(client.Reversed()) {
		t.Error("the new one's answers are not found")
	}
}

func TestARSTEndsAtOnceUnlessItIsForged(t *testing.T) {
	w := newWorld(t, plain())
	w.handshake(client)
	w.mustPass(client, data)
	rst := Segment{Flags: frame.TCPRst, Seq: 0x12345678}
	if over, ok := w.packet(client, rst, lan); over || !ok {
		t.Error("a RST with a foreign number ended it")
	}
	rst.Seq = 201
	if over, ok := w.packet(client, rst, lan); !over || !ok {
		t.Error("the client's RST did not end it")
	}
	if s := w.stats("s"); w.tab.Len() != 0 || s.Resets != 1 || s.Current != 0 {
		t.Errorf("%d left, %+v", w.tab.Len(), s)
	}
}

func TestDataWithoutAConnectionIsRefusedOrPickedUp_Q13(t *testing.T) {
	w := newWorld(t, plain())
	for name, flags := range map[string]uint8{"ACK": tcpAck, "SYN-ACK": tcpAck | frame.TCPSyn, "FIN": frame.TCPFin, "RST": frame.TCPRst} {
		if _, v := w.open(client, Segment{Flags: flags}, lan); v != NotSYN {
			t.Errorf("%s: %v", name, v)
		}
	}
	w = newWorld(t, oneServer(vs("s", "any", "any", 0, 0), FastL4{LooseInitialization: true}))
	w.mustOpen(client, data)
	w.now += 6 * second
	if !w.lives(client) {
		t.Error("it was picked up as half open")
	}
	w.now += 300 * second
	w.sweep()
	if len(w.resets) != 2 || w.resets[0].Seq != 501 || w.resets[1].Seq != 201 || w.resets[1].Out != 0 {
		t.Errorf("%+v", w.resets)
	}
	if _, v := w.open(client, Segment{Flags: frame.TCPRst}, lan); v != NotSYN {
		t.Errorf("a RST was picked up: %v", v)
	}
}

func TestAnswersAskForNoVLANAndNoServer_Q3_Q10(t *testing.T) {
	c := oneServer(on(vs("s", "any", "any", 0, 0), lan), FastL4{})
	w := newWorld(t, c)
	w.handshake(client)
	c.Servers[0] = disabled(c.Servers[0])
	if n := w.tab.Reload(build(t, c), w.now, nil); n != (Reloaded{Kept: 1}) {
		t.Fatalf("%+v", n)
	}
	if _, ok := w.packet(client.Reversed(), data, tunnel); !ok {
		t.Error("the answer by another VLAN was not found")
	}
	if _, v := w.open(tcpKey("10.2.1.1", 40001, "10.1.1.1", 80), syn, lan); v != Disabled {
		t.Errorf("a new one: %v", v)
	}
}

func TestUDPOfOnePacketHoldsStateAndMeetsTheLimit_Q15(t *testing.T) {
	s := vs("s", "any", "any", frame.ProtoUDP, 0)
	s.ConnectionLimit = 10
	w := newWorld(t, oneServer(s, FastL4{}))
	for i := range uint16(25) {
		want := Admit
		if i >= 10 {
			want = Limited
		}
		if _, v := w.open(udpKey("10.2.1.1", 1000+i, "10.1.1.1", 53), Segment{Length: 60}, lan); v != want {
			t.Fatalf("number %d: %v", i, v)
		}
	}
	if s := w.stats("s"); s.Current != 10 || s.Maximum != 10 || s.Total != 10 || s.Limited != 15 {
		t.Errorf("%+v", s)
	}
	if !w.lives(udpKey("10.2.1.1", 1000, "10.1.1.1", 53)) {
		t.Error("an old one was put out")
	}
	w.now += 300 * second
	w.sweep()
	if _, v := w.open(udpKey("10.2.1.1", 1000, "10.1.1.1", 53), Segment{Length: 60}, lan); v != Admit || len(w.resets) != 0 {
		t.Errorf("after 300 s: %v, %v", v, w.resets)
	}
}

func TestTheRateLimitLetsThatManyASecondIn_VR18(t *testing.T) {
	s := vs("s", "any", "any", 0, 0)
	s.RateLimit = 5
	w := newWorld(t, oneServer(s, FastL4{}))
	port := uint16(0)
	burst := func() (in int) {
		for range 20 {
			port++
			if _, v := w.open(udpKey("10.2.1.1", port, "10.1.1.1", 53), Segment{}, lan); v == Admit {
				in++
			}
		}
		return in
	}
	if n := burst(); n != 5 {
		t.Errorf("%d in the first instant", n)
	}
	w.now += 2 * second / 5
	if n := burst(); n != 2 {
		t.Errorf("%d after two fifths of a second", n)
	}
	w.now += 100 * second
	if n := burst(); n != 5 {
		t.Errorf("%d after a pause: what was not used is not saved", n)
	}
	if n := w.stats("s").RateLimited; n != 15+18+15 {
		t.Errorf("%d refused", n)
	}
}

func TestImmediateEndsWithTheAnswer_VR17(t *testing.T) {
	w := newWorld(t, oneServer(vs("s", "any", "any", 0, 0), FastL4{IdleTimeout: Immediate}))
	k := udpKey("10.2.1.1", 1000, "10.1.1.1", 53)
	w.mustOpen(k, Segment{Length: 60})
	w.mustPass(k, Segment{Length: 60})
	if over, ok := w.packet(k.Reversed(), Segment{Length: 100}, lan); !over || !ok || w.tab.Len() != 0 {
		t.Errorf("over %v, ok %v, %d left", over, ok, w.tab.Len())
	}
	w.mustOpen(k, Segment{Length: 60})
	w.now += 5 * second
	w.sweep()
	if w.tab.Len() != 0 {
		t.Error("one without an answer stays")
	}
}

func TestIndefiniteNeverEnds_VR17(t *testing.T) {
	w := newWorld(t, oneServer(vs("s", "any", "any", 0, 0), FastL4{IdleTimeout: Indefinite}))
	w.handshake(client)
	for range 10 {
		w.now += 1 << 50
		w.sweep()
	}
	if !w.lives(client) {
		t.Fatal("it ended")
	}
	w.mustPass(client, fin(101))
	w.mustPass(client.Reversed(), fin(501))
	w.now += 5 * second
	w.sweep()
	if w.tab.Len() != 0 {
		t.Error("it stays after its close")
	}
}

func TestEveryTickOfTheWheelIsExact(t *testing.T) {
	for _, idle := range []time.Duration{time.Second, 63 * time.Second, 64 * time.Second, 65 * time.Second, 200 * time.Second} {
		w := newWorld(t, oneServer(vs("s", "any", "any", 0, 0), FastL4{IdleTimeout: idle}))
		w.mustOpen(udpKey("10.2.1.1", 1, "10.1.1.1", 53), Segment{})
		for s := time.Second; s <= idle; s += time.Second {
			w.now += second
			w.sweep()
			if there := w.tab.Len() == 1; there != (s < idle) {
				t.Fatalf("idle time %v: after %v it is there: %v", idle, s, there)
			}
		}
	}
}
