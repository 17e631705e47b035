package frame

import (
	"bytes"
	"encoding/binary"
	"testing"

	"spigate/netstack/drop"
)

var payload = []byte("0123456789abcdef")

// mutant builds a packet and lets fn change it.
func mutant(s spec, fn func(b []byte) []byte) []byte { return fn(s.build()) }

func TestParse(t *testing.T) {
	tcp := spec{Src: Addr{10, 0, 0, 1}, Dst: Addr{192, 0, 2, 7}, Proto: ProtoTCP, TTL: 9, SrcPort: 1024, DstPort: 443, Payload: payload}
	udp, icmp, esp := tcp, tcp, tcp
	udp.Proto, icmp.Proto, icmp.ICMPType, esp.Proto = ProtoUDP, ProtoICMP, 8, ProtoESP
	options := tcp
	options.Options = 10
	first := udp
	first.FlagsOffset = 0x2000
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return shorten(b, n) } }
	tests := []struct {
		name string
		b    []byte
		want Packet // the exported part
		why  drop.Reason
	}{
		{"TCP", tcp.build(), Packet{SrcPort: 1024, DstPort: 443}, drop.None},
		{"TCP flags", mutant(tcp, func(b []byte) []byte { b[33] = TCPSyn | TCPFin; return b }), Packet{SrcPort: 1024, DstPort: 443, TCPFlags: TCPSyn | TCPFin}, drop.None},
		{"UDP", udp.build(), Packet{SrcPort: 1024, DstPort: 443}, drop.None},
		{"ICMP echo", icmp.build(), Packet{ICMPType: 8, ICMPID: 1024}, drop.None},
		{"ESP", esp.build(), Packet{SPI: 0x30313233, Seq: 0x34353637}, drop.None},
		{"longest options", options.build(), Packet{SrcPort: 1024, DstPort: 443}, drop.None},
		{"Ethernet padding", mutant(udp, func(b []byte) []byte { return append(b, 0, 0, 0) }), Packet{SrcPort: 1024, DstPort: 443}, drop.None},
		{"UDP shorter than its packet", mutant(udp, func(b []byte) []byte { b[25] -= 4; return b }), Packet{SrcPort: 1024, DstPort: 443}, drop.None},
		{"first fragment", first.build(), Packet{Fragment: true}, drop.None},
		{"last fragment too short for a header", mutant(udp, func(b []byte) []byte { b[7] = 1; return shorten(b, 21) }), Packet{Fragment: true}, drop.None},
		{"TCP cut", mutant(tcp, cut(39)), Packet{}, drop.L4Malformed},
		{"UDP cut", mutant(udp, cut(27)), Packet{}, drop.L4Malformed},
		{"ICMP cut", mutant(icmp, cut(27)), Packet{ICMPType: 0}, drop.L4Malformed},
		{"ESP of 7 bytes", mutant(esp, cut(27)), Packet{}, drop.ESPShort},
		{"ESP of 8 bytes", mutant(esp, cut(28)), Packet{SPI: 0x30313233, Seq: 0x34353637}, drop.None},
		{"UDP length longer than the packet", mutant(udp, func(b []byte) []byte { b[25]++; return b }), Packet{}, drop.L4Malformed},
		{"UDP length below its header", mutant(udp, func(b []byte) []byte { b[25] = 7; return b }), Packet{}, drop.L4Malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p Packet
			if why := p.Parse(tt.b); why != tt.why {
				t.Fatalf("%v, want %v", why, tt.why)
			}
			if p.Src != tcp.Src || p.Dst != tcp.Dst || p.TTL() != 9 {
				t.Errorf("header: %v %v %d", p.Src, p.Dst, p.TTL())
			}
			got := Packet{SrcPort: p.SrcPort, DstPort: p.DstPort, ICMPType: p.ICMPType, ICMPCode: p.ICMPCode,
				ICMPID: p.ICMPID, TCPFlags: p.TCPFlags, SPI: p.SPI, Seq: p.Seq, Fragment: p.Fragment}
			if !samePacket(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func samePacket(a, b Packet) bool {
	return a.SrcPort == b.SrcPort && a.DstPort == b.DstPort && a.ICMPType == b.ICMPType && a.ICMPID == b.ICMPID &&
		a.TCPFlags == b.TCPFlags && a.SPI == b.SPI && a.Seq == b.Seq && a.Fragment == b.Fragment
}

// shorten cuts a packet to n bytes and says so in its header.
func shorten(b []byte, n int) []byte {
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	return b[:n]
}

func TestWhatIsNoIPv4PacketIsRefused(t *testing.T) {
	s := spec{Proto: ProtoUDP, Payload: payload}
	for name, b := range map[string][]byte{
		"nothing":                      nil,
		"19 bytes":                     s.build()[:19],
		"version 6":                    mutant(s, func(b []byte) []byte { b[0] = 0x65; return b }),
		"header of 16 bytes":           mutant(s, func(b []byte) []byte { b[0] = 0x44; return b }),
		"header longer than packet":    mutant(s, func(b []byte) []byte { b[0] = 0x4f; return shorten(b, 44) }),
		"total length behind the end":  mutant(s, func(b []byte) []byte { b[3]++; return b }),
		"total length below header":    mutant(s, func(b []byte) []byte { b[3] = 19; return b }),
		"total length zero":            mutant(s, func(b []byte) []byte { b[3] = 0; return b }),
		"options that are not there":   mutant(s, func(b []byte) []byte { b[0] = 0x46; return shorten(b, 20) }),
		"total length of 65535":        mutant(s, func(b []byte) []byte { b[2], b[3] = 0xff, 0xff; return b }),
		"a frame of padding and no IP": make([]byte, 46),
	} {
		p := Packet{SrcPort: 7}
		if why := p.Parse(b); why != drop.IPMalformed || p.SrcPort != 0 {
			t.Errorf("%s: %v, %+v", name, why, p)
		}
	}
}

func TestTheViewIsCutToThePacket(t *testing.T) {
	s := spec{Proto: ProtoUDP, Options: 2, Payload: payload, FlagsOffset: 0x4000}
	b := mutant(s, func(b []byte) []byte { b[33] -= 4; return append(b, "padding"...) })
	var p Packet
	p.Parse(b)
	if len(p.Bytes()) != len(b)-7 || cap(p.Bytes()) != len(b)-7 || p.HeaderLength() != 28 || !p.DontFragment() {
		t.Errorf("%d bytes, header %d, DF %v", len(p.Bytes()), p.HeaderLength(), p.DontFragment())
	}
	if !bytes.Equal(p.UDPPayload(), payload[:12]) || len(p.Transport()) != 24 {
		t.Errorf("payload %q, transport of %d bytes", p.UDPPayload(), len(p.Transport()))
	}
}

func TestICMPKinds(t *testing.T) {
	for kind := range 256 {
		s := spec{Proto: ProtoICMP, ICMPType: uint8(kind), Payload: payload}
		var p Packet
		p.Parse(s.build())
		query, request := p.ICMPQuery()
		wantRequest := kind == 8 || kind == 13 || kind == 15
		wantQuery := wantRequest || kind == 0 || kind == 14 || kind == 16
		wantError := kind == 3 || kind == 4 || kind == 11 || kind == 12
		if query != wantQuery || request != wantRequest || p.ICMPError() != wantError {
			t.Errorf("type %d: query %v, request %v, error %v", kind, query, request, p.ICMPError())
		}
	}
	notICMP := Packet{Proto: ProtoUDP, ICMPType: 8}
	if q, _ := notICMP.ICMPQuery(); q || (&Packet{Proto: ProtoICMP, ICMPType: 3, Fragment: true}).ICMPError() {
		t.Error("a datagram or a fragment was taken for ICMP")
	}
}

func TestNames(t *testing.T) {
	e := Endpoint{Addr{192, 0, 2, 1}, 500}
	if e.String() != "192.0.2.1:500" || e.Addr.String() != "192.0.2.1" || e.Addr.IsZero() || !(Addr{}).IsZero() {
		t.Error(e)
	}
	if !(MAC{1}).IsGroup() || (MAC{2}).IsGroup() {
		t.Error("group addresses")
	}
}
