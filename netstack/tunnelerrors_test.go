package netstack

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
	"spigate/netstack/keying"
	"spigate/netstack/vserver"
)

// bypassRest lets everything bypass that no other selector is about.
func bypassRest(c *Config) {
	everything := netip.MustParsePrefix("0.0.0.0/0")
	c.IPsec.Selectors = append(c.IPsec.Selectors, tunnels.TrafficSelector{Name: "rest", Order: 9, Action: tunnels.ActBypass, Source: everything, Destination: everything})
}

// An error quotes the packet that it reports on: it must not show in clear what
// came sealed (Q16).
func TestAnErrorOfOursAboutWhatCameSealedIsSealed(t *testing.T) {
	for name, inner := range map[string][]byte{
		"whole":                  udpTo(at(far, 9), at(near, 9), "secret"),
		"a protocol not our own": ip(far, near, 47, []byte("se")),
		"shorter than a header":  ip(far, near, 47, []byte("s")),
	} {
		for rest, options := range map[string][]option{"": nil, "and the rest bypasses": {bypassRest}} {
			t.Run(name+" "+rest, func(t *testing.T) {
				e := withEnd(t, nil, options...)
				e.w.fromWAN(e.seals(ttl(inner, 1)))
				out := e.w.atWAN()
				if len(out) != 1 || out[0][9] != frame.ProtoESP {
					t.Fatalf("there left % x; %v", out, e.w.dropped())
				}
			})
		}
	}
}

func TestNobodyInClearReportsOnWhatWasSealed_VR32(t *testing.T) {
	e := withEnd(t, nil)
	sent := udpTo(at(near, 9), at(far, 9), "sealed")
	e.w.fromLAN(sent)
	e.w.one(e.w.atWAN())
	e.w.wantDrop(drop.SelectorReject, 1, func() { e.w.fromWAN(icmpError(stranger, near, 3, 4, sent, 28)) })
	e.w.none(e.w.atLAN())
	e.w.fromWAN(e.seals(icmpError(addr("10.1.1.254"), near, 3, 1, sent, 28)))
	e.w.one(e.w.atLAN())
}

func TestErrorsAboutESPAreNotTakenForThoseAboutItsInside(t *testing.T) {
	w := newWorld(t, hereTunnel().site, func(c *Config) {
		c.IPsec.Policies[0].Mode = tunnels.Transport
		c.IPsec.Selectors[0].Source, c.IPsec.Selectors[0].Destination = netip.PrefixFrom(netipOf(endHere), 32), netip.PrefixFrom(netipOf(endThere), 32)
		c.Keying.Peers = nil
	})
	w.wantDrop(drop.None, 0, func() {
		w.fromWAN(icmpError(stranger, endHere, 3, 4, esp(endHere, endThere, 0x1000, 1, "sealed"), 28))
		w.fromWAN(icmpError(stranger, endHere, 3, 1, udpTo(at(endHere, 500), at(endThere, 500), "ike"), 28))
	})
	w.wantDrop(drop.SelectorReject, 1, func() {
		w.fromWAN(icmpError(stranger, endHere, 3, 1, udpTo(at(endHere, 9), at(endThere, 9), "not ike"), 28))
	})
}

// meanwhile does something when the log says something.
type meanwhile struct {
	slog.Handler
	text string
	do   func()
}

func (m *meanwhile) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == m.text && m.do != nil {
		do := m.do
		m.do = nil
		do()
	}
	return m.Handler.Handle(ctx, r)
}

// A server and the selector for its packets come together: there is no moment in
// between.
func TestAReloadThatBringsServerAndSelectorOpensNoWindow(t *testing.T) {
	m := &meanwhile{text: "listeners exchanged"}
	w := newWorld(t, hereTunnel().site, func(c *Config) {
		m.Handler, c.Log = c.Log.Handler(), slog.New(m)
		c.IPsec, c.Keying = tunnels.Config{}, keying.Config{}
		c.Listeners.Servers = []vserver.Server{forwarding("other", "203.0.113.0/24")}
	})
	w.neighbor(wanIf, endThere)
	w.neighbor(lanIf, near)
	w.fromLAN(udpTo(at(near, 9), at(server, 9), "so that the log says something"))
	w.atWAN()
	m.do = func() {
		w.wantDrop(drop.NoSA, 1, func() { w.fromLAN(udpTo(at(near, 9), at(far, 9), "in between")) })
		w.wantDrop(drop.SelectorReject, 1, func() { w.fromWAN(udpTo(at(far, 9), at(near, 9), "in between")) })
	}
	s := hereTunnel()
	_, err := w.r.Reload(Settings{LSN: testLSN(), IPsec: s.policies(), Listeners: vserver.Config{Servers: []vserver.Server{
		forwarding("other", "203.0.113.0/24"), forwarding("out", "10.1.1.0/24"), forwarding("in", "10.2.1.0/24"),
	}}})
	if err != nil || m.do != nil {
		t.Fatalf("%v, %v", err, m.do == nil)
	}
	w.none(w.atLAN())
	for _, b := range w.atWAN() {
		if b[9] != frame.ProtoUDP || view(b).SrcPort != 500 {
			t.Errorf("in clear: % x", b)
		}
	}
}

// A server that is told to require protection does so at once, also where no
// tunnel is.
func TestWhatIsOnTheFastPathIsAskedForProtectionAfterAReload_VR31(t *testing.T) {
	w := newWorld(t, serving(forwarding("v", "203.0.113.0/24")), func(c *Config) { c.LSN.Clients[0].Networks = prefixes("10.0.0.0/8") })
	question, answer := udpTo(at(client1, 9), at(server, 9), "x"), udpTo(at(server, 9), at(client1, 9), "x")
	for range 3 {
		w.fromLAN(question)
		w.fromWAN(answer)
	}
	if n := w.r.flows.Stats().Entries; n == 0 {
		t.Fatal("nothing has the fast path")
	}
	s := w.on(natAddr)
	s.LSN.Clients[0].Networks = prefixes("10.0.0.0/8")
	s.Listeners.Servers = []vserver.Server{change(forwarding("v", "203.0.113.0/24"), func(s *vserver.Server) { s.RequireProtection = true })}
	w.reload(s)
	w.atWAN()
	w.atLAN()
	w.wantDrop(drop.SelectorMiss, 2, func() {
		w.fromLAN(question)
		w.fromWAN(answer)
	})
}
