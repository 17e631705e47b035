package netstack

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
	"spigate/netstack/vserver"
)

// otherEnd is the far half of an SA of selector S, in the hands of the test.
type otherEnd struct {
	w   *world
	out *tunnels.SA // seals what the router opens
}

const testSPI = 0xbeef0001

var testKeys = tunnels.Keys{Auth: []byte(strings.Repeat("k", 32))}

// withEnd is a world of the site here with an SA each way; change alters both.
func withEnd(t *testing.T, change func(*tunnels.SAConfig), options ...option) otherEnd {
	t.Helper()
	w := newWorld(t, append([]option{hereTunnel().site}, options...)...)
	w.neighbor(wanIf, endThere)
	w.neighbor(lanIf, near)
	c := tunnels.SAConfig{
		SPI: testSPI, Mode: tunnels.Tunnel, Local: endHere, Remote: endThere,
		Suite: tunnels.Suite{Cipher: tunnels.Null, Auth: tunnels.HMACSHA256}, Keys: testKeys,
	}
	if change != nil {
		change(&c)
	}
	out := c
	out.Outbound, out.SPI = true, testSPI+1
	for _, half := range []tunnels.SAConfig{c, out} {
		if _, err := w.r.IPsec().Add("S", half, w.r.now()); err != nil {
			t.Fatal(err)
		}
	}
	c.Outbound, c.Local, c.Remote, c.Lifetime = true, endThere, endHere, tunnels.Lifetime{}
	c.Scope = []tunnels.Pair{{Local: everyone, Remote: everyone}}
	sa, err := tunnels.NewSA(c, 0)
	if err != nil {
		t.Fatal(err)
	}
	return otherEnd{w, sa}
}

var everyone = tunnels.Range{Last: frame.Addr{255, 255, 255, 255}, LastPort: 65535}

// seals makes ESP of a packet, as the other end would.
func (e otherEnd) seals(p []byte) []byte {
	e.w.t.Helper()
	b := make([]byte, tunnels.Headroom+len(p)+tunnels.Tailroom)
	copy(b[tunnels.Headroom:], p)
	start, end, v := e.out.Seal(b, tunnels.Headroom, len(p), 0, 0)
	if v != tunnels.Pass {
		e.w.t.Fatal(v)
	}
	return b[start:end]
}

// espOf makes authentic ESP of anything, padding and next header included.
func espOf(seq uint32, body string) []byte {
	t := make([]byte, 8, 8+len(body)+16)
	binary.BigEndian.PutUint32(t, testSPI)
	binary.BigEndian.PutUint32(t[4:], seq)
	t = append(t, body...)
	m := hmac.New(sha256.New, testKeys.Auth)
	m.Write(t)
	return ip(endThere, endHere, frame.ProtoESP, append(t, m.Sum(nil)[:16]...))
}

func required(c *Config) {
	for i := range c.Listeners.Servers {
		c.Listeners.Servers[i].RequireProtection = true
	}
}

// Every reason for which a packet of a tunnel is lost (VR46).
func TestWhatGoesWrongInATunnelHasItsReason(t *testing.T) {
	out := udpTo(at(near, 9), at(far, 9), "out")
	in := udpTo(at(far, 9), at(near, 9), "in")
	elsewhere := func(c *Config) {
		peer := netip.MustParseAddr("100.64.0.1")
		c.IPsec.Policies[0].Remote, c.Keying.Peers[0].Remote = peer, peer
		c.Routes = []Route{{To: netip.MustParsePrefix("10.1.1.0/24"), Via: netipOf(endThere)}}
	}
	for _, tc := range []struct {
		name   string
		reason drop.Reason
		sa     func(*tunnels.SAConfig)
		world  option
		then   func(otherEnd)
	}{
		{"no selector is about it, and its server requires protection", drop.SelectorMiss, nil,
			func(c *Config) {
				c.Listeners.Servers = []vserver.Server{forwarding("wild", "0.0.0.0/0")}
				required(c)
			},
			func(e otherEnd) { e.w.fromLAN(udpTo(at(near, 9), at(server, 9), "to another place")) }},
		{"the same, with no tunnel at all", drop.SelectorMiss, nil,
			func(c *Config) { c.Listeners.Servers = []vserver.Server{forwarding("wild", "0.0.0.0/0")}; required(c) },
			func(e otherEnd) {
				if _, err := e.w.r.Reload(Settings{LSN: testLSN(), Listeners: vserver.Config{Servers: []vserver.Server{
					change(forwarding("wild", "0.0.0.0/0"), func(s *vserver.Server) { s.RequireProtection = true })}}}); err != nil {
					e.w.t.Fatal(err)
				}
				e.w.atWAN()
				e.w.fromLAN(out)
			}},
		{"a selector of action discard", drop.SelectorDiscard, nil,
			func(c *Config) {
				c.IPsec.Selectors = append(c.IPsec.Selectors, tunnels.TrafficSelector{Name: "D", Order: -1, Action: tunnels.ActDiscard,
					Source: netip.MustParsePrefix("10.2.1.0/24"), Destination: netip.MustParsePrefix("10.1.1.0/24")})
			},
			func(e otherEnd) { e.w.fromLAN(out) }},
		{"it came in clear", drop.SelectorReject, nil, nil, func(e otherEnd) { e.w.fromWAN(in) }},
		{"its SA was not made for it", drop.SelectorReject, nil, nil,
			func(e otherEnd) { e.w.fromWAN(e.seals(udpTo(at(server, 9), at(near, 9), "from elsewhere"))) }},
		{"an SPI of nobody", drop.NoSA, nil, nil, func(e otherEnd) { e.w.fromWAN(esp(endThere, endHere, 0xdead, 1, "to nobody")) }},
		{"no way to the other end", drop.TunnelNoRoute, func(c *tunnels.SAConfig) { c.Remote = frame.Addr{100, 64, 0, 1} }, elsewhere,
			func(e otherEnd) { e.w.fromLAN(out) }},
		{"the way of IKE leads into the tunnel", drop.TunnelLoop, nil,
			func(c *Config) {
				elsewhere(c)
				hereTunnel().overIf(c)
				c.Routes = []Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Tunnel: tunnelIf}}
			},
			func(e otherEnd) {
				if err := e.w.r.Keying().Initiate("S"); err != nil {
					e.w.t.Fatal(err)
				}
				e.w.advance(time.Second)
			}},
		{"shorter than it can be", drop.ESPMalformed, nil, nil, func(e otherEnd) { e.w.fromWAN(esp(endThere, endHere, testSPI, 1, "short")) }},
		{"twice", drop.Replay, nil, nil,
			func(e otherEnd) {
				p := e.seals(in)
				e.w.fromWAN(append([]byte(nil), p...), p)
			}},
		{"forged", drop.ICV, nil, nil,
			func(e otherEnd) {
				p := e.seals(in)
				p[len(p)-1] ^= 1
				e.w.fromWAN(p)
			}},
		{"wrong padding", drop.ESPPadding, nil, nil, func(e otherEnd) { e.w.fromWAN(espOf(1, "\x09\x07\x01\x04")) }},
		{"IPv6 inside", drop.ESPNextHeader, nil, nil, func(e otherEnd) { e.w.fromWAN(espOf(1, "\x60\x00\x00\x00\x01\x02\x02\x29")) }},
		{"no packet inside", drop.InnerMalformed, nil, nil, func(e otherEnd) { e.w.fromWAN(espOf(1, "nonsens\x00\x01\x02\x02\x04")) }},
		{"congestion that the inside cannot tell of", drop.ECNInvalid, nil, nil,
			func(e otherEnd) {
				p := e.seals(in)
				p[1] |= 3
				e.w.fromWAN(ttl(p, 60))
			}},
		{"its octets are used up", drop.SAExpired, func(c *tunnels.SAConfig) { c.Lifetime.HardBytes = 10 }, nil,
			func(e otherEnd) { e.w.fromWAN(e.seals(in)) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			options := []option{}
			if tc.world != nil {
				options = append(options, tc.world)
			}
			e := withEnd(t, tc.sa, options...)
			e.w.wantDrop(tc.reason, 1, func() { tc.then(e) })
			for _, b := range e.w.atWAN() {
				if b[9] == frame.ProtoUDP && b[20+1] != 0xf4 { // 500
					t.Errorf("in clear: % x", b)
				}
			}
		})
	}
}

func TestWhatTheCiphersCannotTakeIsCounted(t *testing.T) {
	e := withEnd(t, nil)
	var batch []frame.Frame
	for range maxLane + 10 {
		batch = append(batch, framed(lanMAC, udpTo(at(near, 9), at(far, 9), "x")))
	}
	e.w.r.Port(0).Input(batch) // more than the wire takes, too
	if n := e.w.r.drops.Get(drop.CryptoQueueFull); n != 10 {
		t.Errorf("%d are counted, want 10", n)
	}
}

func TestAServerThatRequiresProtectionLetsTunnelsThroughAndNothingElse(t *testing.T) {
	b := newTunnelBed(t, []option{required}, nil)
	b.up()
	b.fromThere(udpTo(at(far, 7), at(near, 7), "begun there"))
	b.here.one(b.here.atLAN())
	b.fromHere(udpTo(at(near, 7), at(far, 7), "its answer"))
	b.there.one(b.there.atLAN())
	if n := b.here.r.Connections().Len(); n != 2 {
		t.Errorf("%d connections, want the one from here and the one from there", n)
	}
}

// What comes out of a tunnel must not open a way past its selectors: neither as
// a flow of the fast path nor by a piece in clear (VR32).
func TestNobodyInClearFollowsWhatCameOutOfATunnel(t *testing.T) {
	e := withEnd(t, nil)
	say := func(text string) []byte { return udpTo(at(far, 9), at(near, 9), text) }
	for _, text := range []string{"one", "two", "three"} {
		e.w.fromWAN(e.seals(say(text)))
		e.w.one(e.w.atLAN())
		e.w.fromLAN(udpTo(at(near, 9), at(far, 9), "answer"))
	}
	e.w.wantDrop(drop.SelectorReject, 1, func() { e.w.fromWAN(say("in clear")) })
	if n := e.w.r.flows.Stats().Entries; n != 0 {
		t.Errorf("%d flows have the fast path", n)
	}
	pieces := cutTo(t, mayCut(say(string(make([]byte, 2000)))), 1200)
	e.w.fromWAN(e.seals(pieces[0]))
	e.w.atLAN()
	e.w.wantDrop(drop.SelectorReject, 1, func() { e.w.fromWAN(pieces[1]) })
	e.w.none(e.w.atLAN())
}

func TestALaterPieceInClearIsNotTakenForOneOfATunnelForOnePort(t *testing.T) {
	e := withEnd(t, nil, func(c *Config) {
		c.IPsec.Selectors[0].Protocol, c.IPsec.Selectors[0].DestinationPort = frame.ProtoUDP, 9
	})
	pieces := cutTo(t, mayCut(udpTo(at(far, 9), at(near, 1000), string(make([]byte, 2000)))), 1200)
	e.w.fromWAN(e.seals(pieces[0]))
	if n := len(e.w.atLAN()); n != 1 {
		t.Fatalf("%d pieces came: %v", n, e.w.dropped())
	}
	e.w.wantDrop(drop.SelectorReject, 1, func() { e.w.fromWAN(pieces[1]) })
	e.w.none(e.w.atLAN())
	e.w.fromWAN(e.seals(pieces[1]))
	if n := len(e.w.atLAN()); n != 1 {
		t.Errorf("the piece out of the tunnel was lost: %v", e.w.dropped())
	}
}

func TestAPanicOnOnePacketOfATunnelEndsNothingElse(t *testing.T) {
	e := withEnd(t, nil)
	db := e.w.r.esp
	e.w.r.esp = nil
	e.w.wantDrop(drop.StackPanic, 1, func() { newJob(e.w.r, e.seals(udpTo(at(far, 9), at(near, 9), "x")), 0, 0).run(0) })
	e.w.r.esp = db
	e.w.fromWAN(e.seals(udpTo(at(far, 9), at(near, 9), "goes on")))
	e.w.one(e.w.atLAN())
}
