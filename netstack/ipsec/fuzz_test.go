package ipsec

import (
	"bytes"
	"encoding/binary"
	"testing"

	"spigate/netstack/frame"
)

// receiver is a database with an SA of each suite that differs in its lengths,
// in every mode; the SPIs count up from 0x100.
func receiver(t testing.TB) (g *gate, spis uint32) {
	g = newGate(t, true)
	spi := uint32(0x100)
	for _, s := range []Suite{gcm128, {AESCBC, 128, HMACSHA256}, {AESCBC, 256, HMACSHA512}, {Null, 0, HMACSHA384}} {
		for _, mode := range []Mode{Tunnel, Transport} {
			for _, esn := range []bool{false, true} {
				c := g.config(spi, false)
				c.Suite, c.Keys, c.Mode, c.ESN = s, someKeys(s, byte(spi)), mode, esn
				g.add(c, 0)
				spi++
			}
		}
	}
	return g, spi - 0x100
}

// FuzzReceive feeds bytes from the wire to the inbound half, first as they are,
// then as what an authentic peer put inside.
func FuzzReceive(f *testing.F) {
	out, _ := ends(f, gcm128, func(c *SAConfig) { c.SPI = 0x100 })
	f.Add(uint8(0), seal(f, out, udpPacket(80), 0))
	natt, _ := ends(f, gcm128, func(c *SAConfig) { c.SPI, c.LocalPort, c.RemotePort = 0x100, 4500, 4500 })
	f.Add(uint8(1), seal(f, natt, udpPacket(80), 0))
	f.Add(uint8(2), append(udpPacket(42), 1, 2, 3, 4, 4, 4))
	f.Add(uint8(5), append(udpPacket(60), 2, 3, 2, 41))
	f.Add(uint8(9), append(udpPacket(30), 0, 59))
	f.Add(uint8(12), append(icmpError("10.1.1.1", "192.168.15.9", udpPacket(40)), 1, 2, 2, 4))
	f.Add(uint8(3), append(inner{src: "10.1.1.9", dst: "192.168.15.2", proto: 6, options: 40, size: 62}.packet()[20:], 1, 2, 2, 6))
	f.Add(uint8(0), []byte{})
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		g, n := receiver(t)
		checkReceived(t, data, g.receive(data, 0))
		if len(data) > 2000 {
			data = data[:2000]
		}
		sa := g.db.Find(0x100+uint32(which)%n, addr("198.51.100.200"))
		p := resign(sa, 1, data)
		copy(p[12:20], []byte{198, 51, 100, 1, 198, 51, 100, 200})
		patch(p, protoESP)
		r := g.receive(p, 0)
		checkReceived(t, p, r)
		if a := sa.Suite.align(); len(data)%a == 0 && len(data) > 0 && (r.Verdict == ICV || r.Verdict == Malformed || r.Verdict == NoSA) {
			t.Fatalf("an authentic packet: %v", r.Verdict)
		}
	})
}

// checkReceived: what passes is one IPv4 packet inside the memory that was
// lent, and what the selector wants.
func checkReceived(t *testing.T, p []byte, r Received) {
	if r.Verdict != Pass {
		return
	}
	hlen, total, ok := ipv4(r.Inner)
	if !ok || total != len(r.Inner) || len(r.Inner) > len(p) || hlen > total {
		t.Fatalf("not one IPv4 packet: % x", r.Inner)
	}
	var view frame.Packet
	view.Parse(r.Inner)
	if !r.SA.Admits(&view) {
		t.Fatalf("it should have been rejected: %v", r.Flow)
	}
}

// FuzzSeal feeds what a host might send: what is sealed opens to the same bytes
// again, what is not is left alone.
func FuzzSeal(f *testing.F) {
	f.Add(udpPacket(80), uint8(0), uint16(1500))
	f.Add(inner{src: "10.1.1.1", dst: "10.2.2.2", proto: 6, tos: 3, df: true, options: 12, size: 90}.packet(), uint8(5), uint16(60))
	f.Add(inner{src: "10.1.1.1", dst: "10.2.2.2", proto: 17, more: true, size: 28}.packet(), uint8(17), uint16(0))
	f.Add([]byte{0x45}, uint8(1), uint16(576))
	f.Add(inner{src: "10.1.1.1", dst: "10.2.2.2", proto: protoDummy, size: 42}.packet(), uint8(0), uint16(0))
	all := suites()
	f.Fuzz(func(t *testing.T, p []byte, how uint8, mtu uint16) {
		out, in := ends(t, all[int(how)%len(all)], func(c *SAConfig) {
			c.Mode, c.ESN = Mode(how>>4)%3, how&1 == 1
		})
		b, off := room(p)
		was := bytes.Clone(b)
		start, end, v := out.Seal(b, off, len(p), int(mtu), 0)
		if v != Pass {
			if !bytes.Equal(was, b) {
				t.Fatalf("%v, and changed", v)
			}
			return
		}
		if binary.BigEndian.Uint16(b[start+2:]) != uint16(end-start) {
			t.Fatalf("its length is wrong: % x", b[start:end])
		}
		got, v := in.Open(b[start:end], 0)
		if out.Mode == Transport && p[9] == protoDummy {
			if v != Dummy {
				t.Fatalf("protocol 59 is a dummy in transport mode: %v", v)
			}
			return
		}
		if v != Pass || out.Mode != Transport && !bytes.Equal(got, p) || out.Mode == Transport && !bytes.Equal(got[int(got[0]&15)*4:], p[int(p[0]&15)*4:]) {
			t.Fatalf("%v: % x, want % x", v, got, p)
		}
	})
}

func FuzzClassifyUDP(f *testing.F) {
	for _, s := range []string{"", Keepalive, NonESPMarker + "IKE", "\x00\x00\x01\x00\x00\x00\x00\x01", "\xff\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind := ClassifyUDP(b)
		if marker := bytes.HasPrefix(b, []byte(NonESPMarker)); marker != (kind == UDPIKE) {
			t.Fatalf("% x is %d", b, kind)
		}
		if kind == UDPESP && binary.BigEndian.Uint32(b) == 0 {
			t.Fatalf("% x has the SPI 0", b)
		}
	})
}
