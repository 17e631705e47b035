package netstack

import (
	"slices"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// RFC 9293 section 3.10.7.1: the router has no TCP ports, and says so.
func TestWhoTriesATCPPortOfTheRouterIsReset(t *testing.T) {
	c, s := at(client1, 40000), at(lanAddr, 443)
	for _, tc := range []struct {
		name  string
		flags uint8
		text  string
		want  rst // without addresses
	}{
		{"a SYN", frame.TCPSyn, "", rst{ack: 9001, flags: frame.TCPRst | ack}},
		{"a SYN with data", frame.TCPSyn, "four", rst{ack: 9005, flags: frame.TCPRst | ack}},
		{"a SYN that is a FIN, too", frame.TCPSyn | frame.TCPFin, "", rst{ack: 9002, flags: frame.TCPRst | ack}},
		{"nothing at all", 0, "", rst{ack: 9000, flags: frame.TCPRst | ack}},
		{"an acknowledgement", ack, "", rst{seq: 77, flags: frame.TCPRst}},
		{"data", ack, "four", rst{seq: 77, flags: frame.TCPRst}},
		{"an answer to a SYN", synAck, "", rst{seq: 77, flags: frame.TCPRst}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newSites(t)
			tc.want.from, tc.want.to = s, c
			w.fromLAN(segment(c, s, 9000, 77, tc.flags, tc.text))
			if got := w.resets(w.atLAN()); len(got) != 1 || got[0] != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			w.none(w.atWAN())
		})
	}
}

func TestWhatIsNoSegmentForTheRouterIsNotReset(t *testing.T) {
	c, s := at(client1, 40000), at(lanAddr, 443)
	broken := segment(c, s, 9000, 77, ack, "four")
	broken[41] ^= 1
	for _, tc := range []struct {
		name      string
		packet    []byte
		malformed uint64
	}{
		{"a reset", segment(c, s, 9000, 77, frame.TCPRst, ""), 0},
		{"a reset that acknowledges", segment(c, s, 9000, 77, frame.TCPRst|ack, ""), 0},
		{"a checksum that is wrong", broken, 1},
		{"a header that ends behind the packet", withHeader(c, s, 15), 1},
		{"a header that is too short", withHeader(c, s, 4), 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newSites(t)
			w.fromLAN(tc.packet)
			w.none(w.atLAN())
			w.none(w.atWAN())
			if n := w.stackDropped()["stack_l4_malformed"]; n != tc.malformed {
				t.Errorf("%d malformed, want %d", n, tc.malformed)
			}
		})
	}
}

// A segment can have options, which are no data.
func TestAResetDoesNotCountOptionsAsData(t *testing.T) {
	c, s := at(client1, 40000), at(lanAddr, 22)
	w := newSites(t)
	w.fromLAN(withHeader(c, s, 6, 2, 4, 0x05, 0xb4))
	want := rst{from: s, to: c, ack: 1, flags: frame.TCPRst | ack}
	if got := w.resets(w.atLAN()); len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// RFC 1858: a first piece that ends inside the TCP header, options too, is
// refused before the stack sees it; one with the whole header is put together.
func TestAFirstPieceThatEndsInTheHeaderIsNotForTheRouter(t *testing.T) {
	c := at(client1, 40000)
	for _, tc := range []struct {
		name    string
		packet  []byte
		piece   int // bytes of its payload
		refused bool
	}{
		{"eight bytes", segment(c, at(lanAddr, 443), 9000, 0, frame.TCPSyn, "first"), 8, true},
		{"sixteen, for the other interface's address", segment(c, at(wanAddr, 443), 9000, 0, frame.TCPSyn, "first"), 16, true},
		{"the options are missing", withHeader(c, at(lanAddr, 443), 7, 2, 4, 0x05, 0xb4, 1, 1, 1, 1), 24, true},
		{"eight bytes, for all of the network", segment(c, at(addr("192.0.2.255"), 443), 9000, 0, frame.TCPSyn, "first"), 8, true},
		{"eight bytes, for everybody", segment(c, at(addr("255.255.255.255"), 443), 9000, 0, frame.TCPSyn, "first"), 8, true},
		{"eight bytes, for a group", segment(c, at(addr("224.0.0.1"), 443), 9000, 0, frame.TCPSyn, "first"), 8, true},
		{"the whole header", segment(c, at(lanAddr, 443), 9000, 0, frame.TCPSyn, "first piece"), 24, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newSites(t)
			w.fromLAN(fragments(tc.packet, 20+tc.piece)...)
			resets, dropped := len(w.resets(w.atLAN())), w.r.Drops().Get(drop.FragmentMalformed)
			if tc.refused && (resets != 0 || dropped != 1) || !tc.refused && (resets != 1 || dropped != 0) {
				t.Errorf("%d resets, %d pieces dropped as malformed", resets, dropped)
			}
		})
	}
}

// withHeader is a SYN whose header claims so many words of four bytes.
func withHeader(src, dst frame.Endpoint, words int, options ...byte) []byte {
	t := append(slices.Clone(tcpTo(src, dst, frame.TCPSyn, "")[20:]), options...)
	t[12], t[16], t[17] = byte(words)<<4, 0, 0
	return ip(src.Addr, dst.Addr, frame.ProtoTCP, t)
}
