package netstack

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"spigate/alg/ipsec"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

func TestN29AFlushDropsWhatIsHeldAndFreesTheLock(t *testing.T) {
	w := newWorld(t)
	a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
	a.init()
	b.init()
	w.one(a.ask())
	w.none(b.ask())
	w.wantDrop(drop.IKEFlushed, 1, func() {
		if n := w.r.FlushALG(ipsec.Filter{NAT: natAddr}); n != (FlushedALG{IKE: 2, Held: 1}) {
			t.Errorf("flushed %+v", n)
		}
	})
	w.none(w.atWAN())
	if gates := slices.Collect(w.r.alg.Gates(ipsec.Filter{})); len(gates) != 0 {
		t.Errorf("gates are left: %+v", gates)
	}
	if n := w.r.lsn.Stats().Mappings; n != [3]int{} {
		t.Errorf("mappings of TCP, UDP and ICMP are left: %v", n)
	}
	b = w.tunnel(client2, 0x2001)
	b.up() // nothing is in its way
}

func TestAFlushOfTheHolderServesTheNextWaiter(t *testing.T) {
	w := newWorld(t)
	a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
	a.init()
	b.init()
	w.one(a.ask())
	w.none(b.ask())
	if n := w.r.FlushALG(ipsec.Filter{Inside: client1}); n != (FlushedALG{IKE: 1}) {
		t.Errorf("flushed %+v", n)
	}
	if p := w.one(w.atWAN()); p.SrcPort != b.nat {
		t.Fatalf("port %d was served, want the second client's %d", p.SrcPort, b.nat)
	}
	b.reply()
	b.traffic()
}

func TestAFlushEndsEstablishedESPOnTheFastPathToo(t *testing.T) {
	w := newWorld(t)
	a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
	for _, k := range []*tunnel{a, b} {
		k.up()
		k.traffic()
	}
	if n := w.r.FlushALG(ipsec.Filter{Inside: client1, NAT: natAddr, Server: server}); n != (FlushedALG{ESP: 1, IKE: 1}) {
		t.Errorf("flushed %+v", n)
	}
	w.wantDrop(drop.ESPStaleSPI, 1, func() { w.fromWAN(a.in()) }) // R69
	w.wantDrop(drop.ESPNoGateOut, 1, func() { w.fromLAN(a.out()) })
	w.none(w.atLAN())
	b.traffic()
}

func TestAFlushThatSelectsNothingIsNoError(t *testing.T) {
	w := newWorld(t)
	a := w.tunnel(client1, 0x1000)
	a.up()
	if n := w.r.FlushALG(ipsec.Filter{Server: server2}); n != (FlushedALG{}) {
		t.Errorf("flushed %+v", n)
	}
	if n := w.r.FlushLSN(lsn.Filter{NATPort: a.nat + 1}); n != (FlushedLSN{}) {
		t.Errorf("flushed %+v", n)
	}
	a.traffic()
}

func TestAnLSNFlushOfManyLockHoldersLosesNoReleasedMessage(t *testing.T) {
	const pairs = maxLater + 14 // more than the queue for released messages takes at once
	w := newWorld(t, func(c *Config) {
		c.LSN.Clients = append(c.LSN.Clients, lsn.Client{Name: "D", Networks: prefixes("192.0.2.128/25")})
		g := c.LSN.Groups[0]
		g.Name, g.Client = "H", "D"
		c.LSN.Groups = append(c.LSN.Groups, g)
	})
	holder := func(i int) frame.Addr { return frame.Addr{192, 0, 2, byte(2 + i%100)} }
	waiter := func(i int) frame.Addr { return frame.Addr{192, 0, 2, byte(130 + i%100)} }
	for i := range 100 {
		for _, a := range []frame.Addr{holder(i), waiter(i)} {
			err := w.r.stack.AddStaticNeighbor(tcpip.NICID(lanIf), ipv4.ProtocolNumber, tcpip.AddrFrom4(a), tcpip.LinkAddress(string(hostMAC(a))))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range pairs {
		a, b := w.tunnel(holder(i), uint64(0x10000+2*i)), w.tunnel(waiter(i), uint64(0x20000+2*i))
		a.server = frame.Addr{198, 51, byte(100 + i/200), byte(1 + i%200)} // by the default route
		b.server = a.server
		for _, k := range []*tunnel{a, b} {
			w.fromLAN(k.say(2, 0, ikeSAInit, flagV2Init, 0))
			k.nat = w.one(w.atWAN()).SrcPort
			w.fromWAN(k.answer(2, ikeSAInit, flagV2Resp, 0))
			w.one(w.atLAN())
		}
		w.one(a.ask())
		w.none(b.ask())
	}
	w.r.FlushLSN(lsn.Filter{Client: "C"})
	// What the test's own cable has no room for has left the router too.
	if got := len(w.atWAN()) + int(w.dropped()["tx_refused"]); got != pairs {
		t.Errorf("%d messages were released, want %d; drops %v", got, pairs, w.dropped())
	}
}

func TestAFlushOfTheNATTakesFlowsAndIKEButNoESP(t *testing.T) {
	w := newWorld(t)
	a := w.tunnel(client1, 0x1000)
	a.up()
	udp := udpTo(at(client2, 4000), at(server, 53), "query")
	w.fromLAN(udp)
	left := w.one(w.atWAN())
	w.fromWAN(udpTo(at(server, 53), at(natAddr, left.SrcPort), "answer"))
	w.one(w.atLAN())
	n := w.r.FlushLSN(lsn.Filter{Network: netip.MustParsePrefix("192.0.2.0/24")})
	if n != (FlushedLSN{Sessions: 2, Mappings: 2}) {
		t.Errorf("flushed %+v", n)
	}
	w.wantDrop(drop.NoMapping, 1, func() { w.fromWAN(udpTo(at(server, 53), at(natAddr, left.SrcPort), "late")) })
	if c := w.r.alg.Counters(); c.IKESessions != 0 || c.Active != 1 {
		t.Errorf("%d IKE sessions and %d ESP sessions are left, want 0 and 1 (R47)", c.IKESessions, c.Active)
	}
	a.traffic()
}

func TestTheFiltersOfAnLSNFlushSelect(t *testing.T) {
	for name, c := range map[string]struct {
		filter lsn.Filter
		left   int // of two subscribers with one mapping each
	}{
		"all":             {lsn.Filter{}, 0},
		"a subscriber":    {lsn.Filter{Network: netip.MustParsePrefix("192.0.2.11/32")}, 1},
		"another network": {lsn.Filter{Network: netip.MustParsePrefix("192.0.3.0/24")}, 2},
		"the client":      {lsn.Filter{Client: "C"}, 0},
		"another client":  {lsn.Filter{Client: "D"}, 2},
		"the address":     {lsn.Filter{NAT: natAddr}, 0},
		"another address": {lsn.Filter{NAT: server}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, from := range []frame.Addr{client1, client2} {
				w.fromLAN(udpTo(at(from, 4000), at(server, 53), "query"))
			}
			n := w.r.FlushLSN(c.filter)
			if left := w.r.lsn.Stats().Mappings[1]; left != c.left || n.Mappings != 2-c.left {
				t.Errorf("flushed %+v, %d mappings left, want %d", n, left, c.left)
			}
		})
	}
}

func TestAfterTheEndAFlushDoesNothing(t *testing.T) {
	w := newWorld(t)
	w.tunnel(client1, 0x1000).up()
	w.r.stopTimers()
	if got := fmt.Sprint(w.r.FlushALG(ipsec.Filter{}), w.r.FlushLSN(lsn.Filter{})); got != "{0 0 0} {0 0}" {
		t.Errorf("flushed %s", got)
	}
}
