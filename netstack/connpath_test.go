package netstack

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"pgregory.net/rapid"

	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/netstack/vserver"
)

// tangle is one established connection of each kind between the two sides of a
// translation.
type tangle struct {
	tr       *translation
	tcp, udp *dialog
	id       [2]uint16 // of pings, as each side knows it
	n        tally
}

// tangle makes them. ESP through a group takes an IKE of its own.
func (tr *translation) tangle(w *world) *tangle {
	w.t.Helper()
	c := &tangle{tr: tr, tcp: w.dialog(tr.from, tr.client, tr.remote)}
	c.tcp.chat(1)
	c.n = tally{c.tcp.count[0], c.tcp.count[1]}
	for _, name := range []string{"UDP", "ping", "ESP"} {
		if name == "ESP" && tr.name == "lsn" {
			continue
		}
		there, back := tr.exchanges(w, name)
		count(&c.n.in, there.sent)
		count(&c.n.out, back.sent)
		p, q := view(there.sent), view(there.arrived)
		switch name {
		case "UDP":
			c.udp = &dialog{me: [2]frame.Endpoint{at(p.Src, p.SrcPort), at(q.Dst, q.DstPort)}, peer: [2]frame.Endpoint{at(q.Src, q.SrcPort), at(p.Dst, p.DstPort)}}
		case "ping":
			c.id = [2]uint16{p.ICMPID, q.ICMPID}
		}
	}
	return c
}

// packet is one of a connection's, as a side sends it.
func (c *tangle) packet(kind, side int, flags uint8, data string) []byte {
	me, there := c.udp.me[side], c.udp.peer[1-side]
	switch kind {
	case 0:
		return udpTo(me, there, data)
	case 1:
		return tcpTo(c.tcp.me[side], c.tcp.peer[1-side], flags, data)
	case 2:
		return echo(me.Addr, there.Addr, uint8(8-8*side), c.id[side], data)
	}
	return esp(me.Addr, there.Addr, 0x1000, 9, data)
}

func (c *tangle) kinds() int {
	if c.tr.name == "lsn" {
		return 3
	}
	return 4
}

// send puts a packet of a side into its port.
func (c *tangle) send(w *world, side int, b []byte) {
	port := c.tcp.port[side]
	w.send(port, [2]frame.MAC{lanMAC, wanMAC}[port], [][]byte{b})
}

func TestEveryProtocolOfAConnectionTakesTheFastPathAndIsCountedExactly_VR39(t *testing.T) {
	for _, tr := range everyTranslation() {
		t.Run(tr.name, func(t *testing.T) {
			w := tr.world(t)
			c := tr.tangle(w)
			turn := func() {
				for kind := range c.kinds() {
					for side := range 2 {
						b := c.packet(kind, side, ack, "data")
						c.send(w, side, b)
						count([]*vserver.Traffic{&c.n.in, &c.n.out}[side], b)
					}
				}
			}
			turn()
			turn()
			if hits := w.hits(turn); hits != uint64(2*c.kinds()) {
				t.Errorf("%d hits of %d packets", hits, 2*c.kinds())
			}
			w.counted(tr.kind, tr.listener, c.n.in, c.n.out)
			turn()
			w.advance(302 * time.Second) // to their end
			w.counted(tr.kind, tr.listener, c.n.in, c.n.out)
			if n, owners := w.r.conns.Len(), w.flowOwners(); n != 0 || len(owners) != 0 {
				t.Errorf("%d connections and flows of %v left", n, owners)
			}
			if len(w.dropped()) != 0 {
				t.Errorf("drops: %v", w.dropped())
			}
		})
	}
}

// Two routers with the same listeners see the same packets, of all kinds and
// oddities; one forgets its flows before each. On the wire and in the counters
// nobody can tell them apart.
func TestNobodyCanTellTheFastPathOfAConnectionFromTheSlowOne(t *testing.T) {
	hits := map[string]uint64{}
	all := everyTranslation()
	rapid.Check(t, func(rt *rapid.T) {
		tr := all[rapid.IntRange(0, len(all)-1).Draw(rt, "translation")]
		fast, slow := tr.world(t), tr.world(t)
		defer fast.r.Close()
		defer slow.r.Close()
		c := tr.tangle(fast)
		tr.tangle(slow)
		before := fast.r.flows.Stats().Hits
		for range 40 {
			side := rapid.IntRange(0, 1).Draw(rt, "side")
			c.both(rt, fast, slow, side, padded(rt, twist(rt, c.drawn(rt, side))))
		}
		hits[tr.name] += fast.r.flows.Stats().Hits - before
		fast.advance(time.Second)
		slow.advance(time.Second)
		a, b := fast.listenerStats(tr.kind, tr.listener), slow.listenerStats(tr.kind, tr.listener)
		if a != b {
			rt.Fatalf("%s: fast counts %+v\nslow counts %+v", tr.name, a, b)
		}
	})
	for _, tr := range all {
		if hits[tr.name] == 0 {
			t.Errorf("%s: no packet took the fast path: the test compares the slow path with itself", tr.name)
		}
	}
}

// drawn is a packet of some connection.
func (c *tangle) drawn(t *rapid.T, side int) []byte {
	n := rapid.SampledFrom([]int{0, 1, 17, 100, 1400, 1452, 1460, 1461, 1472, 1473}).Draw(t, "length")
	data := string(bytes.Repeat([]byte{rapid.Byte().Draw(t, "data")}, n))
	flags := rapid.SampledFrom([]uint8{0x10, 0x18, 0x30, 0xd0, 0x00, 0x08}).Draw(t, "TCP flags")
	return c.packet(rapid.IntRange(0, c.kinds()-1).Draw(t, "kind"), side, flags, data)
}

// both gives a packet to both worlds and fails unless the same comes out.
func (c *tangle) both(t *rapid.T, fast, slow *world, side int, b []byte) {
	slow.r.flows.Flush()
	c.send(fast, side, b)
	c.send(slow, side, b)
	for _, out := range [][2][][]byte{
		{shown(fast.lan.Drain()), shown(slow.lan.Drain())}, {shown(fast.wan.Drain()), shown(slow.wan.Drain())},
	} {
		if len(out[0]) != len(out[1]) {
			t.Fatalf("because of % x fast path let %d frames out, slow path %d; drops %v, %v", b, len(out[0]), len(out[1]), fast.dropped(), slow.dropped())
		}
		for i := range out[0] {
			if !bytes.Equal(out[0][i], out[1][i]) {
				t.Fatalf("in   % x\nfast % x\nslow % x", b, out[0][i], out[1][i])
			}
		}
	}
}

// What a packet costs in memory: nothing on the hit path, and on the slow path
// no more than the stack's own and a few.
func TestAConnectionsPacketsAllocateNothingOnTheHitPathAndLittleOnTheSlowOne(t *testing.T) {
	for _, tr := range everyTranslation() {
		t.Run(tr.name, func(t *testing.T) {
			real := tr.tangle(tr.world(t)) // a twin tells what is chosen: null shows nothing
			w := tr.world(t, onNull)
			for _, kind := range []int{1, 0, 2, 3}[:real.kinds()] { // in the order in which the twin made them
				for _, flags := range []uint8{syn, synAck, ack} {
					for side := range 2 {
						if flags == ack || (flags == syn) == (side == 0) {
							real.send(w, side, real.packet(kind, side, flags, ""))
						}
					}
				}
			}
			for kind := range real.kinds() {
				for side := range 2 {
					real.allocates(w, kind, side)
				}
			}
			if d := w.dropped(); len(d) != 0 {
				t.Errorf("drops: %v", d)
			}
		})
	}
}

// allocates fails if packets of a side cost memory on the hit path, or much on
// the slow one.
func (c *tangle) allocates(w *world, kind, side int) {
	w.t.Helper()
	l := w.loop(c.tcp.port[side], frame.Batch, c.packet(kind, side, ack, text(1400)))
	l.turn()
	l.turn()
	if n := w.hits(func() {
		if n := testing.AllocsPerRun(20, l.turn); n != 0 {
			w.t.Errorf("kind %d of side %d: %.2f allocations for each batch", kind, side, n)
		}
	}); n != 21*frame.Batch {
		w.t.Errorf("kind %d of side %d: %d hits: this is not the hit path", kind, side, n)
	}
	slow := w.r.interfaces[l.in]
	if n := testing.AllocsPerRun(50, func() { slow.Reinject(l.is[frame.HeaderLen:], 0) }); n == 0 || n > 20 { // 7; under the race detector pools forget
		w.t.Errorf("kind %d of side %d: %.0f allocations on the slow path", kind, side, n)
	}
}

func TestANeighbourThatChangesItsAddressIsFollowedByAConnectionsFlows(t *testing.T) {
	for _, tr := range everyTranslation() {
		t.Run(tr.name, func(t *testing.T) {
			w := tr.world(t)
			k := w.dialog(tr.from, tr.client, tr.remote)
			k.chat(3)
			host, nic := server, wanIf
			if tr.from == 1 {
				host, nic = client1, lanIf
			}
			moved := frame.MAC{6, 9, 9, 9, 9, 9}
			err := w.r.stack.AddStaticNeighbor(tcpip.NICID(nic), ipv4.ProtocolNumber, tcpip.AddrFrom4(host), tcpip.LinkAddress(string(moved[:])))
			if err != nil {
				t.Fatal(err)
			}
			b := k.segment(0, ack, "x")
			k.w.send(k.port[0], [2]frame.MAC{lanMAC, wanMAC}[k.port[0]], [][]byte{b})
			frames := [2]*link.Memory{w.lan, w.wan}[1-k.port[0]].Drain()
			if len(frames) != 1 || !bytes.Equal(frames[0][:6], moved[:]) {
				t.Fatalf("went to % x", frames)
			}
			k.next[0]++
			count(&k.count[0], b)
			k.chat(2)
			if n := w.hits(func() { k.chat(2) }); n != 4 {
				t.Errorf("%d hits of 4 packets", n)
			}
			k.counted(tr.kind, tr.listener)
		})
	}
}

// Q10: the answers come by another VLAN than the question went, and are fast
// there, too.
func TestAnswersByAnotherVLANBelongToTheConnection_Q10(t *testing.T) {
	const otherIf, tag = frame.Interface(3), 30
	other := func(c *Config) {
		c.Ports[1].VLANs = append(c.Ports[1].VLANs, VLAN{ID: otherIf, Name: "other", Tag: tag, Addresses: prefixes("198.18.0.1/24")})
	}
	for _, tr := range everyTranslation() {
		if tr.from == 1 {
			continue
		}
		t.Run(tr.name, func(t *testing.T) {
			w := tr.world(t, other)
			k := w.dialog(tr.from, tr.client, tr.remote)
			k.chat(2)
			answer := func() {
				t.Helper()
				b := k.segment(1, ack, "answer")
				f := append(append([]byte{}, wanMAC[:]...), hostMAC(server)...)
				f = append(binary.BigEndian.AppendUint16(append(f, 0x81, 0), tag), 8, 0)
				w.frame(1, append(f, b...))
				if p := w.one(w.atLAN()); p.Dst != client1 || said(p) != "answer" {
					t.Fatalf("went to %v", p.Dst)
				}
				k.next[1] += 6
				count(&k.count[1], b)
			}
			answer()
			if n := w.hits(func() { answer(); answer() }); n != 2 {
				t.Errorf("%d hits of 2 packets", n)
			}
			k.sends(0, ack, "")
			k.counted(tr.kind, tr.listener)
			k.sends(0, ack|frame.TCPRst, "")
			k.counted(tr.kind, tr.listener)
			if n := w.flowOwners(); len(n) != 0 {
				t.Errorf("flows left of %v", n)
			}
		})
	}
}

// idle-timeout immediate: a connection for each question and its answer, none of
// them for the fast path.
func TestAnImmediateProfileKeepsItsFlowsOnTheSlowPath(t *testing.T) {
	v := forwarding("v", "203.0.113.0/24")
	v.Profile = "at once"
	w := office(t, serving(v), func(c *Config) {
		c.Listeners.Profiles = []vserver.FastL4{{Name: "at once", IdleTimeout: vserver.Immediate}}
	})
	out := udpTo(at(client1, 40000), at(server, 53), "question")
	var n tally
	if hits := w.hits(func() {
		for range 5 {
			saw := w.asks(out)
			w.isAnswered(saw, out)
			count(&n.in, out)
			count(&n.out, answerTo(saw.Bytes()))
		}
	}); hits != 0 {
		t.Errorf("%d packets took the fast path", hits)
	}
	w.counted(vserver.KindServer, "v", n.in, n.out)
	if s := w.listenerStats(vserver.KindServer, "v"); s.Total != 5 || s.Current != 0 {
		t.Errorf("%+v", s)
	}
	// A long answer: its pieces are counted though the first one ends it.
	pieces := fragments(udpTo(at(server, 53), at(client1, 40000), text(4000)), 1500)
	w.asks(out)
	count(&n.in, out)
	w.pieces(1, pieces)
	count(&n.out, pieces...)
	w.counted(vserver.KindServer, "v", n.in, n.out)
	w.wantDrop(drop.NoListener, 1, func() { w.fromWAN(udpTo(at(server, 53), at(client1, 40000), "late")) })
}

// While a connection has flows, its end by a reload loses no packet, though
// they go on arriving.
func TestFlowsOfAConnectionAreItsOwn(t *testing.T) {
	for _, tr := range everyTranslation() {
		w := tr.world(t)
		k := w.dialog(tr.from, tr.client, tr.remote)
		k.chat(2)
		want := flow.OwnerConn
		if tr.name == "lsn" {
			want = flow.OwnerLSN
		}
		if o := w.flowOwners(); o[want] != 2 || len(o) != 1 {
			t.Errorf("%s: flows of %v", tr.name, o)
		}
	}
}
