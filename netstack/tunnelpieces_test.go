package netstack

import (
	"net/netip"
	"strings"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// forPort is a tunnel for UDP to port 9 alone.
func forPort(c *Config) {
	c.IPsec.Selectors[0].Protocol, c.IPsec.Selectors[0].DestinationPort = frame.ProtoUDP, 9
}

// cuttable gives a packet that may be cut an id.
func cuttable(b []byte, id int) []byte { return numbered(mayCut(b), uint16(id)) }

// nothingInClear fails if something but ESP has left.
func (w *world) nothingInClear() {
	w.t.Helper()
	for _, b := range w.atWAN() {
		if b[9] != frame.ProtoESP {
			w.t.Errorf("in clear: % x", b[:28])
		}
	}
}

func TestALaterPieceWhoseFirstIsNotKnownDoesNotLeaveInClear_Q19(t *testing.T) {
	subscribers := func(c *Config) {
		forPort(c)
		c.LSN.Clients[0].Networks = prefixes("10.0.0.0/8")
		c.Listeners.Servers = nil
		c.Routes = append(c.Routes, Route{To: netip.MustParsePrefix("10.1.1.0/24"), Via: netipOf(endThere)})
	}
	over := func(c *Config) {
		subscribers(c)
		hereTunnel().overIf(c)
		c.Routes = c.Routes[2:]
	}
	for name, world := range map[string]option{"tunnel": subscribers, "interface": over} {
		t.Run(name, func(t *testing.T) {
			e := withEnd(t, nil, world)
			pieces := cutTo(t, cuttable(udpTo(at(near, 1000), at(far, 9), text(2000)), 7), 1200)
			e.w.wantDrop(drop.Fragment, 1, func() { e.w.fromLAN(pieces[1]) })
			e.w.none(e.w.atWAN())
			e.w.fromLAN(pieces...)
			if n := len(e.w.atWAN()); n != 2 {
				t.Errorf("%d packets left", n)
			}
		})
	}
}

func TestManyDatagramsInPiecesPushNoneOutOfItsTunnel(t *testing.T) {
	e := withEnd(t, nil, forPort)
	for id := range maxPieceFlows + 10 {
		pieces := cutTo(t, cuttable(udpTo(at(near, 1000), at(far, 9), text(60)), id+1), 60)
		e.w.fromLAN(pieces...)
		if id%64 == 0 {
			e.w.nothingInClear()
		}
	}
	e.w.nothingInClear()
}

func TestNobodyElsewhereMakesPortsForADatagram(t *testing.T) {
	e := withEnd(t, nil, forPort)
	pieces := cutTo(t, cuttable(udpTo(at(near, 1000), at(far, 9), text(2000)), 7), 1200)
	forged := cutTo(t, cuttable(udpTo(at(near, 1000), at(far, 10), text(2000)), 7), 1200)
	e.w.fromLAN(pieces[0])
	e.w.fromWAN(forged[0])
	e.w.atWAN() // as forged
	e.w.fromLAN(pieces[1])
	e.w.nothingInClear()
}

func TestALaterPieceInClearHasNoBypassOfAnotherPort(t *testing.T) {
	e := withEnd(t, nil, forPort, func(c *Config) {
		everything := netip.MustParsePrefix("0.0.0.0/0")
		c.IPsec.Selectors = append(c.IPsec.Selectors, tunnels.TrafficSelector{Name: "rest", Order: 9, Action: tunnels.ActBypass, Source: everything, Destination: everything})
	})
	pieces := cutTo(t, mayCut(udpTo(at(far, 9), at(near, 1000), text(2000))), 1200)
	e.w.fromWAN(e.seals(pieces[0]))
	e.w.atLAN()
	e.w.wantDrop(drop.SelectorReject, 1, func() { e.w.fromWAN(pieces[1]) })
	e.w.none(e.w.atLAN())
	other := cutTo(t, cuttable(udpTo(at(far, 53), at(near, 1000), text(2000)), 9), 1200)
	e.w.fromWAN(other...) // which may bypass
	if n := len(e.w.atLAN()); n != 2 {
		t.Errorf("%d pieces came: %v", n, e.w.dropped())
	}
}

// What is about one direction only leaves the other one to the servers.
func oneWay(c *Config) {
	c.IPsec.Selectors[0].Direction = tunnels.Out
	required(c)
}

func TestAPieceInClearDoesNotComeInBehindOneOutOfATunnel(t *testing.T) {
	e := withEnd(t, nil, oneWay)
	pieces := cutTo(t, mayCut(udpTo(at(far, 9), at(near, 9), text(2000))), 1200)
	e.w.fromWAN(pieces[1]) // which waits for its first
	e.w.fromWAN(e.seals(pieces[0]))
	if got := e.w.atLAN(); len(got) != 1 || got[0][7] != 0 { // the offset
		t.Errorf("%d pieces came", len(got))
	}
	e.w.fromWAN(pieces[1])
	e.w.none(e.w.atLAN())
	e.w.fromWAN(e.seals(pieces[1]))
	if n := len(e.w.atLAN()); n != 1 {
		t.Errorf("the piece out of the tunnel was lost: %v", e.w.dropped())
	}
}

// VR1: IKE in IP fragments, as messages with certificates come, whatever else
// would have it.
func TestIKEInPiecesReachesItsSocket_VR1(t *testing.T) {
	ends := func(c *Config) { // transport mode protects the very hosts that speak IKE
		c.IPsec.Policies[0].Mode = tunnels.Transport
		c.IPsec.Selectors[0].Source, c.IPsec.Selectors[0].Destination = netip.PrefixFrom(netipOf(endHere), 32), netip.PrefixFrom(netipOf(endThere), 32)
		c.Keying.Peers = nil
	}
	refusing := serving(change(forwarding("at-the-end", "198.51.100.1/32"), func(s *vserver.Server) { s.Role = vserver.Reject })) // Q1
	automap := serving(change(forwarding("automap", "203.0.113.0/24"), func(s *vserver.Server) { s.SourceTranslation = vserver.Automap }))
	for name, options := range map[string][]option{
		"alone": nil, "transport mode": {ends}, "a server there": {refusing}, "automap": {automap, ends}, "both": {refusing, automap, ends},
	} {
		for order, arrange := range orders {
			t.Run(name+", "+order, func(t *testing.T) {
				w := newWorld(t, append([]option{hereTunnel().site}, options...)...)
				w.neighbor(wanIf, endThere)
				message := fragments(cuttable(udpTo(at(endThere, 500), at(endHere, 500), ike(2, 1, 0, ikeSAInit, flagV2Init, 0, 4000)), 5), 1500)
				w.wantDrop(drop.None, 0, func() { w.fromWAN(arrange(message)...) })
				if n := w.r.Keying().Counters().Received; n != 1 {
					t.Errorf("%d messages came", n)
				}
			})
		}
	}
}

// behindTunnel makes the hosts there subscribers.
func behindTunnel(c *Config) {
	c.LSN.Clients[0].Networks = prefixes("10.1.1.0/24")
	c.Listeners.Servers = nil
	c.Routes = append(c.Routes, Route{To: netip.MustParsePrefix("10.1.1.0/24"), Via: netipOf(endThere)})
}

func TestAHeldIKEMessageOfASubscriberBehindATunnelIsLetGo_R58(t *testing.T) {
	e := withEnd(t, nil, behindTunnel)
	speak := func(client frame.Addr, id uint64) *tunnel {
		k := &tunnel{w: e.w, client: client, id: id, server: near}
		e.w.fromWAN(e.seals(k.say(2, 0, ikeSAInit, flagV2Init, 0)))
		k.nat = e.w.one(e.w.atLAN()).SrcPort
		e.w.fromLAN(k.answer(2, ikeSAInit, flagV2Resp, 0))
		return k
	}
	a, b := speak(far, 0x100), speak(addr("10.1.1.77"), 0x200)
	e.w.fromWAN(e.seals(a.say(2, a.id+1, ikeAuth, flagV2Init, 1)))
	e.w.one(e.w.atLAN())
	e.w.fromWAN(e.seals(b.say(2, b.id+1, ikeAuth, flagV2Init, 1)))
	e.w.none(e.w.atLAN()) // it waits for the other one's
	e.w.fromLAN(a.answer(2, ikeAuth, flagV2Resp, 1))
	e.w.fromLAN(udpTo(at(near, 1), at(natAddr, 1), "x"))
	e.w.fromLAN(esp(near, natAddr, 0xc0000100, 1, "inbound"))
	e.w.fromWAN(e.seals(esp(far, near, 0xd0000100, 1, "outbound")))
	for _, p := range e.w.atLAN() {
		if v := view(p); v.Proto == frame.ProtoUDP && v.SrcPort == b.nat {
			return
		}
	}
	t.Errorf("it did not come: %v", e.w.dropped())
}

func TestFTPOutOfATunnelIsRewrittenAndStillProtected(t *testing.T) {
	e := withEnd(t, nil, behindTunnel, withHelpers(lsn.AppProfile{}), func(c *Config) {
		c.LSN.Groups[0].Apps = c.LSN.Groups[0].Apps[:1]
		c.Listeners.Servers = []vserver.Server{change(byGroup("v"), func(s *vserver.Server) { s.RequireProtection = true })}
	})
	control, there := at(far, 50000), at(near, 21)
	e.w.fromWAN(e.seals(segment(control, there, 1000, 0, syn, "")))
	p := e.w.one(e.w.atLAN())
	e.w.fromLAN(segment(there, at(p.Src, p.SrcPort), 1, 1001, synAck, ""))
	e.w.fromWAN(e.seals(segment(control, there, 1001, 2, ack, "PORT 10,1,1,1,200,1\r\n")))
	if said := said(e.w.one(e.w.atLAN())); !strings.HasPrefix(said, "PORT 203,0,113,3,") {
		t.Errorf("the server was told %q", said)
	}
	e.w.nothingInClear()
}
