package netstack

import (
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Whatever comes in on a port, alone and after a conversation: nothing panics,
// nothing is dropped without a reason, and what leaves can be parsed.
func FuzzFrames(f *testing.F) {
	for _, b := range [][]byte{
		udpTo(at(client1, 5353), at(server, 53), "question"),
		options(echo(client1, wanAddr, 8, 1, "x"), 7, 7, 4, 0, 0, 0, 0),
		options(udpTo(at(client1, 1), at(server, 1), "x"), 68, 8, 5, 0, 0, 0, 0, 0),
		tcpTo(at(client1, 1), at(lanAddr, 80), frame.TCPSyn, ""),
		esp(client1, server, 0x1000, 1, "x"),
		fragments(echo(client1, lanAddr, 8, 1, string(make([]byte, 100))), 60)[1],
		udpTo(at(client1, 500), at(server, 500), ike(2, 9, 0, ikeSAInit, flagV2Init, 0, 10)),
	} {
		f.Add(true, frameTo(lanMAC, b))
	}
	f.Add(false, frameTo(wanMAC, icmpError(server, natAddr, 3, 1, udpTo(at(natAddr, 9), at(server, 9), "x"), 28)))
	f.Add(false, frameTo(wanMAC, esp(server, natAddr, 0xc0001000, 1, "x")))
	f.Add(false, arpFrame(1, hostMAC(server), server, wanAddr))
	f.Fuzz(func(t *testing.T, fromLAN bool, b []byte) {
		w := newWorld(t)
		w.tunnel(client1, 0x1000).up()
		port := 1
		if fromLAN {
			port = 0
		}
		w.frame(port, b)
		w.sound(b)
	})
}

// sound fails if the stack has panicked, if anything was dropped without a
// reason, or if what left cannot be parsed.
func (w *world) sound(because []byte) {
	w.t.Helper()
	if n := w.r.drops.Get(drop.StackPanic); n != 0 {
		w.t.Errorf("the stack panicked:\n%s", w.log)
	}
	if n := w.r.drops.Get(drop.None); n != 0 {
		w.t.Errorf("%d drops without a reason", n)
	}
	for _, out := range append(w.atLAN(), w.atWAN()...) {
		var p frame.Packet
		if why := p.Parse(out); why == drop.IPMalformed {
			w.t.Errorf("% x left because of % x", out, because)
		}
	}
}

// The same with virtual servers, NATs and SNATs, and what becomes of it in time.
func FuzzFramesThroughServers(f *testing.F) {
	for kind := range uint8(4) {
		for _, b := range [][]byte{
			segment(at(near, 40000), at(far, 80), 1003, 1, ack, "data"),
			segment(at(near, 40000), at(far, 80), 1003, 1, frame.TCPRst, ""),
			withTCPOptions(segment(at(near, 40001), at(far, 80), 1, 0, syn, ""), 1, 2, 4, 5, 180),
			udpTo(at(near2, 53), at(server, 53), "question"),
			udpTo(at(client1, 5353), at(server2, 53), "question"),
			echo(near2, upstream, 8, 1, "x"),
			esp(near2, far, 0x1000, 1, "x"),
			fragments(udpTo(at(near, 40000), at(far, 53), text(200)), 124)[0],
			fragments(udpTo(at(near, 40000), at(far, 53), text(200)), 124)[1],
			icmpError(near, far, 3, 3, udpTo(at(far, 53), at(near, 40000), "x"), 28),
			ttl(udpTo(at(near, 40000), at(far, 53), "x"), 1),
		} {
			f.Add(kind, true, frameTo(lanMAC, b))
		}
		for _, b := range [][]byte{
			segment(at(far, 80), at(near, 40000), 1, 1003, ack, "data"),
			segment(at(far, 80), at(wanAddr, 40000), 1, 1003, frame.TCPFin|ack, ""),
			udpTo(at(far, 53), at(crowdNAT, 40000), "answer"),
			udpTo(at(far, 53), at(crowdSNAT, 40000), "answer"),
			udpTo(at(far, 1), at(near2, 40000), "new"),
			icmpError(server, crowdNAT, 3, 4, udpTo(at(crowdNAT, 40000), at(far, 53), "x"), 60),
			fragments(udpTo(at(far, 53), at(crowdNAT, 40000), text(200)), 124)[0],
		} {
			f.Add(kind, false, frameTo(wanMAC, b))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, fromLAN bool, b []byte) {
		w := newSites(t, func(c *Config) { c.Listeners = crowdListeners(int(kind % 4)) })
		for _, client := range []frame.Addr{near, near2, client1} {
			w.acquaint(client)
		}
		port := 1
		if fromLAN {
			port = 0
		}
		w.frame(port, b)
		w.frame(port, b)
		w.sound(b)
		w.wait(9)
		w.advance(300 * time.Second) // a NAT's
		w.wait(2)
		w.sound(b)
		if n := w.r.Connections().Len(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// acquaint begins flows of a host with the other site, as far as it is let.
func (w *world) acquaint(client frame.Addr) {
	for _, b := range [][]byte{
		segment(at(client, 40000), at(far, 80), 1001, 0, syn, ""), udpTo(at(client, 40000), at(far, 53), "question"),
		segment(at(client, 40000), at(far, 80), 1002, 1, ack, ""),
	} {
		w.fromLAN(b)
		for _, out := range w.atWAN() {
			if p := w.parsed(out); p.TCPFlags == frame.TCPSyn {
				w.fromWAN(segment(at(p.Dst, p.DstPort), at(p.Src, p.SrcPort), 0, 1002, synAck, ""))
			} else if p.Proto == frame.ProtoUDP {
				w.fromWAN(udpTo(at(p.Dst, p.DstPort), at(p.Src, p.SrcPort), "answer"))
			}
		}
		w.atLAN()
	}
}
