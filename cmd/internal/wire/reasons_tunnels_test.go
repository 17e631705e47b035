package wire

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"strings"

	"spigate/configs"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
)

// The other end's half of the manual SAs of sitesBase, in the hands of the test.
const (
	spiIn  = 0xc0ffee02 // of the configuration
	spiNew = 0xbeef0001 // of an SA as if it were negotiated
	key7   = "0x0707070707070707070707070707070707070707070707070707070707070707"
)

var endHere, endThere = frame.Addr{203, 0, 113, 1}, frame.Addr{203, 0, 113, 254}

// espOf is authentic ESP of anything, padding and next header included.
func espOf(spi, seq uint32, key byte, body []byte) []byte {
	t := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, spi), seq)
	t = append(t, body...)
	m := hmac.New(sha256.New, bytes.Repeat([]byte{key}, 32))
	m.Write(t)
	return rawIP(endThere, endHere, frame.ProtoESP, append(t, m.Sum(nil)[:16]...))
}

// sealedBy is ESP of a whole packet, as the other end makes it.
func sealedBy(spi, seq uint32, key byte, packet []byte) []byte {
	body := append([]byte{}, packet...)
	n := (4 - (len(packet)+2)%4) % 4
	for i := range n {
		body = append(body, byte(i+1))
	}
	return espOf(spi, seq, key, append(body, byte(n), 4))
}

// inner is what far sends to the office.
func inner(tos byte) []byte {
	b := packetSpec{
		proto: frame.ProtoUDP, src: frame.Endpoint{Addr: frame.Addr{10, 1, 1, 1}, Port: 9}, dst: frame.Endpoint{Addr: frame.Addr{10, 2, 1, 1}, Port: 9},
		ttl: 64, id: 7, payload: []byte("hello"),
	}.bytes()
	b[1] = tos
	return resummed(append(make([]byte, frame.HeaderLen), b...))[frame.HeaderLen:]
}

// arrives is a packet that the other end sends.
func arrives(packet []byte) func(u *ruined) (port, vlan string) {
	return func(u *ruined) (string, string) { return u.from("gateway", append([]byte{}, packet...)) }
}

// congested is a packet on whose way congestion was marked.
func congested(packet []byte) []byte {
	b := append(make([]byte, frame.HeaderLen), packet...)
	b[frame.HeaderLen+1] |= 3
	return resummed(b)[frame.HeaderLen:]
}

// anSA gives the router an inbound SA as IKE would.
func anSA(life tunnels.Lifetime) func(u *ruined) {
	return func(u *ruined) {
		r := u.chassis.Router(0)
		_, err := r.IPsec().Add("to-rio", tunnels.SAConfig{
			SPI: spiNew, Mode: tunnels.Tunnel, Local: endHere, Remote: endThere, Lifetime: life, Window: 64,
			Suite: tunnels.Suite{Cipher: tunnels.Null, Auth: tunnels.HMACSHA256}, Keys: tunnels.Keys{Auth: bytes.Repeat([]byte{7}, 32)},
		}, r.Now())
		if err != nil {
			u.t.Fatal(err)
		}
	}
}

// manualOut is the outbound SA of sitesBase.
var manualOut = sitesBase[strings.Index(sitesBase, "[net.ipsec.manual_sa.out]"):strings.Index(sitesBase, "[net.ipsec.manual_sa.in]")]

// over is what makes a tunnel's interface of a site, whose other end is negotiated.
const over = `[net.ipsec.peer.gw2]
remote_address = "100.64.0.9"
psk = "correct horse battery staple"
[net.ipsec.policy.Rio-if]
mode = "interface"
peer = "gw2"
tunnel_local_address = "203.0.113.1"
tunnel_remote_address = "100.64.0.9"
[net.tunnel.ipsec-tunnel]
policy = "Rio-if"
addresses = ["10.9.0.1/30"]
[ltm.virtual.site-b]
destination = "10.7.0.0/16:any"
ip_forward = true
`

// behindItself puts the other end of a tunnel where the tunnel leads. The check of
// a configuration refuses that; an end that moves may come to it.
func behindItself(c *configs.Config) {
	for _, p := range c.IPsec.Policies {
		if p.Name == "Rio-if" {
			p.Remote = netip.MustParseAddr("10.7.0.9")
			p.Peer.Remote = p.Remote
		}
	}
}

// ruinsOfTunnels are those of tunnels that end on the router.
func ruinsOfTunnels() []ruin {
	const selector = "[net.ipsec.selector.to-rio]"
	clear := arrives(inner(0))
	sealed := arrives(sealedBy(spiIn, 1, 7, inner(0)))
	elsewhere := []string{`tunnel_remote_address = "203.0.113.254"`, `tunnel_remote_address = "100.64.0.9"`,
		`[route."0.0.0.0/0"]`, `[route."10.1.1.0/24"]`, `destination_address = "203.0.113.254"`, `destination_address = "100.64.0.9"`,
		`source_address = "203.0.113.254"`, `source_address = "100.64.0.9"`}
	rows := []ruin{
		{reason: "selector_miss", packet: "office udp to=far2", line: "[ltm.virtual.out]",
			remedy: &remedy{what: "a selector that is about it", edit: []string{"10.1.1.0/25", "10.1.1.0/24"}, fate: "sealed"}},
		{reason: "selector_discard", edit: []string{selector, "[net.ipsec.selector.no]\nsource_address = \"10.2.1.0/24\"\ndestination_address = \"10.1.1.128/25\"\naction = \"discard\"\n" + selector},
			packet: "office udp to=far2", line: "[net.ipsec.selector.no]", none: "it is configured so"},
		{reason: "selector_reject", make: clear, line: selector,
			remedy: &remedy{what: "the other end sends it through the tunnel", make: sealed, fate: "opened"}},
		{reason: "no_sa", edit: []string{manualOut, ""}, packet: "office udp to=far", line: selector,
			remedy: &remedy{what: "a security association for it", more: manualOut, fate: "sealed"}},
		{reason: "tunnel_no_route", edit: elsewhere, packet: "office udp to=far", line: selector,
			remedy: &remedy{what: "a route to the other end", more: "[route.\"100.64.0.0/10\"]\nvia = \"203.0.113.254\"\n", fresh: true, fate: "sealed"}},
		{reason: "tunnel_loop", more: over + "[route.\"10.7.0.0/16\"]\ntunnel = \"ipsec-tunnel\"\n", alter: behindItself, packet: "office udp to=10.7.0.1", fate: "held",
			also:   true,
			remedy: &remedy{what: "the other end is reached by a route of its own", fresh: true, fate: "held"}},
		{reason: "crypto_queue_full", packet: "office udp to=far", fate: "sealed", also: true, send: func(u *ruined) {
			var batch []frame.Frame
			for range 4000 {
				batch = append(batch, frame.Copy(u.ethernet, 0))
			}
			u.chassis.Port(0).Input(batch)
			u.collect()
		}, none: "packets come faster than they are sealed"},
	}
	return based(sitesBase, append(rows, ruinsOfESP()...))
}

// ruinsOfESP are those of what comes out of a tunnel: explain cannot look inside.
func ruinsOfESP() []ruin {
	esp := func(body string) func(u *ruined) (port, vlan string) {
		return arrives(espOf(spiIn, 1, 7, []byte(body)))
	}
	twice := arrives(sealedBy(spiNew, 5, 7, inner(0)))
	return []ruin{
		{reason: "esp_malformed", make: arrives(rawIP(endThere, endHere, frame.ProtoESP, append([]byte{0xc0, 0xff, 0xee, 2, 0, 0, 0, 1}, "short"...))), fate: "opened",
			none: "what is missing is gone"},
		{reason: "replay", before: func(u *ruined) {
			anSA(tunnels.Lifetime{})(u)
			u.prepare("", twice)
			u.goes()
		}, make: twice, fate: "opened", none: "it has passed already"},
		{reason: "icv", make: arrives(sealedBy(spiIn, 1, 8, inner(0))), fate: "opened",
			remedy: &remedy{what: "both ends have the same key", fate: "opened", fresh: true,
				edit: []string{"spi = 0xc0ffee02\nencrypt_algorithm = \"null\"\nauth_algorithm = \"sha256\"\nauth_key = \"" + key7 + "\"",
					"spi = 0xc0ffee02\nencrypt_algorithm = \"null\"\nauth_algorithm = \"sha256\"\nauth_key = \"" + strings.ReplaceAll(key7, "7", "8") + "\""}}},
		{reason: "esp_padding", make: esp("\x09\x07\x01\x04"), fate: "opened", none: "the other end does not follow the RFC"},
		{reason: "esp_next_header", make: esp("\x60\x00\x00\x00\x01\x02\x02\x29"), fate: "opened", none: "only IPv4 is forwarded"},
		{reason: "inner_malformed", make: esp("nonsens\x00\x01\x02\x02\x04"), fate: "opened", none: "nobody can tell what it was"},
		{reason: "ecn_invalid", make: arrives(congested(sealedBy(spiIn, 1, 7, inner(0)))), fate: "opened",
			remedy: &remedy{what: "the host inside says that it understands the marks", make: arrives(congested(sealedBy(spiIn, 2, 7, inner(2)))), fate: "opened"}},
		{reason: "sa_expired", before: func(u *ruined) {
			anSA(tunnels.Lifetime{HardBytes: 10})(u)
		}, make: arrives(sealedBy(spiNew, 1, 7, inner(0))), fate: "opened",
			remedy: &remedy{what: "a new one in its place", make: arrives(sealedBy(spiIn, 1, 7, inner(0))), fate: "opened"}},
	}
}

// based gives rows their configuration.
func based(base string, rows []ruin) []ruin {
	for i := range rows {
		rows[i].base = base
	}
	return rows
}
