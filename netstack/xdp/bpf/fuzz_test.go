//go:build linux

package bpf

import (
	"encoding/binary"
	"testing"

	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

// FuzzForward gives any frame to the program and to the fast path of package
// flow, which must do the same with it. With mend the frame is for the port and
// its header's checksum right, so that it gets further.
func FuzzForward(f *testing.F) {
	w := newTwin(f, 1024)
	sides := []uint32{0, bucket.Destination}
	n := uint16(0)
	for _, flags := range []uint32{0, bucket.DFOnly} {
		for _, side := range sides {
			for _, hop := range []uint16{hopPlain, hopTagVLAN, hopNarrow} {
				for _, in := range []frame.Interface{plain, tagged} {
					n++
					to := what{flags: flags | side, addr: frame.Addr{0, 0, 0xff, 0xff}, port: n, hop: hop}
					for _, ip := range [][]byte{
						ipv4(inside, remote, frame.ProtoESP, esp(uint32(n), 20)),
						ipv4(inside, remote, frame.ProtoUDP, udp(n, 53, 0xffff, 20)),
						ipv4(inside, remote, frame.ProtoTCP, tcp(n, 443, 0xffff, 0x10, 20)),
					} {
						w.add(ip, in, to)
						f.Add(ethernet(ip), n%2 == 0)
						f.Add(ethernet(ip, vlan(taggedVLAN)), n%3 == 0)
						f.Add(append(ethernet(ip, vlan(0)), 1, 2, 3), true)
					}
				}
			}
		}
	}
	f.Add(ethernet(ipv4(inside, remote, 1, make([]byte, 8))), true)
	f.Add(ethernet(nil, vlan(10), vlan(10)), false)
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		if len(b) < frame.HeaderLen || len(b) > 2000 {
			return // the kernel runs no program on less
		}
		if mend {
			copy(b, macUs[:])
			at := frame.HeaderLen
			if binary.BigEndian.Uint16(b[12:]) == frame.TypeVLAN {
				at += frame.TagLen
			}
			if len(b) >= at+20 {
				resum(b[at:])
			}
		}
		w.t = t
		w.same(b)
	})
}
