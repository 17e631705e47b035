package ipsec

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"spigate/alg"
	"spigate/netstack/frame"
)

// owner is who has an SPI bound, to see that nobody takes it over.
type owner struct {
	session uint64
	inside  frame.Addr
}

// machine drives a world with arbitrary events and checks the invariants of
// doc.go after each.
type machine struct {
	w      *world
	peers  []*peer
	owners map[spiKey]owner
	quota  *sessions
}

func newMachine(t failer) *machine {
	m := &machine{w: newWorld(t, func(p *Profile) { p.LateBindingIn = true }), owners: map[spiKey]owner{}}
	m.quota = &sessions{limit: 6, has: map[frame.Addr]int{}}
	m.w.a = New(Config{MaxIKESessions: 40, MaxESPSessions: 12, MaxHeldBytes: 4096, Quota: m.quota})
	for _, in := range []frame.Addr{addrA, addrB, addrC} {
		for v := range byte(2) {
			p := m.w.client(in, v+1)
			p.mapping += uint64(v) * 1000
			m.peers = append(m.peers, p)
		}
	}
	return m
}

// event does what three bytes say.
func (m *machine) event(op, who, arg byte) {
	p := m.peers[int(who)%len(m.peers)]
	dir := alg.Direction(arg & 1)
	small := uint32(arg >> 4)
	w := m.w
	switch op % 12 {
	case 0:
		p.phase1()
	case 1, 2: // any phase 2 message
		x := []byte{exAuth, exCreateChild, exFollowupKE, exCreateChild}[arg>>1&3]
		flags := arg & 8 << 2
		if p.version == 1 {
			x, flags = exQuickMode, flagEncrypted
		}
		p.send(ike{dir: dir, exchange: x, flags: flags, responder: p.responder, id: small + 1, body: 40 + int(arg), serial: arg & 7})
	case 3: // fragments
		p.send(ike{dir: dir, exchange: exAuth, responder: p.responder, id: small, frag: uint16(arg>>1&3) + 1, of: 4})
	case 4, 5:
		w.esp(alg.In2Out, p.inside, p.nat, p.server, 0x1000+small%6+uint32(who)<<8, uint32(arg))
	case 6, 7: // inbound SPIs are few, so that they collide
		w.esp(alg.Out2In, p.inside, p.nat, p.server, 0x2000+small, uint32(arg)<<uint(arg&7))
	case 8:
		w.now += int64(arg) * 100e6
		w.do(w.a.Tick(w.now))
	case 9: // time passes without a tick
		w.now += int64(arg) * 300e6
	case 10:
		m.rare(p, arg)
	case 11: // other SPIs: pickup, rekey, forgery
		p.send(ike{dir: dir, initiator: 1 + uint64(small), responder: uint64(arg & 2), exchange: 34 + arg>>1&3, id: small})
	}
	m.check()
}

func (m *machine) rare(p *peer, arg byte) {
	w := m.w
	switch arg % 5 {
	case 0:
		w.a.Flush(Filter{Inside: p.inside}, w.now, w.do)
		m.owners = map[spiKey]owner{}
	case 1:
		w.do(w.a.MappingGone(p.mapping, w.now))
	case 2:
		w.step(p.packet(ike{initiator: p.initiator, responder: p.responder, exchange: 37, body: 60}, portNATT))
	case 3:
		profile := *w.profile
		profile.ESPGateTimeout = max(3e9, profile.ESPGateTimeout/2)
		w.do(w.a.SetProfile("P", profile, w.now))
	case 4:
		p.spiIn += 0x10000
	}
}

func (m *machine) check() {
	m.w.t.Helper()
	var held, heldBytes, active, ikes, half int
	for i := range m.w.a.shards {
		sh := &m.w.a.shards[i]
		m.checkESP(sh, &active)
		inShard := 0
		for _, p := range sh.pairs {
			m.checkPair(sh, p)
			held += len(p.queue.messages)
			heldBytes += p.queue.bytes
			for _, c := range p.clients {
				ikes += len(c.sessions)
				inShard += len(c.sessions)
				for _, s := range c.sessions {
					half += boolToInt(s.state == Half)
				}
			}
		}
		checkAgenda(m.w.t, &sh.ikes, inShard)
		checkAgenda(m.w.t, &sh.esps, len(sh.byID))
		checkAgenda(m.w.t, &sh.busy, len(sh.busy.rows))
	}
	m.checkCookies(ikes)
	c, b := m.w.a.Counters(), &m.w.a.count
	m.same("blocked", int(c.Blocked), held)
	m.same("held bytes", int(b.heldBytes.Load()), heldBytes)
	m.same("active", int(c.Active), active)
	m.same("IKE sessions", int(c.IKESessions), ikes)
	m.same("IKE sessions for the bound", int(b.ikeSessions.Load()), ikes)
	m.same("half-open", int(c.IKEHalfOpen), half)
	m.same("half-open for the bound", int(b.ikeHalf.Load()), half)
	m.same("ESP sessions for the bound", int(b.espSessions.Load()), int(c.ESPSessions))
	if m.quota != nil {
		places := 0
		for _, n := range m.quota.has {
			places += n
		}
		m.same("places in the quota", places, int(c.ESPSessions))
	}
	all, uses := 0, 0
	for i := range m.w.a.subs {
		for _, q := range m.w.a.subs[i].quota {
			all += int(q.all)
		}
		for _, u := range m.w.a.maps[i].use {
			uses += int(u.states[0] + u.states[1] + u.states[2])
		}
	}
	m.same("quota", all, ikes)
	m.same("mapping uses", uses, ikes)
}

func (m *machine) same(what string, got, want int) {
	m.w.t.Helper()
	if got != want {
		m.w.t.Fatalf("%s: %d, want %d", what, got, want)
	}
}

// checkESP: the indexes agree, and an SPI stays with its owner.
func (m *machine) checkESP(sh *shard, active *int) {
	m.w.t.Helper()
	in := 0
	for id, s := range sh.byID {
		*active += boolToInt(s.state == ESPEstablished)
		if s.gone || s.id != id || s.spiIn == 0 && s.spiOut == 0 || (s.state == ESPEstablished) != (s.spiIn != 0 && s.spiOut != 0) {
			m.w.t.Fatalf("session in an impossible state: %+v", s)
		}
		if s.spiOut != 0 && m.w.a.subsOf(s.client.inside).find(outKey{s.client.inside, s.server, s.spiOut}) != s {
			m.w.t.Fatal("outbound index disagrees")
		}
		if s.spiIn == 0 {
			continue
		}
		in++
		k := spiKey{s.nat, s.server, s.spiIn}
		if sh.inbound[k] != s {
			m.w.t.Fatal("inbound index disagrees")
		}
		if o, ok := m.owners[k]; ok && o.session == id && o.inside != s.client.inside {
			m.w.t.Fatalf("SPI %x moved from %v to %v", s.spiIn, o.inside, s.client.inside)
		}
		m.owners[k] = owner{id, s.client.inside}
	}
	m.same("inbound index", len(sh.inbound), in)
}

// checkPair: one holder, whose gates they are; a bounded queue that waits for
// something; and deadlines that are known.
func (m *machine) checkPair(sh *shard, p *pair) {
	m.w.t.Helper()
	t, l, g := m.w.t, &p.lock, &p.gate
	if l.state == Free && len(p.queue.messages) > 0 {
		t.Fatal("messages wait for a free lock")
	}
	if l.state != Free && !slices.Contains(l.session.client.sessions, l.session) {
		t.Fatal("the lock's session is gone")
	}
	if l.state != Free && g.open && g.client != l.session.client {
		t.Fatal("the gates are not the holder's")
	}
	if len(p.queue.messages) > maxHeld || p.queue.bytes > maxHeldBytes {
		t.Fatalf("queue: %d messages, %d bytes", len(p.queue.messages), p.queue.bytes)
	}
	for _, bound := range g.bound {
		for _, s := range bound {
			if s != nil && (s.gone || s.client.inside != g.client.inside) {
				t.Fatal("a gate has a session that is gone or not its client's")
			}
		}
	}
	tokens := 0
	for _, c := range p.clients {
		for _, s := range c.sessions {
			tokens += boolToInt(s.token)
			if s.token != p.tokens[s] {
				t.Fatal("the pair's tokens disagree with its sessions")
			}
		}
	}
	m.same("tokens", len(p.tokens), tokens)
	busy := p.row != 0
	if want := l.state != Free || g.open || len(p.queue.messages) > 0; busy != want {
		t.Fatalf("busy %v, want %v", busy, want)
	}
	if len(p.clients) == 0 && !busy {
		t.Fatal("an empty pair is kept")
	}
}

// end lets all timers run out: nothing may be left.
func (m *machine) end() {
	w := m.w
	w.t.Helper()
	w.at(float64(w.now)/1e9 + 20000)
	m.check()
	for i := range w.a.shards {
		sh := &w.a.shards[i]
		if len(sh.pairs)+len(sh.byID)+len(sh.busy.rows)+len(sh.ikes.rows)+len(sh.esps.rows)+len(sh.inbound)+len(sh.outbound)+len(sh.cookies) != 0 {
			w.t.Fatalf("shard %d still has state: %d pairs, %d sessions", i, len(sh.pairs), len(sh.byID))
		}
		if u := &w.a.subs[i]; len(u.out)+len(u.in)+len(u.quota)+len(w.a.maps[i].use) != 0 {
			w.t.Fatalf("indexes of shard %d still have entries", i)
		}
	}
	if d, ok := w.a.NextDeadline(); ok {
		w.t.Fatalf("a deadline at %d without state", d)
	}
}

func TestInvariantsHoldForAnyEvents(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine(rt)
		for _, e := range rapid.SliceOfN(rapid.Custom(threeBytes), 1, 200).Draw(rt, "events") {
			m.event(e[0], e[1], e[2])
		}
		m.end()
	})
}

func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 0, 4, 0, 0, 6, 0, 0})                              // W1 in short
	f.Add([]byte{0, 0, 0, 0, 2, 0, 1, 0, 0, 1, 2, 0, 4, 0, 0, 6, 0, 0, 8, 0, 255}) // a second client waits
	f.Add([]byte{0, 1, 0, 3, 1, 0, 3, 1, 2, 9, 0, 255, 6, 1, 16, 10, 1, 0})
	f.Add([]byte{0, 1, 0, 1, 1, 2, 9, 0, 200, 4, 1, 0, 11, 1, 2, 10, 1, 2, 10, 1, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newMachine(t)
		for ; len(b) >= 3 && len(m.w.sent) < 2000; b = b[3:] {
			m.event(b[0], b[1], b[2])
		}
		m.end()
	})
}

func FuzzHeader(f *testing.F) {
	for _, name := range []string{"ikev1-libreswan-strongswan.pcap", "ikev2-strongswan-iked.pcap", "ikev2-natt-strongswan.pcap"} {
		for _, r := range readPcap(f, name) {
			if r.packet.Proto == frame.ProtoUDP {
				f.Add(r.packet.UDPPayload(), uint16(r.packet.DstPort))
			}
		}
	}
	f.Add(ike{initiator: 1, exchange: exAuth, frag: 1, of: 65535, body: 9}.bytes(2), uint16(500))
	f.Fuzz(func(t *testing.T, b []byte, port uint16) {
		w := newWorld(t)
		p := IKEPacket{Profile: w.profile, Inside: addrA, NAT: addrN, Server: addrY, ServerPort: port, Mapping: 1, Payload: b, Packet: b}
		if r := w.step(p); r.Verdict != alg.Forward {
			t.Errorf("the first message of a client: %v", r.Verdict)
		}
		h, ok := parseHeader(b)
		if ok && (h.size != len(b) || h.version != 1 && h.version != 2 || h.fragment > h.fragments || h.initiator == 0) {
			t.Errorf("accepted %+v", h)
		}
	})
}

func threeBytes(rt *rapid.T) [3]byte {
	b := rapid.Byte()
	return [3]byte{b.Draw(rt, "op"), b.Draw(rt, "who"), b.Draw(rt, "arg")}
}
