package ipsec

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"spigate/alg"
	"spigate/netstack/frame"
)

func TestN40_AnswerToPort500FindsItsOnlyOwner_R38(t *testing.T) {
	for _, c := range []struct {
		name  string
		knob  bool
		same  bool
		after float64 // seconds
		want  bool
	}{
		{name: "default: dropped"},
		{name: "one session", knob: true, want: true},
		{name: "two sessions with one SPI", knob: true, same: true},
		{name: "the session ends now (R22)", knob: true, after: 30, want: true},
		{name: "the session is over", knob: true, after: 30.000000001},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(p *Profile) { p.IKECookieDemux = c.knob })
			a, b := w.client(addrA, 2), w.client(addrB, 2)
			if c.same {
				b.initiator = a.initiator
			}
			a.send(ike{dir: alg.In2Out, exchange: exSAInit})
			b.send(ike{dir: alg.In2Out, exchange: exSAInit})
			w.jump(c.after)
			answer := ike{initiator: a.initiator, responder: a.responder, exchange: exSAInit, flags: flagResponse, body: 200}.bytes(2)
			inside, mapping, ok := w.a.OwnerOfCookie(addrN, addrY, answer, w.now)
			if ok != c.want || ok && (inside != addrA || mapping != a.mapping) {
				t.Errorf("found %v %d %v, want %v", inside, mapping, ok, c.want)
			}
			if _, _, ok := w.a.OwnerOfCookie(addrN2, addrY, answer, w.now); ok {
				t.Error("found at another NAT address")
			}
			if _, _, ok := w.a.OwnerOfCookie(addrN, addrY, answer[:20], w.now); ok {
				t.Error("found by a cut header")
			}
		})
	}
}

// Sessions that are over and not yet swept up are passed by, but not any number
// of them: who looks has the shard's lock.
func TestN40_FewSessionsWithOneSPIAreLookedAt(t *testing.T) {
	for over, want := range map[int]bool{maxTwins - 1: true, maxTwins: false} {
		w := newWorld(t, func(p *Profile) { p.IKECookieDemux = true })
		for n := range over + 1 {
			if n == over {
				w.jump(31)
			}
			p := w.client(frame.Addr{10, 0, 0, byte(n)}, 2)
			p.initiator, p.mapping = 0x77, uint64(n)+1
			p.send(ike{dir: alg.In2Out, exchange: exSAInit})
		}
		answer := ike{initiator: 0x77, exchange: exSAInit, flags: flagResponse, body: 200}.bytes(2)
		if inside, _, ok := w.a.OwnerOfCookie(addrN, addrY, answer, w.now); ok != want || ok && inside != (frame.Addr{10, 0, 0, byte(over)}) {
			t.Errorf("beside %d that are over: found %v %v, want %v", over, inside, ok, want)
		}
	}
}

func TestCountersOfOneProfile_R63(t *testing.T) {
	w := newWorld(t)
	other := *w.profile
	other.Name = "Q"
	a := w.client(addrA, 2).tunnel()
	w.at(10)
	a.ask(exCreateChild, 2)
	w.profile = &other
	b := w.client(addrB, 2)
	b.phase1()
	w.held(b.ask(exAuth, 1))
	b.out(1) // no gate is B's
	p, _ := w.a.CountersOf("P")
	q, _ := w.a.CountersOf("Q")
	if p.Total != 1 || p.Active != 1 || p.Blocked != 0 || p.RxPkts != 1 || p.TxPkts != 1 || p.Dropped != 0 || p.IKESessions != 1 {
		t.Errorf("P: %+v", p)
	}
	if q.Total != 0 || q.Active != 0 || q.Blocked != 1 || q.P2Held != 1 || q.Dropped != 1 || q.ESPNoGateOut != 1 || q.IKESessions != 1 {
		t.Errorf("Q: %+v", q)
	}
	w.esp(alg.Out2In, addrA, addrN2, addrY, 0x1234, 1) // nobody's
	sum := p
	sum.Add(&q)
	sum.Dropped++
	sum.ESPNoGateIn++
	if all := w.a.Counters(); all != sum {
		t.Errorf("all %+v\nsum %+v", all, sum)
	}
	if _, ok := w.a.CountersOf("R"); ok {
		t.Error("a profile that was never used has counters")
	}
}

// checkCookies: the index has each IKE session once, and says the same as
// looking at all of them.
func (m *machine) checkCookies(ikes int) {
	m.w.t.Helper()
	linked := 0
	for i := range m.w.a.shards {
		sh := &m.w.a.shards[i]
		for k, head := range sh.cookies {
			chain, live := 0, map[*ikeSession]bool{}
			var before *ikeSession
			for s := head; s != nil; before, s = s, s.after {
				if s.cookie() != k || s.before != before || !slices.Contains(s.client.sessions, s) {
					m.w.t.Fatal("the index of initiator SPIs is out of order")
				}
				chain++
				if m.w.now <= s.deadline() {
					live[s] = true
				}
			}
			only := sh.cookies.only(k, m.w.now)
			if (only != nil) != (len(live) == 1) && chain <= maxTwins || only != nil && !live[only] {
				m.w.t.Fatalf("one of %d live sessions was found: %v", len(live), only != nil)
			}
			linked += chain
		}
	}
	m.same("index of initiator SPIs", linked, ikes)
}

// BenchmarkOwnerOfCookie: what an answer to port 500 costs on an address that
// has many clients of one server.
func BenchmarkOwnerOfCookie(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(b, func(p *Profile) { p.IKECookieDemux = true })
			w.a = New(Config{MaxIKESessions: 2 * n})
			for i := range n {
				var inside frame.Addr
				binary.BigEndian.PutUint32(inside[:], 0x0a000000+uint32(i))
				p := w.client(inside, 2)
				p.mapping, p.initiator, p.responder = uint64(i)+1, uint64(i)+1, uint64(i)+1
				p.phase1()
				w.sent, w.lines = w.sent[:0], w.lines[:0]
			}
			if got := w.a.Counters().IKESessions; got != uint64(n) {
				b.Fatalf("%d sessions", got)
			}
			answer := ike{initiator: 1, responder: 1, exchange: exSAInit, flags: flagResponse, body: 200}.bytes(2)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				binary.BigEndian.PutUint64(answer, uint64(i*7919%n)+1)
				if _, _, ok := w.a.OwnerOfCookie(addrN, addrY, answer, w.now); !ok {
					b.Fatal("not found")
				}
			}
		})
	}
}
