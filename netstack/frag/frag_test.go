package frag

import (
	"bytes"
	"slices"
	"testing"
	"unsafe"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func outbound(src frame.Addr, id uint16, n int) datagramSpec {
	return datagramSpec{src: src, dst: remote, sport: 5353, dport: 53, proto: frame.ProtoUDP, id: id, payload: filler(n, byte(id))}
}

// outside is the datagram as it should leave.
func (s datagramSpec) outside() datagramSpec {
	s.src, s.sport = nat, natPort+uint16(s.src[3])
	return s
}

// same compares packets but for their ids and what follows from them.
func same(a, b []byte) bool {
	a, b = bytes.Clone(a), bytes.Clone(b)
	for _, p := range [][]byte{a, b} {
		clear(p[4:6])
		clear(p[10:12])
	}
	return bytes.Equal(a, b)
}

// arrives fails unless what came out joins to exactly these datagrams.
func (r *router) arrives(t *testing.T, want ...datagramSpec) {
	t.Helper()
	a := assembler{t: t, open: map[Key]*assembly{}}
	a.receive(r.out...)
	if len(a.done) != len(want) || len(a.open) != 0 {
		t.Fatalf("%d datagrams arrived and %d in part, want %d; %v", len(a.done), len(a.open), len(want), r.Stats())
	}
	for i := range want {
		if !same(a.done[i], want[i].build()) {
			t.Errorf("datagram %d: % x", i, a.done[i][:40])
		}
	}
	r.out = nil
}

func TestPiecesInAnyOrderArriveTranslated(t *testing.T) {
	for name, proto := range map[string]uint8{"UDP": frame.ProtoUDP, "TCP": frame.ProtoTCP, "ICMP": frame.ProtoICMP} {
		for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {2, 0, 1}} {
			r := newRouter()
			s := outbound(alice, 7, 3000)
			s.proto = proto
			pieces := inPieces(s.build(), 1480)
			for _, i := range order {
				r.send(pieces[i])
			}
			r.arrives(t, s.outside())
			r.count(t, nil)
			if st := r.Stats(); st != (Stats{}) {
				t.Errorf("%s %v: left behind: %+v", name, order, st)
			}
		}
	}
}

func TestInboundPiecesFindTheSubscriberAndKeepTheirID(t *testing.T) {
	r := newRouter()
	s := datagramSpec{src: remote, dst: nat, sport: 53, dport: natPort, proto: frame.ProtoUDP, id: 99, payload: filler(3000, 1)}
	pieces := inPieces(s.build(), 1000)
	slices.Reverse(pieces)
	r.send(pieces...)
	for _, b := range r.out {
		if b[4] != 0 || b[5] != 99 {
			t.Errorf("id % x", b[4:6])
		}
	}
	s.dst, s.dport = alice, 5353
	r.arrives(t, s)
}

func TestESPLastPieceFirst(t *testing.T) { // N24
	r := newRouter()
	s := outbound(alice, 7, 3000)
	s.proto = frame.ProtoESP
	pieces := inPieces(s.build(), 1480)
	r.send(pieces[2], pieces[1])
	if len(r.out) != 0 {
		t.Fatal("a piece left before the SPI was seen")
	}
	r.send(pieces[0])
	r.arrives(t, s.outside())
}

func TestTwoSubscribersWithTheSameIDAreNotSplicedByTheServer(t *testing.T) {
	r := newRouter()
	a, b := outbound(alice, 7, 2000), outbound(bob, 7, 2000)
	pa, pb := inPieces(a.build(), 1480), inPieces(b.build(), 1480)
	r.send(pa[0], pb[0], pa[1], pb[1])
	r.arrives(t, a.outside(), b.outside())
}

func TestAnUnknownDatagramIsForgottenAfterTwoSeconds(t *testing.T) {
	for _, swept := range []bool{true, false} {
		r := newRouter()
		pieces := inPieces(outbound(alice, 7, 2000).build(), 1480)
		r.send(pieces[1])
		r.now = 2 * second
		r.Sweep(r.now)
		r.count(t, nil)
		r.now++
		if swept {
			r.Sweep(r.now)
		} else {
			r.send(pieces[0])
		}
		r.count(t, map[drop.Reason]uint64{drop.FragmentTimeout: 1})
		if len(r.out) > 1 {
			t.Error("the late piece went out")
		}
	}
}

func TestAPieceOfADecidedDatagramMayBeFiveSecondsLate(t *testing.T) {
	r := newRouter()
	s := outbound(alice, 7, 3000)
	pieces := inPieces(s.build(), 1480)
	r.send(pieces[0])
	r.now = 5 * second
	r.Sweep(r.now)
	r.send(pieces[1])
	if len(r.out) != 2 {
		t.Errorf("%d pieces left, want 2", len(r.out))
	}
	r.now++
	r.send(pieces[2])
	if len(r.out) != 2 || r.Stats() != (Stats{Waiting: 1, Bytes: cost(pieces[2])}) {
		t.Errorf("%d pieces left, %+v", len(r.out), r.Stats())
	}
}

func TestARefusedDatagramTakesItsPiecesAlong(t *testing.T) {
	r := newRouter()
	r.refuse = drop.NoMapping
	pieces := inPieces(outbound(alice, 7, 4000).build(), 1480)
	r.send(pieces[2], pieces[0], pieces[1])
	r.count(t, map[drop.Reason]uint64{drop.NoMapping: 3})
	if r.Stats().Bytes != 0 {
		t.Errorf("%+v", r.Stats())
	}
	r.refuse = drop.None // the same datagram again, and now it may
	r.send(pieces...)
	if len(r.out) != 3 {
		t.Errorf("%d pieces left, want 3", len(r.out))
	}
}

func TestHostilePieces(t *testing.T) {
	whole := outbound(alice, 7, 3000)
	b := whole.build()
	p := inPieces(b, 1480)
	other := outbound(alice, 7, 3000)
	other.sport = 666
	contradicting := inPieces(other.build(), 1480)[0]
	tcp := whole
	tcp.proto = frame.ProtoTCP
	tb := tcp.build()
	odd := bytes.Clone(p[1])
	odd = odd[:len(odd)-1]
	frame.SetFragment(odd, 1480, true)
	beyond := append(bytes.Clone(p[1][:20]), make([]byte, 8)...)
	frame.SetFragment(beyond, 65528, false)
	empty := bytes.Clone(p[1][:20])
	frame.SetFragment(empty, 1480, true)
	early := bytes.Clone(p[1])
	frame.SetFragment(early, 1480, false) // says that the datagram ends here
	more := bytes.Clone(p[2])
	frame.SetFragment(more[:20+40], 2960, true)
	more = more[:20+40]
	for name, tt := range map[string]struct {
		sent [][]byte
		want drop.Reason // of the last
	}{
		"a first piece with half a UDP header":        {cutAt(b, 4)[:1], drop.FragmentMalformed},
		"a first piece with half a TCP header":        {cutAt(tb, 16)[:1], drop.FragmentMalformed},
		"a piece that would overwrite TCP's flags":    {cutAt(tb, 8)[1:2], drop.FragmentMalformed},
		"a piece of no bytes":                         {[][]byte{empty}, drop.FragmentMalformed},
		"a middle piece that does not end on 8 bytes": {[][]byte{odd}, drop.FragmentMalformed},
		"a piece that ends beyond 65535":              {[][]byte{beyond}, drop.FragmentMalformed},
		"teardrop: a piece inside the first":          {[][]byte{p[0], cutAt(b, 24, 56)[1]}, drop.FragmentDuplicate},
		"a piece that begins inside the first":        {[][]byte{p[0], cutAt(b, 1000, 2000)[1]}, drop.FragmentMalformed},
		"a piece that ends inside the next":           {[][]byte{p[0], p[2], cutAt(b, 1480, 2984)[1]}, drop.FragmentMalformed},
		"the same piece twice":                        {[][]byte{p[0], p[1], p[1]}, drop.FragmentDuplicate},
		"the same piece twice before the first":       {[][]byte{p[1], p[1]}, drop.FragmentDuplicate},
		"an overlap before the first":                 {[][]byte{p[1], cutAt(b, 2000)[1]}, drop.FragmentMalformed},
		"the first piece twice":                       {[][]byte{p[0], p[0]}, drop.FragmentDuplicate},
		"another first piece with other ports":        {[][]byte{p[0], contradicting}, drop.FragmentMalformed},
		"an end before what has passed":               {[][]byte{p[0], p[2], early}, drop.FragmentMalformed},
		"an end before a piece from the middle":       {[][]byte{p[0], more, early}, drop.FragmentMalformed},
		"bytes behind the end":                        {[][]byte{early, p[2]}, drop.FragmentMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRouter()
			if got := r.send(tt.sent...); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
			r.count(t, map[drop.Reason]uint64{tt.want: 1})
		})
	}
}

func TestAHostilePieceDoesNotHarmTheRestOfItsDatagram(t *testing.T) {
	r := newRouter()
	s := outbound(alice, 7, 3000)
	p := inPieces(s.build(), 1480)
	evil := outbound(alice, 7, 3000)
	evil.payload = filler(3000, 0xff)
	e := cutAt(evil.build(), 1000, 2000)
	r.send(p[0], e[1], p[1], e[1], e[2], p[2])
	r.arrives(t, s.outside())
}

func TestWhatCameBeforeTheFirstPieceCannotOverwriteIt(t *testing.T) {
	r := newRouter()
	s := outbound(alice, 7, 3000)
	p := inPieces(s.build(), 1480)
	r.send(cutAt(s.build(), 8, 16)[1], p[0], p[1], p[2])
	r.arrives(t, s.outside())
	r.count(t, map[drop.Reason]uint64{drop.FragmentDuplicate: 1})
}

func TestALateFirstPieceWithTheSameIDIsAnotherDatagram(t *testing.T) {
	r := newRouter()
	old, next := outbound(alice, 7, 3000), outbound(alice, 7, 2000)
	next.sport = 6000
	r.send(inPieces(old.build(), 1480)[0])
	r.out = nil
	r.now = 2*second + 1
	r.send(inPieces(next.build(), 1480)...)
	r.arrives(t, next.outside())
}

func TestADecisionOnTheWayIsNotChangedByASecondOne(t *testing.T) {
	tb := New(Config{})
	b := inPieces(outbound(alice, 7, 3000).build(), 1480)[0]
	evil := outbound(alice, 7, 3000)
	evil.sport = 666
	ask := func(b []byte) (*frame.Packet, Result) {
		p := &frame.Packet{}
		p.Parse(bytes.Clone(b))
		return p, tb.Piece(KeyOf(p, 1, In2Out), p, 0)
	}
	p1, first := ask(b)
	p2, again := ask(b)
	_, other := ask(inPieces(evil.build(), 1480)[0])
	for _, r := range []Result{first, again, other} {
		if r.Verdict != First {
			t.Fatalf("%+v", r)
		}
	}
	if _, why := tb.Decide(first.Datagram, Translation{Addr: nat, Port: 1}, 0); why != drop.None {
		t.Fatal(why)
	}
	if _, why := tb.Decide(again.Datagram, Translation{Addr: nat, Port: 2}, 0); why != drop.None {
		t.Errorf("the same piece on another port: %v", why)
	}
	if _, why := tb.Decide(other.Datagram, Translation{Addr: nat, Port: 3}, 0); why != drop.FragmentMalformed {
		t.Errorf("a contradicting piece on another port: %v", why)
	}
	if why := tb.Carry(first.Datagram.Key, p1, 0); why != drop.None || p1.SrcPort != 1 {
		t.Errorf("%v, port %d", why, p1.SrcPort)
	}
	if why := tb.Carry(first.Datagram.Key, p2, 0); why != drop.FragmentDuplicate || p2.Src != alice {
		t.Errorf("%v, %v", why, p2.Src)
	}
}

func TestAPieceThatNobodyDecidedAboutIsNotCarried(t *testing.T) {
	tb := New(Config{})
	for _, b := range inPieces(outbound(alice, 7, 3000).build(), 1480) {
		var p frame.Packet
		p.Parse(b)
		before := bytes.Clone(b)
		if why := tb.Carry(KeyOf(&p, 1, In2Out), &p, 0); why != drop.FragmentOverflow || !bytes.Equal(b, before) {
			t.Errorf("%v, % x", why, b[:20])
		}
	}
}

func TestKeysHoldNoPointerAndStaySmall(t *testing.T) {
	if n := unsafe.Sizeof(Key{}); n > 16 {
		t.Errorf("%d bytes", n)
	}
}
