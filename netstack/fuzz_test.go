package netstack

import (
	"testing"

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
		if n := w.r.drops.Get(drop.StackPanic); n != 0 {
			t.Errorf("the stack panicked:\n%s", w.log)
		}
		if n := w.r.drops.Get(drop.None); n != 0 {
			t.Errorf("%d drops without a reason", n)
		}
		for _, out := range append(w.atLAN(), w.atWAN()...) {
			var p frame.Packet
			if why := p.Parse(out); why == drop.IPMalformed {
				t.Errorf("% x left because of % x", out, b)
			}
		}
	})
}
