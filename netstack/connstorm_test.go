package netstack

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// gale is traffic of all kinds through NATs, SNATs and servers that translate,
// from many goroutines. No inside address may show outside, and no outside one
// of ours inside.
type gale struct {
	w    *world
	of   *galeKind
	rand *rand.Rand
	mu   *sync.Mutex
	seen *[2][][]byte // what has come out lately, by port
	made *atomic.Int64
}

// galeKind is what listens, in turn.
type galeKind struct {
	name     string
	world    func(testing.TB, ...option) *world
	settings func(n int) Settings
}

var galeKinds = []galeKind{
	{"of our own", office, func(n int) Settings { return Settings{Listeners: galeSettings(n)} }},
	{"of a group", newWorld, func(n int) Settings {
		limited, no := byGroup("v"), forwarding("v", "0.0.0.0/0")
		limited.ConnectionLimit, no.Role = 20, vserver.Reject
		l := [][]vserver.Server{{byGroup("v")}, {limited}, {no}, nil}[n%4]
		s := (&world{}).on(natAddr)
		s.Listeners = vserver.Config{Servers: l}
		return s
	}},
}

// galeSettings are listeners of which none lets an inside address out.
func galeSettings(n int) vserver.Config {
	server := forwarding("v", "0.0.0.0/0")
	server.Source, server.SourceTranslation = netip.MustParsePrefix("192.0.2.0/24"), vserver.Automap
	nat := vserver.NAT{Name: "n", Originating: client1.Netip(), Translation: natOut.Netip()}
	return []vserver.Config{
		{NATs: []vserver.NAT{nat}, SNATs: []vserver.SNAT{{Name: "s", Origins: prefixes("192.0.2.0/24"), Automap: true}}},
		{SNATs: []vserver.SNAT{{Name: "s", Origins: prefixes("192.0.2.0/24"), Translations: netips(snatOut, snatOut2), SourcePort: vserver.ChangePort}}},
		{NATs: []vserver.NAT{nat}, Servers: []vserver.Server{server}},
		{Servers: []vserver.Server{server}, SNATs: []vserver.SNAT{{Name: "s", Origins: prefixes("192.0.2.0/24"), Translations: netips(snatOut)}}},
	}[n%4]
}

func (s *gale) pick(addrs ...frame.Addr) frame.Addr { return addrs[s.rand.IntN(len(addrs))] }

// packet is one of a few hundred flows between two ends.
func (s *gale) packet(src, dst frame.Addr) []byte {
	a, b := at(src, uint16(40000+s.rand.IntN(6))), at(dst, uint16(50+s.rand.IntN(3)))
	flags := []uint8{syn, synAck, ack, ack, ack, ack | frame.TCPFin, frame.TCPRst}[s.rand.IntN(7)]
	switch s.rand.IntN(6) {
	case 0:
		return udpTo(a, b, text(s.rand.IntN(3000)))
	case 1:
		return echo(src, dst, 8, uint16(s.rand.IntN(4)), "x")
	case 2:
		return esp(src, dst, uint32(0x1000+s.rand.IntN(4)), 1, "x")
	default:
		return tcpTo(a, b, flags, "x")
	}
}

// answer is one to what came out at a port lately: the packet turned round, or
// an error about it.
func (s *gale) answer(port int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.seen[port]
	if len(list) == 0 {
		return nil
	}
	b := list[s.rand.IntN(len(list))]
	p := view(b)
	switch {
	case p.Fragment || p.ICMPError():
		return nil
	case s.rand.IntN(8) == 0:
		return icmpError(s.pick(p.Dst, addr("198.51.100.1"), addr("192.0.2.200")), p.Src, 3, 1, b, 60)
	case p.Proto == frame.ProtoTCP:
		flags := []uint8{synAck, ack, ack, ack, ack | frame.TCPFin, frame.TCPRst}[s.rand.IntN(6)]
		return tcpTo(at(p.Dst, p.DstPort), at(p.Src, p.SrcPort), flags, "y")
	case p.Proto == frame.ProtoUDP:
		return udpTo(at(p.Dst, p.DstPort), at(p.Src, p.SrcPort), text(s.rand.IntN(3000)))
	}
	return answerTo(b)
}

// blow sends from one port.
func (s *gale) blow(port int) {
	b := s.answer(port)
	if b == nil || s.rand.IntN(3) == 0 {
		src, dst := s.pick(client1, client2, addr("192.0.2.13")), s.pick(server, server2, wanAddr, lanAddr, natOut, natAddr)
		if port == 1 {
			src, dst = s.pick(server, server2), s.pick(natOut, natOut, snatOut, wanAddr, natAddr)
		}
		b = s.packet(src, dst)
	}
	if s.rand.IntN(20) == 0 {
		b = ttl(b, 1)
	}
	packets := [][]byte{b}
	if len(b) > 1500 {
		packets = fragments(b, 1500)
		s.rand.Shuffle(len(packets), func(i, j int) { packets[i], packets[j] = packets[j], packets[i] })
		packets = packets[s.rand.IntN(20)/19:] // one is lost now and then
	}
	s.w.send(port, [2]frame.MAC{lanMAC, wanMAC}[port], packets)
	s.made.Add(int64(s.w.r.conns.Len()))
	s.look()
}

// look takes what came out and fails if it shows what it must not.
func (s *gale) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for port, got := range [2][][]byte{s.w.atLAN(), s.w.atWAN()} {
		for _, b := range got {
			p := s.w.parsed(b)
			q, why := frame.Quote{}, drop.ICMPMalformed
			if p.ICMPError() {
				q, why = p.Quote()
			}
			if port == 1 && (inOffice(p.Src) || why == drop.None && (inOffice(q.Src) || inOffice(q.Dst))) {
				s.w.t.Errorf("outside is shown % x", b)
			}
			if port == 0 && (!inOffice(p.Dst) || why == drop.None && !inOffice(q.Src) && !inOffice(q.Dst) && q.Dst != natOut && q.Dst != natAddr) {
				s.w.t.Errorf("inside is shown % x", b)
			}
		}
		if s.seen[port] = append(s.seen[port], got...); len(s.seen[port]) > 60 {
			s.seen[port] = s.seen[port][len(s.seen[port])-60:]
		}
	}
}

func inOffice(a frame.Addr) bool { return a[0] == 192 && a[1] == 0 && a[2] == 2 }

func TestAfterAStormThroughTranslationsNothingIsLeft(t *testing.T) {
	for _, of := range galeKinds {
		t.Run(of.name, func(t *testing.T) { of.storm(t) })
	}
}

func (of *galeKind) storm(t *testing.T) {
	var lock sync.Mutex
	w := of.world(t, lanes(3), func(c *Config) {
		c.Listeners = of.settings(0).Listeners
		random := c.LSN.Rand
		c.LSN.Rand = func(n uint32) uint32 {
			lock.Lock()
			defer lock.Unlock()
			return random(n)
		}
	})
	w.neighbor(lanIf, addr("192.0.2.13"))
	var mu sync.Mutex
	var seen [2][][]byte
	var made atomic.Int64
	var wg sync.WaitGroup
	for i, step := range []func(*gale, int){
		func(s *gale, _ int) { s.blow(0) },
		func(s *gale, _ int) { s.blow(1) },
		func(s *gale, _ int) { s.blow(s.rand.IntN(2)) },
		operateGale,
	} {
		s := &gale{w: w, of: of, rand: rand.New(rand.NewPCG(uint64(i), 5)), mu: &mu, seen: &seen, made: &made}
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := range 3000 {
				step(s, n)
			}
		}()
	}
	wg.Wait()
	if w.r.flows.Stats().Hits == 0 {
		t.Error("no packet took the fast path")
	}
	w.reload(of.settings(0))
	w.advance(10 * time.Minute)
	w.advance(2 * time.Second)
	if n := w.r.conns.Len(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	if s := w.r.flows.Stats(); s.Entries != 0 {
		t.Errorf("%d flows are left", s.Entries)
	}
	if s := w.r.Fragments(); s.Waiting+s.Decided+s.Bytes != 0 {
		t.Errorf("%+v", s)
	}
	for _, l := range w.r.conns.Listeners().All() {
		if c := l.Counters(); c != nil {
			s := c.Stats()
			if s.Current != 0 || s.Closed != s.Total {
				t.Errorf("%v %s: %+v", l.Kind, l.Name, s)
			}
		}
	}
	if made.Load() == 0 {
		t.Error("no connection was made")
	}
}

// operateGale does what an operator does, and moves the clock.
func operateGale(s *gale, n int) {
	switch {
	case n%7 == 0:
		s.w.advance(time.Duration(s.rand.IntN(2000)) * time.Millisecond)
	case n%101 == 0:
		s.w.reload(s.of.settings(s.rand.IntN(4)))
	case n%53 == 0:
		s.w.r.conns.Remove(func(i vserver.Info) bool { return i.ID%3 == 0 }, s.w.r.now(), s.w.r.reset)
	case n%31 == 0:
		s.w.r.conns.Walk(s.w.r.now(), func(vserver.Info) bool { return true })
	}
	s.look()
}
