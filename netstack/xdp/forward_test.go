//go:build linux && !noxdp

package xdp

import (
	"fmt"
	"testing"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
)

func TestPacketsOfAFlowAreForwardedByteForByteAndCounted(t *testing.T) {
	for _, mode := range []Mode{Native, Generic} {
		for _, proto := range []uint8{frame.ProtoUDP, frame.ProtoTCP, frame.ProtoESP} {
			t.Run(fmt.Sprint(mode, " ", proto), func(t *testing.T) {
				ownNamespace(t)
				w := newWorld(t, mode, 100)
				come, leave := outbound(proto, 1, 0, 0)
				w.lan.send(come.bytes())
				if b := w.up.receive(true); string(b) != string(come.bytes()) {
					t.Errorf("a packet of no flow did not come up as it was: %x", b)
				}
				ref := w.add(offloaded(proto, 1, lanPlain, plainHop))
				for range 3 {
					w.lan.send(come.bytes())
					w.wan.wants(leave)
				}
				w.wantCount(ref, 3, 3*uint64(len(come.bytes())-frame.HeaderLen))
				w.wantCount(ref, 0, 0)
				w.up.wantsNothing()

				// And back.
				back := packet{dst: router["wan"], src: peer, from: remoteAddr, to: natAddr, proto: proto,
					id: 0xabcd1234, ttl: 9, payload: "an answer"}
				home := back
				home.dst, home.src, home.to, home.ttl = peer, router["lan"], insideAddr, 8
				if proto != frame.ProtoESP {
					home.id = 0xabcd0007
				}
				ref = w.add(flow.Offloaded{
					Key:  flow.Key{Src: remoteAddr, Dst: natAddr, ID: back.id, Proto: proto, In: wanPlain},
					Side: flow.Destination, Addr: insideAddr, Port: 7, Hop: insideHop,
				})
				w.wan.send(back.bytes())
				w.lan.wants(home)
				w.wantCount(ref, 1, uint64(len(back.bytes())-frame.HeaderLen))
				if s := w.Status(); s.Hits != 4 || s.Flows != 2 || s.Capacity != 100 || s.Ports[0] != (PortStatus{Name: "lan", Mode: mode.String()}) {
					t.Errorf("status %+v", s)
				}
			})
		}
	}
}

func TestTagsArePutOnTakenOffAndChanged(t *testing.T) {
	for _, mode := range []Mode{Native, Generic} {
		for _, c := range []struct {
			name    string
			in      frame.Interface
			inTag   uint16
			hop     flow.HopID
			outTag  uint16
			foreign uint16 // a VLAN where the flow is not
		}{
			{"put on", lanPlain, 0, taggedHop, wanVLAN, lanVLAN},
			{"taken off", lanTagged, lanVLAN, plainHop, 0, 11},
			{"taken off, priority and all", lanTagged, 5<<13 | lanVLAN, plainHop, 0, 5 << 13},
			{"changed", lanTagged, lanVLAN, taggedHop, wanVLAN, wanVLAN},
			{"none", lanPlain, 0, plainHop, 0, lanVLAN},
		} {
			t.Run(fmt.Sprint(mode, " ", c.name), func(t *testing.T) {
				ownNamespace(t)
				w := newWorld(t, mode, 100)
				come, leave := outbound(frame.ProtoESP, 1, c.inTag, c.outTag)
				ref := w.add(offloaded(frame.ProtoESP, 1, c.in, c.hop))
				w.lan.send(come.bytes())
				w.wan.wants(leave)
				w.wantCount(ref, 1, uint64(len(come.payload)+28))
				come.vlan = c.foreign
				w.lan.send(come.bytes())
				if b := w.up.receive(true); string(b) != string(come.bytes()) {
					t.Errorf("a packet of another VLAN did not come up as it was: %x", b)
				}
				w.wan.wantsNothing()
			})
		}
	}
}

func TestAPacketLeavesByThePortThatItCameInBy(t *testing.T) {
	for _, mode := range []Mode{Native, Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			ownNamespace(t)
			w := newWorld(t, mode, 100)
			ref := w.add(offloaded(frame.ProtoUDP, 1, lanTagged, insideHop))
			come, leave := outbound(frame.ProtoUDP, 1, lanVLAN, 0)
			leave.src = router["lan"]
			w.lan.send(come.bytes())
			w.lan.wants(leave)
			w.wantCount(ref, 1, uint64(len(come.payload)+28))
		})
	}
}

func TestAFullTableRefusesAndCounts(t *testing.T) {
	ownNamespace(t)
	w := newWorld(t, Generic, 50)
	refs, refused := map[uint16]uint32{}, uint64(0)
	fill := func(n uint16) {
		ref, ok := w.Add(offloaded(frame.ProtoUDP, n, lanPlain, plainHop))
		if ok {
			refs[n] = ref
			return
		}
		refused++ // both of its buckets are full
	}
	for n := uint16(0); len(refs) < 50 && n < 1000; n++ {
		fill(n)
	}
	before := refused
	for n := range uint16(20) {
		fill(2000 + n)
	}
	if len(refs) != 50 || refused != before+20 {
		t.Errorf("%d flows, and 20 more: %d were refused", len(refs), refused-before)
	}
	if s := w.Status(); s.Flows != 50 || s.Refused != refused {
		t.Errorf("status %+v, refused %d", s, refused)
	}
	for n, ref := range refs {
		come, leave := outbound(frame.ProtoUDP, n, 0, 0)
		w.lan.send(come.bytes())
		w.wan.wants(leave)
		w.wantCount(ref, 1, uint64(len(come.bytes())-frame.HeaderLen))
	}
	for n, ref := range refs {
		w.Remove(ref)
		delete(refs, n)
		break
	}
	for n := uint16(3000); len(refs) < 50 && n < 4000; n++ {
		fill(n)
	}
	if s := w.Status(); s.Flows != 50 {
		t.Errorf("status %+v", s)
	}
}

func TestWhatCannotBeForwardedIsRefused(t *testing.T) {
	ownNamespace(t)
	w := newWorld(t, Generic, 100)
	good := offloaded(frame.ProtoUDP, 1, lanPlain, plainHop)
	for name, spoil := range map[string]func(f *flow.Offloaded){
		"an interface of no port":     func(f *flow.Offloaded) { f.Key.In = 77 },
		"no interface":                func(f *flow.Offloaded) { f.Key.In = 0 },
		"a hop that was never told":   func(f *flow.Offloaded) { f.Hop = 9 },
		"no hop":                      func(f *flow.Offloaded) { f.Hop = 0 },
		"a hop that there cannot be":  func(f *flow.Offloaded) { f.Hop = flow.MaxHops + 1 },
		"a protocol without its code": func(f *flow.Offloaded) { f.Key.Proto = frame.ProtoICMP },
	} {
		f := good
		spoil(&f)
		if _, ok := w.Add(f); ok {
			t.Errorf("%s was taken", name)
		}
	}
	w.SetHop(plainHop, flow.OffloadHop{})
	if _, ok := w.Add(good); ok {
		t.Error("a flow of an invalid hop was taken")
	}
	if s := w.Status(); s.Refused != 7 || s.Flows != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestAFlowThatIsRemovedForwardsNothingAndItsNumberRests(t *testing.T) {
	ownNamespace(t)
	w := newWorld(t, Native, 100)
	f := offloaded(frame.ProtoUDP, 1, lanPlain, plainHop)
	come, leave := outbound(frame.ProtoUDP, 1, 0, 0)
	ref := w.add(f)
	w.lan.send(come.bytes())
	w.wan.wants(leave)
	w.Remove(ref)
	w.lan.send(come.bytes())
	w.up.receive(true) // so it was not forwarded
	w.wan.wantsNothing()
	again := w.add(f) // the same key comes back before its slot is free
	if again == ref {
		t.Error("the number of a flow that was not released was given out again")
	}
	w.lan.send(come.bytes())
	w.wan.wants(leave)
	w.wantCount(again, 1, uint64(len(come.bytes())-frame.HeaderLen))
	w.wantCount(ref, 1, uint64(len(come.bytes())-frame.HeaderLen))
	w.second()
	w.wantCount(ref, 0, 0)
	w.Release(ref)
	if other := w.add(offloaded(frame.ProtoUDP, 2, lanPlain, plainHop)); other == ref {
		t.Error("the number was given out before its slot was free")
	}
	w.second()
	w.Check(w.now) // too early for a sweep
	w.second()
	if other := w.add(offloaded(frame.ProtoUDP, 3, lanPlain, plainHop)); other != ref {
		t.Errorf("number %d was not given out again but %d", ref, other)
	}
}

func TestAHopThatGoesSendsItsFlowsUpAndOnePacketGoesUpWhenAsked(t *testing.T) {
	ownNamespace(t)
	w := newWorld(t, Native, 100)
	come, leave := outbound(frame.ProtoESP, 1, 0, 0)
	ref := w.add(offloaded(frame.ProtoESP, 1, lanPlain, plainHop))
	w.Punt(plainHop)
	w.lan.send(come.bytes())
	w.up.receive(true)
	w.lan.send(come.bytes())
	w.wan.wants(leave)
	w.SetHop(plainHop, flow.OffloadHop{})
	w.lan.send(come.bytes())
	w.up.receive(true)
	w.wan.wantsNothing()
	w.SetHop(plainHop, flow.OffloadHop{Out: wanPlain, Dst: router["lan"], Src: router["wan"], MTU: 40, Valid: true})
	w.lan.send(come.bytes())
	w.up.receive(true) // too long
	w.SetHop(plainHop, flow.OffloadHop{Out: wanTagged, Dst: router["lan"], Src: router["wan"], MTU: 1500, Valid: true})
	leave.dst, leave.vlan = router["lan"], wanVLAN
	w.lan.send(come.bytes())
	w.wan.wants(leave)
	w.wantCount(ref, 2, 2*uint64(len(come.bytes())-frame.HeaderLen))
	want := map[string]uint64{"due": 1, "hop": 1, "mtu": 1}
	for _, p := range w.Status().Punts {
		if p.Packets != want[p.Reason] {
			t.Errorf("%d packets went up by %q", p.Packets, p.Reason)
		}
		delete(want, p.Reason)
	}
	if len(want) != 0 {
		t.Errorf("nothing went up by %v", want)
	}
}
