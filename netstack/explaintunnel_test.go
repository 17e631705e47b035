package netstack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
)

// The same with tunnels: policies in all modes, selectors of all actions, SAs that
// are there and that are not; packets that are sealed, and that came out.

var (
	beyond   = addr("172.31.5.5") // a route into the tunnel leads there
	nullSHA  = tunnels.Suite{Cipher: tunnels.Null, Auth: tunnels.HMACSHA256}
	nullKeys = tunnels.Keys{Auth: bytes.Repeat([]byte{7}, 32)}
)

const (
	outSPI, inSPI     = 0x2000, 0x3000 // of the policy in tunnel or transport mode
	viaOutSPI, viaSPI = 0x2002, 0x3002 // of the tunnel's interface
)

// tunnels draws what is protected, and has it in the configuration.
func (d *drawer) tunnels(c *Config) {
	manual := func(policy string, local, remote frame.Addr, out, in uint32) {
		for _, m := range []tunnels.ManualSA{
			{Name: policy + " out", Source: local.Netip(), Destination: remote.Netip(), SPI: out, Outbound: true},
			{Name: policy + " in", Source: remote.Netip(), Destination: local.Netip(), SPI: in},
		} {
			m.Policy, m.Suite, m.Keys = policy, nullSHA, nullKeys
			c.IPsec.Manual = append(c.IPsec.Manual, m)
		}
	}
	c.IPsec.Policies = []tunnels.Policy{
		{Name: "T", Mode: tunnels.Tunnel, Local: wanAddr.Netip(), Remote: server.Netip()},
		{Name: "N", Mode: tunnels.Tunnel, Local: wanAddr.Netip(), Remote: server2.Netip()}, // nobody has made an SA
		{Name: "I", Mode: tunnels.Interface, Local: wanAddr.Netip(), Remote: server.Netip()},
	}
	manual("T", wanAddr, server, outSPI, inSPI)
	manual("I", wanAddr, server, viaOutSPI, viaSPI)
	c.IPsec.Tunnels = []tunnels.TunnelInterface{{Name: "tun", ID: tunnelIf, Policy: "I"}}
	c.Tunnels = []Tunnel{{ID: tunnelIf, Name: "tun"}}
	c.Routes = append(c.Routes, Route{To: netip.MustParsePrefix("172.31.0.0/16"), Tunnel: tunnelIf})
	for i := range 2 + d.IntN(4) {
		c.IPsec.Selectors = append(c.IPsec.Selectors, d.selector(i))
	}
	if d.chance(60) {
		s := tunnels.TrafficSelector{Name: "via", Policy: "I", Source: netip.MustParsePrefix(pick(d, "0.0.0.0/0", "10.9.0.0/16")), Destination: netip.MustParsePrefix("172.31.0.0/16")}
		c.IPsec.Selectors = append(c.IPsec.Selectors, s)
	}
	for i := range c.Listeners.Servers {
		c.Listeners.Servers[i].RequireProtection = d.chance(25)
	}
}

func (d *drawer) selector(i int) tunnels.TrafficSelector {
	s := tunnels.TrafficSelector{
		Name: fmt.Sprint("s", i), Order: i, Policy: pick(d, "T", "T", "N"),
		Source:      netip.MustParsePrefix(pick(d, "0.0.0.0/0", "10.9.0.0/16", "192.0.2.0/24", "203.0.113.3/32", "203.0.113.90/32", "203.0.113.91/32")),
		Destination: netip.MustParsePrefix(pick(d, "198.51.100.0/24", "198.51.100.7/32", "203.0.113.253/32", "203.0.113.254/32")),
		Protocol:    pick(d, uint8(0), 0, 6, 17), Direction: pick(d, tunnels.Both, tunnels.Both, tunnels.Out, tunnels.In),
		Action: pick(d, tunnels.ActProtect, tunnels.ActProtect, tunnels.ActProtect, tunnels.ActBypass, tunnels.ActDiscard),
	}
	if s.Protocol != 0 && d.chance(30) {
		s.DestinationPort = 80
	}
	if s.Action != tunnels.ActProtect {
		s.Policy = ""
	}
	return s
}

// sealedIn finds a packet inside ESP without encryption that left.
func (d *drawer) sealedIn(b, p []byte) (inner []byte, spi uint32) {
	const shell = 20 + 8
	if b[9] != frame.ProtoESP || len(b) < shell+20+2+16 || b[shell]>>4 != 4 {
		return nil, 0
	}
	inner = b[shell:]
	n := int(binary.BigEndian.Uint16(inner[2:]))
	if n > len(inner) || !d.same(inner, p) {
		return nil, 0
	}
	return inner[:n], binary.BigEndian.Uint32(b[20:])
}

// differsInATunnel is differsOnItsWay for what is sealed.
func differsInATunnel(f *Fate, h happened) string {
	switch {
	case h.forwarded == nil || h.spi == 0:
		return "it is not sealed"
	case h.spi != f.SPI || f.To.Addr != frame.Addr(h.outer[16:20]):
		return fmt.Sprintf("it is sealed with %x and sent to %v", h.spi, frame.Addr(h.outer[16:20]))
	}
	return differsOnItsWay(f, h)
}

// unsealed is a packet out of a tunnel, and the ESP that it is in; not ok if it
// cannot be in there.
func (d *drawer) unsealed(t *testing.T) (inner, esp []byte, in frame.Interface, ok bool) {
	inner, _ = d.packet()
	if d.chance(60) {
		inner = d.make(pick(d, upstream, upstream, server, server2, beyond), d.target(insiders))
	}
	d.id = d.id&0x7fff + 1 | 0x8000
	inner = numbered(inner, d.id)
	spi, in := uint32(inSPI), wanIf
	if d.chance(50) {
		spi, in = viaSPI, tunnelIf
	}
	var p frame.Packet
	sa := d.w.r.esp.Find(spi, wanAddr)
	if p.Parse(inner) != drop.None || sa == nil || !sa.Admits(&p) {
		return nil, nil, 0, false
	}
	far, err := tunnels.NewSA(tunnels.SAConfig{
		SPI: spi, Outbound: true, Mode: tunnels.Tunnel, Suite: nullSHA, Keys: nullKeys, Local: server, Remote: wanAddr, Manual: true,
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, tunnels.Headroom+len(inner)+tunnels.Tailroom)
	copy(b[tunnels.Headroom:], inner)
	start, end, v := far.Seal(b, tunnels.Headroom, len(inner), 0, 0)
	if v != tunnels.Pass {
		t.Fatal(v)
	}
	return inner, b[start:end], in, true
}

// oneUnsealed explains a packet out of a tunnel and lets it come.
func (d *drawer) oneUnsealed(t *testing.T) {
	inner, esp, in, ok := d.unsealed(t)
	if !ok {
		return
	}
	outer, err := d.w.r.Explain(Question{In: wanIf, Packet: esp})
	if err != nil || outer.Fate.End != EndOpened || outer.Fate.Label != in {
		t.Fatalf("its ESP is explained as %+v, %v", outer.Fate, err)
	}
	x, err := d.w.r.Explain(Question{In: in, Packet: inner, Unsealed: true})
	if err != nil {
		t.Fatal(err)
	}
	h := d.try(esp, true, inner)
	h.delivered-- // the ESP
	d.compare(t, x, h, inner, in)
}

func TestWhatIsExplainedOfTunnelsIsWhatHappens(t *testing.T) {
	ended := map[string]int{}
	for seed := range uint64(100) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			d := newDrawer(t, 5000+seed, (*drawer).tunnels)
			for range 100 {
				if d.chance(35) {
					d.oneUnsealed(t)
				} else {
					d.one(t)
				}
			}
			for what, n := range d.ended {
				ended[what] += n
			}
		})
	}
	wantEnds(t, ended, []string{"sealed none", "held none", "dropped no_sa", "dropped selector_reject", "dropped selector_discard", "dropped selector_miss",
		"forwarded none", "delivered none", "dropped no_listener", "dropped vlan_miss"})
}

// Whatever the packet is, explaining it ends.
func FuzzExplain(f *testing.F) {
	d := &drawer{Rand: rand.New(rand.NewPCG(1, 2)), ended: map[string]int{}}
	d.w = newWorld(f, d.configuration, d.tunnels)
	for range 40 {
		b, outside := d.packet()
		f.Add(b, outside, false)
	}
	for _, of := range []string{"", tunnels.Keepalive, tunnels.NonESPMarker, "\x00\x00\x30\x00\x00\x00\x00\x01"} {
		f.Add(udpTo(at(server, 4500), at(wanAddr, 4500), of), true, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, outside, unsealed bool) {
		in := lanIf
		if outside {
			in = wanIf
		}
		before := bytes.Clone(b)
		x, err := d.w.r.Explain(Question{In: in, Packet: b, Unsealed: unsealed})
		if !bytes.Equal(b, before) {
			t.Error("the packet was changed")
		}
		if err == nil && x.Fate.End == EndDropped && (x.Fate.Reason == drop.None) == (x.Fate.Stack == "") {
			t.Errorf("dropped for no reason, or two: %+v", x.Fate)
		}
	})
}
