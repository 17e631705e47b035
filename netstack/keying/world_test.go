package keying

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
	"spigate/netstack/ipsec"
	"spigate/netstack/ipsec/ike"
)

const second = int64(time.Second)

// tester is what tests and property tests have in common.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// parcel is something under way between two gateways: a datagram of IKE, or a
// whole ESP packet.
type parcel struct {
	at       int64
	from, to netip.AddrPort
	marker   bool
	esp      bool
	b        []byte
}

// world is gateways, a network between them and a clock that is moved by hand.
type world struct {
	t           tester
	now         int64
	rng         *rand.Rand
	gates       []*gate
	wire        []parcel
	delay       int64 // of each parcel; with spread up to that more
	spread      int64
	loss, dup   float64                   // of IKE alone: ESP shows what is lost otherwise
	nat         map[netip.Addr]netip.Addr // inside to outside; ports move by natShift
	natShift    uint16
	tap         func(*parcel) bool // false: lost
	lastPacket  uint32
	lateArrival int // packets that no SA wanted
}

// gate is what a router does about IPsec, with one network behind it.
type gate struct {
	w        *world
	addr     netip.Addr
	inside   frame.Addr // a host behind it
	keys     *Keyer
	db       *ipsec.Database
	config   Config
	policies ipsec.Config
	random   *source
	events   []ike.Event
	released []string
	got      map[uint32]int // packets that came through the tunnel
	refused  map[ipsec.Verdict]int
	nextScan int64
	off      bool
}

// source is random; forced is what reads of four octets get first.
type source struct {
	r      *rand.Rand
	forced []uint32
}

func (s *source) Read(b []byte) (int, error) {
	if len(b) == 4 && len(s.forced) > 0 {
		binary.BigEndian.PutUint32(b, s.forced[0])
		s.forced = s.forced[1:]
		return len(b), nil
	}
	for i := range b {
		b[i] = byte(s.r.Uint32())
	}
	return len(b), nil
}

func newWorld(t tester, seed uint64) *world {
	return &world{t: t, now: 1_000 * second, rng: rand.New(rand.NewPCG(seed, 1)), delay: int64(10 * time.Millisecond), nat: map[netip.Addr]netip.Addr{}, natShift: 1000}
}

// add makes a gateway.
func (w *world) add(s setup) *gate {
	w.t.Helper()
	g := &gate{w: w, addr: s.local, inside: s.inside.As4(), config: s.config, policies: s.policies, got: map[uint32]int{}, refused: map[ipsec.Verdict]int{}}
	g.begin()
	w.gates = append(w.gates, g)
	return g
}

// begin makes the gateway's parts: for the first time, or after a power cut.
func (g *gate) begin() {
	g.w.t.Helper()
	g.random = &source{r: rand.New(rand.NewPCG(g.w.rng.Uint64(), 2))}
	g.db = ipsec.NewDatabase(ipsec.Options{Random: g.random})
	var err error
	g.keys, err = New(Deps{
		Database: g.db, Random: g.random,
		Send:    func(d ike.Datagram) { g.w.post(parcel{from: d.Local, to: d.Remote, marker: d.Marker, b: d.Bytes}) },
		Log:     func(v ike.Event) { g.events = append(g.events, v) },
		Release: g.release,
	})
	if err != nil {
		g.w.t.Fatal(err)
	}
	g.nextScan = g.w.now + second
	g.apply()
}

// apply takes over config and policies, as a reload does.
func (g *gate) apply() {
	g.w.t.Helper()
	p, err := ipsec.NewPolicies(g.policies)
	if err != nil {
		g.w.t.Fatal(err)
	}
	gone, err := g.db.Apply(p, g.w.now)
	if err != nil {
		g.w.t.Fatal(err)
	}
	if err := g.keys.Apply(g.config, gone, g.w.now); err != nil {
		g.w.t.Fatal(err)
	}
}

func (g *gate) selector(name string) *ipsec.Selector {
	s, ok := g.db.Policies().Selector(name)
	if !ok {
		g.w.t.Fatalf("%v has no selector %q", g.addr, name)
	}
	return s
}

func (g *gate) release(name string) {
	g.released = append(g.released, name)
	s, ok := g.db.Policies().Selector(name)
	if !ok {
		return
	}
	if p, _, ok := g.db.Release(s, g.w.now); ok {
		g.seal(p)
	}
}

// send lets the host behind g send a numbered packet to the one behind to.
func (g *gate) send(to *gate) uint32 {
	g.w.lastPacket++
	g.seal(numbered(g.inside, to.inside, g.w.lastPacket))
	return g.w.lastPacket
}

func flowOf(p []byte) ipsec.Flow {
	return ipsec.Flow{Src: frame.Addr(p[12:16]), Dst: frame.Addr(p[16:20]), SrcPort: 1000, DstPort: 2000, Proto: frame.ProtoUDP, Ports: true}
}

func (g *gate) seal(p []byte) {
	f := flowOf(p)
	l := g.db.Policies().Out(f)
	if l.Verdict != ipsec.Protect {
		g.w.t.Fatalf("%v: %v", f, l.Verdict)
	}
	b := make([]byte, ipsec.Headroom+len(p)+ipsec.Tailroom)
	copy(b[ipsec.Headroom:], p)
	s := g.db.Send(l.Selector, f, b, ipsec.Headroom, len(p), 0, 0, g.w.now)
	if s.Acquire {
		g.keys.Acquire(l.Selector.Name)
	}
	if s.Verdict == ipsec.Pass {
		to := netip.AddrPortFrom(netip.AddrFrom4(s.To.Addr), s.To.Port)
		g.w.post(parcel{from: netip.AddrPortFrom(g.addr, to.Port()), to: to, esp: true, b: b[s.Start:s.End]})
		return
	}
	g.refused[s.Verdict]++
}

// take gets a parcel from the network.
func (g *gate) take(p parcel) {
	switch {
	case p.esp:
		r := g.db.Receive(p.b, g.w.now)
		if r.Verdict != ipsec.Pass {
			g.refused[r.Verdict]++
			g.w.lateArrival++
			return
		}
		if g.keys.Waiting() {
			g.keys.Heard(r.SPI)
		}
		if r.Moved {
			g.keys.Moved(r.SPI, r.From)
		}
		g.got[binary.BigEndian.Uint32(r.Inner[28:])]++
	case len(p.b) == 1 || p.to.Port() != 500 && p.to.Port() != 4500:
	default:
		g.keys.Datagram(p.to, p.from, p.b, p.marker)
	}
}

// numbered is a UDP packet that carries a number.
func numbered(from, to frame.Addr, n uint32) []byte {
	b := make([]byte, 100)
	h := header.IPv4(b)
	h.Encode(&header.IPv4Fields{TotalLength: uint16(len(b)), TTL: 64, Protocol: frame.ProtoUDP, SrcAddr: tcpip.AddrFrom4(from), DstAddr: tcpip.AddrFrom4(to)})
	h.SetChecksum(^h.CalculateChecksum())
	u := header.UDP(b[20:])
	u.Encode(&header.UDPFields{SrcPort: 1000, DstPort: 2000, Length: uint16(len(u))})
	binary.BigEndian.PutUint32(b[28:], n)
	return b
}

func (w *world) post(p parcel) {
	p.b = bytes.Clone(p.b)
	if out, ok := w.nat[p.from.Addr()]; ok {
		w.readdress(&p, &p.from, out, w.natShift)
	}
	for in, out := range w.nat {
		if p.to.Addr() == out {
			w.readdress(&p, &p.to, in, -w.natShift)
		}
	}
	if w.tap != nil && !w.tap(&p) {
		return
	}
	n := 1
	switch r := w.rng.Float64(); {
	case p.esp:
	case r < w.loss:
		n = 0
	case r < w.loss+w.dup:
		n = 2
	}
	for range n {
		p.at = w.now + w.delay
		if p.esp {
			p.at += int64(time.Microsecond) // it is in a later batch than the answer before it
		}
		if w.spread > 0 {
			p.at += w.rng.Int64N(w.spread)
		}
		q := p
		q.b = bytes.Clone(p.b)
		w.wire = append(w.wire, q)
	}
}

// readdress is what a NAT does to one side of a parcel.
func (*world) readdress(p *parcel, side *netip.AddrPort, to netip.Addr, shift uint16) {
	*side = netip.AddrPortFrom(to, side.Port()+shift)
	if !p.esp {
		return
	}
	a, at := to.As4(), 0
	if side == &p.to {
		at = 1
	}
	copy(p.b[12+4*at:], a[:])
	if p.b[9] == frame.ProtoUDP {
		binary.BigEndian.PutUint16(p.b[20+2*at:], side.Port())
	}
}

// run moves the clock to now+d and lets happen what happens until then.
func (w *world) run(d time.Duration) {
	end, steps := w.now+int64(d), 0
	for {
		next := end + 1
		for _, g := range w.gates {
			if !g.off {
				next = min(next, max(w.now, g.nextAt()))
			}
		}
		for _, p := range w.wire {
			next = min(next, p.at)
		}
		if next > end {
			break
		}
		w.now = next
		if steps++; steps > 2_000_000 {
			w.t.Fatal("the machines never rest")
		}
		w.deliver()
		for _, g := range w.gates {
			if !g.off {
				g.turn()
			}
		}
	}
	w.now = end
}

func (g *gate) nextAt() int64 {
	if g.keys.queue.filled.Load() {
		return g.w.now
	}
	return min(g.nextScan, g.keys.due.Load())
}

// turn is what a router does at the end of a batch, and every second.
func (g *gate) turn() {
	if g.nextScan <= g.w.now {
		g.nextScan = g.w.now + second
		g.db.Sweep(g.w.now, g.keys.Event)
	}
	for n := 0; g.keys.Due(g.w.now); n++ {
		if n == 1000 {
			g.w.t.Fatalf("%v is always due", g.addr)
		}
		g.keys.Work(g.w.now)
	}
}

func (w *world) deliver() {
	var due []parcel
	w.wire = slices.DeleteFunc(w.wire, func(p parcel) bool {
		if p.at <= w.now {
			due = append(due, p)
			return true
		}
		return false
	})
	for _, p := range due {
		for _, g := range w.gates {
			if g.addr == p.to.Addr() && !g.off {
				g.take(p)
			}
		}
	}
}

// stream lets packets flow both ways, one in each direction every gap, for d.
// between is called before each of them with its number. It reports those that
// did not arrive.
func (w *world) stream(a, b *gate, d, gap time.Duration, between func(i int)) (lost int) {
	w.t.Helper()
	type trip struct {
		to *gate
		n  uint32
	}
	var all []trip
	for i := range int(d / gap) {
		if between != nil {
			between(i)
		}
		all = append(all, trip{b, a.send(b)}, trip{a, b.send(a)})
		w.run(gap)
	}
	w.run(time.Second)
	for _, t := range all {
		if t.to.got[t.n] != 1 {
			lost++
		}
	}
	return lost
}

// said lists the events of a kind.
func (g *gate) said(k ike.EventKind) (out []ike.Event) {
	for _, v := range g.events {
		if v.Kind == k {
			out = append(out, v)
		}
	}
	return out
}

func (w *world) history() string {
	var b strings.Builder
	for _, g := range w.gates {
		fmt.Fprintf(&b, "%v: refused %v\n", g.addr, g.refused)
		for _, i := range g.db.List(w.now) {
			fmt.Fprintf(&b, "  %08x outbound %v of %v, age %v\n", i.SPI, i.Outbound, i.Selectors, i.Age)
		}
		for _, v := range g.keys.View(w.now) {
			fmt.Fprintf(&b, "  sa %d %v\n", v.Number, v.State)
			for _, c := range v.Children {
				fmt.Fprintf(&b, "    %v %08x %08x hold %v\n", c.State, c.In, c.Out, c.Hold)
			}
		}
		for _, v := range g.events[max(0, len(g.events)-30):] {
			fmt.Fprintf(&b, "  %12.6f %v\n", float64(v.At)/float64(second), &v)
		}
	}
	return b.String()
}
