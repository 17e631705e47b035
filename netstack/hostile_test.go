package netstack

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// fragments cuts a packet as a host with the given MTU would.
func fragments(b []byte, mtu int) (out [][]byte) {
	chunk := (mtu - 20) &^ 7
	body := b[20:]
	for off := 0; off < len(body); off += chunk {
		end := min(off+chunk, len(body))
		p := append(append([]byte(nil), b[:20]...), body[off:end]...)
		h := header.IPv4(p)
		flags := uint8(0)
		if end < len(body) {
			flags = header.IPv4FlagMoreFragments
		}
		h.SetFlagsFragmentOffset(flags, uint16(off))
		h.SetTotalLength(uint16(len(p)))
		h.SetChecksum(0)
		h.SetChecksum(^h.CalculateChecksum())
		out = append(out, p)
	}
	return out
}

func TestFragmentsForTheRouterItselfAreItsOwnMatter(t *testing.T) {
	w := newWorld(t)
	w.fromLAN(fragments(echo(client1, lanAddr, 8, 1, string(make([]byte, 2000))), 1500)...)
	if p := w.parsed(w.atLAN()[0]); p.Src != lanAddr || p.Dst != client1 {
		t.Fatalf("answer %v > %v", p.Src, p.Dst)
	}
}

func TestNothingLeavesWithAnInsideAddress(t *testing.T) {
	w := newWorld(t)
	a := w.tunnel(client1, 0x1000)
	a.up()
	sent := [][]byte{
		udpTo(at(client1, 1), at(server, 1), "x"),
		tcpTo(at(client1, 1), at(server, 1), frame.TCPSyn, ""),
		tcpTo(at(client1, 2), at(server, 1), frame.TCPRst, ""),
		echo(client1, server, 8, 1, "x"),
		echo(client1, server, 0, 1, "x"),
		ip(client1, server, 47, make([]byte, 20)),
		ip(client1, server, 0, make([]byte, 20)),
		ip(client1, server, frame.ProtoICMP, []byte{42, 0, 0, 0, 0, 0, 0, 0}),
		esp(client1, server, 0x99, 1, "x"),
		esp(client1, server, 0x9999, 1, "x"),
		esp(client2, server, a.spiOut, 1, "x"),
		icmpError(client1, server, 3, 3, udpTo(at(server, 1), at(client1, 1), "x"), 28),
		icmpError(client1, server, 3, 3, ip(server, client1, 47, make([]byte, 20)), 28),
	}
	for _, p := range sent {
		w.fromLAN(p, ttl(p, 1))
		w.fromLAN(fragments(p, 28)...)
		w.fromLAN(fragments(p, 44)[1:]...) // without their first
	}
	for _, b := range w.atWAN() {
		var p frame.Packet
		if r := p.Parse(b); r != drop.None {
			t.Errorf("left broken (%s): % x", r, b)
		}
		if p.Src != natAddr && p.Src != wanAddr {
			t.Errorf("left from %v: % x", p.Src, b)
		}
	}
}
