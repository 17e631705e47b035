package netstack

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"spigate/alg/ipsec"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// withProfile changes the IPsec ALG profile of a world.
func withProfile(change func(*ipsec.Profile)) option {
	return func(c *Config) {
		p := c.Profiles["P"]
		change(&p)
		c.Profiles["P"] = p
	}
}

// withUDP gives the group of a world a transport profile for UDP.
func withUDP(p lsn.TransportProfile) option {
	p.Proto = frame.ProtoUDP
	return func(c *Config) { c.LSN.Groups[0].Transports = []lsn.TransportProfile{p} }
}

// quiet are the tunnels of n subscribers that have asked for IKE_AUTH at one
// server.
func (w *world) quiet(n int) {
	for i := range n {
		k := w.tunnel(frame.Addr{192, 0, 2, byte(11 + i)}, uint64(i+1)<<16)
		w.neighbor(lanIf, k.client)
		k.quietly()
	}
}

// Reasons that only come about in time, or at a limit, from port to port.
func TestWhatGoesWrongInTimeHasItsReason(t *testing.T) {
	for _, tc := range []struct {
		reason drop.Reason
		world  option
		before func(*world)
		then   func(*world)
	}{
		{drop.Filtered, nil,
			func(w *world) { w.conversation(at(server, 53)) },
			func(w *world) {
				b, _ := w.r.lsn.FindOut(lsn.Tuple{Proto: frame.ProtoUDP, Inside: at(client1, 40000), Remote: at(server, 53)})
				w.fromWAN(udpTo(at(server2, 53), b.Outside, "not from whom it was asked"))
			}},
		{drop.SessionTableFull, func(c *Config) { c.LSN.MaxSessions = 1 },
			func(w *world) { w.fromLAN(udpTo(at(client1, 1), at(server, 53), "x")) },
			func(w *world) { w.fromLAN(udpTo(at(client2, 1), at(server, 53), "x")) }},
		{drop.GroupSessionLimit, withUDP(lsn.TransportProfile{GroupSessionLimit: 1}),
			func(w *world) { w.fromLAN(udpTo(at(client1, 1), at(server, 53), "x")) },
			func(w *world) { w.fromLAN(udpTo(at(client2, 1), at(server, 53), "x")) }},
		{drop.SessionQuota, withUDP(lsn.TransportProfile{SessionQuota: 1}),
			func(w *world) { w.fromLAN(udpTo(at(client1, 1), at(server, 53), "x")) },
			func(w *world) { w.fromLAN(udpTo(at(client1, 1), at(server, 54), "x")) }},
		{drop.PortQuota, withUDP(lsn.TransportProfile{PortQuota: 1}),
			func(w *world) { w.fromLAN(udpTo(at(client1, 1), at(server, 53), "x")) },
			func(w *world) { w.fromLAN(udpTo(at(client1, 2), at(server, 53), "x")) }},
		{drop.ESPSeq, nil,
			func(w *world) { w.quiet(1) },
			func(w *world) { w.fromWAN(esp(server, natAddr, 0x7000, 1025, "an old tunnel (R65)")) }},
		{drop.ESPBadSPI, nil,
			func(w *world) { w.quiet(1) },
			func(w *world) { w.fromLAN(esp(client1, server, 255, 1, "x")) }},
		{drop.ICMPAmbiguous, nil,
			func(w *world) {
				a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
				b.spiOut = a.spiOut // N19
				a.up()
				b.up()
			},
			func(w *world) {
				w.fromWAN(icmpError(upstream, natAddr, 3, 4, esp(natAddr, server, 0xd0001000, 9, "whose?"), 60))
			}},
		{drop.IKEHalfLimit, nil,
			func(w *world) {
				for i := range uint64(5) {
					w.fromLAN(w.tunnel(client1, 0x100*(i+1)).say(2, 0, ikeSAInit, flagV2Init, 0))
				}
			},
			func(w *world) { w.fromLAN(w.tunnel(client1, 0x900).say(2, 0, ikeSAInit, flagV2Init, 0)) }},
		{drop.IKEBlocked, withProfile(func(p *ipsec.Profile) { p.BlockMode = ipsec.BlockDrop }),
			func(w *world) { w.quiet(1) },
			func(w *world) {
				k := w.tunnel(client2, 0x2000)
				k.quietly()
			}},
		{drop.ALGTableFull, func(c *Config) { c.ALG.MaxIKESessions = 1 },
			func(w *world) { w.tunnel(client1, 0x1000).init() },
			func(w *world) { w.fromLAN(w.tunnel(client2, 0x2000).say(2, 0, ikeSAInit, flagV2Init, 0)) }},
		{drop.IKEHoldOverflow, nil,
			func(w *world) { w.quiet(1 + 64) },
			func(w *world) {
				k := w.tunnel(frame.Addr{192, 0, 2, 200}, 0xabcd)
				w.neighbor(lanIf, k.client)
				k.quietly()
			}},
		{drop.IKEHoldExpired, nil,
			func(w *world) { // the first has its answer late, and its gate until 39 s (R55)
				a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
				a.init()
				b.init()
				a.ask()
				b.ask()
				w.advance(9 * time.Second)
				a.reply()
			},
			func(w *world) { w.advance(22 * time.Second) }},
		{drop.FTPBacklog, withHelpers(),
			func(w *world) {
				c := w.ftpClient()
				for range 8 {
					c.says("PORT 192,0,2,11,156,65\r\n")
				}
			},
			func(w *world) {
				w.fromLAN(segment(at(client1, 50000), at(server, 21), 1001+8*24, 7001, ack, "PORT 192,0,2,11,156,65\r\n"))
			}},
	} {
		t.Run(tc.reason.String(), func(t *testing.T) {
			var options []option
			if tc.world != nil {
				options = append(options, tc.world)
			}
			w := newWorld(t, options...)
			tc.before(w)
			w.lan.Drain()
			w.wan.Drain()
			w.wantDrop(tc.reason, 1, func() { tc.then(w) })
		})
	}
}

// Forged sources at a full cone (R19).
func TestStrangersAtAMappingAreBounded(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.LSN.Groups[0].Apps = append(c.LSN.Groups[0].Apps, lsn.AppProfile{Name: "cone", Proto: frame.ProtoUDP, Filtering: lsn.EIF})
	})
	w.fromLAN(udpTo(at(client1, 1), at(server, 53), "x"))
	out := w.one(w.atWAN())
	for port := range uint16(1024) {
		w.fromWAN(udpTo(at(server2, port+1), at(out.Src, out.SrcPort), "x"))
		w.one(w.atLAN())
	}
	w.wantDrop(drop.UnansweredLimit, 1, func() { w.fromWAN(udpTo(at(server2, 2000), at(out.Src, out.SrcPort), "x")) })
	w.none(w.atLAN())
}

func TestAFloodOfEventsCostsTheLogAHundredLinesASecond(t *testing.T) {
	w := newWorld(t)
	e := &ipsec.Event{What: "GATE OPEN", At: 5e9}
	for range 1000 {
		w.r.events.write(e)
	}
	e.At += int64(time.Second)
	w.r.events.write(e)
	log := w.log.String()
	if n := strings.Count(log, "event=GATE_OPEN"); n != eventsPerSecond+1 {
		t.Errorf("%d lines", n)
	}
	if want := fmt.Sprintf("count=%d", 1000-eventsPerSecond); !strings.Contains(log, want) {
		t.Errorf("the log does not say %s", want)
	}
}
