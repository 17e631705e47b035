package netstack

import (
	"net/netip"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// pieces sends a long datagram in pieces and returns it as it is put together
// on the other side.
func (w *world) pieces(from int, packets [][]byte) frame.Packet {
	w.t.Helper()
	w.send(from, [2]frame.MAC{lanMAC, wanMAC}[from], packets)
	out := w.atWAN
	if from == 1 {
		out = w.atLAN
	}
	return w.parsed(w.joined(out()))
}

func shuffled(pieces [][]byte) [][]byte { // the first one in the middle
	return append(pieces[1:len(pieces)-1:len(pieces)-1], pieces[0], pieces[len(pieces)-1])
}

var orders = map[string]func([][]byte) [][]byte{"in order": inOrder, "last first": reversed, "first in the middle": shuffled}

// VR13: the first piece picks, the others follow, whatever comes first. Each is
// counted once with its bytes.
func TestADatagramInPiecesPassesEveryTranslationInAnyOrder_VR13(t *testing.T) {
	for _, tr := range everyTranslation() {
		for name, order := range orders {
			for _, kind := range []string{"UDP", "ping"} {
				t.Run(tr.name+" "+kind+" "+name, func(t *testing.T) {
					w := tr.world(t)
					make := func(src, dst frame.Endpoint, n int, answer bool) []byte {
						if kind == "UDP" {
							return udpTo(src, dst, text(n))
						}
						typ := uint8(8)
						if answer {
							typ = 0
						}
						return echo(src.Addr, dst.Addr, typ, src.Port, text(n))
					}
					var n tally
					for range 2 { // the first opens the connection
						question := fragments(make(tr.client, tr.remote, 4000, false), 1500)
						count(&n.in, question...)
						p := w.pieces(tr.from, order(question))
						if p.Src != tr.outside || p.TTL() != 63 {
							t.Fatalf("left as %v ttl %d", p.Src, p.TTL())
						}
						there, back := at(p.Dst, p.DstPort), at(p.Src, p.SrcPort)
						if kind == "ping" {
							there.Port = p.ICMPID
						}
						answer := fragments(make(there, back, 5000, true), 1500)
						count(&n.out, answer...)
						p = w.pieces(1-tr.from, order(answer))
						if p.Dst != tr.client.Addr || p.Src != tr.remote.Addr || p.DstPort != 0 && p.DstPort != tr.client.Port || kind == "ping" && p.ICMPID != tr.client.Port {
							t.Fatalf("the answer came as %v:%d > %v:%d id %d", p.Src, p.SrcPort, p.Dst, p.DstPort, p.ICMPID)
						}
					}
					w.counted(tr.kind, tr.listener, n.in, n.out)
					if s := w.r.Fragments(); s.Bytes != 0 || len(w.dropped()) != 0 || w.r.conns.Len() != 1 {
						t.Errorf("drops %v, %+v, %d connections", w.dropped(), s, w.r.conns.Len())
					}
				})
			}
		}
	}
}

// Whole packets of a connection and pieces of it, also by the fast path.
func TestPiecesAmongWholePacketsAreCountedOnce_VR13_VR39(t *testing.T) {
	for _, tr := range everyTranslation() {
		t.Run(tr.name, func(t *testing.T) {
			w := tr.world(t)
			k := w.dialog(tr.from, tr.client, tr.remote)
			for range 3 {
				k.chat(3)
				for side := range 2 {
					data := text(3000)
					b := fragments(k.segment(side, ack, data), 1500)
					p := w.pieces(k.port[side], b)
					if at(p.Src, p.SrcPort) != k.peer[side] || at(p.Dst, p.DstPort) != k.me[1-side] || said(p) != data {
						t.Fatalf("side %d: %v:%d > %v:%d", side, p.Src, p.SrcPort, p.Dst, p.DstPort)
					}
					k.next[side] += uint32(len(data))
					count(&k.count[side], b...)
				}
			}
			k.chat(2)
			k.sends(1, frame.TCPRst, "")
			k.counted(tr.kind, tr.listener)
			if len(w.dropped()) != 0 || w.r.conns.Len() != 0 {
				t.Errorf("drops: %v; %d connections", w.dropped(), w.r.conns.Len())
			}
		})
	}
}

// The ids of clients behind one address would collide at the server (RFC 6864).
func TestPiecesOfTwoClientsOfASNATAreNotSpliced(t *testing.T) {
	for _, address := range []option{snatting(to(snatOut)), automapping()} {
		w := office(t, address)
		one := fragments(udpTo(at(client1, 5353), at(server, 53), text(2000)), 1500)
		two := fragments(udpTo(at(client2, 5353), at(server, 53), text(2000)), 1500)
		w.fromLAN(one[0], two[1], two[0], one[1])
		got := w.atWAN()
		if len(got) != 4 {
			t.Fatalf("%d pieces left; drops: %v", len(got), w.dropped())
		}
		slices.SortStableFunc(got, func(a, b []byte) int { return int(header.IPv4(a).ID()) - int(header.IPv4(b).ID()) })
		a, b := w.parsed(w.joined(got[:2])), w.parsed(w.joined(got[2:]))
		if a.ID() == b.ID() || a.SrcPort == b.SrcPort {
			t.Errorf("ids %d and %d, ports %d and %d", a.ID(), b.ID(), a.SrcPort, b.SrcPort)
		}
	}
}

func TestPiecesForTheRouterItselfReachItBesideAutomap(t *testing.T) {
	for name, order := range orders {
		w := office(t, automapping())
		w.asks(echo(client1, server, 8, 1, "through, with the same identifier"))
		w.fromWAN(order(fragments(echo(server, wanAddr, 8, 1, text(4000)), 1500))...)
		if p := w.parsed(w.joined(w.atWAN())); p.Src != wanAddr || p.Dst != server || p.ICMPType != 0 {
			t.Errorf("%s: %v > %v type %d", name, p.Src, p.Dst, p.ICMPType)
		}
		w.none(w.atLAN())
		if len(w.dropped()) != 0 {
			t.Errorf("%s: drops %v", name, w.dropped())
		}
	}
}

func TestWhatTheFirstPieceIsRefusedForHoldsForTheOthers_VR13(t *testing.T) {
	to := netip.MustParsePrefix("203.0.113.0/24")
	for reason, v := range map[drop.Reason]vserver.Server{
		drop.VSRejected:      {Name: "v", Destination: to, Role: vserver.Reject},
		drop.VSDisabled:      {Name: "v", Destination: to, Role: vserver.Forward, Disabled: true},
		drop.VLANMiss:        {Name: "v", Destination: to, Role: vserver.Forward, VLANs: vserver.VLANs{Enabled: true, List: []frame.Interface{wanIf}}},
		drop.NoListener:      {Name: "v", Destination: to, Role: vserver.Forward, Protocol: frame.ProtoTCP},
		drop.ConnectionLimit: {Name: "v", Destination: to, Role: vserver.Forward, ConnectionLimit: 1},
	} {
		for name, order := range orders {
			t.Run(reason.String()+" "+name, func(t *testing.T) {
				w := office(t, serving(v))
				if v.ConnectionLimit > 0 {
					w.asks(udpTo(at(client2, 1), at(server, 53), "has the one place"))
				}
				w.wantDrop(reason, 3, func() {
					w.fromLAN(order(fragments(udpTo(at(client1, 5353), at(server, 53), text(4000)), 1500))...)
				})
				w.none(w.atWAN())
			})
		}
	}
}

// Through a group where servers are, too: what is the group's is as before.
func TestPiecesOfAGroupsFlowsPassBesideServers(t *testing.T) {
	for name, order := range orders {
		w := newWorld(t, serving(forwarding("v", "10.0.0.0/8")))
		p := w.pieces(0, order(fragments(udpTo(at(client1, 5353), at(upstream, 53), text(4000)), 1500)))
		if p.Src != natAddr {
			t.Fatalf("%s: left as %v", name, p.Src)
		}
		if p = w.pieces(1, order(fragments(udpTo(at(upstream, 53), at(natAddr, p.SrcPort), text(4000)), 1500))); p.Dst != client1 {
			t.Fatalf("%s: the answer went to %v", name, p.Dst)
		}
		w.wantDrop(drop.ClientNotReachable, 3, func() {
			w.fromWAN(order(fragments(udpTo(at(upstream, 53), at(client1, 5353), text(4000)), 1500))...)
		})
		w.none(w.atLAN())
	}
}

// A piece with options that record its way cannot be translated, wherever in its
// datagram it is.
func TestAPieceWithARecordedRouteIsNotTranslated(t *testing.T) {
	w := office(t, snatting(to(snatOut)))
	b := fragments(udpTo(at(client1, 5353), at(server, 53), text(2000)), 1500)
	later := options(b[1], 7, 11, 8, 192, 0, 2, 55, 0, 0, 0, 0)
	w.fromLAN(b[0])
	w.one(w.atWAN())
	w.wantDrop(drop.IPOptions, 1, func() { w.fromLAN(later) })
	w.none(w.atWAN())
}

// IKE that the ALG has to see whole is counted as what it is then.
func TestIKEInPiecesThroughAServerOfAGroupPasses(t *testing.T) {
	w := newWorld(t, serving(byGroup("v")))
	k := w.tunnel(client1, 0x1000)
	k.init()
	if p := w.pieces(0, fragments(k.auth(), 1500)); p.Src != natAddr || p.SrcPort != k.nat {
		t.Fatalf("left as %v:%d", p.Src, p.SrcPort)
	}
	if s := w.listenerStats(vserver.KindServer, "v"); s.PacketsIn != 2 {
		t.Errorf("%d packets in", s.PacketsIn)
	}
	k.reply()
	k.traffic()
	if len(w.dropped()) != 0 {
		t.Errorf("drops: %v", w.dropped())
	}
}

func TestPiecesKeepTheirTTLWhereTheProfileSaysSo(t *testing.T) {
	v := forwarding("v", "203.0.113.0/24")
	v.Profile = "keeps"
	w := office(t, serving(v), func(c *Config) { c.Listeners.Profiles = []vserver.FastL4{{Name: "keeps", PreserveTTL: true}} })
	if p := w.pieces(0, fragments(udpTo(at(client1, 5353), at(server, 53), text(4000)), 1500)); p.TTL() != 64 {
		t.Errorf("TTL %d", p.TTL())
	}
	if p := w.asks(udpTo(at(client1, 5353), at(server, 53), "whole")); p.TTL() != 64 {
		t.Errorf("TTL %d", p.TTL())
	}
}

// Pieces that were held are let go before the first one is through, and another
// lane of the port may be quicker with them.
func TestAHeldPieceThatOvertakesItsFirstIsCountedAsWhatItIs_VR13(t *testing.T) {
	w := office(t, serving(forwarding("v", "203.0.113.0/24")))
	pieces := fragments(udpTo(at(client1, 40000), at(server, 443), text(1800)), 1500)
	w.fromLAN(pieces[0]) // opens the connection
	var first, last packet
	first.Parse(pieces[0])
	last.Parse(pieces[1])
	first.OpenFirst()
	h, ok := w.r.conns.Find(vserver.KeyOf(&first.Packet), vserver.Segment{}, w.r.now())
	if !ok {
		t.Fatal("there is no connection")
	}
	of := &passage{hit: h}
	of.counted.Store(true) // as Open leaves it
	w.r.countPiece(&last, of)
	w.r.countPiece(&first, of)
	var n tally
	count(&n.in, pieces...)
	w.counted(vserver.KindServer, "v", n.in, n.out)
}
