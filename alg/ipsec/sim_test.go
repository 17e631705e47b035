package ipsec

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"spigate/alg"
	"spigate/netstack/frame"
)

// sim is a network of VPN clients, their servers, and one router in between,
// in which packets are lost, delayed and overtake each other. What the ALG
// does with each packet is compared with the reference model.
type sim struct {
	w       *world
	rng     *rand.Rand
	models  map[frame.Addr]*model // by server
	clients []*simClient
	events  []simEvent
	era     int // packets of an earlier era are lost
	calm    bool
	held    map[int]func() // by number of the packet: what it does when it goes on
	taken   int            // of w.released
	forged  map[uint32]bool
	nextSPI uint32

	misled, espIn, p2 int
}

type simEvent struct {
	at int64
	do func()
}

// simClient is a client, with its server's view of it.
type simClient struct {
	p         *peer
	tunnel    *tunnel // the newest
	nextID    uint32
	wanted    int64 // since when it has no working tunnel, 0 if it has
	longest   int64
	completed int
}

// tunnel is one pair of SAs and the exchange that makes it.
type tunnel struct {
	c           *simClient
	ex          *modelEx
	id          uint32
	in, out     uint32
	up          [2]bool // by direction: the sender has the SAs
	heard       [2]bool // by direction: ESP arrived
	seq         [2]uint32
	last        [2]int64 // by direction: when the receiver last heard ESP, or came up
	quiet       int64    // no ESP before
	period      int64
	dead        bool
	short       bool
	done3       bool
	replied     bool
	sentEarlier map[int]bool
}

func newSim(t failer, seed uint64, calm bool) *sim {
	s := &sim{w: newWorld(t), rng: rand.New(rand.NewPCG(seed, 1)), models: map[frame.Addr]*model{}, calm: calm,
		held: map[int]func(){}, forged: map[uint32]bool{}, nextSPI: 0x1000}
	s.w.pairs = map[Event]bool{}
	for i := range 5 {
		p := s.w.client(frame.Addr{192, 0, 2, byte(10 + i)}, byte(1+i%2))
		if i == 4 {
			p.server = addrY2
		}
		if s.models[p.server] == nil {
			s.models[p.server] = newModel(s.w.profile.gate())
		}
		p.phase1()
		s.clients = append(s.clients, &simClient{p: p, nextID: 100})
	}
	return s
}

func (s *sim) after(d int64, do func()) {
	e := simEvent{s.w.now + max(1, d), do}
	i, _ := slices.BinarySearchFunc(s.events, e.at, func(x simEvent, at int64) int {
		if x.at <= at {
			return -1
		}
		return 1
	})
	s.events = slices.Insert(s.events, i, e)
}

// run plays for d nanoseconds. Between two packets at least a nanosecond
// passes, and every deadline on the way has its tick.
func (s *sim) run(d int64) {
	end := s.w.now + d
	for len(s.events) > 0 && s.events[0].at <= end {
		e := s.events[0]
		s.events = s.events[1:]
		s.clock(max(e.at, s.w.now+1))
		e.do()
		s.goOn()
	}
	s.clock(end)
	s.goOn()
}

func (s *sim) clock(now int64) {
	s.w.at(float64(now) / 1e9)
	s.w.now = now
	s.w.do(s.w.a.Tick(now))
	for _, m := range s.models {
		m.advance(now)
	}
}

// goOn sends on what the ALG gave back, and checks that the model did too.
func (s *sim) goOn() {
	var got, want []int
	for ; s.taken < len(s.w.released); s.taken++ {
		n := int(binary.BigEndian.Uint32(s.w.released[s.taken].Packet))
		got = append(got, n)
		s.held[n]()
		delete(s.held, n)
	}
	for _, m := range s.models {
		want = append(want, m.released...)
		m.released = nil
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.w.t.Fatalf("at %d: given back %v, the model says %v", s.w.now, got, want)
	}
}

// leg carries something over one of the two links, if it is not lost.
func (s *sim) leg(do func(), esp, again bool) {
	delay := s.rng.Int64N(500e6)
	lost := s.rng.IntN(5) == 0
	if s.calm {
		lost = lost && !esp && !again
	} else if s.rng.IntN(20) == 0 {
		delay = s.rng.Int64N(15e9)
	}
	era := s.era
	if !lost {
		s.after(delay, func() {
			if era == s.era {
				do()
			}
		})
	}
}

func (s *sim) pick(ns ...int64) int64 { return ns[s.rng.IntN(len(ns))] }

// begin starts an exchange for a new tunnel, by the client or its server.
func (s *sim) begin(c *simClient, origin alg.Direction) {
	c.nextID++
	s.nextSPI += 2
	t := &tunnel{c: c, id: c.nextID, in: s.nextSPI, out: s.nextSPI + 1, period: s.pick(1e9, 2e9, 3e9), sentEarlier: map[int]bool{}}
	t.ex = &modelEx{client: c.p.inside, origin: origin, passed: map[int]bool{}}
	if !s.calm {
		t.short = c.p.version == 2 && s.rng.IntN(10) == 0
		if s.rng.IntN(4) == 0 {
			t.period, t.quiet = s.pick(10e9, 25e9, 40e9), s.pick(0, 35e9, 50e9)
		}
	}
	c.tunnel = t
	s.ask(t)
}

// ask sends the first message, and again until there is an answer.
func (s *sim) ask(t *tunnel) {
	if t.dead || t.replied {
		return
	}
	s.message(t, 1)
	s.after(s.pick(2e9, 3e9), func() { s.ask(t) })
}

// message sends message n of the exchange over the first link, through the
// router, over the second.
func (s *sim) message(t *tunnel, n int) {
	dir := t.ex.origin
	if n == 2 {
		dir = dir.Reverse()
	}
	again := t.sentEarlier[n]
	t.sentEarlier[n] = true
	s.leg(func() { s.routeIKE(t, dir, n, again) }, false, again)
}

func (s *sim) routeIKE(t *tunnel, dir alg.Direction, n int, again bool) {
	p := t.c.p
	m := ike{dir: dir, initiator: p.initiator, responder: p.responder, exchange: exCreateChild, id: t.id, body: 200, serial: byte(n)}
	if p.version == 1 {
		m.exchange, m.flags = exQuickMode, flagEncrypted
	} else if n == 2 {
		m.flags = flagResponse
	}
	short := t.short && n == 2
	if short {
		m.body = 60
	}
	number := len(s.w.sent)
	arrive := func() { s.leg(func() { s.arrived(t, n) }, false, again) }
	s.p2++
	s.held[number] = arrive
	want := s.models[p.server].phase2(t.ex, dir, n, number, short, s.w.now)
	r := s.w.step(p.packet(m, 500))
	if got := r.Verdict == alg.Forward; got != want {
		s.w.t.Fatalf("at %d: message %d of %v: %v (%s), the model forwards: %v", s.w.now, n, p.inside, r.Verdict, r.Why, want)
	}
	if want {
		delete(s.held, number)
		arrive()
	}
}

// arrived is what the peers do with a message.
func (s *sim) arrived(t *tunnel, n int) {
	asker := t.ex.origin
	switch {
	case t.dead:
	case n == 1:
		s.message(t, 2)
		if t.c.p.version == 2 && !t.short {
			s.comeUp(t, asker.Reverse())
		}
	case n == 2 && t.short:
		t.dead = true
		s.after(1e9, func() { s.again(t) })
	case n == 2:
		t.replied = true
		s.comeUp(t, asker)
		if t.c.p.version == 1 {
			s.message(t, 3)
			s.after(3e9, func() {
				if !t.done3 && !t.dead {
					s.message(t, 3)
				}
			})
		}
	case n == 3:
		t.done3 = true
		s.comeUp(t, asker.Reverse())
	}
}

// again tries anew, if nothing newer is there.
func (s *sim) again(t *tunnel) {
	if t.c.tunnel == t {
		s.begin(t.c, alg.In2Out)
	}
}

// comeUp lets one side send.
func (s *sim) comeUp(t *tunnel, dir alg.Direction) {
	if t.up[dir] {
		return
	}
	t.up[dir] = true
	t.last[dir.Reverse()] = s.w.now
	s.after(t.quiet, func() { s.talk(t, dir) })
}

// talk sends ESP, notices a peer that is dead, and stops when there is a newer
// tunnel.
func (s *sim) talk(t *tunnel, dir alg.Direction) {
	if t.dead {
		return
	}
	if s.w.now-t.last[dir.Reverse()] > 60e9+t.quiet/2 {
		t.dead = true // no answer: both give up (the other side notices the same)
		s.again(t)
		return
	}
	t.seq[dir]++
	seq := t.seq[dir]
	s.leg(func() { s.routeESP(t, dir, seq) }, true, false)
	s.after(t.period, func() { s.talk(t, dir) })
}

func (s *sim) routeESP(t *tunnel, dir alg.Direction, seq uint32) {
	p, m := t.c.p, s.models[t.c.p.server]
	if dir == alg.In2Out {
		if t.dead {
			return
		}
		want := m.outbound(p.inside, t.out, s.w.now)
		r := s.w.esp(dir, p.inside, p.nat, p.server, t.out, seq)
		if (r.Verdict == alg.Forward) != want {
			s.w.t.Fatalf("at %d: outbound %x of %v: %v (%s), the model forwards: %v", s.w.now, t.out, p.inside, r.Verdict, r.Why, want)
		}
		if want {
			s.leg(func() { s.listen(t, dir) }, true, false)
		}
		return
	}
	if to := s.inbound(p, t.in, seq, t); to == p.inside {
		s.leg(func() { s.listen(t, dir) }, true, false)
	}
}

// inbound routes an inbound packet; t is nil for a forged one.
func (s *sim) inbound(p *peer, spi, seq uint32, t *tunnel) frame.Addr {
	m := s.models[p.server]
	s.espIn++
	bound, open, holder := m.in[spi] != nil, m.open, m.owner
	to := m.inbound(spi, seq, s.w.now)
	r := s.w.esp(alg.Out2In, p.inside, p.nat, p.server, spi, seq)
	if r.Inside != to || (r.Verdict == alg.Forward) != (to != frame.Addr{}) {
		s.w.t.Fatalf("at %d: inbound %x: %v to %v (%s), the model says %v", s.w.now, spi, r.Verdict, r.Inside, r.Why, to)
	}
	if t == nil || to == p.inside || to.IsZero() {
		return to
	}
	s.misled++
	if !bound && (!open || holder != to || len(t.ex.passed) == 0) {
		s.w.t.Fatalf("at %d: %x of %v was bound to %v, who had no gate", s.w.now, spi, p.inside, to)
	}
	return to
}

// listen is ESP that arrived.
func (s *sim) listen(t *tunnel, dir alg.Direction) {
	c := t.c
	t.heard[dir], t.last[dir] = true, s.w.now
	if c.tunnel != t || !t.heard[0] || !t.heard[1] {
		return
	}
	if c.wanted >= 0 {
		c.longest = max(c.longest, s.w.now-c.wanted)
		c.wanted = -1
		c.completed++
		s.after(20e9+s.rng.Int64N(60e9), func() { s.rekey(t) })
	}
}

// rekey makes the next tunnel; this one goes on for ten seconds more.
func (s *sim) rekey(t *tunnel) {
	if t.dead || t.c.tunnel != t {
		return
	}
	t.c.wanted = s.w.now
	s.begin(t.c, alg.Direction(s.rng.IntN(2)))
	s.after(10e9, func() { t.dead = true })
}

// forge sends inbound ESP that no server sent, while a gate is open.
func (s *sim) forge() {
	s.after(s.rng.Int64N(20e9), func() {
		c := s.clients[s.rng.IntN(len(s.clients))]
		for i := range 1 + s.rng.Int64N(6) {
			s.after(1+i, func() {
				s.nextSPI += 2
				s.inbound(c.p, s.nextSPI, 1+s.rng.Uint32N(2000), nil)
			})
		}
		s.forge()
	})
}
