package ipsec

import (
	"encoding/binary"
	"slices"
	"time"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// The addresses of the walk-throughs.
var (
	addrA  = frame.Addr{192, 0, 2, 10}
	addrB  = frame.Addr{192, 0, 2, 11}
	addrC  = frame.Addr{192, 0, 2, 12}
	addrN  = frame.Addr{203, 0, 113, 3}
	addrN2 = frame.Addr{203, 0, 113, 4}
	addrY  = frame.Addr{198, 51, 100, 1}
	addrY2 = frame.Addr{198, 51, 100, 2}
)

// failer is what tests, fuzz targets and rapid have in common.
type failer interface {
	Helper()
	Error(...any)
	Errorf(string, ...any)
	Fatal(...any)
	Fatalf(string, ...any)
}

// world is a router without packets: it steps the ALG at a hand-moved time and
// does what the actions say.
type world struct {
	t        failer
	a        *ALG
	now      int64
	profile  *Profile
	sent     []IKEPacket // by the number in the first bytes of Packet
	released []IKEPacket // given back and forwarded
	lost     []drop.Reason
	idle     map[uint64]time.Duration // of mappings, as last asked for
	removed  map[uint64]bool          // mappings
	flows    map[uint64]bool          // sessions whose flows were removed
	lines    []string                 // of the log
	pairs    map[Event]bool           // ESTABLISHED sessions by the log; nil: nobody keeps them
}

func newWorld(t failer, change ...func(*Profile)) *world {
	p := DefaultProfile()
	p.Name = "P"
	for _, c := range change {
		c(&p)
	}
	return &world{t: t, a: New(Config{}), profile: &p,
		idle: map[uint64]time.Duration{}, removed: map[uint64]bool{}, flows: map[uint64]bool{}}
}

func (w *world) sessions(f Filter) []SessionInfo { return slices.Collect(w.a.Sessions(f)) }
func (w *world) gates(f Filter) []GateInfo       { return slices.Collect(w.a.Gates(f)) }
func (w *world) ikes(f Filter) []IKEInfo         { return slices.Collect(w.a.IKESessions(f)) }

// at moves the clock to s seconds and ticks at every deadline on the way.
func (w *world) at(s float64) {
	w.t.Helper()
	end := int64(s * 1e9)
	for turns := 0; ; turns++ {
		d, ok := w.a.NextDeadline()
		if !ok || d > end {
			break
		}
		if turns > 10000 {
			w.t.Fatalf("deadlines do not advance: next %d, end %d", d, end)
		}
		w.now = max(w.now, d)
		w.do(w.a.Tick(w.now))
	}
	w.now = end
}

// jump moves the clock without a tick, so that only lazy expiry can act.
func (w *world) jump(s float64) { w.now = int64(s * 1e9) }

func (w *world) do(actions []Action) {
	w.t.Helper()
	for _, a := range actions {
		switch a.Kind {
		case Release:
			p := w.sent[binary.BigEndian.Uint32(a.Packet)]
			w.released = append(w.released, p)
			if r := w.step(p); r.Verdict != alg.Forward {
				w.t.Errorf("a released message is not forwarded: %v, %s", r.Verdict, r.Why)
			}
		case Discard:
			w.lost = append(w.lost, a.Reason)
		case MappingIdle:
			w.idle[a.Mapping] = a.Idle
		case MappingRemove:
			w.removed[a.Mapping] = true
		case FlowRemove:
			w.flows[a.Session] = true
		case Log:
			w.lines = append(w.lines, a.Event.String())
			if w.pairs != nil {
				w.pair(a.Event)
			}
		}
	}
}

// pair holds the log to this: each pair of SPIs that it calls created it calls
// deleted once, before it creates it again.
func (w *world) pair(e *Event) {
	w.t.Helper()
	k := Event{Inside: e.Inside, NAT: e.NAT, Server: e.Server, SPIIn: e.SPIIn, SPIOut: e.SPIOut}
	switch e.What {
	case "ESP CREATED":
		if w.pairs[k] {
			w.t.Errorf("%v: it is there already", e)
		}
		w.pairs[k] = true
	case "ESP DELETED":
		if w.pairs[k] == e.Half {
			w.t.Errorf("%v: half %v, created %v", e, e.Half, w.pairs[k])
		}
		delete(w.pairs, k)
	}
}

// checkPairs holds the log against the tables: what it has not called deleted is
// there.
func (w *world) checkPairs() {
	w.t.Helper()
	n := 0
	for _, s := range w.sessions(Filter{}) {
		if s.State != ESPEstablished {
			continue
		}
		n++
		if k := (Event{Inside: s.Inside, NAT: s.NAT, Server: s.Server, SPIIn: s.SPIIn, SPIOut: s.SPIOut}); !w.pairs[k] {
			w.t.Errorf("%+v is not in the log", s)
		}
	}
	if n != len(w.pairs) {
		w.t.Errorf("%d sessions are established, by the log %d", n, len(w.pairs))
	}
}

// due reports that Tick has something to do, so that deciding alone need not
// say what a step does after it.
func (w *world) due() bool {
	next, ok := w.a.NextDeadline()
	return ok && next <= w.now
}

// step sends one IKE packet and checks that deciding alone says the same and
// changes nothing.
func (w *world) step(p IKEPacket) Result {
	w.t.Helper()
	due := w.due()
	d := w.a.DecideIKE(&p, w.now)
	if again := w.a.DecideIKE(&p, w.now); again.Verdict != d.Verdict || again.Why != d.Why {
		w.t.Errorf("deciding twice differs: %q, then %q", d.Why, again.Why)
	}
	r := w.a.StepIKE(&p, w.now)
	if !due && (d.Verdict != r.Verdict || d.Reason != r.Reason) {
		w.t.Errorf("decide says %v %v, step %v %v", d.Verdict, d.Reason, r.Verdict, r.Reason)
	}
	w.do(r.Actions)
	return r
}

// esp sends one ESP packet. Inbound ones are addressed to NAT address n.
func (w *world) esp(dir alg.Direction, inside, n, server frame.Addr, spi, seq uint32) Result {
	w.t.Helper()
	p := ESPPacket{Dir: dir, NAT: n, Server: server, SPI: spi, Seq: seq, Len: 100}
	if dir == alg.In2Out {
		p.Inside, p.Profile = inside, w.profile
	}
	due := w.due()
	d := w.a.DecideESP(&p, w.now)
	r := w.a.StepESP(&p, w.now)
	if !due && (d.Verdict != r.Verdict || d.Reason != r.Reason || d.Inside != r.Inside || d.NAT != r.NAT) {
		w.t.Errorf("decide says %v %v to %v, step %v %v to %v", d.Verdict, d.Reason, d.Inside, r.Verdict, r.Reason, r.Inside)
	}
	w.do(r.Actions)
	return r
}

// gate returns what is going on between N and Y.
func (w *world) gate() GateInfo {
	for _, g := range w.gates(Filter{NAT: addrN, Server: addrY}) {
		return g
	}
	return GateInfo{}
}

// peer is a VPN client and its server's view of it.
type peer struct {
	w                   *world
	inside, nat, server frame.Addr
	mapping             uint64
	initiator           uint64
	responder           uint64
	version             byte
	spiIn, spiOut       uint32
}

func (w *world) client(inside frame.Addr, version byte) *peer {
	last := uint64(inside[3])
	return &peer{w: w, inside: inside, nat: addrN, server: addrY, mapping: 1000 + last,
		initiator: 0xc0ffee00 + last, responder: 0x5e7e0000 + last, version: version,
		spiIn: 0xc1000000 + uint32(last), spiOut: 0x51000000 + uint32(last)}
}

// ike is one IKE message: header fields and the length of what follows.
type ike struct {
	dir       alg.Direction
	initiator uint64
	responder uint64
	exchange  byte
	flags     byte
	id        uint32
	body      int
	serial    byte
	frag, of  uint16
}

func (m ike) bytes(version byte) []byte {
	b := make([]byte, headerLen+m.body)
	binary.BigEndian.PutUint64(b, m.initiator)
	binary.BigEndian.PutUint64(b[8:], m.responder)
	b[16] = payloadSK
	b[17] = version << 4
	b[18], b[19] = m.exchange, m.flags
	binary.BigEndian.PutUint32(b[20:], m.id)
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	b[len(b)-1] = m.serial
	if m.of != 0 {
		b[16] = payloadSKF
		binary.BigEndian.PutUint16(b[32:], m.frag)
		binary.BigEndian.PutUint16(b[34:], m.of)
	}
	return b
}

// packet wraps a message for the ALG.
func (p *peer) packet(m ike, port uint16) IKEPacket {
	payload := m.bytes(p.version)
	if port == portNATT {
		payload = append([]byte{0, 0, 0, 0}, payload...)
	}
	number := binary.BigEndian.AppendUint32(nil, uint32(len(p.w.sent)))
	pk := IKEPacket{Dir: m.dir, Profile: p.w.profile, Inside: p.inside, NAT: p.nat, Server: p.server,
		InsidePort: 500, NATPort: 2000, ServerPort: port, Mapping: p.mapping,
		Payload: payload, Packet: append(number, payload...), In: 1 + frame.Interface(m.dir)}
	p.w.sent = append(p.w.sent, pk)
	return pk
}

func (p *peer) send(m ike) Result {
	p.w.t.Helper()
	if m.initiator == 0 {
		m.initiator = p.initiator
	}
	if m.body == 0 {
		m.body = 200
	}
	return p.w.step(p.packet(m, 500))
}

// phase1 brings the IKE session UP.
func (p *peer) phase1() {
	p.w.t.Helper()
	if p.version == 1 {
		p.send(ike{dir: alg.In2Out, exchange: exMainMode})
		p.send(ike{dir: alg.Out2In, exchange: exMainMode, responder: p.responder})
		p.send(ike{dir: alg.In2Out, exchange: exMainMode, responder: p.responder, serial: 1})
		p.send(ike{dir: alg.Out2In, exchange: exMainMode, responder: p.responder, serial: 2})
		return
	}
	p.send(ike{dir: alg.In2Out, exchange: exSAInit})
	p.send(ike{dir: alg.Out2In, exchange: exSAInit, flags: flagResponse, responder: p.responder})
}

// quick sends quick mode message n (1 to 3) of an exchange the client starts.
func (p *peer) quick(id uint32, n byte) Result {
	p.w.t.Helper()
	dir := alg.In2Out
	if n == 2 {
		dir = alg.Out2In
	}
	return p.send(ike{dir: dir, exchange: exQuickMode, flags: flagEncrypted, responder: p.responder, id: id, serial: n})
}

// ask and reply send an IKEv2 exchange that the client starts.
func (p *peer) ask(exchange byte, id uint32) Result {
	p.w.t.Helper()
	return p.send(ike{dir: alg.In2Out, exchange: exchange, responder: p.responder, id: id})
}

func (p *peer) reply(exchange byte, id uint32, body int) Result {
	p.w.t.Helper()
	return p.send(ike{dir: alg.Out2In, exchange: exchange, flags: flagResponse, responder: p.responder, id: id, body: body})
}

func (p *peer) out(seq uint32) Result {
	p.w.t.Helper()
	return p.w.esp(alg.In2Out, p.inside, p.nat, p.server, p.spiOut, seq)
}

func (p *peer) in(seq uint32) Result {
	p.w.t.Helper()
	return p.w.esp(alg.Out2In, p.inside, p.nat, p.server, p.spiIn, seq)
}

// tunnel brings up everything: phase 1, phase 2, ESP both ways.
func (p *peer) tunnel() *peer {
	p.w.t.Helper()
	p.phase1()
	if p.version == 1 {
		p.quick(7, 1)
		p.quick(7, 2)
		p.quick(7, 3)
	} else {
		p.ask(exAuth, 1)
		p.reply(exAuth, 1, 200)
	}
	p.w.forwarded(p.out(1), p.inside)
	p.w.forwarded(p.in(1), p.inside)
	return p
}

// forwarded checks that a packet passes, for the right subscriber.
func (w *world) forwarded(r Result, inside frame.Addr) {
	w.t.Helper()
	if r.Verdict != alg.Forward || r.Inside != inside {
		w.t.Errorf("%v (%v) for %v: %s; want forward for %v", r.Verdict, r.Reason, r.Inside, r.Why, inside)
	}
}

func (w *world) held(r Result) {
	w.t.Helper()
	if r.Verdict != alg.Hold {
		w.t.Errorf("%v (%v): %s; want hold", r.Verdict, r.Reason, r.Why)
	}
}

func (w *world) dropped(r Result, why drop.Reason) {
	w.t.Helper()
	if r.Verdict != alg.Drop || r.Reason != why {
		w.t.Errorf("%v (%v): %s; want drop (%v)", r.Verdict, r.Reason, r.Why, why)
	}
}

func (w *world) lock(want LockState, holder frame.Addr) {
	w.t.Helper()
	g := w.gate()
	if g.State != want || want != Free && g.Inside != holder {
		w.t.Errorf("at %.9f s the lock is %v of %v, want %v of %v", float64(w.now)/1e9, g.State, g.Inside, want, holder)
	}
}
