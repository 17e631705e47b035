package netstack

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// storm sends a router packets of all kinds, sound ones and forged ones, from
// both sides and at random. What it has seen outside it answers to, so that
// there is much to find.
type storm struct {
	w        *world
	rand     *rand.Rand
	computed bool // blocks are nobody's to give back

	mu   *sync.Mutex // seen is everybody's
	seen *[]frame.Packet
}

var stormStatics = []lsn.Static{
	{Name: "one", Inside: at(addr("192.0.2.20"), 0), Outside: at(ownAddr, 0)},
	{Name: "web", Proto: frame.ProtoTCP, Inside: at(client1, 80), Outside: at(addr("203.0.113.3"), 2000)},
	{Name: "udp", Proto: frame.ProtoUDP, Inside: at(client2, 9), Outside: at(addr("203.0.113.4"), 3000), Remote: server},
}

// stormy is a configuration with a bit of everything, and few ports to quarrel
// over. kind is how ports are given.
func stormy(kind string) option {
	return func(c *Config) {
		c.Flows = 256
		l := &c.LSN
		l.Clients[0].Networks = prefixes("192.0.2.0/27")
		l.Pools[0].Ranges = []lsn.Range{{First: natAddr, Last: newNAT}}
		l.Statics = stormStatics
		l.MaxSessions = 150
		g := &l.Groups[0]
		g.FTP, g.TFTP, g.PairingHold = true, true, 20*time.Second
		for _, proto := range []uint8{frame.ProtoTCP, frame.ProtoUDP, frame.ProtoICMP} {
			g.Transports = append(g.Transports, lsn.TransportProfile{
				Name: fmt.Sprint(proto), Proto: proto, SessionQuota: 25, PortQuota: 12, GroupSessionLimit: 90, PreserveParity: proto != frame.ProtoICMP,
			})
			g.Apps = append(g.Apps, lsn.AppProfile{Name: "cone", Proto: proto, Mapping: lsn.EIM, Filtering: lsn.EIF, Pooling: lsn.Paired})
			if proto != frame.ProtoICMP {
				g.Apps = append(g.Apps,
					lsn.AppProfile{Name: "adf", Proto: proto, Ports: []lsn.PortRange{{First: 9, Last: 19}}, Mapping: lsn.EIM, Filtering: lsn.ADF},
					lsn.AppProfile{Name: "apdm", Proto: proto, Ports: []lsn.PortRange{{First: 20, Last: 60}}},
					lsn.AppProfile{Name: "no", Proto: proto, Ports: []lsn.PortRange{{First: 77, Last: 77}}, Exempt: true})
			}
		}
		switch kind {
		case "held ports":
			l.Pools[0].ReallocTimeout, l.Pools[0].MaxReallocQueue = 10*time.Second, 20
		case "blocks":
			l.Pools[0].PortBlocks, g.BlockSize = true, 256
		case "deterministic":
			l.Pools[0].Type, g.Type, g.BlockSize = lsn.Deterministic, lsn.Deterministic, 1024
		}
	}
}

func (s *storm) port() uint16 {
	return []uint16{0, 9, 21, 53, 69, 77, 80, 500, 4500, 2000, 3000, 7000, 65535}[s.rand.IntN(13)]
}

func (s *storm) pick(list ...frame.Addr) frame.Addr { return list[s.rand.IntN(len(list))] }

func (s *storm) inside() frame.Addr {
	return s.pick(client1, client2, addr("192.0.2.20"), addr("192.0.2.14"))
}

func (s *storm) nat() frame.Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(*s.seen); n > 0 && s.rand.IntN(8) > 0 {
		p := &(*s.seen)[s.rand.IntN(n)]
		return at(p.Src, p.SrcPort+p.ICMPID)
	}
	return at(s.pick(natAddr, newNAT, ownAddr), s.port())
}

// packet makes one of any protocol.
func (s *storm) packet(src, dst frame.Endpoint) []byte {
	text := string(make([]byte, s.rand.IntN(40)))
	switch s.rand.IntN(12) {
	case 0:
		return echo(src.Addr, dst.Addr, []uint8{0, 8, 13}[s.rand.IntN(3)], []uint16{src.Port, dst.Port}[s.rand.IntN(2)], text)
	case 1:
		return esp(src.Addr, dst.Addr, 0x1000+uint32(s.rand.IntN(3)), uint32(s.rand.IntN(9)), text)
	case 2:
		return udpTo(at(src.Addr, 500), at(dst.Addr, 500), ike(2, uint64(1+s.rand.IntN(3)), uint64(s.rand.IntN(3)), []uint8{ikeSAInit, ikeAuth, createSA}[s.rand.IntN(3)], flagV2Init<<s.rand.IntN(3), uint32(s.rand.IntN(3)), 200))
	case 3, 4, 5, 6:
		flags := []uint8{frame.TCPSyn, frame.TCPSyn | tcpACK, tcpACK, frame.TCPFin | tcpACK, frame.TCPRst}[s.rand.IntN(5)]
		if dst.Port == 21 && s.rand.IntN(2) == 0 {
			text = fmt.Sprintf("PORT %d,%d,%d,%d,%d,%d\r\n", src.Addr[0], src.Addr[1], src.Addr[2], src.Addr[3], s.rand.IntN(256), s.rand.IntN(4))
		}
		return tcpTo(src, dst, flags, text)
	case 7:
		return ip(src.Addr, dst.Addr, []uint8{47, 51, 2}[s.rand.IntN(3)], []byte(text))
	}
	if dst.Port == 69 {
		text = "\x00\x01file\x00octet\x00"
	}
	return udpTo(src, dst, text)
}

// spoil makes something else of a packet, sometimes.
func (s *storm) spoil(b []byte) [][]byte {
	switch s.rand.IntN(12) {
	case 0:
		f := fragments(append([]byte(nil), b...), 20+8+8*s.rand.IntN(4))
		s.rand.Shuffle(len(f), func(i, j int) { f[i], f[j] = f[j], f[i] })
		return f
	case 1:
		return [][]byte{ttl(b, uint8(s.rand.IntN(3)))}
	}
	return [][]byte{b}
}

// outward is a packet from the port lan, inward one from wan.
func (s *storm) outward() [][]byte {
	src := at(s.inside(), s.port())
	if s.rand.IntN(30) == 0 {
		src.Addr = s.pick(server, natAddr, lanAddr, addr("192.0.2.255"))
	}
	dst := at(s.pick(server, server2, upstream, addr("198.51.100.9")), s.port())
	switch s.rand.IntN(10) {
	case 0, 1:
		dst = s.nat()
	case 2:
		dst.Addr = s.pick(lanAddr, wanAddr, client1, addr("192.0.2.255"))
	}
	b := s.packet(src, dst)
	if s.rand.IntN(15) == 0 {
		b = icmpError(src.Addr, dst.Addr, 3, uint8(s.rand.IntN(5)), s.packet(dst, src), 28+s.rand.IntN(30))
	}
	return s.spoil(b)
}

func (s *storm) inward() [][]byte {
	src := at(s.pick(server, server2, upstream, client1, natAddr), s.port())
	dst := s.nat()
	s.mu.Lock()
	var about []byte
	if n := len(*s.seen); n > 0 && s.rand.IntN(4) > 0 {
		p := &(*s.seen)[s.rand.IntN(n)]
		src, dst, about = at(p.Dst, p.DstPort), at(p.Src, p.SrcPort+p.ICMPID), p.Bytes()
	}
	s.mu.Unlock()
	if s.rand.IntN(20) == 0 {
		dst.Addr = s.pick(client1, wanAddr, addr("203.0.113.255"))
	}
	if about != nil && s.rand.IntN(10) == 0 {
		return s.spoil(icmpError(src.Addr, dst.Addr, 3, uint8(s.rand.IntN(5)), about, 28+s.rand.IntN(30)))
	}
	return s.spoil(s.packet(src, dst))
}

// look takes what has come out, and wants no inside address to be seen outside
// and nobody else's packets inside.
func (s *storm) look() {
	for _, b := range s.w.atWAN() {
		p := s.w.parsed(b)
		known := bytes.Contains(b, []byte{0, 77}) || p.Fragment || p.Src == wanAddr // exempt, or an answer to who wrote it
		if i := bytes.Index(b, []byte{192, 0, 2}); i >= 0 && !known {
			s.w.t.Errorf("an inside address at byte %d of % x", i, b)
		}
		if !s.w.r.lsn.Owns(p.Src) {
			continue
		}
		s.mu.Lock()
		*s.seen = append(*s.seen, p)
		if n := len(*s.seen); n > 60 {
			*s.seen = (*s.seen)[n-60:]
		}
		s.mu.Unlock()
	}
	for _, b := range s.w.atLAN() {
		if p := s.w.parsed(b); p.Dst != addr("192.0.2.255") && (p.Dst[0] != 192 || p.Src[0] == 192 && p.Src != lanAddr && p.Dst != client1) {
			s.w.t.Errorf("%v > %v inside: % x", p.Src, p.Dst, b)
		}
	}
}

func (s *storm) step() {
	switch n := s.rand.IntN(1000); {
	case n < 550:
		s.w.fromLAN(s.outward()...)
	case n < 980:
		s.w.fromWAN(s.inward()...)
	case n < 995:
		s.w.advance(time.Duration(s.rand.IntN(4000)) * time.Millisecond)
	case n < 996:
		s.w.advance(40 * time.Second)
	default:
		s.w.r.FlushLSN(lsn.Filter{Network: netip.PrefixFrom(s.inside().Netip(), 32)})
	}
}

// over lets everything run out, and wants nothing to be left.
func (s *storm) over() {
	w := s.w
	w.t.Helper()
	for range 5 {
		w.advance(time.Hour)
	}
	for range 40 {
		w.advance(time.Second)
	}
	st := w.r.lsn.Stats()
	if st.Sessions != [3]int{} || st.Mappings != [3]int{} || st.Paired != 0 {
		w.t.Errorf("left: %v sessions, %v mappings, %d paired", st.Sessions, st.Mappings, st.Paired)
	}
	for _, p := range st.Pools {
		blocks := p.BlocksUsed
		if s.computed {
			blocks = 0
		}
		if p.Used != [3]int{1, 1, 0} || p.Held != [3]int{} || blocks != 0 {
			w.t.Errorf("pool %s: %v ports used but those of static mappings, %v held, %d blocks", p.Name, p.Used, p.Held, p.BlocksUsed)
		}
	}
	for _, g := range st.Groups {
		if g.Subscribers != 0 || g.Sessions != [3]int{} {
			w.t.Errorf("group %s: %d subscribers, %v sessions", g.Name, g.Subscribers, g.Sessions)
		}
	}
	if n := w.r.lsn.Expectations().Waiting; n != 0 {
		w.t.Errorf("%d connections are waited for", n)
	}
	if n := w.r.flows.Stats().Entries; n != 0 {
		w.t.Errorf("%d flows", n)
	}
	if n := w.r.Fragments(); n.Waiting+n.Gathering+n.Decided+n.Bytes != 0 {
		w.t.Errorf("pieces: %+v", n)
	}
	if c := w.r.alg.Counters(); c.IKESessions != 0 || c.ESPSessions != 0 {
		w.t.Errorf("ALG: %+v", c)
	}
	if n := len(w.r.syns.queue) + len(w.r.syns.waiting) + len(w.r.syns.of); n != 0 {
		w.t.Errorf("SYN: %d", n)
	}
}

func TestAfterAStormNothingIsLeft(t *testing.T) {
	for _, kind := range stormKinds {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, stormy(kind))
			for _, a := range []string{"192.0.2.20", "192.0.2.14"} {
				w.neighbor(lanIf, addr(a))
			}
			s := &storm{w: w, rand: rand.New(rand.NewPCG(1, 2)), mu: &sync.Mutex{}, seen: &[]frame.Packet{}, computed: kind == "deterministic"}
			for range 8000 {
				s.step()
				s.look()
			}
			t.Log(w.dropped(), w.r.lsn.Stats().Created, w.r.lsn.Expectations(), w.r.flows.Stats().Hits)
			s.over()
		})
	}
}
