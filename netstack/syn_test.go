package netstack

import (
	"bytes"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

func TestRFC5382_REQ4_AnUnaskedSYNIsAnsweredAfterSixSeconds(t *testing.T) {
	w := newWorld(t)
	syn := tcpTo(at(server, 4000), at(natAddr, 8080), frame.TCPSyn, "")
	w.wantDrop(drop.NoMapping, 1, func() { w.fromWAN(syn) })
	w.advance(3 * time.Second)
	w.wantDrop(drop.NoMapping, 1, func() { w.fromWAN(syn) }) // sent again
	w.advance(2900 * time.Millisecond)
	w.none(w.atWAN())
	w.advance(1100 * time.Millisecond) // the sweep of a second finds it
	p := w.one(w.atWAN())
	if p.Src != natAddr || p.Dst != server || p.ICMPType != 3 || p.ICMPCode != 3 {
		t.Fatalf("%v > %v type %d code %d", p.Src, p.Dst, p.ICMPType, p.ICMPCode)
	}
	if quote := p.Transport()[8:]; !bytes.Equal(quote, syn[:28]) {
		t.Errorf("quotes % x", quote)
	}
	w.advance(30 * time.Second)
	w.none(w.atWAN())
}

func TestRFC5382_REQ4_AnOutboundSYNCancelsTheAnswer(t *testing.T) {
	w := newWorld(t, cone(lsn.APDF))
	w.fromLAN(tcpTo(at(client1, 5000), at(server2, 80), frame.TCPSyn, "")) // the mapping that the other was told of
	out := w.one(w.atWAN())
	w.wantDrop(drop.Filtered, 1, func() { w.fromWAN(tcpTo(at(server, 4000), at(natAddr, out.SrcPort), frame.TCPSyn, "")) })
	w.advance(4 * time.Second)
	w.fromLAN(tcpTo(at(client1, 5000), at(server, 4000), frame.TCPSyn, ""))
	if p := w.one(w.atWAN()); p.SrcPort != out.SrcPort {
		t.Fatalf("from port %d", p.SrcPort)
	}
	w.fromWAN(tcpTo(at(server, 4000), at(natAddr, out.SrcPort), frame.TCPSyn|tcpACK, ""))
	w.one(w.atLAN())
	w.advance(10 * time.Second)
	w.none(w.atWAN())
	if n := w.r.syns.count.Load(); n != 0 || len(w.r.syns.queue) != 0 || len(w.r.syns.of) != 0 {
		t.Errorf("%d SYN are kept, %d in the queue", n, len(w.r.syns.queue))
	}
}

func TestOnlyALoneSYNIsEverAnswered(t *testing.T) {
	w := newWorld(t)
	for _, flags := range []uint8{tcpACK, frame.TCPSyn | tcpACK, frame.TCPRst, frame.TCPFin, frame.TCPSyn | frame.TCPRst} {
		w.fromWAN(tcpTo(at(server, 4000), at(natAddr, 8080), flags, ""))
	}
	w.fromWAN(udpTo(at(server, 4000), at(natAddr, 8080), "x"))
	w.inBroadcastFrame(1, tcpTo(at(server, 4001), at(natAddr, 8080), frame.TCPSyn, ""))
	w.advance(10 * time.Second)
	w.none(w.atWAN())
}

func TestAGroupMayLeaveEverySYNUnanswered(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.LSN.Groups[0].SilentSYN = true })
	w.fromWAN(tcpTo(at(server, 4000), at(natAddr, 8080), frame.TCPSyn, ""))
	w.advance(10 * time.Second)
	w.none(w.atWAN())
}

// Whoever sprays gets fewer packets than he sends, each no longer than
// headers, and costs bounded memory.
func TestSprayedSYNsAreNotAmplified(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.LSN.Statics = []lsn.Static{{Name: "s", Proto: frame.ProtoUDP, Inside: at(client2, 1), Outside: at(addr("203.0.113.40"), 1)}}
	})
	const sprayed = 5000
	sent := 0
	for i := range sprayed {
		b := tcpTo(at(server, uint16(i)), at(natAddr, uint16(i)), frame.TCPSyn, "")
		sent += len(b)
		w.fromWAN(b)
	}
	w.fromWAN(tcpTo(at(server, 1), at(addr("203.0.113.40"), 1), frame.TCPSyn, "")) // another address has its own share
	s := &w.r.syns
	if len(s.queue) != maxSYNsOfNAT+1 || len(s.waiting) != len(s.queue) {
		t.Errorf("%d SYN are kept", len(s.queue))
	}
	answers, bytes := 0, 0
	for range 30 {
		w.advance(time.Second)
		for _, b := range w.atWAN() {
			answers++
			bytes += len(b)
		}
	}
	if answers == 0 || answers > maxSYNsOfNAT+1 || bytes > sent {
		t.Errorf("%d answers of %d bytes to %d SYN of %d", answers, bytes, sprayed, sent)
	}
	if len(s.queue) != 0 || len(s.waiting) != 0 || len(s.of) != 0 || s.count.Load() != 0 {
		t.Errorf("left: %d %d %d", len(s.queue), len(s.waiting), len(s.of))
	}
}

func TestTheStoreOfSYNsIsBoundedInAll(t *testing.T) {
	var s pendingSYNs
	for i := range 3 * maxSYNs {
		s.add(synKey{at(frame.Addr{203, 0, byte(i >> 8), byte(i)}, 1), at(server, uint16(i))}, make([]byte, 28), 1)
	}
	if len(s.queue) != maxSYNs {
		t.Errorf("%d are kept", len(s.queue))
	}
	if n := len(s.due(int64(synWait))); n != 0 {
		t.Errorf("%d are due too early", n)
	}
	if n := len(s.due(1 + int64(synWait))); n != answersASecond || len(s.queue) != 0 {
		t.Errorf("%d are due, %d stay", n, len(s.queue))
	}
}

// Whoever would be let in by now must not be told that nobody is there: a new
// mapping admits everybody, or the configuration has a static one.
func TestASYNThatWouldBeLetInByNowIsNotRefused(t *testing.T) {
	w := newWorld(t)
	w.fromWAN(tcpTo(at(server, 4000), at(natAddr, 8080), frame.TCPSyn, ""))
	w.advance(4 * time.Second)
	s := w.on(natAddr)
	s.LSN.Statics = []lsn.Static{{Name: "web", Proto: frame.ProtoTCP, Inside: at(client1, 80), Outside: at(natAddr, 8080)}}
	w.reload(s)
	w.advance(10 * time.Second)
	w.none(w.atWAN())
}

func TestANATAddressThatIsGoneAnswersNoSYN(t *testing.T) {
	w := newWorld(t)
	w.fromWAN(tcpTo(at(server, 4000), at(natAddr, 8080), frame.TCPSyn, ""))
	w.reload(w.on(newNAT))
	w.atWAN()
	w.advance(10 * time.Second)
	w.none(w.atWAN())
}
