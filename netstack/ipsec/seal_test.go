package ipsec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"pgregory.net/rapid"

	"spigate/netstack/frame"
)

func TestWhatIsSealedIsOpenedAgain(t *testing.T) {
	for _, s := range suites() {
		for _, mode := range []Mode{Tunnel, Transport, Interface} {
			t.Run(fmt.Sprintf("%v/%v", s, mode), func(t *testing.T) {
				rapid.Check(t, func(rt *rapid.T) { roundTrip(t, rt, s, mode) })
			})
		}
	}
}

func roundTrip(t *testing.T, rt *rapid.T, s Suite, mode Mode) {
	udp := rapid.Bool().Draw(rt, "udp")
	out, in := ends(t, s, func(c *SAConfig) {
		c.Mode, c.ESN = mode, rapid.Bool().Draw(rt, "esn")
		if udp {
			c.LocalPort, c.RemotePort = PortNATT, 61234
		}
	})
	if out.ESN && rapid.Bool().Draw(rt, "late") {
		out.sent.Store(5<<32 - 3)
		in.window.top.Store(5<<32 - 3)
	}
	for range rapid.IntRange(1, 6).Draw(rt, "packets") {
		options := rapid.SampledFrom([]int{0, 0, 4, 40}).Draw(rt, "options")
		p := inner{
			src: "10.1.1.9", dst: "192.168.15.2", proto: rapid.SampledFrom([]uint8{1, 6, 17, 47}).Draw(rt, "proto"),
			tos: rapid.Byte().Draw(rt, "tos"), df: rapid.Bool().Draw(rt, "df"), options: options,
			size: 20 + options + rapid.OneOf(rapid.IntRange(0, 70), rapid.IntRange(0, 1500), rapid.IntRange(0, 65000)).Draw(rt, "payload"),
		}.packet()
		sealed := seal(t, out, p, 0)
		checkSealed(rt, t, out, p, sealed)
		got, v := open(in, sealed, 0)
		if v != Pass || !bytes.Equal(got, p) {
			rt.Fatalf("%v: % x\nwant % x", v, got, p)
		}
	}
}

// checkSealed looks at what everybody on the way can see.
func checkSealed(rt *rapid.T, t *testing.T, sa *SA, p, sealed []byte) {
	goodHeader(t, sealed)
	h, was := header.IPv4(sealed), header.IPv4(p)
	if len(sealed) != sa.SealedLen(len(p), int(was.HeaderLength())) {
		rt.Fatalf("%d bytes, %d were promised", len(sealed), sa.SealedLen(len(p), int(was.HeaderLength())))
	}
	if tos, _ := h.TOS(); tos != p[1] || h.Flags() != was.Flags() {
		rt.Fatalf("TOS %#x flags %d, inside %#x and %d", tos, h.Flags(), p[1], was.Flags())
	}
	esp, proto := h.Payload(), uint8(frame.ProtoESP)
	if sa.port != 0 {
		u := header.UDP(esp)
		if u.Checksum() != 0 || int(u.Length()) != len(esp) || u.SourcePort() != sa.port || u.DestinationPort() != sa.Remote().Port {
			rt.Fatalf("UDP % x", esp[:8])
		}
		esp, proto = esp[8:], frame.ProtoUDP
	}
	if h.Protocol() != proto || binary.BigEndian.Uint32(esp) != sa.SPI || binary.BigEndian.Uint32(esp[4:]) != uint32(sa.sent.Load()) {
		rt.Fatalf("protocol %d, ESP % x", h.Protocol(), esp[:8])
	}
	if sa.Mode != Transport && (h.TTL() != outerTTL || h.SourceAddress().As4() != sa.Local || h.DestinationAddress().As4() != sa.Remote().Addr) {
		rt.Fatalf("outer header % x", sealed[:20])
	}
	if sa.Mode == Transport && (h.TTL() != was.TTL() || h.SourceAddress() != was.SourceAddress() || h.DestinationAddress() != was.DestinationAddress()) {
		rt.Fatalf("transport mode changed the header: % x", sealed[:20])
	}
}

func TestEveryLengthIsPaddedToWholeBlocks(t *testing.T) {
	for _, s := range suites() {
		out, in := ends(t, s, nil)
		for size := 20; size < 120; size++ {
			p := inner{src: "10.1.1.9", dst: "192.168.15.2", proto: 47, size: size}.packet()
			sealed := seal(t, out, p, 0)
			body := len(sealed) - 20 - 8 - s.ivLen() - s.icvLen()
			if body%s.align() != 0 || body-size-2 >= s.align() || body < size+2 {
				t.Errorf("%v: %d bytes became %d", s, size, body)
			}
			if got, v := open(in, sealed, 0); v != Pass || !bytes.Equal(got, p) {
				t.Errorf("%v: %d bytes: %v", s, size, v)
			}
		}
	}
}

func TestIVsNeverComeTwiceAndCBCsCannotBePredicted(t *testing.T) {
	gcm, _ := ends(t, Suite{AESGCM, 128, AuthNone}, nil)
	first, second := seal(t, gcm, udpPacket(60), 0), seal(t, gcm, udpPacket(60), 0)
	if a, b := binary.BigEndian.Uint64(first[28:]), binary.BigEndian.Uint64(second[28:]); a != 1 || b != 2 {
		t.Errorf("a GCM's IVs count: %d, %d", a, b)
	}
	seen := map[[16]byte]bool{}
	for range 2 { // two SAs with the same keys
		cbc, _ := ends(t, Suite{AESCBC, 128, HMACSHA256}, nil)
		for range 100 {
			seen[[16]byte(seal(t, cbc, udpPacket(60), 0)[28:])] = true
		}
	}
	if len(seen) != 200 {
		t.Errorf("%d different IVs of 200", len(seen))
	}
	for iv := range seen {
		if binary.BigEndian.Uint64(iv[:]) < 1<<32 {
			t.Errorf("% x looks like a number", iv)
		}
	}
}

func TestOnlyWhatMayBeCutHasAnIDOfItsOwn(t *testing.T) {
	near := newGate(t, false)
	near.add(near.config(0x1001, true), 0)
	seen := map[uint16]bool{}
	for i := range 10 {
		if i == 5 {
			near.add(near.config(0x1002, true), 0) // datagrams of two SAs are told apart, too
		}
		_, sealed := near.send(udpPacket(100), 0)
		seen[binary.BigEndian.Uint16(sealed[4:])] = true
		_, sealed = near.send(inner{src: "10.1.1.9", dst: "192.168.15.2", proto: 17, df: true, size: 60}.packet(), 0)
		if id := binary.BigEndian.Uint16(sealed[4:]); id != 0 {
			t.Errorf("a datagram with DF has the id %d", id)
		}
	}
	if len(seen) != 10 {
		t.Errorf("%d ids of 10 datagrams", len(seen))
	}
}

func TestWhatCannotBeSealedIsLeftAlone(t *testing.T) {
	big := inner{src: "10.1.1.1", dst: "10.2.2.2", proto: 17, df: true, size: 1500}.packet()
	for name, c := range map[string]struct {
		p       []byte
		mode    Mode
		off     int // memory before and behind the packet
		tail    int
		mtu     int
		now     int64
		verdict Verdict
	}{
		"not IPv4":                       {append([]byte{0x60}, make([]byte, 39)...), Tunnel, 60, 60, 0, 0, InnerMalformed},
		"shorter than it says":           {udpPacket(100)[:90], Tunnel, 60, 60, 0, 0, InnerMalformed},
		"longer than it says":            {append(udpPacket(100), 0), Tunnel, 60, 60, 0, 0, InnerMalformed},
		"empty":                          {nil, Tunnel, 60, 60, 0, 0, InnerMalformed},
		"a fragment in transport mode":   {inner{src: "10.1.1.1", dst: "10.2.2.2", proto: 17, more: true, size: 60}.packet(), Transport, 60, 60, 0, 0, Fragment},
		"no room before":                 {udpPacket(100), Tunnel, 30, 60, 0, 0, NoRoom},
		"no room behind":                 {udpPacket(100), Tunnel, 60, 10, 0, 0, NoRoom},
		"too long, and DF":               {big, Tunnel, 60, 60, 1500, 0, TooBig},
		"longer than IPv4 allows":        {inner{src: "10.1.1.1", dst: "10.2.2.2", proto: 17, size: 65530}.packet(), Tunnel, 60, 60, 0, 0, TooBig},
		"after the hard lifetime":        {udpPacket(100), Tunnel, 60, 60, 0, 3600 * second, Expired},
		"a fragment in tunnel mode":      {inner{src: "10.1.1.1", dst: "10.2.2.2", proto: 17, more: true, size: 60}.packet(), Tunnel, 60, 60, 0, 0, Pass},
		"too long, but may be cut later": {udpPacket(1500), Tunnel, 60, 60, 1500, 0, Pass},
	} {
		t.Run(name, func(t *testing.T) {
			sa, _ := ends(t, Suite{AESCBC, 128, HMACSHA256}, func(cfg *SAConfig) {
				cfg.Mode = c.mode
				cfg.Lifetime.HardTime = 3600e9
			})
			b := bytes.Join([][]byte{make([]byte, c.off), c.p, make([]byte, c.tail)}, nil)
			was := bytes.Clone(b)
			start, end, v := sa.Seal(b, c.off, len(c.p), c.mtu, c.now)
			if v != c.verdict {
				t.Fatalf("%v, want %v", v, c.verdict)
			}
			if v == Pass {
				goodHeader(t, b[start:end])
				return
			}
			if d := cmp.Diff(was, b); d != "" {
				t.Errorf("its bytes changed: %s", d)
			}
			if sa.sent.Load() != 0 || sa.Info(0).Verdicts[v] != 1 {
				t.Errorf("number %d, counted %d", sa.sent.Load(), sa.Info(0).Verdicts[v])
			}
		})
	}
	sa, _ := ends(t, Suite{AESGCM, 128, AuthNone}, nil)
	if _, _, v := sa.Seal(make([]byte, 100), 90, 20, 0, 0); v != NoRoom {
		t.Errorf("a packet beyond its memory: %v", v)
	}
}

func TestTheLastNumberEndsAnSA(t *testing.T) {
	s := Suite{AESGCM, 256, AuthNone}
	short, in := ends(t, s, nil)
	short.sent.Store(maxShort - 1)
	if got, v := open(in, seal(t, short, udpPacket(100), 0), 0); v != Pass || got == nil {
		t.Errorf("the last number: %v", v)
	}
	b, off := room(udpPacket(100))
	for range 2 {
		if _, _, v := short.Seal(b, off, 100, 0, 0); v != Exhausted {
			t.Errorf("after the last number: %v", v)
		}
	}
	if why, over := short.ended(0); !over || why != BySequence {
		t.Errorf("it goes on: %v %v", over, why)
	}
	long, in := ends(t, s, func(c *SAConfig) { c.ESN = true })
	long.sent.Store(maxShort - 1)
	in.window.top.Store(maxShort - 1)
	for i := range 5 {
		if _, v := open(in, seal(t, long, udpPacket(100), 0), 0); v != Pass {
			t.Errorf("extended, %d after: %v", i, v)
		}
	}
	manual, in := ends(t, Suite{Null, 0, HMACSHA256}, func(c *SAConfig) { c.Manual = true })
	manual.sent.Store(maxShort - 1)
	for i := range 3 {
		if _, v := open(in, seal(t, manual, udpPacket(100), 0), 0); v != Pass {
			t.Errorf("a manual SA begins again, %d: %v", i, v)
		}
	}
}
