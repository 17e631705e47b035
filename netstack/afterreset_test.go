package netstack

import (
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// Each side has got something that it has not acknowledged to us when its
// server goes: it does not believe the RST (RFC 5961). What it says next is
// answered with the number that it wants, though nobody listens any more.
func TestASideThatHadGotMoreThanWeKnewIsResetByWhatItSaysNext(t *testing.T) {
	for name, before := range map[string]func(*talk){
		"by the stack":     func(*talk) {},
		"by the fast path": func(k *talk) { k.chat(20) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newSites(t, serving(ipsec0()))
			k := w.talk(true, at(near, 40000), at(far, 80)).shake()
			before(k)
			k.say(vserver.Client, ack, "the far side has this")
			w.reload(w.on(natAddr))
			for side := range vserver.Remote + 1 {
				if got := w.resets(k.atSide(side)); len(got) != 1 || got[0].seq != k.acked[side] {
					t.Fatalf("side %d got %+v, want the number %d", side, got, k.acked[side])
				}
			}
			if k.acked[vserver.Remote] == k.next[vserver.Client] {
				t.Fatal("the far side has acknowledged everything: this shows nothing")
			}
			ends := []frame.Endpoint{k.ends[vserver.Client], k.ends[vserver.Remote]}
			late := k.segment(vserver.Remote, ack, "")
			w.wantDrop(drop.NotSYN, 1, func() { w.fromWAN(late) })
			want := rst{ends[0], ends[1], k.next[vserver.Client], 0, frame.TCPRst}
			if got := w.resets(w.atWAN()); len(got) != 1 || got[0] != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			w.wantDrop(drop.NotSYN, 1, func() { w.fromWAN(k.segment(vserver.Remote, frame.TCPRst|ack, "")) })
			w.none(w.atWAN())
			w.wantDrop(drop.NoListener, 1, func() { w.fromWAN(k.segment(vserver.Remote, syn, "")) }) // another one
			w.wait(31)
			w.wantDrop(drop.NoListener, 1, func() { w.fromWAN(late) })
			w.none(w.atWAN())
			if n := len(w.r.lastResets.of); n != 0 {
				t.Errorf("%d are still remembered", n)
			}
		})
	}
}

func TestTheMemoryOfResetsIsBounded(t *testing.T) {
	var g lastResets
	for i := range maxResets + 100 {
		g.add(vserver.Key{SrcPort: uint16(i), DstPort: uint16(i >> 16)}, 0)
	}
	if len(g.of) != maxResets || !g.has(vserver.Key{}, resetTime-1) || g.has(vserver.Key{}, resetTime) {
		t.Errorf("%d are remembered", len(g.of))
	}
	g.sweep(resetTime)
	if g.n.Load() != 0 || len(g.of) != 0 {
		t.Errorf("%d are remembered for ever", len(g.of))
	}
}

// A packet that the LSN let pass while its connection ended must not bring the
// flow back to the fast path: nobody would hear of the reset there.
func TestWhatPassedWhileItsConnectionWasResetGetsNoFlow(t *testing.T) {
	w := newWorld(t, serving(change(forwarding("all", "0.0.0.0/0"), func(s *vserver.Server) {
		s.SourceTranslation, s.Group = vserver.TranslateLSN, "G"
	})))
	c, s := at(client1, 40000), at(server, 80)
	w.fromLAN(tcpTo(c, s, syn, ""))
	sent := w.one(w.atWAN())
	tuple := lsn.Tuple{Proto: frame.ProtoTCP, Inside: c, Remote: s}
	sides := []flow.Entry{{Side: flow.Source}, {Side: flow.Destination}}
	for _, e := range sides {
		if w.r.bindLSN(&e, tuple, w.r.now()) {
			t.Error("half open, and on the fast path")
		}
	}
	w.reload(w.on(natAddr))
	w.atLAN()
	w.atWAN() // the RSTs
	for _, e := range sides {
		if w.r.bindLSN(&e, tuple, w.r.now()) {
			t.Errorf("side %v: on the fast path after its end", e.Side)
		}
		if other := (lsn.Tuple{Proto: frame.ProtoTCP, Inside: c, Remote: at(server, 81)}); !w.r.bindLSN(&e, other, w.r.now()) {
			t.Errorf("side %v: another flow is kept from the fast path", e.Side)
		}
	}
	for _, k := range []vserver.Key{
		{Src: client1, Dst: server, SrcPort: 40000, DstPort: 80, Proto: frame.ProtoTCP},
		{Src: server, Dst: sent.Src, SrcPort: 80, DstPort: sent.SrcPort, Proto: frame.ProtoTCP},
	} {
		if !w.r.lastResets.has(k, w.r.now()) {
			t.Errorf("%+v is not answered", k)
		}
	}
}
