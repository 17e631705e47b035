package netstack

import (
	"bytes"
	"encoding/binary"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"pgregory.net/rapid"

	"spigate/netstack/frame"
)

// conversations is one established flow of each kind, the same in both worlds
// of a twin.
type conversations struct {
	udp, tcp frame.Endpoint // the NAT's sides
	echo     uint16
	esp      *tunnel
}

// converse makes them all in one world.
func (w *world) converse() (c conversations) {
	w.t.Helper()
	s, me := at(server, 443), at(client1, 40000)
	c.udp = w.conversation(s)
	w.fromLAN(tcpTo(me, s, frame.TCPSyn, ""))
	c.tcp = at(natAddr, w.one(w.atWAN()).SrcPort)
	w.fromWAN(tcpTo(s, c.tcp, frame.TCPSyn|0x10, ""))
	w.one(w.atLAN())
	w.fromLAN(tcpTo(me, s, 0x10, ""))
	w.one(w.atWAN())
	w.fromLAN(echo(client1, server, 8, 77, "ping"))
	c.echo = w.one(w.atWAN()).ICMPID
	w.fromWAN(echo(server, natAddr, 0, c.echo, "ping"))
	w.one(w.atLAN())
	c.esp = w.tunnel(client1, 0x1000)
	c.esp.up()
	c.esp.traffic()
	return c
}

// packet draws one of the conversations' packets, going out or coming in.
func (c *conversations) packet(t *rapid.T, outward bool) []byte {
	s, me := at(server, 443), at(client1, 40000)
	n := rapid.SampledFrom([]int{0, 1, 2, 17, 18, 19, 100, 1400, 1452, 1453, 1460, 1461, 1464, 1465, 1472, 1473}).Draw(t, "length")
	data := string(bytes.Repeat([]byte{rapid.Byte().Draw(t, "data")}, n))
	flags := rapid.SampledFrom([]uint8{0x10, 0x18, 0x30, 0xd0}).Draw(t, "TCP flags")
	kind := rapid.IntRange(0, 3).Draw(t, "kind")
	switch {
	case kind == 0 && outward:
		return udpTo(me, s, data)
	case kind == 0:
		return udpTo(s, c.udp, data)
	case kind == 1 && outward:
		return tcpTo(me, s, flags, data)
	case kind == 1:
		return tcpTo(s, c.tcp, flags, data)
	case kind == 2 && outward:
		return echo(client1, server, 8, 77, data)
	case kind == 2:
		return echo(server, natAddr, 0, c.echo, data)
	case outward:
		return esp(client1, server, c.esp.spiOut, 9, data)
	}
	return esp(server, natAddr, c.esp.spiIn, 9, data)
}

// twist makes the packet an odd one, in ways that both paths must treat alike.
func twist(t *rapid.T, b []byte) []byte {
	h := header.IPv4(b)
	h.SetTOS(rapid.Byte().Draw(t, "TOS"), 0)
	if rapid.Bool().Draw(t, "DF") {
		h.SetFlagsFragmentOffset(0, 0)
	}
	h.SetID(rapid.SampledFrom([]uint16{0, 1, 0x1234, 0xffff}).Draw(t, "ID"))
	b = ttl(b, rapid.SampledFrom([]uint8{0, 1, 2, 3, 64, 255}).Draw(t, "TTL"))
	sum, has := map[uint8]int{frame.ProtoTCP: 36, frame.ProtoUDP: 26, frame.ProtoICMP: 22}[b[9]]
	switch rapid.IntRange(0, 7).Draw(t, "oddity") {
	case 0:
		if has {
			binary.BigEndian.PutUint16(b[sum:], 0) // none for UDP, wrong for the others
		}
	case 1:
		if has {
			binary.BigEndian.PutUint16(b[sum:], 0xffff)
		}
	case 2:
		b = options(b, 148, 4, 0, 0)
	case 3:
		b[10] ^= 0x40 // a bad header checksum
	}
	return b
}

// padded is the packet as a frame's payload, with what Ethernet adds to short
// ones or with a trailer.
func padded(t *rapid.T, b []byte) []byte {
	switch rapid.IntRange(0, 5).Draw(t, "behind the packet") {
	case 0:
		return append(b, make([]byte, max(0, 46-len(b)))...)
	case 1:
		return append(b, "trailer"...)
	}
	return b
}

// shown is a frame as far as its packet goes. What the router says itself has
// an IP ID of its own in each world.
func shown(frames [][]byte) (out [][]byte) {
	for _, b := range frames {
		end := 14 + int(binary.BigEndian.Uint16(b[16:]))
		b = append([]byte(nil), b[:end]...)
		if src := frame.Addr(b[26:30]); src == lanAddr || src == wanAddr {
			clear(b[18:20])
			clear(b[24:26])
		}
		out = append(out, b)
	}
	return out
}

// Both routers see the same packets, of all kinds and oddities; one of them
// forgets its cached flows before each. Nobody on the wire may tell them apart.
func TestNobodyCanTellTheFastPathFromTheSlowOne(t *testing.T) {
	var hits uint64
	rapid.Check(t, func(rt *rapid.T) {
		fast, slow := newWorld(t), newWorld(t)
		defer fast.r.Close()
		defer slow.r.Close()
		c := fast.converse()
		slow.converse()
		before := fast.r.flows.Stats().Hits
		for range 40 {
			outward := rapid.Bool().Draw(rt, "outward")
			b := padded(rt, twist(rt, c.packet(rt, outward)))
			slow.r.flows.Flush()
			for _, w := range []*world{fast, slow} {
				if outward {
					w.fromLAN(b)
				} else {
					w.fromWAN(b)
				}
			}
			for _, side := range [][2][][]byte{
				{shown(fast.lan.Drain()), shown(slow.lan.Drain())},
				{shown(fast.wan.Drain()), shown(slow.wan.Drain())},
			} {
				if len(side[0]) != len(side[1]) {
					rt.Fatalf("because of % x fast path let %d frames out, slow path %d", b, len(side[0]), len(side[1]))
				}
				for i := range side[0] {
					if !bytes.Equal(side[0][i], side[1][i]) {
						rt.Fatalf("in   % x\nfast % x\nslow % x", b, side[0][i], side[1][i])
					}
				}
			}
		}
		hits += fast.r.flows.Stats().Hits - before
		if n := slow.r.flows.Stats().Hits; n != 2 { // converse's own, of ESP
			rt.Fatalf("%d packets of the slow router took the fast path", n)
		}
	})
	if hits == 0 {
		t.Error("no packet took the fast path: the test compares the slow path with itself")
	}
	t.Logf("%d packets took the fast path", hits)
}
