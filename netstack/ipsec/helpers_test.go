package ipsec

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

const second = int64(time.Second)

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func ip(s string) netip.Addr    { return netip.MustParseAddr(s) }
func addr(s string) frame.Addr  { return ip(s).As4() }

// unhex ignores blanks.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wide is everything.
func wide() []Pair {
	all := rangeOf(pfx("0.0.0.0/0"), 0)
	return []Pair{{Local: all, Remote: all}}
}

// suites are all that are there.
func suites() []Suite {
	out := []Suite{{AESGCM, 128, AuthNone}, {AESGCM, 192, AuthNone}, {AESGCM, 256, AuthNone}}
	for auth := HMACSHA256; auth <= HMACSHA512; auth++ {
		for _, bits := range []int{128, 192, 256} {
			out = append(out, Suite{AESCBC, bits, auth})
		}
		out = append(out, Suite{Null, 0, auth})
	}
	return out
}

// someKeys are keys that begin with salt.
func someKeys(s Suite, salt byte) Keys {
	e, a := s.KeyLengths()
	return Keys{Encrypt: bytes.Repeat([]byte{salt, 0x5a}, 40)[:e], Auth: bytes.Repeat([]byte{0xa5, salt}, 40)[:a]}
}

// ends makes both halves of an SA from 198.51.100.1 to 198.51.100.200. change
// may alter what both have in common.
func ends(t testing.TB, s Suite, change func(*SAConfig)) (out, in *SA) {
	t.Helper()
	c := SAConfig{
		SPI: 0x11223344, Outbound: true, Mode: Tunnel, Suite: s, Keys: someKeys(s, 7), Scope: wide(),
		Local: addr("198.51.100.1"), Remote: addr("198.51.100.200"),
	}
	if change != nil {
		change(&c)
	}
	out = makeSA(t, c)
	c.Outbound, c.Local, c.Remote = false, c.Remote, c.Local
	c.LocalPort, c.RemotePort = c.RemotePort, c.LocalPort
	return out, makeSA(t, c)
}

func makeSA(t testing.TB, c SAConfig) *SA {
	t.Helper()
	sa, err := NewSA(c, 0)
	if err != nil {
		t.Fatal(err)
	}
	return sa
}

// inner is what an IPv4 packet is made of.
type inner struct {
	src, dst string
	proto    uint8
	tos      uint8
	df       bool
	more     bool // a first fragment
	options  int  // bytes
	size     int  // of all
}

// packet builds it: UDP and TCP with ports 1000 and 80, the rest is counted up.
func (p inner) packet() []byte {
	b := make([]byte, p.size)
	for i := range b {
		b[i] = byte(i)
	}
	flags := uint8(0)
	if p.df {
		flags |= header.IPv4FlagDontFragment
	}
	if p.more {
		flags |= header.IPv4FlagMoreFragments
	}
	h := header.IPv4(b)
	h.Encode(&header.IPv4Fields{
		TOS: p.tos, TotalLength: uint16(p.size), ID: 0x4711, Flags: flags, TTL: 63, Protocol: p.proto,
		SrcAddr: tcpip.AddrFrom4(addr(p.src)), DstAddr: tcpip.AddrFrom4(addr(p.dst)),
	})
	h.SetHeaderLength(uint8(20 + p.options))
	for i := range p.options {
		b[20+i] = byte(header.IPv4OptionNOPType)
	}
	h.SetChecksum(0)
	h.SetChecksum(^h.CalculateChecksum())
	if t := b[20+p.options:]; hasPorts(p.proto) && len(t) >= 8 {
		copy(t, []byte{1000 >> 8, 1000 & 0xff, 0, 80})
		if p.proto == frame.ProtoUDP {
			t[4], t[5] = byte(len(t)>>8), byte(len(t))
		}
		if p.proto == frame.ProtoTCP && len(t) > 12 {
			t[12] = 5 << 4
		}
		mendTransport(b, 20+p.options)
	}
	return b
}

// udpPacket is 10.1.1.9 to 192.168.15.2 with size bytes.
func udpPacket(size int) []byte {
	return inner{src: "10.1.1.9", dst: "192.168.15.2", proto: frame.ProtoUDP, size: size}.packet()
}

// room puts a packet into memory with room around it.
func room(p []byte) (b []byte, off int) {
	b = make([]byte, Headroom+len(p)+Tailroom)
	copy(b[Headroom:], p)
	return b, Headroom
}

// seal is Seal with memory of its own.
func seal(t testing.TB, sa *SA, p []byte, now int64) []byte {
	t.Helper()
	b, off := room(p)
	start, end, v := sa.Seal(b, off, len(p), 0, now)
	if v != Pass {
		t.Fatalf("seal: %v", v)
	}
	return b[start:end]
}

// open is Open on a copy.
func open(sa *SA, p []byte, now int64) ([]byte, Verdict) {
	return sa.Open(bytes.Clone(p), now)
}

// goodHeader verifies an IPv4 header and its total length.
func goodHeader(t testing.TB, p []byte) {
	t.Helper()
	if h := header.IPv4(p); !h.IsValid(len(p)) || !h.IsChecksumValid() || int(h.TotalLength()) != len(p) {
		t.Fatalf("a bad IPv4 header: % x", p[:min(len(p), 20)])
	}
}

// forget makes a window new again, so that one packet can come for ever.
func forget(w *window) {
	w.top.Store(0)
	w.ring[0] = 0
}
