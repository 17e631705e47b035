package flow

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func TestSizesThatTheCacheDependsOn(t *testing.T) {
	if n := unsafe.Sizeof(Key{}); n != 16 {
		t.Errorf("Key has %d bytes, want 16", n)
	}
	if n := unsafe.Sizeof(record{}); n > 80 {
		t.Errorf("record has %d bytes, want 80 at most", n)
	}
}

func TestKeysOfEachKind(t *testing.T) {
	want := map[string]Key{
		"ESP":             {Proto: frame.ProtoESP, ID: 0xc0ffee01},
		"UDP":             {Proto: frame.ProtoUDP, ID: PortsID(40000, 53)},
		"UDP without sum": {Proto: frame.ProtoUDP, ID: PortsID(40001, 53)},
		"TCP":             {Proto: frame.ProtoTCP, ID: PortsID(40002, 443)},
		"ICMP":            {Proto: frame.ProtoICMP, ID: EchoID(77, 8)},
	}
	for name, b := range kinds(20) {
		k := want[name]
		k.Src, k.Dst, k.In = inside, remote, lan
		if got := keyOf(t, b); got != k {
			t.Errorf("%s: key %+v, want %+v", name, got, k)
		}
	}
}

// The packets that only the stack may judge, each made from one that hits.
var unsuited = []struct {
	name string
	kind string
	bend func(b []byte) []byte
}{
	{"a runt", "ESP", func(b []byte) []byte { return b[:41] }},
	{"not IPv4 by its type", "ESP", func(b []byte) []byte { b[13] = 6; return b }},
	{"IPv6 in an IPv4 frame", "ESP", func(b []byte) []byte { b[14] = 0x65; return b }},
	{"IP options", "ESP", func(b []byte) []byte { b[14] = 0x46; resum(b); return b }},
	{"a first fragment", "UDP", func(b []byte) []byte { b[20] |= 0x20; resum(b); return b }},
	{"a later fragment", "UDP", func(b []byte) []byte { b[21] = 9; resum(b); return b }},
	{"TTL 1", "ESP", func(b []byte) []byte { b[22] = 1; resum(b); return b }},
	{"TTL 0", "ESP", func(b []byte) []byte { b[22] = 0; resum(b); return b }},
	{"a bad header checksum", "ESP", func(b []byte) []byte { b[24] ^= 1; return b }},
	{"a total length behind the frame's end", "ESP", func(b []byte) []byte { b[16] = 9; resum(b); return b }},
	{"a total length below the header", "ESP", func(b []byte) []byte { b[16], b[17] = 0, 12; resum(b); return b }},
	{"a link-layer broadcast", "ESP", func(b []byte) []byte { copy(b, "\xff\xff\xff\xff\xff\xff"); return b }},
	{"TCP with SYN", "TCP", func(b []byte) []byte { b[47] |= frame.TCPSyn; return b }},
	{"TCP with FIN", "TCP", func(b []byte) []byte { b[47] |= frame.TCPFin; return b }},
	{"TCP with RST", "TCP", func(b []byte) []byte { b[47] |= frame.TCPRst; return b }},
	{"a cut TCP header", "TCP", func(b []byte) []byte { b[17] = 39; resum(b); return b[:53] }},
	{"a UDP length that is too long", "UDP", func(b []byte) []byte { b[38] = 9; return b }},
	{"a UDP length that is too short", "UDP", func(b []byte) []byte { b[38], b[39] = 0, 7; return b }},
	{"IKE from port 500", "UDP", func(b []byte) []byte { return port(b, 34, 500) }},
	{"IKE to port 500", "UDP", func(b []byte) []byte { return port(b, 36, 500) }},
	{"IKE from port 4500", "UDP", func(b []byte) []byte { return port(b, 34, 4500) }},
	{"IKE to port 4500", "UDP", func(b []byte) []byte { return port(b, 36, 4500) }},
	{"an ICMP error", "ICMP", func(b []byte) []byte { b[34] = 3; return b }},
	{"an ICMP timestamp", "ICMP", func(b []byte) []byte { b[34] = 13; return b }},
	{"AH", "ESP", func(b []byte) []byte { b[23] = frame.ProtoAH; resum(b); return b }},
}

func port(b []byte, at int, p uint16) []byte {
	binary.BigEndian.PutUint16(b[at:], p)
	return b
}

func TestWhatOnlyTheStackMayJudgeIsLeftToIt(t *testing.T) {
	for _, c := range unsuited {
		tab := open(t, Config{})
		for _, b := range kinds(30) {
			insert(t, tab, entryFor(t, tab, b, ownerA), 0)
		}
		good := kinds(30)[c.kind]
		if !hit(t, tab, good, 1) {
			t.Fatalf("%s: the packet does not even hit before it is bent", c.name)
		}
		bent := c.bend(good)
		f := arrived(bent, lan)
		if k, ok := KeyOf(&f); ok {
			t.Errorf("%s: got key %+v", c.name, k)
		}
		if hit(t, tab, bent, 1) {
			t.Errorf("%s: was forwarded", c.name)
		}
		if s := tab.Stats(); s.Hits != 1 || s.Punts != 1 || s.Misses != 0 {
			t.Errorf("%s: %+v, want one hit and one punt", c.name, s)
		}
	}
}

func TestPaddingIsCutOffAndKeepsNoPacketOffTheFastPath(t *testing.T) {
	tab := open(t, Config{})
	b := ipv4(inside, remote, frame.ProtoTCP, 64, tcp(1, 2, 0x10, 0))
	insert(t, tab, entryFor(t, tab, b, ownerA), 0)
	for _, padding := range []int{0, 6, 100} {
		batch := []frame.Frame{arrived(append(b[:len(b):len(b)], make([]byte, padding)...), lan)}
		if tab.process(batch, 1) != 1 {
			t.Errorf("a bare ACK with %d bytes of padding went to the stack", padding)
		}
		if got := batch[0].Len(); got != len(b) {
			t.Errorf("with %d bytes of padding it left with %d bytes, want %d", padding, got, len(b))
		}
	}
}

func TestTheSlowPathComputesTheSameKey(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b, _ := anyPacket(rt)
		f := arrived(b, lan)
		k, ok := KeyOf(&f)
		var p frame.Packet
		why := p.Parse(b[frame.HeaderLen:])
		slowKey, slowOK := KeyOfPacket(&p, lan)
		if ok && (why != drop.None || !slowOK || slowKey != k) {
			rt.Fatalf("fast %+v; slow %+v %v %v", k, slowKey, slowOK, why)
		}
	})
}

func TestASYNHasTheKeyOfThePacketsThatFollow(t *testing.T) {
	var p frame.Packet
	p.Parse(ipv4(inside, remote, frame.ProtoTCP, 64, tcp(40002, 443, frame.TCPSyn, 0))[frame.HeaderLen:])
	k, ok := KeyOfPacket(&p, lan)
	if want := keyOf(t, kinds(0)["TCP"]); !ok || k != want {
		t.Errorf("key %+v %v, want %+v", k, ok, want)
	}
	for _, c := range []struct {
		name  string
		proto uint8
		l4    []byte
	}{
		{"IKE", frame.ProtoUDP, udp(500, 500, 0, 0)},
		{"NAT-T", frame.ProtoUDP, udp(1024, 4500, 0, 0)},
		{"an ICMP error", frame.ProtoICMP, icmp(3, 0, 28)},
		{"AH", frame.ProtoAH, esp(1, 12)},
	} {
		p.Parse(ipv4(inside, remote, c.proto, 64, c.l4)[frame.HeaderLen:])
		if k, ok := KeyOfPacket(&p, lan); ok {
			t.Errorf("%s: has key %+v", c.name, k)
		}
	}
}
