package netstack

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// options returns the packet with IPv4 options, padded.
func options(b []byte, opts ...byte) []byte {
	for len(opts)%4 != 0 {
		opts = append(opts, 0)
	}
	p := append(append(append([]byte(nil), b[:20]...), opts...), b[20:]...)
	p[0] = 0x40 | byte((20+len(opts))/4)
	p[2], p[3] = byte(len(p)>>8), byte(len(p))
	return ttl(p, b[8])
}

// inBroadcastFrame sends an IPv4 packet into a port in a frame for everybody.
func (w *world) inBroadcastFrame(port int, packet []byte) {
	all := frame.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	w.send(port, all, [][]byte{packet})
}

func TestWhatIsForgedOrWouldShowTheInsideDies(t *testing.T) {
	c, s := at(client1, 5353), at(server, 53)
	farClient := addr("100.64.9.9") // of a subscriber network to which no route leads
	for _, tc := range []struct {
		name   string
		reason drop.Reason
		send   func(*world)
	}{
		{"an outsider in a subscriber's name to another subscriber", drop.ClientSpoofed,
			func(w *world) { w.fromWAN(udpTo(c, at(client2, 9), "x")) }},
		{"an outsider in a subscriber's name to a server", drop.ClientSpoofed,
			func(w *world) { w.fromWAN(udpTo(c, s, "x")) }},
		{"an outsider in the name of a subscriber without a route", drop.ClientSpoofed,
			func(w *world) { w.fromWAN(udpTo(at(farClient, 1), s, "x")) }},
		{"a subscriber to one without a route, which the default route would show", drop.InsideAddress,
			func(w *world) { w.fromLAN(udpTo(c, at(farClient, 1), "x")) }},
		{"an expired packet with an outside source from inside", drop.InsideAddress, // the answer would come from 192.0.2.1
			func(w *world) { w.fromLAN(ttl(udpTo(s, at(upstream, 2), "x"), 1)) }},
		{"a subscriber in the name of our outside address", drop.NATAddressSpoofed,
			func(w *world) { w.fromLAN(udpTo(at(wanAddr, 1), s, "x")) }},
		{"an outsider in the name of our inside address", drop.NATAddressSpoofed,
			func(w *world) { w.fromWAN(udpTo(at(lanAddr, 1), at(client1, 1), "x")) }},
		{"a subscriber to the broadcast address outside", drop.Broadcast,
			func(w *world) { w.fromLAN(udpTo(c, at(addr("203.0.113.255"), 9), "x")) }},
		{"a subscriber to nobody", drop.Broadcast,
			func(w *world) { w.fromLAN(udpTo(c, at(frame.Addr{}, 9), "x")) }},
		{"an outsider to the broadcast address inside", drop.Broadcast,
			func(w *world) { w.fromWAN(echo(server, addr("192.0.2.255"), 8, 1, "x")) }},
		{"a subscriber's packet in a broadcast frame", drop.Broadcast,
			func(w *world) { w.inBroadcastFrame(0, udpTo(c, s, "x")) }},
		{"an answer in a broadcast frame", drop.Broadcast,
			func(w *world) { w.inBroadcastFrame(1, udpTo(s, at(natAddr, 9), "x")) }},
		{"a ping of the router in a broadcast frame", drop.Broadcast,
			func(w *world) { w.inBroadcastFrame(0, echo(client1, lanAddr, 8, 1, "x")) }},
		{"a recorded route", drop.IPOptions,
			func(w *world) { w.fromLAN(options(udpTo(c, s, "x"), 7, 11, 8, 192, 0, 2, 55, 0, 0, 0, 0)) }},
		{"a recorded route behind other options", drop.IPOptions,
			func(w *world) { w.fromLAN(options(udpTo(c, s, "x"), 1, 148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0)) }},
		{"timestamps with addresses", drop.IPOptions,
			func(w *world) { w.fromLAN(options(udpTo(c, s, "x"), 68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0)) }},
		{"a loose source route from outside", drop.IPOptions,
			func(w *world) { w.fromWAN(options(udpTo(s, at(natAddr, 9), "x"), 131, 7, 4, 192, 0, 2, 11)) }},
		{"a strict source route of ESP", drop.IPOptions,
			func(w *world) { w.fromLAN(options(esp(client1, server, 0x1000, 1, "x"), 137, 7, 4, 203, 0, 113, 9)) }},
		{"a subscriber's error for somebody else than the sender it quotes", drop.ICMPNoFlow,
			func(w *world) { w.fromLAN(icmpError(client1, upstream, 3, 3, udpTo(s, c, "x"), 28)) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, openHouse, func(c *Config) {
				c.LSN.Clients[0].Networks = append(c.LSN.Clients[0].Networks, netip.MustParsePrefix("100.64.0.0/16"))
			})
			w.wantDrop(tc.reason, 1, func() { tc.send(w) })
			w.none(w.atLAN())
			w.none(w.atWAN())
		})
	}
}

func TestOptionsThatHoldNoRoutePass(t *testing.T) {
	w := newWorld(t)
	alert := options(udpTo(at(client1, 5353), at(server, 53), "x"), 1, 148, 4, 0, 0)
	w.fromLAN(alert)
	if p := w.one(w.atWAN()); p.Src != natAddr || p.HeaderLength() != 28 {
		t.Errorf("left from %v with a header of %d bytes", p.Src, p.HeaderLength())
	}
}

func TestAnOutsiderCannotAskForTheNATSideOfASubscribersFlow(t *testing.T) {
	w := newWorld(t)
	w.fromLAN(udpTo(at(client1, 5353), at(server, 53), "question"))
	w.atWAN()
	// The error goes by us from one outsider to the other, and its quote guesses.
	guess := icmpError(server2, server, 3, 3, udpTo(at(server, 53), at(client1, 5353), "x"), 28)
	w.fromWAN(guess)
	for _, b := range w.atWAN() {
		p := w.parsed(b)
		if q, _ := p.Quote(); p.Src == natAddr || q.Dst == natAddr {
			t.Errorf("%v > %v quotes > %v:%d", p.Src, p.Dst, q.Dst, q.DstPort)
		}
	}
}

func TestTheRoutersOwnAnswersGoHome(t *testing.T) {
	for _, tc := range []struct {
		name   string
		packet []byte
	}{
		{"ping of the outside address", echo(client1, wanAddr, 8, 1, "x")},
		{"ping with a recorded route", options(echo(client1, wanAddr, 8, 1, "x"), 7, 7, 4, 0, 0, 0, 0)},
		{"source-routed ping", options(echo(client1, wanAddr, 8, 1, "x"), 131, 7, 4, 203, 0, 113, 254)},
		{"closed UDP port", udpTo(at(client1, 1), at(wanAddr, 9), "x")},
		{"closed TCP port", tcpTo(at(client1, 1), at(wanAddr, 9), frame.TCPSyn, "")},
		{"protocol that nobody speaks", ip(client1, wanAddr, 47, make([]byte, 20))},
		{"broadcast ping", echo(client1, addr("255.255.255.255"), 8, 1, "x")},
		{"ping of the own broadcast address", echo(client1, addr("192.0.2.255"), 8, 1, "x")},
		{"multicast ping", echo(client1, addr("224.0.0.1"), 8, 1, "x")},
		{"expired ping of the outside address", ttl(echo(client1, wanAddr, 8, 1, "x"), 1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.fromLAN(tc.packet)
			w.none(w.atWAN())
			if p := w.one(w.atLAN()); p.Dst != client1 {
				t.Errorf("the answer went to %v", p.Dst)
			}
		})
	}
}

func TestASubscriberWithoutAWayOutIsTold(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Routes = nil })
	w.fromLAN(udpTo(at(client1, 5353), at(upstream, 53), "x"))
	w.none(w.atWAN())
	p := w.one(w.atLAN())
	if q, _ := p.Quote(); p.Src != lanAddr || p.ICMPType != 3 || p.ICMPCode != 0 || q.Src != client1 {
		t.Errorf("%v type %d code %d quotes %v", p.Src, p.ICMPType, p.ICMPCode, q.Src)
	}
}

// somebody draws an address from all those that mean something here.
func somebody(t *rapid.T, label string) frame.Addr {
	return rapid.SampledFrom([]frame.Addr{
		client1, client2, lanAddr, wanAddr, natAddr, server, server2, upstream, {}, {255, 255, 255, 255},
		addr("192.0.2.255"), addr("203.0.113.255"), addr("224.0.0.1"), addr("100.64.9.9"), addr("127.0.0.1"),
	}).Draw(t, label)
}

// anything draws a packet, and errors about packets.
func anything(t *rapid.T) []byte {
	src, dst := somebody(t, "from"), somebody(t, "to")
	sp, dp := rapid.Uint16Range(1, 4).Draw(t, "source port"), rapid.Uint16Range(1, 4).Draw(t, "port")
	var b []byte
	switch rapid.IntRange(0, 6).Draw(t, "kind") {
	case 0:
		b = udpTo(at(src, sp), at(dst, dp), "x")
	case 1:
		b = tcpTo(at(src, sp), at(dst, dp), rapid.Byte().Draw(t, "flags"), "x")
	case 2:
		b = echo(src, dst, rapid.SampledFrom([]uint8{0, 5, 8, 13, 17}).Draw(t, "type"), sp, "x")
	case 3:
		b = esp(src, dst, uint32(sp)<<8, 1, "x")
	case 4:
		b = ip(src, dst, rapid.SampledFrom([]uint8{0, 2, 4, 41, 47, 51, 132}).Draw(t, "protocol"), make([]byte, 20))
	default:
		about := udpTo(at(somebody(t, "quoted from"), dp), at(somebody(t, "quoted to"), sp), "x")
		b = icmpError(src, dst, rapid.SampledFrom([]uint8{3, 4, 11, 12}).Draw(t, "error"), 0, about, 60)
	}
	switch rapid.IntRange(0, 8).Draw(t, "twist") {
	case 0:
		b = ttl(b, uint8(rapid.IntRange(0, 2).Draw(t, "ttl")))
	case 1:
		b = options(b, 7, 11, 8, 192, 0, 2, 55, 0, 0, 0, 0)
	case 2:
		b = fragments(b, 28)[0]
	}
	return b
}

// Whatever comes from wherever: what leaves outside shows nothing of the
// inside, in its header or in what it quotes.
func TestNothingInsideIsEverSeenOutside(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, func(c *Config) {
			c.LSN.Clients[0].Networks = append(c.LSN.Clients[0].Networks, netip.MustParsePrefix("100.64.0.0/16"))
			c.LSN.Groups[0].Apps[0] = lsn.AppProfile{Name: "all", Proto: frame.ProtoUDP, Pooling: lsn.Paired, Mapping: lsn.EIM, Filtering: lsn.EIF}
		})
		defer w.r.Close()
		for range 40 {
			b := anything(rt)
			port := rapid.IntRange(0, 1).Draw(rt, "port")
			if rapid.IntRange(0, 9).Draw(rt, "frame") == 0 {
				w.inBroadcastFrame(port, b)
			} else {
				w.send(port, [2]frame.MAC{lanMAC, wanMAC}[port], [][]byte{b})
			}
			for _, out := range w.atWAN() {
				w.showsNothing(rt, b, out)
			}
		}
	})
}

// showsNothing fails if a packet that left outside, because of cause, names an
// inside address. What an outsider himself said of the inside, and what passes
// between outsiders, is no secret of ours.
func (w *world) showsNothing(t *rapid.T, cause, out []byte) {
	var p frame.Packet
	if r := p.Parse(out); r != drop.None {
		t.Fatalf("left broken (%s): % x", r, out)
	}
	inside := func(a frame.Addr) bool {
		_, client := w.r.lsn.Client(a)
		return client
	}
	var c frame.Packet
	c.Parse(cause)
	q, _ := p.Quote() // empty if it is none
	said := c.ICMPError() && c.Src == p.Src
	if !said && (inside(q.Src) || inside(q.Dst)) {
		t.Errorf("quotes %v > %v: % x because of % x", q.Src, q.Dst, out, cause)
	}
	if inside(p.Src) || inside(p.Dst) || inside(c.Src) && holdsRoute(out[20:p.HeaderLength()]) {
		t.Errorf("% x left because of % x", out, cause)
	}
}

// A network may have hosts that are no subscribers.
func TestTheRouterAnswersEverybodyOnItsOwnNetwork(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.LSN.Clients[0].Networks = prefixes("192.0.2.0/28") })
	guest := addr("192.0.2.200")
	w.neighbor(lanIf, guest)
	w.fromLAN(echo(guest, lanAddr, 8, 77, "x"))
	if p := w.one(w.atLAN()); p.Src != lanAddr || p.Dst != guest || p.ICMPID != 77 {
		t.Errorf("answer %v > %v, identifier %d", p.Src, p.Dst, p.ICMPID)
	}
	w.wantDrop(drop.ClientNotReachable, 1, func() { w.fromWAN(echo(server, lanAddr, 8, 78, "x")) })
	w.none(w.atWAN())
}
