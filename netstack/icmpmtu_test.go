package netstack

import (
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// A packet that is too long for its way out and must not be cut is answered
// with the MTU, to whoever sent it and about what he sent (RFC 4787 REQ-13).
func TestRFC4787_REQ13_PathMTUBothWaysForTCPAndUDP_R28(t *testing.T) {
	for name, proto := range map[string]uint8{"TCP": frame.ProtoTCP, "UDP": frame.ProtoUDP} {
		packet := func(src, dst frame.Endpoint, flags uint8, payload string) []byte {
			if proto == frame.ProtoTCP {
				return tcpTo(src, dst, flags, payload)
			}
			return udpTo(src, dst, payload)
		}
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c, s := at(client1, 5000), at(server, 80)
			w.fromLAN(packet(c, s, frame.TCPSyn, ""))
			out := w.one(w.atWAN())
			outside := at(out.Src, out.SrcPort)
			w.fromWAN(packet(s, outside, frame.TCPSyn|tcpACK, ""))
			w.one(w.atLAN())

			w.r.stack.SetNICMTU(2, 1300)
			w.r.flows.Flush() // the fast path has the MTU of the port, which never changes
			w.fromLAN(packet(c, s, tcpACK, text(1350)))
			w.none(w.atWAN())
			w.tooLong(w.one(w.atLAN()), client1, c, s)
			w.r.stack.SetNICMTU(2, 1500)
			w.r.stack.SetNICMTU(1, 1300)
			w.r.flows.Flush()
			w.fromWAN(packet(s, outside, tcpACK, text(1350)))
			w.none(w.atLAN())
			w.tooLong(w.one(w.atWAN()), server, s, outside)
		})
	}
}

// tooLong checks an error that tells of an MTU of 1300 bytes.
func (w *world) tooLong(p frame.Packet, to frame.Addr, src, dst frame.Endpoint) {
	w.t.Helper()
	q, reason := p.Quote()
	if p.Dst != to || p.ICMPType != 3 || p.ICMPCode != 4 || header.ICMPv4(p.Transport()).MTU() != 1300 {
		w.t.Fatalf("to %v type %d code %d", p.Dst, p.ICMPType, p.ICMPCode)
	}
	if reason != drop.None || at(q.Src, q.SrcPort) != src || at(q.Dst, q.DstPort) != dst {
		w.t.Errorf("quotes %v:%d > %v:%d", q.Src, q.SrcPort, q.Dst, q.DstPort)
	}
}

// Options that hold no route pass, each packet through the stack, also where
// its flow has the fast path.
func TestPacketsWithOptionsOfACachedFlowTakeTheSlowPath_R28(t *testing.T) {
	w := newWorld(t)
	s := at(server, 53)
	outside := w.conversation(s)
	_, _ = w.atLAN(), w.atWAN()
	hits := w.hits(func() {
		w.fromLAN(withOptions(udpTo(at(client1, 40000), s, "question")))
		if p := w.one(w.atWAN()); p.Src != natAddr || p.HeaderLength() != 24 || string(p.UDPPayload()) != "question" {
			t.Errorf("from %v, header of %d", p.Src, p.HeaderLength())
		}
		w.fromWAN(withOptions(udpTo(s, outside, "answer")))
		if p := w.one(w.atLAN()); p.Dst != client1 || p.HeaderLength() != 24 {
			t.Errorf("to %v, header of %d", p.Dst, p.HeaderLength())
		}
	})
	if hits != 0 {
		t.Errorf("%d packets took the fast path", hits)
	}
}

// withOptions puts four bytes of no operation behind the IPv4 header.
func withOptions(b []byte) []byte {
	out := append([]byte(nil), b[:20]...)
	out = append(out, 1, 1, 1, 0)
	out = append(out, b[20:]...)
	h := header.IPv4(out)
	h.SetHeaderLength(24)
	h.SetTotalLength(uint16(len(out)))
	return ttl(out, 64)
}

// Both ports and the clock at once: hairpins, limits, unasked SYNs and static
// mappings share tables, and what is left must be what idles out.
func TestPolicyFromSeveralGoroutines(t *testing.T) {
	w := newWorld(t, cone(lsn.EIF), oneToOne, withUDP(lsn.TransportProfile{SessionQuota: 40}))
	far := w.outsideOf(frame.ProtoTCP)
	var all sync.WaitGroup
	run := func(fn func(i uint16)) {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range uint16(400) {
				fn(i)
			}
		}()
	}
	run(func(i uint16) {
		w.fromLAN(tcpTo(at(client1, i), far, frame.TCPSyn, ""), udpTo(at(client1, i), at(server, 53), "x"),
			tcpTo(at(client1, i), at(server, i), frame.TCPSyn, ""), esp(client2, server, 0x9000, uint32(i), "x"))
	})
	run(func(i uint16) {
		w.fromWAN(tcpTo(at(server, i), at(natAddr, i*3), frame.TCPSyn, ""), udpTo(at(server, i), at(ownAddr, i), "x"),
			esp(server, ownAddr, 0x9001, uint32(i), "x"))
	})
	run(func(i uint16) {
		if i%40 == 0 {
			w.advance(time.Second)
		}
	})
	all.Wait()
	if st := w.r.lsn.Stats(); st.Sessions[1] == 0 || st.Groups[0].Subscribers == 0 || st.Dropped[1] == 0 {
		t.Errorf("nothing has happened: %+v", st)
	}
	for range 10 {
		w.advance(time.Minute)
	}
	if st := w.r.lsn.Stats(); st.Sessions != [3]int{} || st.Groups[0].Subscribers != 0 || len(w.r.syns.queue) != 0 {
		t.Errorf("left: %v sessions of %d subscribers, %d SYN", st.Sessions, st.Groups[0].Subscribers, len(w.r.syns.queue))
	}
}
