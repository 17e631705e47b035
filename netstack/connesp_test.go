package netstack

import (
	"testing"
	"time"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// briefly is a server whose connections the LSN translates and which end when
// they are idle for five seconds.
func briefly(p vserver.FastL4) option {
	p.Name, p.IdleTimeout = "brief", 5*time.Second
	s := byGroup("v")
	s.Profile = p.Name
	return func(c *Config) {
		c.Listeners.Profiles = append(c.Listeners.Profiles, p)
		serving(s)(c)
	}
}

// fastFlows are the flows that a subscriber's ESP has in the fast path.
func (w *world) fastFlows(inside frame.Addr) (n int) {
	w.r.flows.Walk(func(i flow.Info) bool {
		if i.Valid && i.Key.Proto == frame.ProtoESP && (i.Key.Src == inside || i.Side == flow.Destination && i.Addr == inside) {
			n++
		}
		return true
	})
	return n
}

// Who lets his ESP begin and end all the time keeps nobody else off the fast path.
func TestAnESPConnectionThatEndsTakesItsOwnFlowsAlone(t *testing.T) {
	own := addr("203.0.113.93")
	for name, statics := range map[string][]lsn.Static{
		"by gates": nil,
		"at a 1:1 address, as another one's": {
			{Name: "one", Inside: at(client1, 0), Outside: at(own, 0)},
			{Name: "other", Inside: at(addr("192.0.2.14"), 0), Outside: at(addr("203.0.113.94"), 0)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, briefly(vserver.FastL4{}), func(c *Config) { c.LSN.Statics = statics })
			idle, busy, nat := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000), natAddr
			both := func() { idle.traffic() }
			if statics != nil {
				nat = own
				both = func() {
					w.fromLAN(esp(client1, server, 0x1001, 1, "x"))
					w.fromWAN(esp(server, nat, 0x1002, 1, "x"))
					if p := w.one(w.atWAN()); p.Src != nat {
						t.Fatalf("left from %v", p.Src)
					}
					w.one(w.atLAN())
				}
			} else {
				idle.up()
			}
			busy.up()
			for range 3 {
				both()
				busy.traffic()
			}
			k := w.dialog(0, at(client2, 40000), at(server, 443))
			k.chat(2)
			if n := w.fastFlows(client1); n != 2 {
				t.Fatalf("%d flows of the one who ends", n)
			}
			for second := range 9 {
				w.advance(time.Second)
				if n := w.hits(func() { busy.traffic(); k.chat(1) }); n != 4 {
					t.Fatalf("second %d: %d hits of 4 packets of others", second, n)
				}
			}
			if n := w.fastFlows(client1); n != 0 {
				t.Errorf("%d flows are left of the connection that ended", n)
			}
			both() // and it comes back by itself
			both()
			if n := w.hits(both); n != 2 {
				t.Errorf("%d hits of 2 packets", n)
			}
		})
	}
}

// A connection has more sessions of the ALG in its life than it remembers.
func TestAllSPIsOfALongTunnelGoWithItsConnection(t *testing.T) {
	w := newWorld(t, briefly(vserver.FastL4{}))
	k := w.tunnel(client1, 0x1000)
	k.up()
	for n := range uint32(2 * vserver.MostAlso) {
		k.rekey(2 + n)
		k.traffic()
		k.traffic()
		if hits := w.hits(k.traffic); hits != 2 {
			t.Fatalf("rekey %d: %d hits of 2 packets", n, hits)
		}
		w.r.flows.Walk(func(i flow.Info) bool { // as if it had been idle
			if i.Key.ID != k.spiIn && i.Key.ID != k.spiOut {
				w.r.flows.Remove(i.Key)
			}
			return true
		})
	}
	w.advance(7 * time.Second)
	if n := w.fastFlows(client1); n != 0 || w.r.Connections().Len() != 0 {
		t.Errorf("%d flows are left, %d connections", n, w.r.Connections().Len())
	}
}

// More SPIs at a time than a connection remembers: what is beyond goes the slow way.
func TestOneConnectionHasABoundedNumberOfESPSessionsInTheFastPath(t *testing.T) {
	w := newWorld(t, briefly(vserver.FastL4{}))
	k := w.tunnel(client1, 0x1000)
	k.up()
	for n := range uint32(vserver.MostAlso + 3) {
		k.rekey(2 + n)
		for range 3 {
			k.traffic()
		}
	}
	if n := w.fastFlows(client1); n > 2*vserver.MostAlso || n < vserver.MostAlso {
		t.Errorf("%d flows", n)
	}
	w.advance(7 * time.Second)
	if n := w.fastFlows(client1); n != 0 {
		t.Errorf("%d flows are left of the connection that ended", n)
	}
}

func TestAServerThatKeepsTheTTLSeesEveryESPPacket(t *testing.T) {
	w := newWorld(t, briefly(vserver.FastL4{PreserveTTL: true}))
	k := w.tunnel(client1, 0x1000)
	k.up()
	if n := w.hits(func() { k.traffic(); k.traffic(); k.traffic() }); n != 0 {
		t.Errorf("%d packets took the fast path", n)
	}
}
