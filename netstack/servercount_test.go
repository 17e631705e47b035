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

// leavers is what left a router on its way through, and not by its own making:
// those have the TTL of a beginning.
type leavers struct{ packets, bytes uint64 }

func (c *leavers) add(w *world, packets [][]byte) {
	for _, b := range packets {
		if p := w.parsed(b); p.TTL() < 64 {
			c.packets++
			c.bytes += uint64(len(b))
		}
	}
}

// Whatever is sent through servers, on either path, in pieces or whole, through
// reloads and past the ends of connections: what they count is what left (VR39).
func TestVR39_ServersCountWhatLeftPacketForPacketAndBitForBit(t *testing.T) {
	for name, translate := range map[string]func(*vserver.Server){
		"as it is": func(*vserver.Server) {},
		"snat": func(s *vserver.Server) {
			s.SourceTranslation, s.Translations = vserver.TranslateSNAT, []netip.Addr{crowdSNAT.Netip()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			set := func(c *vserver.Config) {
				c.Profiles = []vserver.FastL4{{Name: "fastL4", IdleTimeout: 6 * time.Second, LooseInitialization: true}}
				c.Servers = []vserver.Server{
					change(on(forwarding("out", "0.0.0.0/0"), lanIf), translate), on(forwarding("in", "10.2.1.0/24"), wanIf),
				}
			}
			w := newSites(t, func(c *Config) { set(&c.Listeners); c.Flows = 64 })
			s := &storm{w: w, rand: rand.New(rand.NewPCG(8, 9)), mu: &sync.Mutex{}, seen: &[]frame.Packet{}}
			var in, out leavers
			for range 5000 {
				inside, outside := s.pick(near, near2), s.pick(far, server, upstream)
				ports := [2]uint16{uint16(50 + s.rand.IntN(3)), uint16(50 + s.rand.IntN(3))} // few, so that answers meet their questions
				switch n := s.rand.IntN(100); {
				case n < 48:
					w.fromLAN(s.spoil(s.packet(at(inside, ports[0]), at(outside, ports[1])))...)
				case n < 97:
					to := at(inside, ports[0])
					if len(*s.seen) > 0 && n < 80 {
						p := &(*s.seen)[s.rand.IntN(len(*s.seen))]
						to, outside, ports[1] = at(p.Src, p.SrcPort+p.ICMPID), p.Dst, p.DstPort
					}
					w.fromWAN(s.spoil(s.packet(at(outside, ports[1]), to))...)
				case n < 99:
					w.advance(time.Duration(s.rand.IntN(2500)) * time.Millisecond)
				default:
					w.reload(w.with(set))
				}
				left := w.atWAN()
				for _, b := range left {
					*s.seen = append(*s.seen, w.parsed(b))
				}
				*s.seen = (*s.seen)[max(0, len(*s.seen)-20):]
				out.add(w, left)
				in.add(w, w.atLAN())
			}
			w.wait(2)
			a, b := w.stats(vserver.KindServer, "out"), w.stats(vserver.KindServer, "in")
			got := [2]leavers{{a.PacketsIn + b.PacketsOut, a.BytesIn + b.BytesOut}, {a.PacketsOut + b.PacketsIn, a.BytesOut + b.BytesIn}}
			if want := [2]leavers{out, in}; got != want {
				t.Errorf("the servers count %+v, and %+v left\n%v", got, want, w.dropped())
			}
			if h := w.r.flows.Stats().Hits; h < 60 || out.packets < 1000 || in.packets < 1000 {
				t.Errorf("a storm without traffic: %d hits, %+v, %+v", h, out, in)
			}
		})
	}
}
