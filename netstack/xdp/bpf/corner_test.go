//go:build linux

package bpf

import (
	"encoding/binary"
	"testing"

	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

func TestEveryChecksumComesOutAsFromTheFastPath(t *testing.T) {
	w := newTwin(t, 64)
	to := what{addr: outside, port: 61000, hop: hopPlain}
	zero, all := 0, 0
	for _, side := range []uint32{0, bucket.Destination} {
		to.flags = side
		for at, ip := range map[int][]byte{
			26: ipv4(inside, remote, frame.ProtoUDP, udp(40000+uint16(side), 53, 1, 0)),
			36: ipv4(inside, remote, frame.ProtoTCP, tcp(40000+uint16(side), 443, 1, 0x10, 0)),
		} {
			w.add(ip, plain, to)
			for sum := range 1 << 16 {
				binary.BigEndian.PutUint16(ip[at:], uint16(sum))
				if !w.same(ethernet(ip)) {
					t.Fatalf("sum %#x: left to the stack", sum)
				}
				switch binary.BigEndian.Uint16(w.out[14+at:]) {
				case 0:
					zero++
				case 0xffff:
					all++
				}
			}
		}
	}
	// UDP without a checksum twice; TCP's become zero for one or two numbers each.
	if zero < 4 || all < 2 {
		t.Errorf("%d sums became 0, %d became 0xffff: the test plays less than it says", zero, all)
	}
}

// A word of an address or port may stay, or go from one form of zero to the
// other; only then does a transport checksum keep the form of zero that it has.
func TestASumToWhichNothingIsAddedKeepsItsFormOfZero(t *testing.T) {
	w := newTwin(t, 2048)
	cases := [][2]uint16{{0x1234, 0x1234}, {0xffff, 0}, {0, 0xffff}, {0xffff, 0xffff}, {0, 0}, {7, 8}}
	n := uint16(0)
	for _, hi := range cases {
		for _, lo := range cases {
			for _, port := range cases {
				n++
				src, dst := frame.Addr{}, frame.Addr{10, 0, byte(n >> 8), byte(n)}
				to := what{port: port[1], hop: hopPlain}
				for i, word := range [][2]uint16{hi, lo} {
					binary.BigEndian.PutUint16(src[2*i:], word[0])
					binary.BigEndian.PutUint16(to.addr[2*i:], word[1])
				}
				for at, ip := range map[int][]byte{
					26: ipv4(src, dst, frame.ProtoUDP, udp(port[0], 53, 0, 0)),
					36: ipv4(src, dst, frame.ProtoTCP, tcp(port[0], 443, 0, 0x10, 0)),
				} {
					w.add(ip, plain, to)
					for _, sum := range []uint16{0, 1, 0xfffe, 0xffff} {
						binary.BigEndian.PutUint16(ip[at:], sum)
						if !w.same(ethernet(ip)) {
							t.Fatalf("% x: left to the stack", ip)
						}
					}
				}
			}
		}
	}
}

func TestAHeaderChecksumInEitherFormOfZero(t *testing.T) {
	w := newTwin(t, 8)
	ip := ipv4(inside, remote, frame.ProtoESP, esp(7, 0))
	w.add(ip, plain, what{addr: outside, hop: hopPlain})
	// An id that makes the rest of the header sum up to zero.
	ip[4], ip[5], ip[10], ip[11] = 0, 0, 0, 0
	resum(ip)
	copy(ip[4:6], ip[10:12])
	for _, sum := range [][2]byte{{0, 0}, {0xff, 0xff}} {
		copy(ip[10:], sum[:])
		if !w.same(ethernet(ip)) {
			t.Errorf("% x: left to the stack", ip[:20])
		}
	}
	copy(ip[10:], []byte{0, 1})
	if w.same(ethernet(ip)) {
		t.Error("a wrong checksum is forwarded")
	}
}
