package netstack

import (
	"slices"
	"testing"
	"time"

	"spigate/alg/ipsec"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// mappingOf returns the mapping that a tunnel's IKE stands on.
func (k *tunnel) mappingOf() uint64 {
	k.w.t.Helper()
	for _, s := range slices.Collect(k.w.r.alg.IKESessions(ipsec.Filter{Inside: k.client})) {
		return s.Mapping
	}
	k.w.t.Fatal("no IKE session")
	return 0
}

func TestWhoeverEndsAMappingItsIKEEndsAtOnceAndTheNextIsServed_R47(t *testing.T) {
	for name, end := range map[string]func(w *world, mapping uint64){
		"the NAT's own timer": func(w *world, mapping uint64) {
			w.r.lsn.SetIdle(mapping, time.Second)
			w.advance(3 * time.Second)
		},
		"somebody else": func(w *world, mapping uint64) {
			w.r.fire(func(int64) { w.r.lsn.RemoveMapping(mapping) })
		},
		"a flush of one NAT port": func(w *world, mapping uint64) {
			b, _ := w.r.lsn.FindMapping(mapping)
			w.r.FlushLSN(lsn.Filter{NATPort: b.Outside.Port})
		},
		"its own next packet, late": func(w *world, mapping uint64) {
			w.r.lsn.SetIdle(mapping, time.Nanosecond)
			b, _ := w.r.lsn.FindMapping(mapping)
			w.clock.Advance(time.Millisecond) // no sweep is due
			w.fromLAN(udpTo(b.Inside, b.Remote, ike(2, 0xabc, 0, ikeSAInit, flagV2Init, 0, 100)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var told []lsn.Event
			w := newWorld(t, func(c *Config) { c.LSN.OnEvent = func(e lsn.Event) { told = append(told, e) } })
			a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
			a.init()
			b.init()
			w.one(a.ask())
			w.none(b.ask()) // a has the lock
			mapping := a.mappingOf()
			end(w, mapping)
			ports := map[uint16]bool{}
			for _, out := range w.atWAN() {
				p := w.parsed(out)
				ports[p.SrcPort] = true
			}
			if !ports[b.nat] {
				t.Errorf("the waiting client was not served; drops %v", w.dropped())
			}
			for _, s := range slices.Collect(w.r.alg.IKESessions(ipsec.Filter{})) {
				if s.Mapping == mapping {
					t.Error("the IKE session outlived its mapping")
				}
			}
			if n := len(told); n == 0 || told[n-1].Proto != frame.ProtoUDP {
				t.Error("the configuration's own OnEvent was not told")
			}
		})
	}
}

func TestAMappingThatEndsBeforeItsIKESessionIsMadeTakesItAlong(t *testing.T) {
	w := newWorld(t)
	a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
	a.init()
	b.init()
	mapping := a.mappingOf()
	w.r.lsn.RemoveMapping(mapping)
	w.r.later.takeGone() // as if the ALG had not had a session on it yet
	w.r.act([]ipsec.Action{{Kind: ipsec.MappingIdle, Mapping: mapping, Idle: time.Hour}})
	w.r.releaseHeld()
	if s := slices.Collect(w.r.alg.IKESessions(ipsec.Filter{})); len(s) != 1 || s[0].Inside != client2 {
		t.Errorf("IKE sessions: %+v", s)
	}
	w.conversation(at(server, 53))
	w.r.FlushLSN(lsn.Filter{})
	if w.r.alg.Carries(mapping) || len(slices.Collect(w.r.alg.IKESessions(ipsec.Filter{}))) != 0 {
		t.Error("something is left")
	}
}
