package netstack

import (
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// hits returns how many packets take the fast path while fn runs.
func (w *world) hits(fn func()) uint64 {
	before := w.r.flows.Stats().Hits
	fn()
	return w.r.flows.Stats().Hits - before
}

// conversation makes an established UDP flow of client1 with a server and
// returns its NAT side.
func (w *world) conversation(s frame.Endpoint) frame.Endpoint {
	w.t.Helper()
	w.fromLAN(udpTo(at(client1, 40000), s, "question"))
	nat := at(natAddr, w.one(w.atWAN()).SrcPort)
	w.fromWAN(udpTo(s, nat, "answer"))
	w.one(w.atLAN())
	w.fromLAN(udpTo(at(client1, 40000), s, "question"))
	w.one(w.atWAN())
	return nat
}

// A RST shortens the idle time, and only what its side sends after it undoes
// that: not what the fast path had carried before, and tells with its next
// sweep (RFC 7857 section 2.2).
func TestARSTBehindFastPathDataIsNotUndoneByThatData(t *testing.T) {
	for name, side := range map[string]int{"of the client": 0, "of the server": 1} {
		for goesOn, want := range map[bool]time.Duration{false: lsn.DefaultFinRstTimeout, true: lsn.DefaultSessionTimeout} {
			w := newWorld(t)
			me, s := at(client1, 40000), at(server, 443)
			w.fromLAN(tcpTo(me, s, frame.TCPSyn, ""))
			nat := at(natAddr, w.one(w.atWAN()).SrcPort)
			chat := func() {
				w.fromWAN(tcpTo(s, nat, tcpACK, "answer"))
				w.fromLAN(tcpTo(me, s, tcpACK, "question"))
			}
			w.fromWAN(tcpTo(s, nat, frame.TCPSyn|tcpACK, ""))
			chat()
			w.advance(time.Second)
			if n := w.hits(chat); n != 2 {
				t.Fatalf("%d hits of 2 packets", n)
			}
			if side == 0 {
				w.fromLAN(tcpTo(me, s, frame.TCPRst, ""))
			} else {
				w.fromWAN(tcpTo(s, nat, frame.TCPRst, ""))
			}
			if goesOn { // somebody else has forged it
				w.advance(time.Second)
				if n := w.hits(chat); n != 2 {
					t.Errorf("a RST %s: %d hits of 2 packets", name, n)
				}
			}
			w.advance(time.Second)
			b, ok := w.r.lsn.FindOut(lsn.Tuple{Proto: frame.ProtoTCP, Inside: me, Remote: s})
			if !ok || b.Idle != want {
				t.Errorf("a RST %s, goes on %v: idle time %v, want %v", name, goesOn, b.Idle, want)
			}
		}
	}
}

func TestAPacketOfTheWholeMTUTakesTheFastPathAndALongerOneDoesNot(t *testing.T) {
	w := newWorld(t)
	s := at(server, 443)
	nat := w.conversation(s)
	whole, out := string(make([]byte, 1472)), at(client1, 40000)
	if n := w.hits(func() { w.fromLAN(udpTo(out, s, whole)); w.fromWAN(udpTo(s, nat, whole)) }); n != 2 {
		t.Errorf("%d hits of 2 packets with 1500 bytes", n)
	}
	w.atLAN()
	w.atWAN()
	if n := w.hits(func() { w.fromLAN(udpTo(out, s, whole+"x")) }); n != 0 {
		t.Errorf("%d hits of a packet with 1501 bytes", n)
	}
	if p := w.one(w.atLAN()); p.ICMPType != 3 || p.ICMPCode != 4 {
		t.Errorf("answered with type %d code %d", p.ICMPType, p.ICMPCode)
	}
}

func TestTheFastPathFollowsANeighbourToItsNewAddress(t *testing.T) {
	w := newWorld(t)
	s := at(server, 443)
	w.conversation(s)
	moved := tcpip.LinkAddress([]byte{6, 0, 0, 0, 0, 9})
	question := udpTo(at(client1, 40000), s, "question")
	if err := w.r.stack.AddStaticNeighbor(tcpip.NICID(wanIf), ipv4.ProtocolNumber, tcpip.AddrFrom4(server), moved); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.fromLAN(question)
		if got := w.wan.Drain(); len(got) != 1 || string(got[0][:6]) != string(moved) {
			t.Fatalf("went to % x", got)
		}
	}
	if n := w.hits(func() { w.fromLAN(question) }); n != 1 {
		t.Error("the new address did not get to the fast path")
	}
}

func TestAFlowToANeighbourThatIsGoneLeavesTheFastPath(t *testing.T) {
	w := newWorld(t)
	s := at(server, 443)
	w.conversation(s)
	if err := w.r.stack.RemoveNeighbor(tcpip.NICID(wanIf), ipv4.ProtocolNumber, tcpip.AddrFrom4(server)); err != nil {
		t.Fatal(err)
	}
	question := udpTo(at(client1, 40000), s, "question")
	if n := w.hits(func() { w.fromLAN(question, question) }); n != 0 {
		t.Errorf("%d packets were sent to a neighbour that is gone", n)
	}
}

func TestAFlowUsesTheNextHopOfItsRoute(t *testing.T) {
	w := newWorld(t)
	w.conversation(at(upstream, 443)) // behind server
	w.wan.Drain()
	if n := w.hits(func() { w.fromLAN(udpTo(at(client1, 40000), at(upstream, 443), "x")) }); n != 1 {
		t.Fatalf("%d hits", n)
	}
	if got := w.wan.Drain(); len(got) != 1 || string(got[0][:6]) != string(hostMAC(server)) {
		t.Errorf("went to % x", got)
	}
}

// fullCone is the world's group with endpoint-independent everything.
func fullCone(c *Config) {
	c.LSN.Groups[0].Apps = nil
	for _, proto := range []uint8{frame.ProtoUDP, frame.ProtoTCP, frame.ProtoICMP} {
		c.LSN.Groups[0].Apps = append(c.LSN.Groups[0].Apps,
			lsn.AppProfile{Name: "cone", Proto: proto, Pooling: lsn.Paired, Mapping: lsn.EIM, Filtering: lsn.EIF})
	}
}

func TestARemoteThatPingsThroughAMappingTakesTheFastPathBothWays(t *testing.T) {
	w := newWorld(t, fullCone)
	w.fromLAN(echo(client1, server, 8, 77, "ping"))
	id := w.one(w.atWAN()).ICMPID
	ask, answer := echo(server2, natAddr, 8, id, "hello"), echo(client1, server2, 0, 77, "hello")
	for i := range 4 {
		w.fromWAN(ask)
		if p := w.one(w.atLAN()); p.Dst != client1 || p.ICMPID != 77 || p.ICMPType != 8 {
			t.Fatalf("ping %d: to %v type %d id %d", i, p.Dst, p.ICMPType, p.ICMPID)
		}
		w.fromLAN(answer)
		if p := w.one(w.atWAN()); p.Src != natAddr || p.ICMPID != id || p.ICMPType != 0 || p.Dst != server2 {
			t.Fatalf("answer %d: from %v type %d id %d", i, p.Src, p.ICMPType, p.ICMPID)
		}
	}
	if n := w.hits(func() { w.fromWAN(ask); w.fromLAN(answer) }); n != 2 {
		t.Errorf("%d hits of 2 packets", n)
	}
}

func TestTheFlowsOfAMappingGoWithIt(t *testing.T) {
	w := newWorld(t)
	w.conversation(at(server, 443))
	var mapping uint64
	w.r.lsn.Walk(func(s lsn.SessionInfo) bool { mapping = s.Mapping; return true })
	w.r.lsn.RemoveMapping(mapping)
	w.r.flows.Walk(func(in flow.Info) bool { t.Errorf("left: %+v", in.Key); return true })
}
