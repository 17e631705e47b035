package ipsec

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/netstack/frame"
)

var gcm128 = Suite{AESGCM, 128, AuthNone}

// gate is one end of Rio: the near one has 10.1.1.0/24, the far one 192.168.15.0/24.
type gate struct {
	t   testing.TB
	db  *Database
	far bool
}

// rioConfig is what both ends configure, each from its side.
func rioConfig(far bool) Config {
	q, s := rio(), protect("lan", 10, "10.1.1.0/24", "192.168.15.0/24")
	if far {
		q.Local, q.Remote = q.Remote, q.Local
		s.Source, s.Destination = s.Destination, s.Source
	}
	return Config{Policies: []Policy{q}, Selectors: []TrafficSelector{s}}
}

func newGate(t testing.TB, far bool) *gate {
	t.Helper()
	g := &gate{t: t, db: NewDatabase(Options{}), far: far}
	g.apply(rioConfig(far), 0)
	return g
}

func (g *gate) apply(c Config, now int64) []*SA {
	g.t.Helper()
	gone, err := g.db.Apply(policies(g.t, c), now)
	if err != nil {
		g.t.Fatal(err)
	}
	return gone
}

func (g *gate) config(spi uint32, outbound bool) SAConfig {
	c := SAConfig{SPI: spi, Outbound: outbound, Mode: Tunnel, Suite: gcm128, Keys: someKeys(gcm128, byte(spi)), Local: addr("198.51.100.1"), Remote: addr("198.51.100.200")}
	if g.far {
		c.Local, c.Remote = c.Remote, c.Local
	}
	return c
}

func (g *gate) add(c SAConfig, now int64) *SA {
	g.t.Helper()
	sa, err := g.db.Add("lan", c, now)
	if err != nil {
		g.t.Fatal(err)
	}
	return sa
}

func (g *gate) selector(name string) *Selector {
	g.t.Helper()
	s, ok := g.db.Policies().Selector(name)
	if !ok {
		g.t.Fatalf("no selector %q", name)
	}
	return s
}

// send looks a packet up and sends it.
func (g *gate) send(p []byte, now int64) (Sent, []byte) {
	g.t.Helper()
	var view frame.Packet
	view.Parse(p)
	l := g.db.Policies().Out(FlowOf(&view))
	if l.Verdict != Protect {
		return Sent{Verdict: l.Verdict}, nil
	}
	b, off := room(p)
	r := g.db.Send(l.Selector, FlowOf(&view), b, off, len(p), 1500, 0, now)
	return r, b[r.Start:r.End]
}

func (g *gate) receive(p []byte, now int64) Received { return g.db.Receive(bytes.Clone(p), now) }

func TestAPacketGoesThroughTheTunnelAndItsAnswerComesBack(t *testing.T) {
	near, far := newGate(t, false), newGate(t, true)
	near.add(near.config(0x1001, true), 0)
	far.add(far.config(0x1001, false), 0)
	far.add(far.config(0x2002, true), 0)
	near.add(near.config(0x2002, false), 0)

	p := udpPacket(100)
	sent, sealed := near.send(p, 0)
	if sent.Verdict != Pass || sent.To != (frame.Endpoint{Addr: addr("198.51.100.200")}) || sent.SA.SPI != 0x1001 {
		t.Fatalf("%+v", sent)
	}
	got := far.receive(sealed, 0)
	if got.Verdict != Pass || !bytes.Equal(got.Inner, p) || got.SPI != 0x1001 || got.Interface != 0 || got.Moved || got.Flow != udpFlow("10.1.1.9", "192.168.15.2") {
		t.Fatalf("%+v", got)
	}
	answer := inner{src: "192.168.15.2", dst: "10.1.1.9", proto: 17, size: 60}.packet()
	sent, sealed = far.send(answer, 0)
	if got := near.receive(sealed, 0); sent.Verdict != Pass || got.Verdict != Pass || !bytes.Equal(got.Inner, answer) {
		t.Fatalf("%+v %+v", sent, got)
	}
	if n := near.db.Counts(); n[Pass] != 2 {
		t.Errorf("counted %v", n)
	}
}

func TestWhatIsNotForTheSAIsRejected(t *testing.T) {
	near, far := newGate(t, false), newGate(t, true)
	near.add(near.config(0x1001, true), 0)
	in := far.add(far.config(0x1001, false), 0)
	for name, c := range map[string]struct {
		p       inner
		verdict Verdict
	}{
		"mirrored":                   {inner{src: "10.1.1.9", dst: "192.168.15.2"}, Pass},
		"another source":             {inner{src: "10.1.2.9", dst: "192.168.15.2"}, SelectorReject},
		"another destination":        {inner{src: "10.1.1.9", dst: "192.168.16.2"}, SelectorReject},
		"not mirrored":               {inner{src: "192.168.15.2", dst: "10.1.1.9"}, SelectorReject},
		"the far gate's own address": {inner{src: "10.1.1.9", dst: "198.51.100.200"}, SelectorReject},
	} {
		c.p.proto, c.p.size = frame.ProtoUDP, 60
		b, off := room(c.p.packet())
		// Who holds the keys can seal anything: past the near end's selectors.
		start, end, _ := near.selector("lan").Choice(udpFlow("10.1.1.9", "192.168.15.2")).Seal(b, off, 60, 0, 0)
		got := far.receive(b[start:end], 0)
		if got.Verdict != c.verdict || got.SA != in || got.Flow != udpFlow(c.p.src, c.p.dst) {
			t.Errorf("%s: %+v, want %v", name, got, c.verdict)
		}
	}
	if n := in.Info(0).Verdicts[SelectorReject]; n != 4 {
		t.Errorf("%d are counted", n)
	}
	short := inner{src: "10.1.1.9", dst: "192.168.15.2", proto: frame.ProtoTCP, size: 24}
	b, off := room(short.packet())
	start, end, _ := near.selector("lan").Choice(udpFlow("10.1.1.9", "192.168.15.2")).Seal(b, off, 24, 0, 0)
	if got := far.receive(b[start:end], 0); got.Verdict != InnerMalformed || got.Inner != nil {
		t.Errorf("half a TCP header inside: %+v", got)
	}
}

// Q19: the first fragment shows its ports, the others are known by their id.
func TestFragmentsInsideAnSAThatNamesPorts(t *testing.T) {
	near, far := newGate(t, false), newGate(t, true)
	near.add(near.config(0x1001, true), 0)
	c := far.config(0x1001, false)
	c.Scope = []Pair{{Local: rangeOf(pfx("192.168.15.0/24"), 80), Remote: rangeOf(pfx("10.1.1.0/24"), 0), Proto: 17}}
	sa := far.add(c, 0)
	piece := func(src string, offset int, size int) []byte {
		p := inner{src: src, dst: "192.168.15.2", proto: 17, size: size}.packet()
		frame.SetFragment(p, offset, true)
		return p
	}
	known := udpFlow("10.1.1.9", "192.168.15.2")
	for name, c := range map[string]struct {
		p    []byte
		want Verdict
	}{
		"the first one":              {piece("10.1.1.9", 0, 60), Pass},
		"a later one":                {piece("10.1.1.9", 40, 60), Undecided},
		"a later one of others":      {piece("10.2.1.9", 40, 60), SelectorReject},
		"too short to show its port": {piece("10.1.1.9", 0, 24), InnerMalformed},
	} {
		b, off := room(c.p)
		start, end, _ := near.selector("lan").Choice(known).Seal(b, off, len(c.p), 0, 0)
		got := far.receive(b[start:end], 0)
		if got.Verdict != c.want || c.want == Pass && got.Flow != known {
			t.Errorf("%s: %+v, want %v", name, got, c.want)
		}
		if c.want == Undecided && (!bytes.Equal(got.Inner, c.p) || got.Flow.Ports) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	other := known
	other.DstPort = 81
	if !sa.Covers(known.Reversed()) || sa.Covers(other.Reversed()) {
		t.Error("who knows the ports decides")
	}
}

// Q16: a router behind the tunnel reports on our packet.
func TestAnICMPErrorBelongsToTheFlowItReportsOn(t *testing.T) {
	near, far := newGate(t, false), newGate(t, true)
	near.add(near.config(0x2002, false), 0)
	out := far.add(far.config(0x2002, true), 0)
	for name, c := range map[string]struct {
		quoted inner
		want   Verdict
	}{
		"our packet":        {inner{src: "10.1.1.9", dst: "192.168.15.2", proto: 17, size: 60}, Pass},
		"somebody else's":   {inner{src: "10.7.7.7", dst: "192.168.15.2", proto: 17, size: 60}, SelectorReject},
		"a packet to us":    {inner{src: "192.168.15.2", dst: "10.1.1.9", proto: 17, size: 60}, SelectorReject},
		"a quoted fragment": {inner{src: "10.1.1.9", dst: "192.168.15.2", proto: 17, size: 60, more: true}, Pass},
	} {
		e := icmpError("172.30.0.1", "10.1.1.9", c.quoted.packet())
		b, off := room(e)
		start, end, v := out.Seal(b, off, len(e), 0, 0)
		if got := near.receive(b[start:end], 0); v != Pass || got.Verdict != c.want {
			t.Errorf("%s: %v %v, want %v", name, v, got.Verdict, c.want)
		}
	}
	var p frame.Packet
	p.Parse(icmpError("10.1.1.254", "192.168.15.2", inner{src: "192.168.15.2", dst: "10.9.1.9", proto: 17, size: 60}.packet()))
	f, ok := QuotedFlow(&p)
	if want := udpFlow("10.9.1.9", "192.168.15.2"); !ok || f.Reversed() != (Flow{Src: want.Src, Dst: want.Dst, SrcPort: 80, DstPort: 1000, Proto: 17, Ports: true}) {
		t.Errorf("an error of ours is looked up by the flow it reports on: %v %v", f, ok)
	}
	p.Parse(udpPacket(60))
	if _, ok := QuotedFlow(&p); ok {
		t.Error("UDP quotes nothing")
	}
}

// icmpError is a time exceeded about a packet.
func icmpError(src, dst string, quoted []byte) []byte {
	p := inner{src: src, dst: dst, proto: frame.ProtoICMP, size: 28 + len(quoted)}.packet()
	copy(p[20:], []byte{11, 0, 0, 0, 0, 0, 0, 0})
	copy(p[28:], quoted)
	var sum uint32
	for i := 20; i < len(p); i += 2 {
		sum += uint32(p[i])<<8 | uint32(p[i+1])
	}
	sum = sum&0xffff + sum>>16
	sum = ^(sum&0xffff + sum>>16)
	p[22], p[23] = byte(sum>>8), byte(sum)
	return p
}

func TestARekeyLosesNothing(t *testing.T) {
	near, far := newGate(t, false), newGate(t, true)
	old, oldIn := near.add(near.config(0x1001, true), 0), far.add(far.config(0x1001, false), 0)
	_, late := near.send(udpPacket(60), 0)
	far.add(far.config(0x1002, false), 0)
	if r, sealed := near.send(udpPacket(60), 0); r.SA != old || far.receive(sealed, 0).Verdict != Pass {
		t.Error("the new SA is known at one end only: the old one goes on")
	}
	successor := near.add(near.config(0x1002, true), 0)
	if r, sealed := near.send(udpPacket(60), 0); r.SA != successor || far.receive(sealed, 0).Verdict != Pass {
		t.Error("the new SA is known at both ends: it is the first choice")
	}
	if far.receive(late, 0).Verdict != Pass {
		t.Error("a late packet of the old SA is lost")
	}
	near.db.Remove(old)
	b, off := room(udpPacket(60))
	if r := near.db.seal(near.selector("lan"), old, udpFlow("10.1.1.9", "192.168.15.2"), b, off, 60, 0, 0); r.Verdict != Pass || r.SA != successor {
		t.Errorf("the old one was picked and removed a moment later: %+v", r)
	}
	far.db.Remove(oldIn)
	far.db.Remove(oldIn)
	if r := far.receive(late, 0); r.Verdict != NoSA || r.SPI != 0x1001 {
		t.Errorf("the old SA is gone: %+v", r)
	}
	if r, sealed := near.send(udpPacket(60), 0); r.SA != successor || far.receive(sealed, 0).Verdict != Pass {
		t.Error("the new one goes on")
	}
	b, off = room(udpPacket(60))
	if _, _, v := old.Seal(b, off, 60, 0, 0); v != Expired {
		t.Errorf("sealed with a wiped SA: %v", v)
	}
	if _, v := oldIn.Open(bytes.Clone(late), 0); v != Replay && v != Expired {
		t.Errorf("opened with a wiped SA: %v", v)
	}
	if n := len(near.db.List(0)) + len(far.db.List(0)); n != 2 {
		t.Errorf("%d SAs are listed", n)
	}
}

func TestANarrowedSACarriesItsPartAndAnotherOneTheRest(t *testing.T) {
	g := newGate(t, false)
	part := g.config(0x1001, true)
	part.Scope = []Pair{{Local: rangeOf(pfx("10.1.1.9/32"), 0), Remote: rangeOf(pfx("192.168.15.0/24"), 80), Proto: 17}}
	narrow := g.add(part, 0)
	rest := inner{src: "10.1.1.10", dst: "192.168.15.2", proto: 17, size: 60}.packet()
	if r, _ := g.send(rest, 0); r.Verdict != Held || !r.Acquire {
		t.Errorf("nobody carries it yet: %+v", r)
	}
	if r, _ := g.send(udpPacket(60), 0); r.SA != narrow {
		t.Errorf("%+v", r)
	}
	wide := g.add(g.config(0x1002, true), 0)
	if r, _ := g.send(rest, 0); r.SA != wide {
		t.Errorf("%+v", r)
	}
	if d := cmp.Diff([]uint32{0x1002, 0x1001}, g.selector("lan").Info().Outbound); d != "" {
		t.Error(d)
	}
}

func TestTooBigSaysHowBigItMayBe(t *testing.T) {
	g := newGate(t, false)
	g.add(g.config(0x1001, true), 0)
	p := inner{src: "10.1.1.9", dst: "192.168.15.2", proto: 17, df: true, size: 1500}.packet()
	if r, _ := g.send(p, 0); r.Verdict != TooBig || r.MTU != 1446 {
		t.Errorf("%+v", r)
	}
	if !g.db.LearnMTU(addr("198.51.100.200"), 0x1001, 1400, 0) || g.db.LearnMTU(addr("198.51.100.200"), 0x1002, 600, 0) {
		t.Error("the SA that ICMP speaks of is found, no other")
	}
	if r, _ := g.send(p, 0); r.Verdict != TooBig || r.MTU != 1346 {
		t.Errorf("the way is narrower: %+v", r)
	}
	p = inner{src: "10.1.1.9", dst: "192.168.15.2", proto: 17, df: true, size: 1346}.packet()
	if r, sealed := g.send(p, 0); r.Verdict != Pass || len(sealed) > 1400 {
		t.Errorf("what was said to fit: %+v", r)
	}
}

func TestAnSPIOfNobodyIsNamedAndCounted(t *testing.T) {
	near, far := newGate(t, false), newGate(t, true)
	near.add(near.config(0x1001, true), 0)
	_, sealed := near.send(udpPacket(60), 0)
	if r := far.receive(sealed, 0); r.Verdict != NoSA || r.SPI != 0x1001 || r.SA != nil || r.Inner != nil {
		t.Errorf("no SA at all: %+v", r)
	}
	in := far.add(far.config(0x1001, false), 0)
	other := bytes.Clone(sealed)
	copy(other[16:], addr("198.51.100.201").Netip().AsSlice())
	patch(other, protoESP)
	if r := far.receive(other, 0); r.Verdict != NoSA || r.SPI != 0x1001 {
		t.Errorf("the SPI is that of another address: %+v", r)
	}
	if n := far.db.Totals(); n.Received[NoSA] != 2 || in.Info(0).Verdicts != ([NumVerdicts]uint64{}) {
		t.Errorf("counted %v, for the SA %v", n.Received, in.Info(0).Verdicts)
	}
	if r := far.receive(sealed, 0); r.Verdict != Pass || r.SA != in {
		t.Errorf("and now it is somebody's: %+v", r)
	}
}
