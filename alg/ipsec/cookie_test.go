package ipsec

import (
	"testing"

	"spigate/alg"
)

func TestN40_AnswerToPort500FindsItsOnlyOwner_R38(t *testing.T) {
	for _, c := range []struct {
		name         string
		knob         bool
		same, elapse bool
		want         bool
	}{
		{name: "default: dropped"},
		{name: "one session", knob: true, want: true},
		{name: "two sessions with one SPI", knob: true, same: true},
		{name: "the session is over", knob: true, elapse: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(p *Profile) { p.IKECookieDemux = c.knob })
			a, b := w.client(addrA, 2), w.client(addrB, 2)
			if c.same {
				b.initiator = a.initiator
			}
			a.send(ike{dir: alg.In2Out, exchange: exSAInit})
			b.send(ike{dir: alg.In2Out, exchange: exSAInit})
			if c.elapse {
				w.jump(30.1)
			}
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
	sum.add(&q)
	sum.Dropped++
	sum.ESPNoGateIn++
	if all := w.a.Counters(); all != sum {
		t.Errorf("all %+v\nsum %+v", all, sum)
	}
	if _, ok := w.a.CountersOf("R"); ok {
		t.Error("a profile that was never used has counters")
	}
}
