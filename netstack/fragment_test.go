package netstack

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"pgregory.net/rapid"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// joined puts the pieces of one datagram together as a host does, whatever
// their order. It fails if they are not all of one.
func (w *world) joined(pieces [][]byte) []byte {
	w.t.Helper()
	if len(pieces) == 0 {
		w.t.Fatalf("nothing came out; drops: %v", w.dropped())
	}
	pieces = slices.Clone(pieces)
	slices.SortFunc(pieces, func(a, b []byte) int {
		return int(header.IPv4(a).FragmentOffset()) - int(header.IPv4(b).FragmentOffset())
	})
	whole := bytes.Clone(pieces[0][:20])
	for i, b := range pieces {
		p, h := w.parsed(b), header.IPv4(b)
		if int(h.FragmentOffset()) != len(whole)-20 || h.More() != (i < len(pieces)-1) || h.ID() != header.IPv4(whole).ID() {
			w.t.Fatalf("piece %d of %d: offset %d, id %d, more %v", i, len(pieces), h.FragmentOffset(), h.ID(), h.More())
		}
		whole = append(whole, p.Transport()...)
	}
	frame.SetFragment(whole, 0, false)
	w.parsed(whole) // and every checksum is right
	return whole
}

func reversed(pieces [][]byte) [][]byte {
	slices.Reverse(pieces)
	return pieces
}

func inOrder(pieces [][]byte) [][]byte { return pieces }

func text(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8)
	}
	return string(b)
}

func TestALongDatagramPassesBothWaysInAnyOrder(t *testing.T) {
	for name, order := range map[string]func([][]byte) [][]byte{"in order": inOrder, "last first": reversed} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			question, answer := text(3000), text(4000)
			w.fromLAN(order(fragments(udpTo(at(client1, 5353), at(upstream, 53), question), 1500))...)
			out := w.parsed(w.joined(w.atWAN()))
			if out.Src != natAddr || out.SrcPort < 1024 || out.Dst != upstream || out.DstPort != 53 || out.TTL() != 63 || string(out.UDPPayload()) != question {
				t.Fatalf("left as %v:%d > %v:%d ttl %d", out.Src, out.SrcPort, out.Dst, out.DstPort, out.TTL())
			}
			w.fromWAN(order(fragments(udpTo(at(upstream, 53), at(natAddr, out.SrcPort), answer), 1500))...)
			in := w.parsed(w.joined(w.atLAN()))
			if in.Dst != client1 || in.DstPort != 5353 || in.Src != upstream || string(in.UDPPayload()) != answer || in.ID() != 7 {
				t.Fatalf("came back as %v:%d > %v:%d id %d", in.Src, in.SrcPort, in.Dst, in.DstPort, in.ID())
			}
			if len(w.dropped()) != 0 || w.r.Fragments().Bytes != 0 {
				t.Errorf("drops %v, %+v", w.dropped(), w.r.Fragments())
			}
		})
	}
}

func TestDatagramsOfTwoSubscribersWithOneIDAreNotSpliced(t *testing.T) {
	w := newWorld(t)
	one := fragments(udpTo(at(client1, 5353), at(server, 53), text(2000)), 1500)
	two := fragments(udpTo(at(client2, 5353), at(server, 53), text(2000)), 1500)
	w.fromLAN(one[0], two[0], one[1], two[1])
	got := w.atWAN()
	if len(got) != 4 {
		t.Fatalf("%d pieces left; drops: %v", len(got), w.dropped())
	}
	a := w.parsed(w.joined([][]byte{got[0], got[2]}))
	b := w.parsed(w.joined([][]byte{got[1], got[3]}))
	if a.ID() == b.ID() || a.SrcPort == b.SrcPort {
		t.Errorf("ids %d and %d, ports %d and %d", a.ID(), b.ID(), a.SrcPort, b.SrcPort)
	}
}

func TestESPInPiecesLastFirst(t *testing.T) { // N24
	w := newWorld(t)
	a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
	a.up()
	b.up()
	for _, k := range []*tunnel{a, b} {
		w.fromLAN(reversed(fragments(esp(k.client, server, k.spiOut, 9, text(3000)), 1500))...)
		if p := w.parsed(w.joined(w.atWAN())); p.Src != natAddr || p.SPI != k.spiOut || p.Seq != 9 {
			t.Fatalf("left as %v spi %08x", p.Src, p.SPI)
		}
		w.fromWAN(reversed(fragments(esp(server, natAddr, k.spiIn, 9, text(3000)), 1500))...)
		if p := w.parsed(w.joined(w.atLAN())); p.Dst != k.client || p.SPI != k.spiIn {
			t.Fatalf("%v got spi %08x", p.Dst, p.SPI)
		}
	}
	refused := fragments(esp(server2, natAddr, 0xabcdef, 1, text(3000)), 1500)
	w.wantDrop(drop.ESPNoGateIn, 3, func() { w.fromWAN(reversed(refused)...) })
	w.none(w.atLAN())
}

// auth is an IKE_AUTH of 65 KB, certificates and all.
func (k *tunnel) auth() []byte {
	return udpTo(at(k.client, 500), at(k.server, 500), ike(2, k.id, k.id+1, ikeAuth, flagV2Init, 1, 65000))
}

func TestIKEOf65KBInFragmentsOpensAGate(t *testing.T) { // N22
	for name, order := range map[string]func([][]byte) [][]byte{"in order": inOrder, "last first": reversed} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.tunnel(client1, 0x1000)
			a.init()
			w.fromLAN(order(fragments(a.auth(), 1500))...)
			out := w.parsed(w.joined(w.atWAN()))
			if out.Src != natAddr || out.SrcPort != a.nat || string(out.UDPPayload()) != string(a.auth()[28:]) {
				t.Fatalf("left from %v:%d with %d bytes", out.Src, out.SrcPort, len(out.UDPPayload()))
			}
			answer := udpTo(at(server, 500), at(natAddr, a.nat), ike(2, a.id, a.id+1, ikeAuth, flagV2Resp, 1, 65000))
			w.fromWAN(order(fragments(answer, 1500))...)
			if in := w.parsed(w.joined(w.atLAN())); in.Dst != client1 || !bytes.Equal(in.UDPPayload(), answer[28:]) {
				t.Fatalf("came to %v with %d bytes", in.Dst, len(in.UDPPayload()))
			}
			a.traffic()
			if len(w.dropped()) != 0 {
				t.Errorf("drops: %v", w.dropped())
			}
		})
	}
}

func TestIKEInFragmentsIsHeldWholeAndLeavesInItsOwnCut(t *testing.T) {
	w := newWorld(t)
	a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
	a.init()
	b.init()
	w.one(a.ask())
	w.fromLAN(reversed(fragments(b.auth(), 1020))...)
	w.none(w.atWAN()) // held: the gate of the first is open
	w.advance(5 * time.Second)
	w.fromLAN(reversed(fragments(b.auth(), 1020))...) // its retransmission is collapsed
	w.none(w.atWAN())
	a.reply()
	w.fromLAN(a.out())
	w.one(w.atWAN())
	w.fromWAN(a.in()) // two-way: the lock is free, and the held message goes out
	w.one(w.atLAN())
	got := w.atWAN()
	if p := w.parsed(w.joined(got)); p.SrcPort != b.nat || string(p.UDPPayload()) != string(b.auth()[28:]) {
		t.Fatalf("released from port %d with %d bytes", p.SrcPort, len(p.UDPPayload()))
	}
	for _, piece := range got {
		if len(piece) > 1020 {
			t.Errorf("a piece of %d bytes; they came in 1020", len(piece))
		}
	}
	answer := udpTo(at(server, 500), at(natAddr, b.nat), ike(2, b.id, b.id+1, ikeAuth, flagV2Resp, 1, 8000))
	inward := fragments(answer, 604)
	w.fromWAN(inward...)
	back := w.atLAN()
	if p := w.parsed(w.joined(back)); p.Dst != client2 || p.ID() != 7 || len(back) != len(inward) {
		t.Errorf("the answer came to %v with id %d in %d pieces of %d", p.Dst, p.ID(), len(back), len(inward))
	}
	b.traffic()
	a.traffic()
	if len(w.dropped()) != 0 {
		t.Errorf("drops: %v", w.dropped())
	}
}

func TestESPInUDPPassesInPiecesAndIKEBehindTheMarkerIsGathered(t *testing.T) {
	w := newWorld(t)
	c, s := at(client1, 4500), at(server, 4500)
	pieces := fragments(udpTo(c, s, "\x00\x00\x10\x00"+text(3000)), 1500)
	w.fromLAN(pieces[0])
	if len(w.atWAN()) != 1 {
		t.Error("the first piece of ESP in UDP waited for the others")
	}
	marked := fragments(udpTo(c, s, "\x00\x00\x00\x00"+ike(2, 1, 2, ikeAuth, flagV2Init, 1, 3000)), 1500)
	marked = withID(marked, 8)
	w.fromLAN(marked[0], marked[1])
	w.none(w.atWAN())
	w.fromLAN(marked[2])
	w.joined(w.atWAN())
}

func TestWithoutAProfileIKEInPiecesIsPlainUDP(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.LSN.Groups[0].ALGProfile = "" })
	w.fromLAN(fragments(udpTo(at(client1, 500), at(server, 500), text(2000)), 1500)[0])
	if len(w.atWAN()) != 1 {
		t.Errorf("drops: %v", w.dropped())
	}
}

func TestPiecesThatNobodyAskedForDieWithTheirFirst(t *testing.T) {
	w := newWorld(t)
	pieces := fragments(udpTo(at(server, 53), at(natAddr, 5000), text(4000)), 1500)
	w.wantDrop(drop.NoMapping, 3, func() { w.fromWAN(reversed(pieces)...) })
	w.wantDrop(drop.FragmentTimeout, 2, func() {
		w.fromWAN(fragments(udpTo(at(server2, 54), at(natAddr, 5000), text(4000)), 1500)[1:]...)
		w.advance(4 * time.Second)
		w.advance(time.Second)
	})
	w.none(w.atLAN())
}

// TestPiecesOnBothPortsAtOnce lets pieces come in on both ports at the same time: what the
// table tells one port must hold for the other.
func TestPiecesOnBothPortsAtOnce(t *testing.T) {
	w := newWorld(t)
	nat := w.conversation(at(server, 53))
	var wg sync.WaitGroup
	const rounds = 60
	out, in := text(2000), text(3000)
	wg.Go(func() {
		for id := range uint16(rounds) {
			w.fromLAN(withID(fragments(udpTo(at(client1, 40000), at(server, 53), out), 1500), id)...)
			w.fromLAN(reversed(withID(fragments(udpTo(at(client2, 40000), at(server, 53), out), 1500), id))...)
		}
	})
	wg.Go(func() {
		for id := range uint16(rounds) {
			w.fromWAN(reversed(withID(fragments(udpTo(at(server, 53), nat, in), 1500), id))...)
		}
	})
	wg.Wait()
	inward := w.atLAN()
	if len(inward) != rounds*3 {
		t.Errorf("%d pieces came in; drops: %v", len(inward), w.dropped())
	}
	for _, b := range inward {
		if p := w.parsed(b); p.Dst != client1 {
			t.Fatalf("a piece went to %v", p.Dst)
		}
	}
	ids := map[uint16]int{}
	for _, b := range w.atWAN() {
		p := w.parsed(b)
		if p.Src != natAddr {
			t.Fatalf("a piece left from %v", p.Src)
		}
		ids[p.ID()]++
	}
	if len(ids) != 2*rounds || len(w.dropped()) != 0 {
		t.Errorf("%d datagrams left; drops: %v", len(ids), w.dropped())
	}
}

// withID gives all pieces another id.
func withID(pieces [][]byte, id uint16) [][]byte {
	for i := range pieces {
		header.IPv4(pieces[i]).SetID(id)
		pieces[i] = ttl(pieces[i], 64)
	}
	return pieces
}

// narrow gives the world an outside with a shorter MTU.
func narrow(wan **link.Memory) option {
	return func(c *Config) {
		near, far := link.NewPair(wanMAC, frame.MAC{2, 0, 0, 0, 1, 2}, 1280)
		c.Ports[1].Driver, *wan = near, far
	}
}

func TestWhatWeCutOurselvesGetsAnIDOfItsOwnToo(t *testing.T) {
	var wan *link.Memory
	w := newWorld(t, narrow(&wan))
	w.wan = wan
	t.Cleanup(func() { _ = wan.Close() })
	var ids []uint16
	for _, c := range []frame.Addr{client1, client2} {
		b := udpTo(at(c, 5353), at(server, 53), text(1400))
		frame.SetFragment(b, 0, false) // DF off
		w.fromLAN(b)
		p := w.parsed(w.joined(w.atWAN()))
		if p.Src != natAddr || string(p.UDPPayload()) != text(1400) {
			t.Fatalf("left from %v", p.Src)
		}
		ids = append(ids, p.ID())
	}
	if ids[0] == ids[1] {
		t.Errorf("both left with id %d", ids[0])
	}
}

// TestInPiecesOrWholeIsTheSame sends the same packets to two routers, to one
// of them in pieces.
func TestInPiecesOrWholeIsTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		whole, cut := newWorld(t), newWorld(t)
		a, b := whole.converse(), cut.converse()
		if b.esp = a.esp; a != b {
			rt.Fatalf("the two are not alike: %+v, %+v", a, b)
		}
		for range 4 {
			outward := rapid.Bool().Draw(rt, "outward")
			packet := a.packet(rt, outward)
			if len(packet) > 1500 {
				continue
			}
			pieces := fragments(packet, rapid.IntRange(48, 700).Draw(rt, "mtu"))
			pieces = rapid.Permutation(pieces).Draw(rt, "order")
			var want, got [][]byte
			if outward {
				whole.fromLAN(packet)
				cut.fromLAN(pieces...)
				want, got = whole.atWAN(), cut.atWAN()
			} else {
				whole.fromWAN(packet)
				cut.fromWAN(pieces...)
				want, got = whole.atLAN(), cut.atLAN()
			}
			if len(want) != 1 {
				rt.Fatalf("whole: %d came out; %v", len(want), whole.dropped())
			}
			if !bytes.Equal(plain(want[0]), plain(cut.joined(got))) {
				rt.Fatalf("whole: % x\nin pieces: % x", want[0], cut.joined(got))
			}
		}
		if len(cut.dropped()) != 0 {
			rt.Fatalf("drops: %v", cut.dropped())
		}
	})
}

// plain is a packet without what cutting it changes: id and DF.
func plain(b []byte) []byte {
	b = bytes.Clone(b)
	header.IPv4(b).SetID(0)
	frame.SetFragment(b, 0, false)
	return b
}
