package keying

import (
	"bytes"
	"testing"
	"time"

	"spigate/netstack/frame"
	"spigate/netstack/ipsec"
	"spigate/netstack/ipsec/ike"
)

// behindNAT brings up a tunnel from an a behind a NAT, which lets in only what
// comes to the ports that it has given out last.
func behindNAT(t *testing.T) (w *world, a, b *gate) {
	t.Helper()
	w = newWorld(t, 7)
	sa, sb := ends()
	w.nat[sa.local] = addr("203.0.113.7")
	sb.config.Peers[0].Remote = addr("0.0.0.0") // wherever it may be
	a, b = w.add(sa), w.add(sb)
	n := a.send(b)
	w.run(10 * time.Second)
	if b.got[n] != 1 {
		t.Fatalf("the packet did not come\n%s", w.history())
	}
	w.agree(a, b, 1)
	w.tap = func(p *parcel) bool { return p.to.Addr() != a.addr || p.to.Port() == 500 || p.to.Port() == 4500 }
	return w, a, b
}

// arrives sends one packet and reports whether it gets there.
func (g *gate) arrives(to *gate) bool {
	n := g.send(to)
	g.w.run(50 * time.Millisecond)
	return to.got[n] == 1
}

// port is where all SAs of g send to.
func (g *gate) port() (port uint16) {
	g.w.t.Helper()
	for i, s := range g.db.List(g.w.now) {
		if i > 0 && s.Remote.Port != port {
			g.w.t.Fatalf("%v: SAs to different places\n%s", g.addr, g.w.history())
		}
		port = s.Remote.Port
	}
	return port
}

func TestTrafficInOneDirectionShowsWhereThePeerIs(t *testing.T) {
	w, a, b := behindNAT(t)
	if !b.arrives(a) || b.port() != 5500 {
		t.Fatalf("before, an answer did not come back\n%s", w.history())
	}
	for i, shift := range []uint16{2000, 3000, 4000} {
		for range 20 {
			if !a.arrives(b) {
				t.Fatalf("a packet did not come\n%s", w.history())
			}
		}
		w.natShift = shift
		if b.arrives(a) {
			t.Fatal("the NAT has not changed its mind")
		}
		if !a.arrives(b) || !b.arrives(a) {
			t.Fatalf("after one packet answers do not come back\n%s", w.history())
		}
		if got := b.said(ike.PeerMoved); len(got) != i+1 || b.port() != 4500+shift {
			t.Fatalf("moved %d times\n%s", len(got), w.history())
		}
	}
	if len(a.said(ike.PeerMoved)) != 0 || b.keys.View(w.now)[0].Remote.Port() != 8500 {
		t.Errorf("%s", w.history())
	}
	// IKE goes there, too.
	b.order(b.keys.RekeyChild("net"))
	w.run(10 * time.Second)
	w.agree(a, b, 1)
	if n := b.keys.Counters(); n.ChildRekey != 1 || n.Retransmits != 0 {
		t.Errorf("%+v\n%s", n, w.history())
	}
	if w.natShift = 5000; !a.arrives(b) || !b.arrives(a) {
		t.Errorf("the new pair does not follow\n%s", w.history())
	}
}

func TestOldPacketsFromElsewhereMoveNobody(t *testing.T) {
	w, a, b := behindNAT(t)
	var seen, held *parcel
	let := w.tap
	w.tap = func(p *parcel) bool {
		if !p.esp || p.from.Addr() == b.addr {
			return let(p)
		}
		c := *p
		c.b = bytes.Clone(p.b)
		if seen == nil {
			seen = &c
			return true
		}
		held = &c
		return false
	}
	a.arrives(b)
	a.send(b)
	w.tap = let
	if seen == nil || held == nil || !a.arrives(b) {
		t.Fatal(w.history())
	}
	passed := len(b.got)
	for _, p := range []*parcel{seen, held} {
		p.at = w.now
		w.readdress(p, &p.from, addr("203.0.113.66"), 0)
		w.wire = append(w.wire, *p)
	}
	w.run(time.Second)
	if b.refused[ipsec.Replay] != 1 || len(b.got) != passed+1 {
		t.Fatalf("refused %v, passed %d: want the repeated one refused, the late one let in", b.refused, len(b.got)-passed)
	}
	if len(b.said(ike.PeerMoved)) != 0 || b.port() != 5500 || !b.arrives(a) {
		t.Errorf("it moved\n%s", w.history())
	}
}

// What the end behind the NAT sees may be its own NAT's doing.
func TestTheEndBehindTheNATFollowsNobody(t *testing.T) {
	w, a, b := behindNAT(t)
	let := w.tap
	w.tap = func(p *parcel) bool {
		if p.esp && p.from.Addr() == b.addr {
			w.readdress(p, &p.from, b.addr, 77)
		}
		return let(p)
	}
	if !b.arrives(a) || !a.arrives(b) || a.port() != 4500 || len(a.said(ike.PeerMoved)) != 0 {
		t.Errorf("%s", w.history())
	}
}

func TestWhereManyAreNowIsBounded(t *testing.T) {
	w, _, b := behindNAT(t)
	place := func(port uint16) frame.Endpoint {
		return frame.Endpoint{Addr: frame.Addr{203, 0, 113, 7}, Port: port}
	}
	in := b.keys.sorted()[0].child.In
	b.keys.Moved(in, place(1))
	b.keys.Moved(in, place(2))
	if n := len(b.keys.queue.moved); n != 1 || !b.keys.Due(w.now) {
		t.Fatalf("%d places of one SA", n)
	}
	for i := range uint32(2 * maxMoved) {
		b.keys.Moved(in+1+i, place(3))
	}
	b.keys.Moved(in, place(9))
	if n := len(b.keys.queue.moved); n != maxMoved {
		t.Errorf("%d wait", n)
	}
	w.run(time.Second)
	if b.keys.queue.moved != nil || b.port() != 9 || len(b.said(ike.PeerMoved)) != 1 {
		t.Errorf("%d are left\n%s", len(b.keys.queue.moved), w.history())
	}
}
