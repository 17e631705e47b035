package netstack

import (
	"strings"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

var ownAddr = addr("203.0.113.40") // in no pool

// oneToOne gives client2 an address of its own.
func oneToOne(c *Config) {
	c.LSN.Statics = []lsn.Static{{Name: "one", Inside: at(client2, 0), Outside: at(ownAddr, 0)}}
}

func TestAServerBehindAStaticMappingIsReached(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.LSN.Statics = []lsn.Static{{Name: "web", Proto: frame.ProtoTCP, Inside: at(client1, 80), Outside: at(natAddr, 8080)}}
	})
	w.fromWAN(tcpTo(at(server, 4000), at(natAddr, 8080), frame.TCPSyn, ""))
	if p := w.one(w.atLAN()); p.Dst != client1 || p.DstPort != 80 || p.Src != server {
		t.Fatalf("%v > %v:%d", p.Src, p.Dst, p.DstPort)
	}
	w.fromLAN(tcpTo(at(client1, 80), at(server, 4000), frame.TCPSyn|tcpACK, ""))
	if p := w.one(w.atWAN()); p.Src != natAddr || p.SrcPort != 8080 {
		t.Fatalf("answer from %v:%d", p.Src, p.SrcPort)
	}
	hits := w.hits(func() { // established: the fast path has it
		w.fromWAN(tcpTo(at(server, 4000), at(natAddr, 8080), tcpACK, "x"))
		w.fromWAN(tcpTo(at(server, 4000), at(natAddr, 8080), tcpACK, "x"))
		w.fromLAN(tcpTo(at(client1, 80), at(server, 4000), tcpACK, "x"))
		w.fromLAN(tcpTo(at(client1, 80), at(server, 4000), tcpACK, "x"))
	})
	if hits == 0 {
		t.Error("no packet took the fast path")
	}
}

// ESP passes a 1:1 address both ways, without IKE, without a gate, and in the
// end without the stack (R27).
func TestESPPassesA1to1AddressWithoutAGate_R27(t *testing.T) {
	w := newWorld(t, oneToOne)
	for _, first := range []string{"from outside", "from inside"} {
		w.fromWAN(esp(server, ownAddr, 0x7777, 5000, first)) // no sequence test either
		if p := w.one(w.atLAN()); p.Dst != client2 || p.Src != server || p.SPI != 0x7777 {
			t.Fatalf("%v > %v", p.Src, p.Dst)
		}
		w.fromLAN(esp(client2, server, 0x8888, 1, first))
		if p := w.one(w.atWAN()); p.Src != ownAddr || p.Dst != server {
			t.Fatalf("%v > %v", p.Src, p.Dst)
		}
	}
	hits := w.hits(func() {
		w.fromWAN(esp(server, ownAddr, 0x7777, 5001, "fast"))
		if p := w.one(w.atLAN()); p.Dst != client2 {
			t.Fatalf("fast to %v", p.Dst)
		}
		w.fromLAN(esp(client2, server, 0x8888, 2, "fast"))
		if p := w.one(w.atWAN()); p.Src != ownAddr {
			t.Fatalf("fast from %v", p.Src)
		}
	})
	if hits != 2 {
		t.Errorf("%d of 2 took the fast path", hits)
	}
	if c := w.r.alg.Counters(); c.ESPSessions != 0 || c.Dropped != 0 {
		t.Errorf("the ALG saw it: %+v", c)
	}
	if want := "msg=lsn event=STATIC name=one src=192.0.2.12 nat=203.0.113.40"; strings.Count(w.log.String(), want) != 1 {
		t.Errorf("the log does not say once %q:\n%s", want, w.log.String())
	}
}

// A reload tells of the 1:1 addresses that come, and not again of those that
// stay (R27).
func TestAReloadTellsOfA1to1AddressOnce_R27(t *testing.T) {
	w := newWorld(t, oneToOne)
	s := w.on(natAddr)
	s.LSN.Statics = []lsn.Static{{Name: "one", Inside: at(client2, 0), Outside: at(ownAddr, 0)}}
	w.reload(s)
	s.LSN.Statics = append(s.LSN.Statics, lsn.Static{Name: "two", Inside: at(client1, 0), Outside: at(newNAT, 0)})
	w.reload(s)
	w.reload(s)
	for _, name := range []string{"one", "two"} {
		if n := strings.Count(w.log.String(), "event=STATIC name="+name+" "); n != 1 {
			t.Errorf("%s is told %d times:\n%s", name, n, w.log.String())
		}
	}
}

func TestIKEOfA1to1AddressIsPlainUDP_R27(t *testing.T) {
	w := newWorld(t, oneToOne)
	for range 20 {
		w.fromLAN(udpTo(at(client2, 500), at(server, 500), ike(2, 1, 0, ikeSAInit, flagV2Init, 0, 100)))
		if p := w.one(w.atWAN()); p.Src != ownAddr || p.SrcPort != 500 {
			t.Fatalf("from %v:%d", p.Src, p.SrcPort)
		}
	}
	w.fromWAN(udpTo(at(server2, 500), at(ownAddr, 500), ike(2, 2, 0, ikeSAInit, flagV2Init, 0, 100))) // a server may begin
	if p := w.one(w.atLAN()); p.Dst != client2 {
		t.Fatalf("to %v", p.Dst)
	}
	if c := w.r.alg.Counters(); c.IKESessions != 0 {
		t.Errorf("the ALG saw it: %+v", c)
	}
	w.wantDrop(drop.AH, 2, func() { // AH covers the addresses, whoever has them (R36)
		w.fromLAN(ip(client2, server, 51, make([]byte, 24)))
		w.fromWAN(ip(server, ownAddr, 51, make([]byte, 24)))
	})
}

func TestErrorsAboutESPOfA1to1AddressAreTranslated_R74(t *testing.T) {
	w := newWorld(t, oneToOne)
	sent := esp(client2, server, 0x8888, 1, "too long, says a router")
	w.fromLAN(sent)
	left := w.atWAN()
	w.one(left)
	w.fromWAN(icmpError(upstream, ownAddr, 3, 4, left[0], 60))
	p := w.one(w.atLAN())
	if q, _ := p.Quote(); p.Dst != client2 || q.Src != client2 || q.SPI != 0x8888 {
		t.Errorf("to %v, quotes %v", p.Dst, q.Src)
	}
	w.fromWAN(esp(server, ownAddr, 0x7777, 1, "not wanted"))
	came := w.atLAN()
	w.fromLAN(icmpError(client2, server, 3, 2, came[0], 60))
	p = w.one(w.atWAN())
	if q, _ := p.Quote(); p.Src != ownAddr || q.Dst != ownAddr {
		t.Errorf("from %v, quotes > %v", p.Src, q.Dst)
	}
}

func TestESPInPiecesPassesA1to1Address(t *testing.T) {
	w := newWorld(t, oneToOne)
	w.fromWAN(fragments(esp(server, ownAddr, 0x7777, 1, text(3000)), 1500)...)
	if p := w.parsed(w.joined(w.atLAN())); p.Dst != client2 {
		t.Errorf("to %v", p.Dst)
	}
	w.fromLAN(fragments(esp(client2, server, 0x8888, 1, text(3000)), 1500)...)
	if p := w.parsed(w.joined(w.atWAN())); p.Src != ownAddr {
		t.Errorf("from %v", p.Src)
	}
}

// A static mapping of port 500 alone is no 1:1 address: IKE leaves from there,
// and ESP has to follow it through the ALG (R37).
func TestESPFollowsIKEToTheAddressOfItsStaticMapping_R37(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.LSN.Statics = []lsn.Static{{Name: "ike", Proto: frame.ProtoUDP, Inside: at(client1, 500), Outside: at(ownAddr, 500)}}
	})
	say := func(exchange, flags uint8, responder uint64, id uint32) []byte {
		return udpTo(at(client1, 500), at(server, 500), ike(2, 0x11, responder, exchange, flags, id, 300))
	}
	answer := func(exchange uint8, id uint32) []byte {
		return udpTo(at(server, 500), at(ownAddr, 500), ike(2, 0x11, 0x22, exchange, flagV2Resp, id, 300))
	}
	w.fromLAN(say(ikeSAInit, flagV2Init, 0, 0))
	w.fromWAN(answer(ikeSAInit, 0))
	w.fromLAN(say(ikeAuth, flagV2Init, 0x22, 1))
	w.fromWAN(answer(ikeAuth, 1))
	_, _ = w.atLAN(), w.atWAN()
	w.fromLAN(esp(client1, server, 0x8888, 1, "x"))
	if p := w.one(w.atWAN()); p.Src != ownAddr {
		t.Errorf("ESP from %v", p.Src)
	}
	if c := w.r.alg.Counters(); c.ESPSessions != 1 {
		t.Errorf("%+v", c)
	}
}

func TestAStaticMappingIsThereAgainAfterYears(t *testing.T) {
	w := newWorld(t, oneToOne)
	for range 3 {
		w.fromWAN(udpTo(at(server, 53), at(ownAddr, 9000), "x"))
		if p := w.one(w.atLAN()); p.Dst != client2 || p.DstPort != 9000 {
			t.Fatalf("%v:%d", p.Dst, p.DstPort)
		}
		w.advance(time.Hour)
		if st := w.r.lsn.Stats(); st.Sessions != [3]int{} {
			t.Fatalf("sessions do not idle out: %v", st.Sessions)
		}
	}
}

// Flows of ESP belong to no session that could end with the mapping.
func TestESPOfA1to1AddressEndsWithItsMapping_R27(t *testing.T) {
	w := newWorld(t, oneToOne)
	pass := func() {
		w.fromWAN(esp(server, ownAddr, 0x7777, 1, "x"))
		w.fromLAN(esp(client2, server, 0x8888, 1, "x"))
	}
	pass()
	if n := w.hits(pass); n != 2 {
		t.Fatalf("%d packets took the fast path", n)
	}
	_, _ = w.atLAN(), w.atWAN()
	w.reload(w.on(natAddr))
	if n := w.hits(func() {
		w.fromWAN(esp(server, ownAddr, 0x7777, 2, "x"))
		w.wantDrop(drop.ESPNoNATAddress, 1, func() { w.fromLAN(esp(client2, server, 0x8888, 2, "x")) })
	}); n != 0 {
		t.Errorf("%d packets still took the fast path", n)
	}
	w.none(w.atLAN())
}
