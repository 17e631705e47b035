package netstack

import (
	"net/netip"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
	ikev2 "spigate/netstack/ipsec/ike"
	"spigate/netstack/keying"
	"spigate/netstack/vserver"
)

// Two routers with a tunnel between them, as in the seed: 10.2.1.0/24 is behind
// the one here, 10.1.1.0/24 behind the one there. Neither knows that it is tested.
var (
	endHere  = addr("198.51.100.1")
	endThere = addr("198.51.100.200")
	stranger = addr("198.51.100.66")
)

const tunnelIf = frame.Interface(9)

// siteTunnel is what a site says of its tunnel; the other one says it mirrored.
type siteTunnel struct {
	near, far   string // networks
	local, peer frame.Addr
	id, peerID  string
}

func hereTunnel() siteTunnel {
	return siteTunnel{"10.2.1.0/24", "10.1.1.0/24", endHere, endThere, "here.example", "there.example"}
}

func thereTunnel() siteTunnel {
	return siteTunnel{"10.1.1.0/24", "10.2.1.0/24", endThere, endHere, "there.example", "here.example"}
}

func netipOf(a frame.Addr) netip.Addr { return a.Netip() }

// policies is a policy Rio in tunnel mode with the selector S.
func (s siteTunnel) policies() tunnels.Config {
	return tunnels.Config{
		Policies:  []tunnels.Policy{{Name: "Rio", Mode: tunnels.Tunnel, Local: netipOf(s.local), Remote: netipOf(s.peer)}},
		Selectors: []tunnels.TrafficSelector{{Name: "S", Source: netip.MustParsePrefix(s.near), Destination: netip.MustParsePrefix(s.far), Policy: "Rio"}},
	}
}

// keying is a peer with a secret, whose child is S.
func (s siteTunnel) keying() keying.Config {
	identity := func(name string) ikev2.Identity { return ikev2.Identity{Kind: ikev2.IDFQDN, Data: name} }
	network := func(n string) []ikev2.Selector {
		return []ikev2.Selector{ikev2.PrefixSelector(netip.MustParsePrefix(n))}
	}
	return keying.Config{Peers: []ikev2.Peer{{
		Name: "P", Local: netipOf(s.local), Remote: netipOf(s.peer), LocalID: identity(s.id), RemoteID: identity(s.peerID),
		LocalAuth: ikev2.PSK, RemoteAuth: ikev2.PSK, Secret: ikev2.Secret("a secret of the test"), NATTraversal: ikev2.NATOff,
		Proposals: []ikev2.Proposal{{Ciphers: []ikev2.Cipher{ikev2.AESGCM128}, PRFs: []ikev2.PRF{ikev2.PRFSHA256}, Groups: []ikev2.Group{ikev2.X25519}}},
		Children: []ikev2.Child{{
			Name: "S", Local: network(s.near), Remote: network(s.far), Proposals: []ikev2.Proposal{{Ciphers: []ikev2.Cipher{ikev2.AESGCM128}}},
		}},
	}}}
}

// site makes a router of a site of the world's: its own two networks and the
// tunnel. Everything that is not a subscriber's needs a virtual server: without
// options everything may pass.
func (s siteTunnel) site(c *Config) {
	lan := netip.MustParsePrefix(s.near)
	c.Ports[0].VLANs[0].Addresses = append(c.Ports[0].VLANs[0].Addresses, netip.PrefixFrom(hostIn(lan, 254), 24))
	c.Ports[1].VLANs[0].Addresses = append(c.Ports[1].VLANs[0].Addresses, netip.PrefixFrom(netipOf(s.local), 24))
	c.Routes = []Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netipOf(s.peer)}}
	c.IPsec, c.Keying = s.policies(), s.keying()
	c.Listeners.Servers = []vserver.Server{forwarding("out", s.far), forwarding("in", s.near)}
}

func hostIn(p netip.Prefix, n byte) netip.Addr {
	b := p.Addr().As4()
	b[3] = n
	return netip.AddrFrom4(b)
}

// overIf makes a site of interface mode: a route leads into the tunnel.
func (s siteTunnel) overIf(c *Config) {
	c.IPsec.Policies[0].Mode = tunnels.Interface
	c.IPsec.Tunnels = []tunnels.TunnelInterface{{Name: "ipsec-tunnel", ID: tunnelIf, Policy: "Rio"}}
	c.Tunnels = []Tunnel{{ID: tunnelIf, Name: "ipsec-tunnel"}}
	c.Routes = append(c.Routes, Route{To: netip.MustParsePrefix(s.far), Tunnel: tunnelIf})
}

// tunnelBed is both routers and the wire between them.
type tunnelBed struct {
	t           testing.TB
	here, there *world
	wire        [][]byte                             // all that passed it
	tamper      func(from *world, p []byte) [][]byte // nil: what is sent arrives
}

func newTunnelBed(t testing.TB, here, there []option) *tunnelBed {
	t.Helper()
	b := &tunnelBed{t: t}
	b.here = newWorld(t, append([]option{hereTunnel().site}, here...)...)
	b.there = newWorld(t, append([]option{thereTunnel().site}, there...)...)
	b.here.neighbor(wanIf, endThere)
	b.there.neighbor(wanIf, endHere)
	b.here.neighbor(lanIf, near)
	b.there.neighbor(lanIf, far)
	return b
}

// settle carries what the routers have sent to each other until they are quiet.
func (b *tunnelBed) settle() {
	b.t.Helper()
	for range 1000 {
		there, here := b.carry(b.here, b.there), b.carry(b.there, b.here)
		if !there && !here {
			return
		}
	}
	b.t.Fatal("the routers do not come to rest")
}

func (b *tunnelBed) carry(from, to *world) (some bool) {
	for _, p := range from.atWAN() {
		some = true
		b.wire = append(b.wire, append([]byte(nil), p...))
		list := [][]byte{p}
		if b.tamper != nil {
			list = b.tamper(from, p)
		}
		to.fromWAN(list...)
	}
	return some
}

// advance moves both clocks, a second at a time, as their sweeps do.
func (b *tunnelBed) advance(d time.Duration) {
	b.t.Helper()
	for ; d > 0; d -= time.Second {
		b.here.advance(min(d, time.Second))
		b.there.advance(min(d, time.Second))
		b.settle()
	}
}

// fromHere sends packets of the hosts here and carries what comes of it.
func (b *tunnelBed) fromHere(packets ...[]byte) {
	b.t.Helper()
	b.here.fromLAN(packets...)
	b.settle()
}

func (b *tunnelBed) fromThere(packets ...[]byte) {
	b.t.Helper()
	b.there.fromLAN(packets...)
	b.settle()
}

// up negotiates by a packet from here, which gets there.
func (b *tunnelBed) up() {
	b.t.Helper()
	b.fromHere(udpTo(at(near, 9), at(far, 9), "first"))
	if p := b.there.one(b.there.atLAN()); string(p.UDPPayload()) != "first" {
		b.t.Fatalf("there came % x", p.Bytes())
	}
	b.wire = nil
}

// sealed fails unless all that passed the wire was IKE or ESP, and some ESP.
func (b *tunnelBed) sealed() {
	b.t.Helper()
	some := false
	for _, w := range b.wire {
		var p frame.Packet
		if p.Parse(w) != drop.None && !p.Fragment {
			b.t.Fatalf("on the wire: % x", w)
		}
		switch {
		case p.Proto == frame.ProtoESP:
			some = true
		case p.Proto == frame.ProtoUDP && (p.Fragment || p.SrcPort == 500 || p.SrcPort == 4500):
			some = some || p.SrcPort == 4500
		default:
			b.t.Fatalf("in clear on the wire: % x", w)
		}
	}
	if !some {
		b.t.Fatal("nothing was sealed")
	}
}
