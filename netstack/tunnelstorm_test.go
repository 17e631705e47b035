package netstack

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
	"spigate/netstack/vserver"
)

// A storm around tunnels: packets of all kinds in clear from both sides, and out
// of the tunnel from an authenticated peer who means no good, whole and in pieces,
// while policies are exchanged. What the selector protects is never on the wire in
// clear, and nothing gets in for it that is not sealed.
type tunnelStorm struct{ storm }

// manualEnds are the SAs of S, which outlive reloads.
func manualEnds(c *tunnels.Config) {
	for _, m := range []tunnels.ManualSA{
		{Name: "in", Source: netipOf(endThere), Destination: netipOf(endHere), SPI: testSPI},
		{Name: "out", Source: netipOf(endHere), Destination: netipOf(endThere), SPI: testSPI + 1},
	} {
		m.Policy, m.Suite, m.Keys = "Rio", tunnels.Suite{Cipher: tunnels.Null, Auth: tunnels.HMACSHA256}, testKeys
		c.Manual = append(c.Manual, m)
	}
}

// stormSettings are policies and servers, in turn. S is among all of them.
func stormSettings(n int) Settings {
	s := Settings{LSN: testLSN(), IPsec: hereTunnel().policies()}
	manualEnds(&s.IPsec)
	server := func(name, to string, change func(*vserver.Server)) {
		v := forwarding(name, to)
		change(&v)
		s.Listeners.Servers = append(s.Listeners.Servers, v)
	}
	required := func(v *vserver.Server) { v.RequireProtection = n%3 == 0 }
	server("out", "10.1.1.0/24", required)
	server("in", "10.2.1.0/24", required)
	server("automap", "203.0.113.0/24", func(v *vserver.Server) {
		v.Source, v.SourceTranslation = netip.MustParsePrefix("10.2.1.0/24"), vserver.Automap
	})
	add := func(t tunnels.TrafficSelector, to string) {
		t.Source, t.Destination = netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix(to)
		s.IPsec.Selectors = append(s.IPsec.Selectors, t)
	}
	if n%2 == 0 {
		add(tunnels.TrafficSelector{Name: "rest", Order: 9, Action: tunnels.ActBypass}, "0.0.0.0/0")
	}
	if n%5 > 2 {
		add(tunnels.TrafficSelector{Name: "web", Order: -1, Action: tunnels.ActDiscard, Protocol: frame.ProtoTCP, DestinationPort: 80}, "203.0.113.0/24")
	}
	return s
}

func newTunnelStorm(t testing.TB, seed uint64) *tunnelStorm {
	t.Helper()
	w := newWorld(t, hereTunnel().site, func(c *Config) {
		s := stormSettings(0)
		c.IPsec, c.Listeners, c.Keying.Peers = s.IPsec, s.Listeners, nil
		c.Routes = append(c.Routes, Route{To: netip.MustParsePrefix("10.1.1.0/24"), Via: netipOf(endThere)})
		c.Flows = 256
	})
	for _, a := range []frame.Addr{near, near2} {
		w.neighbor(lanIf, a)
	}
	w.neighbor(wanIf, endThere)
	return &tunnelStorm{storm{w: w, rand: rand.New(rand.NewPCG(seed, 7)), mu: &sync.Mutex{}, seen: &[]frame.Packet{}}}
}

func (s *tunnelStorm) ports() uint16 {
	return []uint16{9, 9, 53, 80, 500, 4500, 7000}[s.rand.IntN(7)]
}

// between is a packet full of one letter, so that each of its pieces is known.
func (s *tunnelStorm) between(letter string, src, dst frame.Addr) []byte {
	a, b, say := at(src, s.ports()), at(dst, s.ports()), strings.Repeat(letter, 8+s.rand.IntN(200))
	switch s.rand.IntN(9) {
	case 0:
		return echo(src, dst, []uint8{0, 8}[s.rand.IntN(2)], a.Port, say)
	case 1:
		return ip(src, dst, 47, []byte(say[:s.rand.IntN(9)]))
	case 2:
		return tcpTo(a, b, []uint8{syn, synAck, ack, frame.TCPRst, frame.TCPFin | ack}[s.rand.IntN(5)], say)
	case 3:
		return icmpError(src, dst, []uint8{3, 11}[s.rand.IntN(2)], uint8(s.rand.IntN(5)), udpTo(at(dst, 9), at(src, 9), say), 20+s.rand.IntN(40))
	case 4:
		return esp(src, dst, testSPI+uint32(s.rand.IntN(3)), s.rand.Uint32(), say)
	case 5:
		return icmpError(s.pick(src, stranger), dst, 3, 4, udpTo(at(dst, 9), at(s.pick(src, far), 9), say), 28+s.rand.IntN(40))
	}
	return udpTo(a, b, say)
}

func (s *tunnelStorm) spoilt(b []byte) [][]byte {
	if s.rand.IntN(4) == 0 {
		b = numbered(mayCut(b), uint16(1+s.rand.IntN(3)))
		if s.rand.IntN(3) > 0 {
			f := fragments(b, 28+8*s.rand.IntN(12))
			s.rand.Shuffle(len(f), func(i, j int) { f[i], f[j] = f[j], f[i] })
			return f[s.rand.IntN(max(len(f), 1)):]
		}
	}
	return s.spoil(b)
}

// opened is what comes out of the tunnel: packets as they are, spoilt, odd, and
// nothing like one.
func (s *tunnelStorm) opened() {
	for _, b := range s.spoilt(s.between("S", s.pick(far, far, addr("10.1.1.77"), stranger, near), s.pick(near, near2, near, endHere, addr("10.2.1.254"), addr("10.2.1.255"), far))) {
		switch s.rand.IntN(10) {
		case 0:
			b = b[:s.rand.IntN(len(b)+1)]
		case 1:
			b[s.rand.IntN(len(b))] ^= 1 << s.rand.IntN(8)
		case 2:
			b = options(b, []byte{7, 68, 1, 0, 131}[s.rand.IntN(5)], 7, 4, 0, 0, 0, 0)
		}
		pad := -(len(b) + 2) & 3
		body := append([]byte(nil), b...)
		for i := range pad {
			body = append(body, byte(i+1))
		}
		s.w.fromWAN(espOf(s.rand.Uint32(), string(append(body, byte(pad), 4))))
	}
}

func (s *tunnelStorm) blow(n int) {
	switch s.rand.IntN(8) {
	case 0, 1, 2:
		s.w.fromLAN(s.spoilt(s.between("S", s.pick(near, near2), s.pick(far, far, addr("10.1.1.77"), server, endHere)))...)
	case 3, 4:
		s.w.fromWAN(s.spoilt(s.between("C", s.pick(far, far, stranger, server, endThere), s.pick(near, near2, endHere, wanAddr)))...)
	case 5:
		if n%40 == 0 {
			if _, err := s.w.r.Reload(stormSettings(s.rand.IntN(30))); err != nil {
				s.w.t.Fatal(err)
			}
		}
		s.w.advance(time.Duration(s.rand.IntN(1500)) * time.Millisecond)
	default:
		s.opened()
	}
}

// secret are the two ends of what the selector is about, side by side as in a
// header, from here and from there.
var secret = [2][]byte{{10, 2, 1}, {10, 1, 1}}

func secretIn(b []byte) bool {
	for i := 12; i+8 <= len(b); i++ {
		for out := range 2 {
			if bytes.HasPrefix(b[i:], secret[out]) && bytes.HasPrefix(b[i+4:], secret[1-out]) {
				return true
			}
		}
	}
	return false
}

// look wants nothing in clear that the selector protects, on either side.
func (s *tunnelStorm) look() {
	for _, b := range s.w.atWAN() {
		var p frame.Packet
		if why := p.Parse(b); why == drop.IPMalformed {
			s.w.t.Fatalf("% x left", b)
		}
		if b[9] == frame.ProtoESP && p.Src == endHere && binary.BigEndian.Uint32(b[20:]) == testSPI+1 {
			continue
		}
		if p.Fragment && b[9] == frame.ProtoESP && p.Src == endHere {
			continue
		}
		if secretIn(b) {
			s.w.t.Fatalf("in clear: % x", b)
		}
	}
	for _, b := range s.w.atLAN() {
		if bytes.HasPrefix(b[12:], secret[1]) && bytes.HasPrefix(b[16:], secret[0]) && bytes.Contains(b[20:], []byte("CCCC")) || secretIn(b[8:]) && bytes.Contains(b, []byte("CCCC")) {
			s.w.t.Fatalf("in clear came % x", b)
		}
	}
}

// over lets everything run out, and wants nothing to be left.
func (s *tunnelStorm) over() {
	w := s.w
	w.t.Helper()
	w.advance(400 * time.Second) // a server's idle time, and what ends with it
	w.advance(40 * time.Second)
	w.atWAN()
	w.atLAN()
	if n := w.r.Connections().Len(); n != 0 {
		w.t.Errorf("%d connections", n)
	}
	if n := w.r.Fragments(); n.Waiting+n.Gathering+n.Decided+n.Bytes != 0 {
		w.t.Errorf("pieces: %+v", n)
	}
	if n := w.r.flows.Stats().Entries; n != 0 {
		w.t.Errorf("%d flows", n)
	}
	p := &w.r.ports
	if n := len(p.clear.known) + len(p.out.known) + len(p.opened.known); n != 0 {
		w.t.Errorf("ports of %d datagrams", n)
	}
	for i := range w.r.crypto.lanes {
		if l := &w.r.crypto.lanes[i]; len(l.batch) != 0 || l.depth.Load() != 0 || w.r.crypto.waiting.Load() != 0 {
			w.t.Errorf("lane %d: %d wait, depth %d of %d", i, len(l.batch), l.depth.Load(), w.r.crypto.waiting.Load())
		}
	}
	if n := w.r.drops.Get(drop.StackPanic) + w.r.drops.Get(drop.None); n != 0 {
		w.t.Errorf("%d packets without a good reason:\n%s", n, w.log)
	}
}

func TestAStormAroundATunnelLetsNothingThroughInClear(t *testing.T) {
	for seed := range uint64(3) {
		s := newTunnelStorm(t, seed)
		for n := range 3000 {
			s.blow(n)
			s.look()
		}
		got := s.w.dropped()
		t.Log(got)
		for _, word := range []string{"selector_reject", "selector_miss", "inner_malformed", "fragment"} {
			if seed == 0 && got[word] == 0 && word != "fragment" {
				t.Errorf("nothing was dropped as %s: it was no storm", word)
			}
		}
		s.over()
	}
}

// Whatever an authenticated peer puts into ESP: nothing panics, nothing is lost
// without a reason, and nothing of it is on the wire in clear.
func FuzzOutOfATunnel(f *testing.F) {
	for _, b := range [][]byte{
		udpTo(at(far, 9), at(near, 9), "x"), ttl(udpTo(at(far, 9), at(near, 9), "x"), 1), ttl(echo(far, near, 8, 1, "x"), 0),
		options(udpTo(at(far, 9), at(near, 9), "x"), 68, 8, 5, 0, 0, 0, 0, 0), echo(far, endHere, 8, 1, "x"),
		fragments(udpTo(at(far, 9), at(near, 9), text(200)), 124)[1], esp(far, near, testSPI, 1, "x"), ip(far, near, 47, []byte("x")),
		icmpError(far, near, 3, 4, udpTo(at(near, 9), at(far, 9), "x"), 28), tcpTo(at(far, 9), at(addr("10.2.1.254"), 9), syn, ""),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1400 {
			return
		}
		s := newTunnelStorm(t, 1)
		pad := -(len(b) + 2) & 3
		body := append(append([]byte(nil), b...), []byte{1, 2, 3}[:pad]...)
		e := espOf(1, string(append(body, byte(pad), 4)))
		s.w.fromWAN(append([]byte(nil), e...), e)
		s.look()
		s.over()
	})
}
