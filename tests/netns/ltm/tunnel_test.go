package ltm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/tests/netns"
)

// ends is the two hosts, each behind a router of its own; what they say to each
// other passes a tunnel between the routers.
//
//	10.2.1.1  local ── lan[ near ]wan ════ wan[ opposite ]lan ── far  10.1.1.1
//	                      external, 198.51.100.1 and .200
//
// The near router is the place's; tests write its configuration.
type ends struct {
	*place
	opposite *place
}

// roads are the networks behind the ends.
type roads struct {
	local, far netip.Addr
	tap        bool // TAP devices in place of raw ports, at the near end
	tagged     bool // the local host has its eth0 in VLAN 20 and its eth1 in VLAN 30
}

var seedRoads = roads{local: local, far: far}

// ground is the part of an end's configuration that is not about tunnels.
func ground(inside netip.Addr, outside, next string) string {
	return fmt.Sprintf(`version = 1
[port.lan]
driver = "raw"
device = "lan"
[port.wan]
driver = "raw"
device = "wan"
[vlan.vlan-internal-2-0]
port = "lan"
addresses = ["%s/24"]
[vlan.external]
port = "wan"
addresses = ["%s/24"]
[route."0.0.0.0/0"]
via = "%s"
`, gatewayOf(inside), outside, next)
}

// gatewayOf is a host's router.
func gatewayOf(a netip.Addr) netip.Addr {
	b := a.As4()
	b[3] = 254
	return netip.AddrFrom4(b)
}

const (
	nearEnd     = "198.51.100.1"
	oppositeEnd = "198.51.100.200"
)

// rio is one end of the tunnel: the peer, the policy and a selector between two
// networks.
func rio(mode, ours, theirs, source, destination string) string {
	return peerOf(theirs, "") + policyOf(mode, ours, "") + selectorOf("Rio", source, destination)
}

const secret = "known to both of them"

func peerOf(theirs, more string) string {
	return fmt.Sprintf("[net.ipsec.peer.gw2]\nremote_address = %q\npsk = %q\n%s", theirs, secret, more)
}

func policyOf(mode, ours, more string) string {
	return fmt.Sprintf("[net.ipsec.policy.Rio]\nmode = %q\npeer = \"gw2\"\ntunnel_local_address = %q\n%s", mode, ours, more)
}

func selectorOf(name, source, destination string) string {
	return fmt.Sprintf("[net.ipsec.selector.%s]\nsource_address = %q\ndestination_address = %q\npolicy = \"Rio\"\n", name, source, destination)
}

// The seed's tunnel, at both ends. The opposite end lets everybody through, in
// both directions, so that the near end alone decides.
var (
	nearTunnel     = rio("tunnel", nearEnd, oppositeEnd, "10.2.1.0/24", "10.1.1.0/24")
	oppositeTunnel = rio("tunnel", oppositeEnd, nearEnd, "10.1.1.0/24", "10.2.1.0/24") + everybody
)

const everybody = "[ltm.virtual.all]\ndestination = \"0.0.0.0:any\"\nip_forward = true\nrequire_protection = true\n"

// protected makes a server's text demand a tunnel.
func protected(server string) string { return server + "require_protection = true\n" }

// digging makes the ends of the seed's tunnel, with what a test adds to the near
// one.
func digging(t *testing.T, with roads, near string) *ends {
	t.Helper()
	return dig(t, with, nearTunnel+near, oppositeTunnel)
}

// dig makes two ends of whatever is configured.
func dig(t *testing.T, with roads, near, opposite string) *ends {
	t.Helper()
	return digOn(t, with, ground(with.local, nearEnd, oppositeEnd), near, opposite)
}

// digOn is dig on another ground at the near end.
func digOn(t *testing.T, with roads, base, near, opposite string) *ends {
	t.Helper()
	p := newPlace(t, base)
	p.must(os.WriteFile(filepath.Join(p.dir, "gw2.psk"), []byte(secret+"\n"), 0o600)) // for configurations with a file
	e := &ends{place: p, opposite: &place{t: t, ctx: p.ctx, dir: t.TempDir(), base: ground(with.far, oppositeEnd, nearEnd)}}
	e.lay(netns.For(t), with)
	if with.tap {
		p.must((&netns.Site{Router: p.router}).RouterTAPs())
	}
	o := e.opposite
	o.start(netns.DaemonConfig{Binary: p.binary, Template: o.template(opposite), Dir: o.dir})
	p.start(netns.DaemonConfig{Binary: p.binary, Template: p.template(near), Dir: p.dir, TAP: with.tap})
	p.tellsIfItFails("near")
	o.tellsIfItFails("opposite")
	return e
}

func (e *ends) lay(lab *netns.Lab, with roads) {
	e.t.Helper()
	for _, n := range []struct {
		name string
		to   **netns.Namespace
	}{{"local", &e.local}, {"near", &e.router}, {"opposite", &e.opposite.router}, {"far", &e.far}} {
		var err error
		*n.to, err = lab.Namespace(n.name)
		e.must(err)
	}
	e.opposite.local, e.opposite.far = e.local, e.far
	anywhere := netip.MustParsePrefix("0.0.0.0/0")
	if with.tagged {
		e.throughASwitch(lab)
	} else {
		e.must(lab.Wire(netns.End{In: e.local, Device: "eth0"}, netns.End{In: e.router, Device: "lan"}))
	}
	e.must(errors.Join(
		lab.Wire(netns.End{In: e.router, Device: "wan"}, netns.End{In: e.opposite.router, Device: "wan"}),
		lab.Wire(netns.End{In: e.opposite.router, Device: "lan"}, netns.End{In: e.far, Device: "eth0"}),
		e.local.Address("eth0", netip.PrefixFrom(with.local, 24)), e.local.Route(anywhere, gatewayOf(with.local)),
		e.far.Address("eth0", netip.PrefixFrom(with.far, 24)), e.far.Route(anywhere, gatewayOf(with.far)),
		e.local.NoSegmentation("eth0"), e.far.NoSegmentation("eth0"),
	))
}

// throughASwitch wires the local host to two untagged ports of a switch.
func (e *ends) throughASwitch(lab *netns.Lab) {
	e.t.Helper()
	s, err := lab.Namespace("switch")
	e.must(err)
	e.must(errors.Join(
		lab.Wire(netns.End{In: e.local, Device: "eth0"}, netns.End{In: s, Device: "v20"}),
		lab.Wire(netns.End{In: e.local, Device: "eth1"}, netns.End{In: s, Device: "v30"}),
		lab.Wire(netns.End{In: s, Device: "trunk"}, netns.End{In: e.router, Device: "lan"}),
		lab.Trunk(s, "trunk", map[uint16]string{20: "v20", 30: "v30"}),
		e.local.NoSegmentation("eth1"),
	))
}

// road is what arrives at both ends of the cable between the routers. What a
// router sends is not seen where it leaves.
type road [2]*netns.Capture

func (e *ends) between() (r road) {
	e.t.Helper()
	for i, n := range []*netns.Namespace{e.router, e.opposite.router} {
		var err error
		r[i], err = n.Capture("wan")
		e.must(err)
	}
	return r
}

// packets ends the captures and returns the packets of a protocol that arrived,
// those at the near end first.
func (r road) packets(proto byte) [][][]byte {
	out := make([][][]byte, len(r))
	for i, c := range r {
		for _, f := range c.Stop() {
			if b := ip(f, proto); b != nil && !f.Sent {
				out[i] = append(out[i], b)
			}
		}
	}
	return out
}

// esp is ESP's protocol number.
const esp = 50

// isSealed fails unless ESP has passed between the ends both ways, and nothing
// but that and IKE.
func (e *ends) isSealed(r road) {
	e.t.Helper()
	sealed := r.packets(esp)
	if len(sealed[0]) == 0 || len(sealed[1]) == 0 {
		e.t.Errorf("%d packets of ESP arrived near, %d opposite: this shows nothing", len(sealed[0]), len(sealed[1]))
	}
	for _, proto := range []byte{icmp, tcp, udp} {
		for _, b := range slices.Concat(r.packets(proto)...) {
			if proto != udp || binary.BigEndian.Uint16(b[20:]) != 500 {
				e.t.Errorf("in clear: % x", b)
			}
		}
	}
}

// says waits for a line of an end's log that has all the words.
func (p *place) says(words ...string) {
	p.t.Helper()
	p.eventually("the log", func() error {
		for _, line := range p.daemon.Output() {
			if containsAll(line, words) {
				return nil
			}
		}
		return fmt.Errorf("no line says %q", words)
	})
}

func containsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

// since is how long something has taken.
func since(begin int64) time.Duration { return time.Duration(netns.Monotonic() - begin) }

// reachesByPing pings until an answer comes, and says how long that took.
func (p *place) reachesByPing(n *netns.Namespace, to netip.Addr) time.Duration {
	p.t.Helper()
	c := p.packets(n, "ip4:icmp", netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	defer c.Close()
	ask := header.ICMPv4(make([]byte, 64))
	ask.SetType(header.ICMPv4Echo)
	ask.SetIdent(uint16(netns.Monotonic()))
	ask.SetChecksum(^checksum.Checksum(ask, 0))
	begin, asked, buf := netns.Monotonic(), int64(0), make([]byte, 2048)
	for since(begin) < 2*soon {
		if now := netns.Monotonic(); now-asked > int64(200*time.Millisecond) {
			asked = now
			_, err := c.WriteTo(ask, &net.IPAddr{IP: to.AsSlice()})
			p.must(err)
		}
		p.must(c.SetReadDeadline(time.Now().Add(5 * time.Millisecond)))
		m, who, err := c.ReadFrom(buf)
		if err == nil && m == len(ask) && buf[0] == 0 && header.ICMPv4(buf).Ident() == ask.Ident() && address(who) == to {
			return since(begin)
		}
	}
	p.t.Errorf("%s pings %v, and no answer comes", n.Name, to)
	return since(begin)
}
