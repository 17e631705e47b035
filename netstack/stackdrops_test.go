package netstack

import (
	"testing"

	"spigate/netstack/frame"
)

// arpFrame makes an ARP message (1 asks, 2 answers) in a frame for everybody.
func arpFrame(op byte, mac []byte, src, about frame.Addr) []byte {
	b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac...)
	b = append(b, 8, 6, 0, 1, 8, 0, 6, 4, 0, op)
	b = append(append(b, mac...), src[:]...)
	return append(append(b, make([]byte, 6)...), about[:]...)
}

// stackDropped returns the stack's own reasons that have counted.
func (w *world) stackDropped() map[string]uint64 {
	out := map[string]uint64{}
	for _, d := range w.r.StackDrops() {
		if d.Count != 0 {
			out[d.Word] = d.Count
		}
	}
	return out
}

func TestWhatTheStackDropsHasAWord(t *testing.T) {
	c := at(client1, 5353)
	spoil := func(b []byte, i int) []byte { b[i] ^= 0x55; return b }
	for _, tc := range []struct {
		word string
		do   func(*world)
	}{
		{"stack_ip_malformed", func(w *world) { w.fromLAN(spoil(udpTo(c, at(server, 1), "x"), 10)) }},
		{"stack_source_invalid", func(w *world) { w.fromLAN(udpTo(at(lanAddr, 1), at(server, 1), "x")) }},
		{"stack_destination_invalid", func(w *world) { w.fromLAN(udpTo(c, at(addr("239.1.1.1"), 1), "x")) }},
		{"stack_source_initializing", func(w *world) { w.fromLAN(udpTo(at(addr("0.0.0.5"), 1), at(server, 1), "x")) }},
		{"stack_ttl_exceeded", func(w *world) { w.fromLAN(ttl(udpTo(c, at(server, 1), "x"), 1)) }},
		{"stack_no_route", func(w *world) { w.r.stack.SetRouteTable(nil); w.fromLAN(udpTo(c, at(server, 1), "x")) }},
		{"stack_too_big", func(w *world) { w.fromLAN(udpTo(c, at(server, 1), string(make([]byte, 1480)))) }},
		{"stack_host_unreachable", func(w *world) {
			w.fromLAN(udpTo(c, at(addr("203.0.113.77"), 1), "x"))
			w.advance(10e9)
			w.soon(w.atLAN)
		}},
		{"stack_send_failed", func(w *world) { // more than wait for one neighbour
			for range 257 {
				w.fromLAN(udpTo(c, at(addr("203.0.113.77"), 1), "x"))
			}
		}},
		{"stack_fragment_malformed", func(w *world) {
			b := fragments(echo(client1, lanAddr, 8, 1, string(make([]byte, 2000))), 1500)[0]
			b[3] = 21 // not a multiple of eight, and more to come
			b[2] = 0
			w.fromLAN(ttl(b[:21], 64))
		}},
		{"stack_l4_malformed", func(w *world) { w.fromLAN(spoil(udpTo(c, at(lanAddr, 9), "x"), 28)) }},
		{"stack_no_listener", func(w *world) { w.fromLAN(udpTo(c, at(lanAddr, 9), "x")) }},
		{"stack_icmp_invalid", func(w *world) { w.fromLAN(spoil(echo(client1, lanAddr, 8, 1, "x"), 28)) }},
		{"stack_icmp_rate_limited", func(w *world) {
			for range 60 {
				w.fromLAN(ttl(udpTo(c, at(server, 1), "x"), 1))
			}
		}},
		{"stack_arp_not_ours", func(w *world) { w.frame(0, arpFrame(1, hostMAC(client1), client1, addr("192.0.2.99"))) }},
		{"stack_arp_unasked", func(w *world) { w.frame(0, arpFrame(2, hostMAC(addr("192.0.2.99")), addr("192.0.2.99"), lanAddr)) }},
	} {
		t.Run(tc.word, func(t *testing.T) {
			w := newWorld(t, openHouse)
			tc.do(w)
			if got := w.stackDropped(); got[tc.word] == 0 {
				t.Errorf("counted %v, and by ourselves %v", got, w.dropped())
			}
		})
	}
}

func TestNoWordOfTheStacksStandsForTwoThings(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range newWorld(t).r.StackDrops() {
		if seen[d.Word] || d.Means == "" || d.Do == "" || d.Count != 0 {
			t.Errorf("%+v", d)
		}
		seen[d.Word] = true
	}
}
