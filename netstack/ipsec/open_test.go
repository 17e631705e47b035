package ipsec

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spigate/netstack/frame"
)

// resign makes the ICV of a bare ESP packet right again, so that a test can put
// anything inside: body is payload, padding and trailer in clear.
func resign(sa *SA, number uint64, body []byte) []byte {
	esp := make([]byte, espHeader+sa.Suite.ivLen(), 4096)
	binary.BigEndian.PutUint32(esp, sa.SPI)
	binary.BigEndian.PutUint32(esp[4:], uint32(number))
	esp = append(append(esp, body...), make([]byte, sa.Suite.icvLen())...)
	l := sa.crypt.take()
	defer sa.crypt.put(l)
	if sa.Suite.Cipher == AESGCM || len(body)%sa.Suite.align() == 0 {
		sa.crypt.seal(l, esp, uint32(number>>32), sa.ESN)
	} else { // CBC cannot encrypt it: only the hash is right
		icv := l.hash(esp[:len(esp)-sa.Suite.icvLen()], 0, sa.ESN)
		copy(esp[len(esp)-sa.Suite.icvLen():], icv)
	}
	p := append(inner{src: sa.Local.String(), dst: sa.Remote().Addr.String(), proto: protoESP, size: 20}.packet(), esp...)
	patch(p, protoESP)
	return p
}

func TestWhatAnAuthenticPeerSendsWrong(t *testing.T) {
	ok := inner{src: "192.168.15.2", dst: "10.1.1.9", proto: 47, size: 42}.packet()
	with := func(p []byte, tail ...byte) []byte { return append(bytes.Clone(p), tail...) }
	lies := bytes.Clone(ok)
	lies[3] = 60
	for name, c := range map[string]struct {
		body    []byte
		verdict Verdict
	}{
		"good":                               {with(ok, 1, 2, 3, 4, 4, 4), Pass},
		"padding that does not count":        {with(ok, 1, 2, 3, 5, 4, 4), Padding},
		"padding of zeros":                   {with(ok, 0, 0, 0, 0, 4, 4), Padding},
		"more padding than there is":         {with(ok, 1, 2, 3, 4, 200, 4), Padding},
		"IPv6 inside":                        {with(ok, 1, 2, 3, 4, 4, 41), NextHeader},
		"TCP in tunnel mode":                 {with(ok, 1, 2, 3, 4, 4, 6), NextHeader},
		"a dummy":                            {with(ok, 1, 2, 3, 4, 4, 59), Dummy},
		"an empty dummy":                     {[]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 14, 59}, Dummy},
		"nothing inside":                     {[]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 14, 4}, InnerMalformed},
		"an inner packet that is not all":    {with(lies, 1, 2, 3, 4, 4, 4), InnerMalformed},
		"padding against traffic analysis":   {with(ok, append(make([]byte, 16), 1, 2, 3, 4, 4, 4)...), Pass},
		"a version that does not exist":      {with(append([]byte{0x95}, ok[1:]...), 1, 2, 3, 4, 4, 4), InnerMalformed},
		"a header longer than the packet":    {with(append([]byte{0x4f}, ok[1:]...), 1, 2, 3, 4, 4, 4), InnerMalformed},
		"a header shorter than any":          {with(append([]byte{0x44}, ok[1:]...), 1, 2, 3, 4, 4, 4), InnerMalformed},
		"padding where none was needed":      {with(ok, append(count(20), 20, 4)...), Pass},
		"padding and nothing else, too big":  {with(count(14), 255, 4), Padding},
		"one byte more padding than is left": {with(count(14), 15, 4), Padding},
	} {
		for _, s := range []Suite{{AESGCM, 128, AuthNone}, {AESCBC, 128, HMACSHA256}, {Null, 0, HMACSHA512}} {
			out, in := ends(t, s, nil)
			if got, v := in.Open(resign(out, 1, c.body), 0); v != c.verdict || v == Pass && !bytes.Equal(got, ok) {
				t.Errorf("%s, %v: %v % x, want %v", name, s, v, got, c.verdict)
			}
			if in.window.highest() != 1 || in.Info(0).Verdicts[c.verdict] != 1 {
				t.Errorf("%s, %v: the number of an authentic packet is used up, and it is counted", name, s)
			}
		}
	}
}

// count is the padding of n bytes.
func count(n int) (b []byte) {
	for i := range n {
		b = append(b, byte(i+1))
	}
	return b
}

func TestESPWhoseLengthsCannotBe(t *testing.T) {
	for _, s := range suites() {
		out, in := ends(t, s, nil)
		good := seal(t, out, udpPacket(100), 0)
		for n := range len(good) {
			if _, v := open(in, good[:n], 0); v != Malformed {
				t.Fatalf("%v: cut to %d bytes: %v", s, n, v)
			}
			if n >= 20 {
				short := bytes.Clone(good[:n])
				patch(short, protoESP)
				want := Malformed
				if body := n - 20 - 8 - s.ivLen() - s.icvLen(); body > 0 && body%s.align() == 0 {
					want = ICV
				}
				if _, v := in.Open(short, 0); v != want {
					t.Fatalf("%v: %d bytes that say so: %v, want %v", s, n, v, want)
				}
			}
		}
		if in.window.highest() != 0 {
			t.Errorf("%v: the window moved", s)
		}
		if got, v := open(in, append(bytes.Clone(good), 1, 2, 3), 0); v != Pass || len(got) != 100 {
			t.Errorf("%v: bytes behind the packet are not part of it: %v", s, v)
		}
	}
}

func TestNotESPAtAll(t *testing.T) {
	out, in := ends(t, Suite{AESGCM, 128, AuthNone}, func(c *SAConfig) { c.LocalPort, c.RemotePort = 4500, 4500 })
	good := seal(t, out, udpPacket(100), 0)
	change := func(f func(p []byte)) []byte {
		p := bytes.Clone(good)
		f(p)
		return p
	}
	for name, p := range map[string][]byte{
		"empty":                    nil,
		"TCP":                      change(func(p []byte) { p[9] = 6 }),
		"a fragment":               change(func(p []byte) { p[6] = 0x20 }),
		"a later fragment":         change(func(p []byte) { p[7] = 1 }),
		"UDP longer than it is":    change(func(p []byte) { p[24], p[25] = 0xff, 0xff }),
		"UDP shorter than any":     change(func(p []byte) { p[24], p[25] = 0, 7 }),
		"UDP with nothing in it":   change(func(p []byte) { p[24], p[25] = 0, 8 }),
		"UDP with half a header":   change(func(p []byte) { p[24], p[25] = 0, 15 }),
		"IPv6":                     change(func(p []byte) { p[0] = 0x65 }),
		"a header beyond the end":  change(func(p []byte) { p[0] = 0x4f; p[3] = 40 }),
		"UDP cut inside its ports": change(func(p []byte) { p[2], p[3] = 0, 24 }),
	} {
		if _, v := in.Open(p, 0); v != Malformed {
			t.Errorf("%s: %v", name, v)
		}
	}
	if _, v := open(in, good, 0); v != Pass {
		t.Errorf("after all that: %v", v)
	}
}

func TestOneWrongBitIsFoundWhereverItIs(t *testing.T) {
	for _, s := range suites() {
		for _, esn := range []bool{false, true} {
			out, in := ends(t, s, func(c *SAConfig) { c.ESN = esn })
			good := seal(t, out, udpPacket(60), 0)
			for bit := range (len(good) - 20) * 8 {
				p := bytes.Clone(good)
				p[20+bit/8] ^= 1 << (bit % 8)
				if _, v := in.Open(p, 0); v != ICV && !(v == Replay && bit/8 >= 4 && bit/8 < 8) {
					t.Fatalf("%v: bit %d: %v", s, bit, v)
				}
			}
			if in.window.highest() != 0 {
				t.Fatalf("%v: a forged packet moved the window", s)
			}
			if _, v := open(in, good, 0); v != Pass {
				t.Errorf("%v: the real one after all forged ones: %v", s, v)
			}
		}
	}
}

func TestTheUpperHalfOfANumberIsAuthentic(t *testing.T) {
	for _, s := range suites() {
		out, in := ends(t, s, func(c *SAConfig) { c.ESN = true })
		p := seal(t, out, udpPacket(60), 0)
		in.window.top.Store(1<<32 + 100) // the number is taken for one of the next round
		if _, v := open(in, p, 0); v != ICV {
			t.Errorf("%v: %v", s, v)
		}
	}
}

func TestKeysAndSaltOfOthersOpenNothing(t *testing.T) {
	for _, s := range suites() {
		out, _ := ends(t, s, nil)
		for name, change := range map[string]func(*Keys){
			"encryption key or salt": func(k *Keys) { k.Encrypt[len(k.Encrypt)-1] ^= 1 },
			"authentication key":     func(k *Keys) { k.Auth[0] ^= 1 },
		} {
			e, a := s.KeyLengths()
			if name == "authentication key" && a == 0 || name != "authentication key" && (e == 0 || s.Cipher == AESCBC) {
				continue // CBC under another key is authentic rubbish
			}
			_, in := ends(t, s, func(c *SAConfig) { change(&c.Keys) })
			if _, v := open(in, seal(t, out, udpPacket(60), 0), 0); v != ICV {
				t.Errorf("%v with another %s: %v", s, name, v)
			}
		}
	}
}

// Packets lost, late, twice and forged, against a receiver that remembers all.
func TestReplayedReorderedAndForgedPackets(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := rapid.SampledFrom(suites()).Draw(rt, "suite")
		size := rapid.SampledFrom([]int{0, 1, 64, 100, 4096}).Draw(rt, "window")
		esn := rapid.Bool().Draw(rt, "esn")
		out, in := ends(t, s, func(c *SAConfig) { c.Window, c.ESN = size, esn })
		if esn {
			out.sent.Store(1<<32 - 40)
			in.window.top.Store(1<<32 - 40)
		}
		if size == 0 {
			size = DefaultWindow
		}
		n := naiveWindow{size: uint64(size), top: in.window.top.Load(), seen: map[uint64]bool{}}
		var sent [][]byte
		first := out.sent.Load() + 1
		for range rapid.IntRange(2, 150).Draw(rt, "sent") {
			sent = append(sent, seal(t, out, udpPacket(40), 0))
		}
		passed := 0
		for range rapid.IntRange(1, 200).Draw(rt, "received") {
			i := rapid.IntRange(0, len(sent)-1).Draw(rt, "which")
			number := first + uint64(i)
			p, want := bytes.Clone(sent[i]), Replay
			if n.fresh(number) {
				want = Pass
			}
			if esn {
				if full, _ := n.guess(uint32(number)); full != number {
					want = ICV // so old that it is taken for one of the next round
				}
			}
			if rapid.IntRange(0, 4).Draw(rt, "forged") == 0 {
				p[len(p)-1] ^= 1
				if want == Pass {
					want = ICV
				}
			}
			_, v := in.Open(p, 0)
			if v != want {
				rt.Fatalf("number %d, top %d, window %d: %v, want %v", number, n.top, size, v, want)
			}
			if v == Pass {
				n.seen[number], n.top = true, max(n.top, number)
				passed++
			}
		}
		if got := in.Info(0).Packets; got != uint64(passed) {
			rt.Fatalf("%d packets are counted, %d passed", got, passed)
		}
	})
}

func TestTransportModeThroughANATGetsItsChecksumsBack(t *testing.T) {
	for _, proto := range []uint8{frame.ProtoTCP, frame.ProtoUDP, frame.ProtoICMP} {
		out, in := ends(t, Suite{AESCBC, 256, HMACSHA512}, func(c *SAConfig) {
			c.Mode, c.LocalPort, c.RemotePort = Transport, 4500, 4500
		})
		p := inner{src: "192.168.1.5", dst: "198.51.100.200", proto: proto, size: 81}.packet()
		sealed := seal(t, out, p, 0)
		copy(sealed[12:], []byte{203, 0, 113, 9}) // the NAT
		patch(sealed, protoUDP)
		got, v := open(in, sealed, 0)
		want := inner{src: "203.0.113.9", dst: "198.51.100.200", proto: proto, size: 81}.packet()
		if d := cmp.Diff(want, got); v != Pass || d != "" {
			t.Errorf("protocol %d: %v %s", proto, v, d)
		}
	}
	out, in := ends(t, Suite{Null, 0, HMACSHA256}, func(c *SAConfig) { c.Mode, c.LocalPort, c.RemotePort = Transport, 4500, 4500 })
	p := inner{src: "192.168.1.5", dst: "198.51.100.200", proto: frame.ProtoUDP, size: 60}.packet()
	p[26], p[27] = 0, 0
	if got, v := open(in, seal(t, out, p, 0), 0); v != Pass || got[26] != 0 || got[27] != 0 {
		t.Errorf("UDP without a checksum stays without: %v % x", v, got)
	}
}

// A sum of zero is written as its other self: 0 would say that there is none
// (RFC 768).
func TestAMendedUDPChecksumIsNeverZero(t *testing.T) {
	p := inner{src: "10.0.0.1", dst: "10.0.0.2", proto: frame.ProtoUDP, size: 32}.packet()
	ones := 0
	for i := range 1 << 16 {
		binary.BigEndian.PutUint16(p[30:], uint16(i))
		mendTransport(p, 20)
		switch binary.BigEndian.Uint16(p[26:]) {
		case 0:
			t.Fatalf("payload %#x: no checksum", i)
		case 0xffff:
			ones++
		}
	}
	if ones == 0 {
		t.Error("the case did not come")
	}
}

func TestBareAndInUDPAreBothUnderstood(t *testing.T) {
	for _, port := range []uint16{0, 4500} {
		out, _ := ends(t, Suite{AESGCM, 128, AuthNone}, func(c *SAConfig) { c.LocalPort, c.RemotePort = port, port })
		_, in := ends(t, Suite{AESGCM, 128, AuthNone}, func(c *SAConfig) { c.LocalPort, c.RemotePort = 4500-port, 4500-port })
		if _, v := open(in, seal(t, out, udpPacket(99), 0), 0); v != Pass {
			t.Errorf("port %d: %v", port, v)
		}
	}
}

func TestWhatADatagramOn4500Is(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		kind    UDPKind
	}{
		"keepalive":               {Keepalive, UDPKeepalive},
		"two of its bytes":        {"\xff\xff", UDPShort},
		"nothing":                 {"", UDPShort},
		"another byte":            {"\x00", UDPShort},
		"half a marker":           {"\x00\x00\x00", UDPShort},
		"marker alone":            {NonESPMarker, UDPIKE},
		"IKE":                     {NonESPMarker + "0123456789", UDPIKE},
		"ESP":                     {"\x00\x00\x01\x00\x00\x00\x00\x01", UDPESP},
		"half of an ESP header":   {"\x00\x00\x01\x00\x00\x00\x00", UDPShort},
		"ESP that begins with ff": {"\xff\x00\x01\x00\x00\x00\x00\x01", UDPESP},
	} {
		if got := ClassifyUDP([]byte(c.payload)); got != c.kind {
			t.Errorf("%s: %d, want %d", name, got, c.kind)
		}
	}
}
