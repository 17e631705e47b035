package netstack

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// The addresses that the listeners of a crowd translate to.
var (
	crowdNAT  = addr("203.0.113.77")
	crowdSNAT = addr("203.0.113.50")
)

// crowdListeners are four configurations with a bit of everything: what one
// admits another one does not. None lets a subscriber untranslated to the host
// server.
func crowdListeners(n int) (c vserver.Config) {
	c.Profiles = []vserver.FastL4{
		{Name: "fastL4", IdleTimeout: 7 * time.Second, MSSOverride: 1300},
		{Name: "loose", IdleTimeout: 3 * time.Second, LooseInitialization: true, LooseClose: true},
		{Name: "once", IdleTimeout: vserver.Immediate, PreserveTTL: true},
	}
	profile := func(s vserver.Server, name string) vserver.Server { s.Profile = name; return s }
	from := func(s vserver.Server, source string) vserver.Server {
		s.Source = netip.MustParsePrefix(source)
		return s
	}
	switch n {
	case 0:
		c.Servers = []vserver.Server{forwarding("any", "0.0.0.0/0")}
		c.NATs = []vserver.NAT{{Name: "n", Originating: near.Netip(), Translation: crowdNAT.Netip()}}
		c.SNATs = []vserver.SNAT{{Name: "s", Origins: prefixes("10.2.1.0/24"), Translations: []netip.Addr{crowdSNAT.Netip()}}}
	case 1:
		c.Servers = []vserver.Server{
			forwarding("site", "198.51.100.0/24"),
			change(forwarding("home", "10.1.1.0/24"), func(s *vserver.Server) { s.SourceTranslation = vserver.Automap }),
			change(from(forwarding("lsn", "203.0.113.254/32"), "192.0.2.0/24"), func(s *vserver.Server) {
				s.SourceTranslation, s.Group = vserver.TranslateLSN, "G"
			}),
			change(forwarding("few", "203.0.113.253/32"), func(s *vserver.Server) { s.ConnectionLimit, s.RateLimit = 5, 20 }),
		}
	case 2:
		c.Servers = []vserver.Server{
			profile(on(forwarding("in", "10.2.1.0/24"), wanIf), "loose"), profile(forwarding("out", "10.1.1.0/24"), "once"),
			on(change(forwarding("no", "203.0.113.0/24"), rejecting), lanIf), on(forwarding("elsewhere", "198.51.100.0/24"), otherIf),
		}
		c.NATs = []vserver.NAT{{Name: "n", Originating: near.Netip(), Translation: crowdNAT.Netip()}}
	}
	return c
}

// crowd is traffic of subscribers and others through servers, NATs, SNATs and
// the LSN.
type crowd struct {
	*storm
}

func (c *crowd) outward() [][]byte {
	src := at(c.pick(client1, client2, near, near, near2), c.port())
	return c.spoil(c.packet(src, at(c.pick(server, server2, upstream, far), c.port())))
}

func (c *crowd) inward() [][]byte {
	src := at(c.pick(server, server2, upstream, far), c.port())
	dst := at(c.pick(near, near2, client1, natAddr, crowdNAT, crowdSNAT, wanAddr), c.port())
	c.mu.Lock()
	var about []byte
	if n := len(*c.seen); n > 0 && c.rand.IntN(4) > 0 {
		p := &(*c.seen)[c.rand.IntN(n)]
		src, dst, about = at(p.Dst, p.DstPort), at(p.Src, p.SrcPort+p.ICMPID), p.Bytes()
	}
	c.mu.Unlock()
	if about != nil && c.rand.IntN(10) == 0 {
		return c.spoil(icmpError(src.Addr, dst.Addr, 3, uint8(c.rand.IntN(5)), about, 28+c.rand.IntN(30)))
	}
	return c.spoil(c.packet(src, dst))
}

// look takes what has come out. On its way to the host server no subscriber's
// address is seen but exempt ones; a later piece does not show its port.
func (c *crowd) look() {
	for _, b := range c.w.atWAN() {
		p := c.w.parsed(b)
		if g, _ := c.w.r.lsn.Client(p.Src); g != nil && p.Dst == server && p.DstPort != 77 && !p.Fragment {
			c.w.t.Errorf("%v > %v outside: % x", p.Src, p.Dst, b)
		}
		c.mu.Lock()
		*c.seen = append(*c.seen, p)
		if n := len(*c.seen); n > 60 {
			*c.seen = (*c.seen)[n-60:]
		}
		c.mu.Unlock()
	}
	for _, b := range c.w.atLAN() {
		c.w.parsed(b)
	}
}

// operate moves the clock, reloads and looks.
func (c *crowd) operate(n int) {
	r := c.w.r
	switch {
	case n%10 == 0:
		c.w.advance(time.Duration(c.rand.IntN(2500)) * time.Millisecond)
	case n%61 == 0:
		c.reload(c.rand.IntN(4))
	case n%197 == 0:
		r.Connections().Remove(func(i vserver.Info) bool { return c.rand.IntN(3) == 0 }, r.now(), r.reset)
	case n%31 == 0:
		r.Connections().Walk(r.now(), func(vserver.Info) bool { return true })
		r.VLANMisses()
		for _, l := range r.Connections().Listeners().All() {
			if l.Kind == vserver.KindServer {
				l.Counters().Stats()
			}
		}
	}
}

func (c *crowd) reload(n int) {
	s := settingsOf("single ports")
	s.Listeners = crowdListeners(n)
	c.w.reload(s)
}

func newCrowd(t *testing.T, o ...option) *crowd {
	w := newSites(t, append(o, stormy("single ports"), func(c *Config) {
		random := c.LSN.Rand
		var mu sync.Mutex
		c.LSN.Rand = func(n uint32) uint32 {
			mu.Lock()
			defer mu.Unlock()
			return random(n)
		}
		c.MaxConnections = 300
		c.Listeners = crowdListeners(0)
	})...)
	return &crowd{&storm{w: w, rand: rand.New(rand.NewPCG(5, 6)), mu: &sync.Mutex{}, seen: &[]frame.Packet{}}}
}

// ended lets everything run out, and wants nothing to be left and every place
// under a limit to be free again.
func (c *crowd) ended() {
	w := c.w
	w.t.Helper()
	c.reload(1)
	w.wait(30)
	w.atLAN()
	w.atWAN()
	for _, l := range w.r.Connections().Listeners().All() {
		if l.Kind != vserver.KindServer && l.Kind != vserver.KindNAT && l.Kind != vserver.KindSNAT {
			continue
		}
		if s := l.Counters().Stats(); s.Current != 0 || s.Closed != s.Total {
			w.t.Errorf("%s %s: %+v", l.Kind, l.Name, s)
		}
	}
	if n := w.r.Connections().Len(); n != 0 {
		w.t.Errorf("%d connections are left", n)
	}
	for port := range uint16(8) {
		w.fromLAN(udpTo(at(near, 30000+port), at(server2, 9), "x"))
	}
	if n := len(w.atWAN()); n != 5 {
		w.t.Errorf("%d of 5 places are free", n)
	}
	w.wait(30)
	c.over()
}

func TestAfterACrowdNothingIsLeft(t *testing.T) {
	c := newCrowd(t)
	for n := range 4000 {
		switch c.rand.IntN(5) {
		case 0, 1:
			c.w.fromLAN(c.outward()...)
		case 2, 3:
			c.w.fromWAN(c.inward()...)
		default:
			c.operate(n)
		}
		c.look()
	}
	t.Log(c.w.dropped(), c.w.r.flows.Stats())
	c.ended()
}

// From both ports at once, through all their lanes, while the clock moves and an
// operator reloads: the race detector watches.
func TestAfterACrowdOfManyNothingIsLeft(t *testing.T) {
	c := newCrowd(t, lanes(3))
	var wg sync.WaitGroup
	for i, step := range []func(*crowd, int){
		(*crowd).operate,
		func(c *crowd, _ int) { c.w.fromLAN(c.outward()...); c.look() },
		func(c *crowd, _ int) { c.w.fromWAN(c.inward()...); c.look() },
		func(c *crowd, _ int) { c.w.fromLAN(c.outward()...); c.look() },
		func(c *crowd, _ int) { c.w.fromWAN(c.inward()...); c.look() },
	} {
		one := &crowd{&storm{w: c.w, rand: rand.New(rand.NewPCG(uint64(i), 7)), mu: c.mu, seen: c.seen}}
		wg.Go(func() {
			for n := range 1200 {
				step(one, n)
			}
		})
	}
	wg.Wait()
	c.w.atLAN()
	c.w.atWAN()
	c.ended()
}
