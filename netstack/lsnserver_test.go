package netstack

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// besides are servers that must not change anything for an LSN group's
// subscribers: their destination is everything, and they do not say what becomes
// of a subscriber's address.
var besides = map[string]option{
	"everything":             openHouse,
	"disabled":               serving(change(forwarding("any", "0.0.0.0/0"), func(s *vserver.Server) { s.Disabled = true })),
	"on the outside":         serving(on(forwarding("any", "0.0.0.0/0"), wanIf)),
	"on the inside":          serving(on(forwarding("any", "0.0.0.0/0"), lanIf)),
	"nowhere":                serving(on(forwarding("any", "0.0.0.0/0"))),
	"UDP":                    serving(change(forwarding("any", "0.0.0.0/0"), func(s *vserver.Server) { s.Protocol = frame.ProtoUDP })),
	"rejects somewhere else": serving(change(forwarding("no", "10.0.0.0/8"), rejecting), on(change(forwarding("any", "0.0.0.0/0"), rejecting))),
	"a NAT and a SNAT of others": func(c *Config) {
		c.Listeners.NATs = []vserver.NAT{{Name: "n", Originating: near.Netip(), Translation: addr("203.0.113.77").Netip()}}
		c.Listeners.SNATs = []vserver.SNAT{{Name: "s", Origins: prefixes("10.0.0.0/8"), Automap: true}}
	},
}

// anonymous is a frame's packet without what the router draws for packets of
// its own: the IP id, and the checksum over it.
func anonymous(b []byte) []byte {
	b = append([]byte(nil), b...)
	if b[9] == frame.ProtoICMP && len(b) > 20 && (b[20] == 3 || b[20] == 11) || frame.Addr(b[12:16]) == wanAddr || frame.Addr(b[12:16]) == lanAddr {
		clear(b[4:6])
		clear(b[10:12])
	}
	return b
}

// Two routers see the same storm of subscribers' packets; one of them has
// virtual servers, too. Nobody can tell which.
func TestAWildcardServerChangesNothingForSubscribers(t *testing.T) {
	for name, also := range besides {
		t.Run(name, func(t *testing.T) {
			plain, served := newWorld(t, stormy("single ports")), newWorld(t, stormy("single ports"), also)
			for _, w := range []*world{plain, served} {
				for _, a := range []string{"192.0.2.20", "192.0.2.14"} {
					w.neighbor(lanIf, addr(a))
				}
			}
			s := &storm{w: plain, rand: rand.New(rand.NewPCG(3, 4)), mu: &sync.Mutex{}, seen: &[]frame.Packet{}}
			for range 1500 {
				inward := s.rand.IntN(2) == 0
				packets := s.inward()
				if !inward {
					packets = s.outward()
				}
				for _, b := range packets {
					if plain.others(inward, b) {
						continue
					}
					compare(t, s, served, inward, b)
				}
				if s.rand.IntN(40) == 0 {
					d := time.Duration(s.rand.IntN(3000)) * time.Millisecond
					plain.advance(d)
					served.advance(d)
				}
			}
			if n := served.r.conns.Len(); n != 0 {
				t.Errorf("%d flows were admitted by servers", n)
			}
			if st := plain.r.lsn.Stats().Created; st[0] == 0 || st[1] == 0 || plain.r.flows.Stats().Hits == 0 {
				t.Errorf("a storm without traffic: %v", st)
			}
		})
	}
}

// others reports whether a packet is no subscriber's, or a piece that is looked
// at more closely where there are servers: without them one to an exempt port
// or between two subscribers passes without its first, and one to ourselves is
// the stack's matter.
func (w *world) others(inward bool, b []byte) bool {
	_, from := w.r.lsn.Client(frame.Addr(b[12:16]))
	_, to := w.r.lsn.Client(frame.Addr(b[16:20]))
	piece := b[6]&0x3f != 0 || b[7] != 0
	return !inward && !from || piece && (to || w.r.isLocal(frame.Addr(b[16:20])))
}

// compare gives a packet to both routers, and what comes out to the storm.
func compare(t *testing.T, s *storm, served *world, inward bool, b []byte) {
	t.Helper()
	for _, w := range []*world{s.w, served} {
		if inward {
			w.fromWAN(b)
		} else {
			w.fromLAN(b)
		}
	}
	for _, side := range [][2][][]byte{{s.w.atLAN(), served.atLAN()}, {s.w.atWAN(), served.atWAN()}} {
		if len(side[0]) != len(side[1]) {
			t.Fatalf("because of % x\nwithout servers leave % x\nwith them % x\n%v\n%v", b, side[0], side[1], s.w.dropped(), served.dropped())
		}
		for i := range side[0] {
			if !bytes.Equal(anonymous(side[0][i]), anonymous(side[1][i])) {
				t.Fatalf("because of % x\nwithout servers % x\nwith them       % x", b, side[0][i], side[1][i])
			}
			if p := s.w.parsed(side[0][i]); s.w.r.lsn.Owns(p.Src) {
				*s.seen = append(*s.seen, p)
			}
		}
	}
	if n := len(*s.seen); n > 60 {
		*s.seen = (*s.seen)[n-60:]
	}
}

// What the storm meets too seldom: flows by exemption, static mappings, and
// tunnels.
func TestAWildcardServerLeavesSubscribersTheirExemptionsAndMappings(t *testing.T) {
	for name, also := range besides {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, also, exempting, func(c *Config) {
				c.LSN.Statics = []lsn.Static{{Name: "web", Proto: frame.ProtoTCP, Inside: at(client1, 80), Outside: at(natAddr, 8080)}}
			})
			for _, s := range []frame.Endpoint{at(upstream, 53), at(server, 8443)} { // by network and by port
				w.fromLAN(udpTo(at(client1, 5000), s, "question"))
				if p := w.one(w.atWAN()); p.Src != client1 {
					t.Errorf("leaves as %v", p.Src)
				}
				w.fromWAN(udpTo(s, at(client1, 5000), "answer"))
				w.one(w.atLAN())
				w.fromWAN(icmpError(server2, client1, 3, 1, udpTo(at(client1, 5000), s, "question"), 60))
				w.one(w.atLAN())
			}
			w.fromWAN(udpTo(at(upstream, 9), at(client1, 9), "first"))
			w.one(w.atLAN())
			w.fromWAN(segment(at(server, 4000), at(natAddr, 8080), 1, 0, syn, ""))
			if p := w.one(w.atLAN()); p.Dst != client1 || p.DstPort != 80 {
				t.Errorf("for %v:%d", p.Dst, p.DstPort)
			}
			w.fromLAN(segment(at(client1, 80), at(server, 4000), 1, 2, synAck, ""))
			w.one(w.atWAN())
			w.converse()
			if n := w.r.conns.Len(); n != 0 {
				t.Errorf("%d flows were admitted by servers", n)
			}
		})
	}
}

// It takes a server for the inside network to open it, and then answers go back
// as they came (VR2).
func TestAWildcardServerDoesNotOpenTheInside(t *testing.T) {
	for name, also := range besides {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, also)
			for _, b := range [][]byte{
				segment(at(server, 4000), at(client1, 80), 1, 0, syn, ""), udpTo(at(server, 1), at(client1, 1), "x"), echo(server, client1, 8, 1, "x"),
				esp(server, client1, 0x1000, 1, "x"), fragments(udpTo(at(server, 1), at(client1, 1), text(200)), 124)[0], ttl(udpTo(at(server, 1), at(client1, 1), "x"), 1),
			} {
				before := len(w.dropped())
				w.fromWAN(b)
				w.none(w.atLAN())
				w.none(w.atWAN())
				if len(w.dropped()) == before && before == 0 {
					t.Errorf("nothing was counted of % x", b)
				}
			}
		})
	}
}

func TestAServerForTheInsideNetworkOpensItAndAnswersLeaveAsTheyAre(t *testing.T) {
	w := newWorld(t, openHouse, serving(on(forwarding("inside", "192.0.2.0/24"), wanIf)))
	k := w.talk(false, at(server, 4000), at(client1, 80)).shake().chat(4)
	w.fromWAN(echo(server, client1, 8, 7, "x"))
	w.one(w.atLAN())
	w.fromLAN(echo(client1, server, 0, 7, "x"))
	if p := w.one(w.atWAN()); p.Src != client1 {
		t.Errorf("the answer leaves as %v", p.Src)
	}
	w.fromWAN(icmpError(server, client1, 3, 3, k.segment(vserver.Remote, ack, "x"), 60))
	told := w.one(w.atLAN())
	if q, _ := told.Quote(); q.Src != client1 {
		t.Errorf("the error quotes %v", q.Src)
	}
	k.part()
	// What the subscriber begins is translated as ever, also to the same server.
	w.fromLAN(segment(at(client1, 80), at(server, 4001), 1, 0, syn, ""))
	if p := w.one(w.atWAN()); p.Src != natAddr {
		t.Errorf("leaves as %v", p.Src)
	}
	w.converse()
	w.wantDrop(drop.VLANMiss, 1, func() { w.fromLAN(udpTo(at(near, 1), at(client2, 1), "not from there")) })
}

func TestASubscriberGoesUntranslatedToAServersOwnDestination(t *testing.T) {
	for _, of := range []vserver.Server{
		forwarding("site", "198.51.100.0/24"), forwarding("host", "198.51.100.7/32"),
		change(forwarding("named", "0.0.0.0/0"), func(s *vserver.Server) { s.Source = prefixes("192.0.2.0/24")[0] }), // as closely as the group
	} {
		w := newWorld(t, openHouse, serving(of))
		w.talk(true, at(client1, 40000), at(upstream, 80)).shake().chat(4).part()
		if n := w.r.lsn.Stats().Created; n != [3]uint64{} {
			t.Errorf("%s: the LSN has made sessions: %v", of.Name, n)
		}
		w.wait(6)
		w.fromWAN(segment(at(upstream, 80), at(client1, 40000), 1, 0, syn, ""))
		w.none(w.atLAN()) // one direction
	}
	w := newWorld(t, serving(forwarding("site", "198.51.100.0/24")))
	w.converse() // to anywhere else nothing has changed
}

// A session that the LSN has is a flow that exists (VR2, VR5): the server that
// a reload brings is for new ones.
func TestAServerThatAReloadBringsLeavesSessionsToTheLSN(t *testing.T) {
	w := newWorld(t)
	c := w.converse()
	s := w.on(natAddr)
	s.Listeners.Servers = []vserver.Server{forwarding("site", "203.0.113.0/24")}
	w.reload(s)
	w.r.flows.Flush() // to the stack, where the server would be met
	me, there := at(client1, 40000), at(server, 443)
	w.fromLAN(tcpTo(me, there, ack, "data"))
	if p := w.one(w.atWAN()); at(p.Src, p.SrcPort) != c.tcp {
		t.Errorf("TCP leaves as %v:%d", p.Src, p.SrcPort)
	}
	w.fromLAN(udpTo(me, there, "data"))
	if p := w.one(w.atWAN()); at(p.Src, p.SrcPort) != c.udp {
		t.Errorf("UDP leaves as %v:%d", p.Src, p.SrcPort)
	}
	w.fromLAN(echo(client1, server, 8, 77, "ping"))
	if p := w.one(w.atWAN()); p.Src != natAddr || p.ICMPID != c.echo {
		t.Errorf("a ping leaves as %v, %d", p.Src, p.ICMPID)
	}
	c.esp.traffic()
	w.fromLAN(udpTo(at(client1, 40001), there, "new"))
	if p := w.one(w.atWAN()); p.Src != client1 {
		t.Errorf("a new flow leaves as %v", p.Src)
	}
}
