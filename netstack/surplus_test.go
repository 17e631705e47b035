package netstack

import (
	"bytes"
	"encoding/binary"
	"testing"

	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// withSurplus puts bytes behind a datagram, within the packet's length.
func withSurplus(b []byte, more string) []byte {
	b = append(bytes.Clone(b), more...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return ttl(b, b[8])
}

// RFC 9868: what stands behind a datagram is its options. A stack that cuts it
// off must not make the router lose the packet, nor the options.
func TestWhatStandsBehindADatagramGoesWithIt(t *testing.T) {
	served := forwarding("v", "203.0.113.0/24")
	served.SourceTranslation = vserver.Automap
	for name, options := range map[string][]option{"LSN": nil, "server": {serving(served)}} {
		w := newWorld(t, options...)
		s, me := at(server, 443), at(client1, 40000)
		for _, length := range []int{1, 2, 12, 300} {
			more := text(length)
			sent := withSurplus(udpTo(me, s, "question"), more)
			for n := range 4 { // slow path, then the fast one
				saw := w.asks(sent)
				if got := string(saw.Bytes()[36:]); got != more || string(saw.UDPPayload()) != "question" {
					t.Fatalf("%s, packet %d: behind the datagram came out %q, want %q", name, n, got, more)
				}
				w.fromWAN(withSurplus(udpTo(s, at(saw.Src, saw.SrcPort), "answer"), more))
				back := w.one(w.atLAN())
				if got := string(back.Bytes()[34:]); got != more || back.Dst != client1 || string(back.UDPPayload()) != "answer" {
					t.Fatalf("%s, answer %d: behind the datagram came out %q, want %q", name, n, got, more)
				}
			}
		}
		if len(w.dropped()) != 0 {
			t.Errorf("%s: drops: %v", name, w.dropped())
		}
	}
}

// For the router itself there is only the datagram.
func TestWhatStandsBehindADatagramForUsIsNotRead(t *testing.T) {
	w := newWorld(t)
	w.fromLAN(withSurplus(udpTo(at(client1, 5), at(lanAddr, 9), "x"), "more"))
	p := w.one(w.atLAN())
	if p.ICMPType != 3 || p.ICMPCode != 3 || p.Proto != frame.ProtoICMP {
		t.Errorf("ICMP %d/%d; drops: %v", p.ICMPType, p.ICMPCode, w.dropped())
	}
}
