package netstack

import (
	"bytes"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// journey is a packet as one side sent it and the other one got it.
type journey struct {
	from          int // port
	sent, arrived []byte
}

// exchanges sends a packet of a protocol from the client of a translation, and
// the answer to it.
func (tr *translation) exchanges(w *world, name string) (there, back journey) {
	w.t.Helper()
	there = journey{from: tr.from, sent: everyProtocol(tr.client.Addr, tr.remote.Addr)[name]}
	there.arrived = w.across(tr.from, there.sent)
	back = journey{from: 1 - tr.from, sent: answerTo(there.arrived)}
	back.arrived = w.across(back.from, back.sent)
	return there, back
}

// across sends a packet into one port and returns what comes out of the other.
func (w *world) across(from int, b []byte) []byte {
	w.t.Helper()
	w.send(from, [2]frame.MAC{lanMAC, wanMAC}[from], [][]byte{b})
	out := w.atWAN
	if from == 1 {
		out = w.atLAN
	}
	got := out()
	w.one(got)
	return got[0]
}

func view(b []byte) (p frame.Packet) {
	p.Parse(b)
	return p
}

// forget makes a host's address one that nobody has.
func (w *world) forget(a frame.Addr) {
	w.t.Helper()
	if err := w.r.stack.RemoveNeighbor(tcpip.NICID(lanIf), ipv4.ProtocolNumber, tcpip.AddrFrom4(a)); err != nil {
		w.t.Fatal(err)
	}
}

// quotes fails unless an error quotes what was sent, as far as it goes, but for
// the hops that it has come.
func (w *world) quotes(p frame.Packet, sent []byte, hops int) {
	w.t.Helper()
	if !p.ICMPError() {
		w.t.Fatalf("%v > %v protocol %d type %d is no error", p.Src, p.Dst, p.Proto, p.ICMPType)
	}
	quote, want := p.Transport()[8:], ttl(sent, uint8(64-hops))
	if n := min(len(quote), len(want)); n < 28 || !bytes.Equal(quote[:n], want[:n]) {
		w.t.Errorf("quotes % x\n  want % x", quote, want)
	}
}

var protocols = []string{"TCP", "UDP", "ping", "ESP", "GRE"}

// An error about a packet, from a router on its way or from its end, belongs to
// the packet's connection (VR12): whoever sent it gets it about what he sent,
// from whom he knows (VR28, Q16).
func TestAnErrorReachesWhoeverSentThePacketAboutWhatHeSent_VR12_VR28(t *testing.T) {
	for _, tr := range everyTranslation() {
		for _, name := range protocols {
			if tr.name == "lsn" && (name == "ESP" || name == "GRE") {
				continue // it takes an IKE of its own, or is refused
			}
			t.Run(tr.name+" "+name, func(t *testing.T) {
				w := tr.world(t)
				there, back := tr.exchanges(w, name)
				for _, j := range []journey{there, back} {
					was, came := view(j.sent), view(j.arrived)
					elsewhere := [2]frame.Addr{addr("192.0.2.200"), addr("198.51.100.1")}[1-j.from]
					for _, from := range []frame.Addr{elsewhere, came.Dst} {
						for _, n := range []int{28, 60, 1500} {
							p := view(w.across(1-j.from, icmpError(from, came.Src, 3, 1, j.arrived, n)))
							w.parsed(p.Bytes())
							w.quotes(p, j.sent, 1)
							want := from
							if was.Dst != came.Dst { // its sender has an address of ours
								want = was.Dst
							}
							if p.Src != want || p.Dst != was.Src {
								t.Errorf("from %v it came as %v > %v, want %v > %v", from, p.Src, p.Dst, want, was.Src)
							}
						}
					}
				}
				if len(w.dropped()) != 0 {
					t.Errorf("drops: %v", w.dropped())
				}
			})
		}
	}
}

func TestAnErrorThatIsForgedDies_VR12(t *testing.T) {
	for _, tr := range everyTranslation() {
		if tr.name == "lsn" {
			continue // TestWhatIsRefusedDiesForItsReason
		}
		t.Run(tr.name, func(t *testing.T) {
			w := tr.world(t)
			there, back := tr.exchanges(w, "UDP")
			for _, j := range []journey{there, back} {
				came := view(j.arrived)
				other := udpTo(at(came.Src, came.SrcPort), at(came.Dst, came.DstPort+1), "another flow")
				whom := [2]frame.Addr{client2, server2}[j.from]
				send := func(b []byte) { w.send(1-j.from, [2]frame.MAC{lanMAC, wanMAC}[1-j.from], [][]byte{b}) }
				forged := [][]byte{icmpError(came.Dst, whom, 3, 1, j.arrived, 60)} // to somebody else
				if !w.r.isLocal(came.Src) {                                        // what is for us, we may know of
					forged = append(forged, icmpError(came.Dst, came.Src, 3, 1, other, 60), icmpError(came.Dst, came.Src, 3, 1, j.arrived, 24))
				}
				w.wantDrop(drop.ICMPNoFlow, uint64(len(forged)), func() {
					for _, b := range forged {
						send(b)
					}
				})
			}
			w.none(w.atLAN())
			w.none(w.atWAN())
		})
	}
}

// What the router itself says of a packet: it died here, in whatever state of
// translation. Its sender is told, and about what he sent.
func TestTheRoutersOwnErrorsQuoteWhatWasSent_VR28(t *testing.T) {
	for _, tr := range everyTranslation() {
		for _, name := range []string{"UDP", "TCP"} {
			t.Run(tr.name+" "+name, func(t *testing.T) {
				w := tr.world(t)
				there, back := tr.exchanges(w, name)
				for _, j := range []journey{there, back} {
					own := [2]frame.Addr{lanAddr, wanAddr}[j.from]
					was := view(j.sent)
					mac := [2]frame.MAC{lanMAC, wanMAC}[j.from]
					out := w.atLAN
					if j.from == 1 {
						out = w.atWAN
					}
					w.send(j.from, mac, [][]byte{ttl(j.sent, 1)})
					p := w.one(out())
					w.quotes(p, j.sent, 64)
					if p.ICMPType != 11 || p.Src != own || p.Dst != was.Src {
						t.Errorf("type %d, %v > %v", p.ICMPType, p.Src, p.Dst)
					}
					long := udpTo(at(was.Src, was.SrcPort), at(was.Dst, was.DstPort), text(1350))
					if name == "TCP" {
						long = tcpTo(at(was.Src, was.SrcPort), at(was.Dst, was.DstPort), ack, text(1350))
					}
					w.r.stack.SetNICMTU(tcpip.NICID(1+1-j.from), 1300)
					w.r.flows.Flush()
					w.send(j.from, mac, [][]byte{long})
					w.r.stack.SetNICMTU(tcpip.NICID(1+1-j.from), 1500)
					p = w.one(out())
					w.quotes(p, long, 0)
					if p.ICMPType != 3 || p.ICMPCode != 4 || p.Src != own || p.Dst != was.Src {
						t.Errorf("type %d code %d, %v > %v", p.ICMPType, p.ICMPCode, p.Src, p.Dst)
					}
				}
				w.none(w.atLAN())
				w.none(w.atWAN())
			})
		}
	}
}

// A neighbour that does not answer ARP: the stack says so of a packet that has
// left already, as far as it knows, and has another source by then. With automap
// that is our own address.
func TestTheRouterTellsOfASilentNeighbourThroughATranslation_VR28(t *testing.T) {
	silent := addr("203.0.113.77")
	for _, tr := range everyTranslation() {
		remote, from, out := silent, client1, (*world).atLAN
		if tr.from == 1 {
			remote, from, out = natOut, server, (*world).atWAN
		}
		for _, name := range []string{"UDP", "TCP", "ping"} {
			t.Run(tr.name+" "+name, func(t *testing.T) {
				w := tr.world(t)
				if tr.from == 1 {
					w.forget(client1)
				}
				b := everyProtocol(from, remote)[name]
				w.send(tr.from, [2]frame.MAC{lanMAC, wanMAC}[tr.from], [][]byte{b})
				for range 10 {
					w.advance(1e9)
				}
				p := w.one(w.soon(func() [][]byte { return out(w) }))
				if p.ICMPType != 3 || p.ICMPCode != 1 || p.Dst != from {
					t.Fatalf("%v > %v type %d code %d", p.Src, p.Dst, p.ICMPType, p.ICMPCode)
				}
				w.quotes(p, b, 1)
			})
		}
	}
}

// One interface for both sides: what the router says goes back where it came
// from, to another neighbour than the stack thinks.
func TestAOneArmedRoutersErrorsGoToTheSender_VR28(t *testing.T) {
	inside := addr("10.1.1.9")
	arm := func(c *Config) {
		c.Ports[1].VLANs[0].Addresses = prefixes("203.0.113.1/24", "10.1.1.1/24")
	}
	for name, option := range map[string]option{
		"snat":    snatting(func(s *vserver.SNAT) { to(snatOut)(s); s.Origins = prefixes("10.1.1.0/24") }),
		"automap": snatting(func(s *vserver.SNAT) { s.Automap, s.Origins = true, prefixes("10.1.1.0/24") }),
		"none":    serving(forwarding("v", "203.0.113.0/24")),
	} {
		t.Run(name, func(t *testing.T) {
			w := office(t, arm, option)
			w.neighbor(wanIf, inside)
			for _, b := range [][]byte{
				udpTo(at(inside, 5000), at(addr("203.0.113.77"), 53), "to nobody"),
				udpTo(at(inside, 5000), at(server, 53), text(1450)),
			} {
				w.r.stack.SetNICMTU(tcpip.NICID(1+1), 1400)
				w.wan.Drain()
				w.fromWAN(b)
				for range 10 {
					w.advance(1e9)
				}
				var got [][]byte
				w.soon(func() [][]byte { // among ARP
					for _, f := range w.wan.Drain() {
						if f[12] == 8 && f[13] == 0 && f[14+9] == frame.ProtoICMP {
							got = append(got, f)
						}
					}
					return got
				})
				p := w.one(ipv4In(got))
				if p.Dst != inside || !bytes.Equal(got[0][:6], hostMAC(inside)) {
					t.Fatalf("went to %v at % x", p.Dst, got[0][:6])
				}
				q, _ := p.Quote()
				if q.Src != inside || q.SrcPort != 5000 {
					t.Errorf("quotes %v:%d", q.Src, q.SrcPort)
				}
			}
		})
	}
}
