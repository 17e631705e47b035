package ltm

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// onRoads runs a test on raw ports, which are veth here, and on TAP devices.
func onRoads(t *testing.T, test func(t *testing.T, with roads)) {
	t.Run("raw ports", func(t *testing.T) { test(t, seedRoads) })
	t.Run("TAP devices", func(t *testing.T) { test(t, roads{local: local, far: far, tap: true}) })
}

// The seed's first configuration behind a real tunnel: what 10.2.1.1 begins gets
// there and back, sealed, and is counted as it was inside; what 10.1.1.1 begins
// comes out of the tunnel and finds nobody listening (walk-through A, V2 to V5).
func TestThroughATunnelTheSeedsFirstServerServesOneDirection(t *testing.T) {
	onRoads(t, func(t *testing.T, with roads) {
		e := digging(t, with, protected(ipsec0))
		e.serve(e.far, netip.AddrPortFrom(far, 80))
		e.serve(e.local, netip.AddrPortFrom(local, 80))
		wire, road := e.watch(e.local), e.between()
		e.reaches(e.local, netip.AddrPortFrom(far, 80), 300_000)
		e.agrees("virtual", "ipsec-0", passed(wire, tcp))
		attempts := e.getsNothing(e.far, e.local, netip.AddrPortFrom(local, 80))
		e.dropped("no_listener", attempts)
		e.reaches(e.local, netip.AddrPortFrom(far, 80), 10)
		e.isSealed(road)
	})
}

// The second server lets the other direction in, and its page is the seed's
// (walk-through B, VR20, VR38, VR39).
func TestThroughATunnelTheSecondServerServesTheOther(t *testing.T) {
	onRoads(t, func(t *testing.T, with roads) {
		e := digging(t, with, protected(ipsec0)+protected(ipsec2))
		e.serve(e.far, netip.AddrPortFrom(far, 80))
		e.serve(e.local, netip.AddrPortFrom(local, 80))
		// Its own router would drop segments that are too long for the tunnel, and
		// the near end count fewer than were sent.
		e.must(e.far.SetMTU("eth0", 1400))
		road := e.between()
		wire := e.watch(e.far)
		e.reaches(e.far, netip.AddrPortFrom(local, 80), 20_000)
		e.agrees("virtual", "ipsec-2", passed(wire, tcp))
		e.showsTheSeedsPage(passed(wire, tcp)())
		wire.Stop()
		wire = e.watch(e.local)
		e.reaches(e.local, netip.AddrPortFrom(far, 80), 20_000)
		e.agrees("virtual", "ipsec-0", passed(wire, tcp))
		e.isSealed(road)
	})
}

// throughInterface is the near end in interface mode: a route leads into the
// tunnel, and what comes out of it comes from there (V6).
var throughInterface = rio("interface", nearEnd, oppositeEnd, "10.2.1.0/24", "10.1.1.0/24") +
	"[net.tunnel.ipsec-tunnel]\npolicy = \"Rio\"\naddresses = [\"10.9.0.1/30\"]\n[route.\"10.1.1.0/24\"]\ntunnel = \"ipsec-tunnel\"\n"

// "The VLAN that sees connection establishment attempts must be enabled on the
// Virtual Server": in tunnel mode that is the one on which the ESP comes, in
// interface mode the tunnel. Any other is no help, and the router says so; a
// reload mends it and disturbs nobody (walk-through B, V5, V6, VR34, VR46).
func TestTheVLANOfATunnelMustBeListed(t *testing.T) {
	for _, c := range []struct{ mode, near, wrong, right string }{
		{"tunnel mode", nearTunnel, "vlan-internal-2-0", "external"},
		{"interface mode", throughInterface, "external", "ipsec-tunnel"},
	} {
		t.Run(c.mode, func(t *testing.T) {
			e := dig(t, seedRoads, c.near+protected(ipsec0)+protected(only(ipsec2, c.wrong)), oppositeTunnel)
			e.serve(e.far, netip.AddrPortFrom(far, 80))
			e.serve(e.local, netip.AddrPortFrom(local, 80))
			road := e.between()
			old, err := e.dial(e.local, netip.AddrPortFrom(far, 80), soon)
			e.must(err)
			defer old.Close()

			attempts := e.getsNothing(e.far, e.local, netip.AddrPortFrom(local, 80))
			e.dropped("vlan_miss", attempts)
			explained := regexp.MustCompile(fmt.Sprintf(`^virtual server ipsec-2 listens on %s, not on %s, where `+
				`10\.1\.1\.1:\d+ -> 10\.2\.1\.1:80 \(tcp\) came in: add "%[2]s" to its vlans$`, c.wrong, c.right))
			if page := e.page("show", "drops"); !slices.ContainsFunc(page, explained.MatchString) {
				t.Errorf("show drops does not explain it:\n%s", strings.Join(page, "\n"))
			}

			e.reload(c.near + protected(ipsec0) + protected(only(ipsec2, c.right)))
			e.reaches(e.far, netip.AddrPortFrom(local, 80), 1000)
			if err := exchange(old, 1000); err != nil {
				t.Errorf("the connection that was there before: %v", err)
			}
			e.isSealed(road)
		})
	}
}

// A server for everything is in front of the tunnel and not in its way: users get
// through both ways, IKE and ESP to the router itself still reach their own
// listeners, and a NAT address its NAT (walk-through D, VR1, VR2).
func TestAWildcardServerIsNotInTheWayOfATunnel(t *testing.T) {
	near := nearTunnel + everybody + "[ltm.nat.NAT-1]\noriginating_address = \"10.1.1.1\"\ntranslation_address = \"172.17.1.1\"\n"
	e := dig(t, seedRoads, near, oppositeTunnel)
	e.serve(e.far, netip.AddrPortFrom(far, 80))
	e.serve(e.local, netip.AddrPortFrom(local, 80))
	road := e.between()
	e.reaches(e.local, netip.AddrPortFrom(far, 80), 10_000)
	e.reaches(e.local, netip.MustParseAddrPort("172.17.1.1:80"), 10_000)
	e.reaches(e.far, netip.AddrPortFrom(local, 80), 10_000)
	if c, err := e.counted("nat", "NAT-1"); err != nil || c.Total != 2 {
		t.Errorf("show ltm nat NAT-1: %+v %v", c, err)
	}
	if c, err := e.counted("virtual", "all"); err != nil || c.Total != 2 {
		t.Errorf("show ltm virtual all: %+v %v", c, err)
	}
	e.isSealed(road)
}

// The networks of the seed's NAT: 10.1.1.9 is a user, 192.168.15.2 the host
// behind the tunnel that users know as 172.17.1.1.
var (
	user     = netip.MustParseAddr("10.1.1.9")
	hidden   = netip.MustParseAddr("192.168.15.2")
	known    = netip.MustParseAddr("172.17.1.1")
	natRoads = roads{local: user, far: hidden}
)

const nat1 = "[ltm.nat.NAT-1]\noriginating_address = \"192.168.15.2\"\ntranslation_address = \"172.17.1.1\"\n"

var oppositeOfNAT = rio("tunnel", oppositeEnd, nearEnd, "192.168.15.2/32", "10.1.1.0/24") + everybody

// The seed's NAT in front of a tunnel, with its selector my-nat-selector: the
// selector has the address that the packets have inside the tunnel, and no
// server is needed (walk-through C, VR23, VR25, VR26).
func TestTheSeedsNATLeadsIntoATunnel(t *testing.T) {
	near := peerOf(oppositeEnd, "") + policyOf("tunnel", nearEnd, "") + selectorOf("my-nat-selector", "10.1.1.0/24", "192.168.15.2/32") + nat1
	e := dig(t, natRoads, near, oppositeOfNAT)
	road := e.between()
	e.translates(t, "NAT-1", e.local, e.far, user, known, hidden, user)
	e.translates(t, "NAT-1", e.far, e.local, hidden, user, user, known)
	if c, err := e.counted("nat", "NAT-1"); err != nil || c.PacketsIn == 0 || c.PacketsOut == 0 || c.Total < 6 {
		t.Errorf("show ltm nat NAT-1: %+v %v", c, err)
	}
	e.isSealed(road)
}

// A selector with the destination from before the NAT matches nothing, and check
// says so beforehand. What the NAT admits no server answers for, so it leaves in
// clear, and the other end, which has the right selector, does not let it in (Q7,
// VR31, VR32).
func TestASelectorWithTheDestinationFromBeforeTheNATMatchesNothing(t *testing.T) {
	near := func(destination string) string {
		return peerOf(oppositeEnd, "") + policyOf("tunnel", nearEnd, "") + selectorOf("my-nat-selector", "10.1.1.0/24", destination) + nat1
	}
	e := dig(t, natRoads, near("172.17.1.1/32"), oppositeOfNAT)
	e.serve(e.far, netip.AddrPortFrom(hidden, 80))
	e.warns(e.daemon.Config, "my-nat-selector", "NAT-1", "172.17.1.1", "192.168.15.2")
	attempts := e.getsNothing(e.local, e.far, netip.AddrPortFrom(known, 80))
	e.opposite.dropped("selector_reject", attempts)
	e.mends(near("192.168.15.2/32"), known)
}

// The same with a source: what a server admits and a NAT gives another source
// meets a selector with the address that it had before. As the server requires
// protection, it goes nowhere (Q7, VR25, VR27, VR31).
func TestASelectorWithTheSourceFromBeforeTheNATMatchesNothing(t *testing.T) {
	near := func(source string) string {
		return peerOf(oppositeEnd, "") + policyOf("tunnel", nearEnd, "") + selectorOf("my-nat-selector", source, "192.168.15.2/32") +
			"[ltm.nat.NAT-2]\noriginating_address = \"10.1.1.9\"\ntranslation_address = \"172.17.1.9\"\n" +
			protected("[ltm.virtual.users]\ndestination = \"192.168.15.0/24:any\"\nip_forward = true\n")
	}
	e := dig(t, natRoads, near("10.1.1.9/32"), oppositeOfNAT+selectorOf("nat", "192.168.15.2/32", "172.17.1.9/32"))
	s := e.serve(e.far, netip.AddrPortFrom(hidden, 80))
	e.warns(e.daemon.Config, "my-nat-selector", "NAT-2", "10.1.1.9", "172.17.1.9")
	road := e.between()
	e.dropped("selector_miss", e.getsNothing(e.local, e.far, netip.AddrPortFrom(hidden, 80)))
	if clear := road.packets(tcp); len(clear[0])+len(clear[1]) > 0 {
		t.Errorf("in clear: % x", clear)
	}
	e.mends(near("172.17.1.9/32"), hidden)
	if got := s.visitors(); len(got) != 1 || got[0].Addr() != netip.MustParseAddr("172.17.1.9") {
		t.Errorf("%v came", got)
	}
}

// warns fails unless check warns with some words.
func (p *place) warns(config string, words ...string) {
	p.t.Helper()
	checked, err := p.router.Run(p.ctx, "", p.binary, "check", config)
	if err != nil || !slices.ContainsFunc(strings.Split(checked, "\n"), func(line string) bool { return containsAll(line, words) }) {
		p.t.Errorf("check does not warn of %q: %v\n%s", words, err, checked)
	}
}

// mends gives the near end the right configuration, with which the far host is
// reached.
func (e *ends) mends(near string, as netip.Addr) {
	e.t.Helper()
	road := e.between()
	e.reload(near)
	e.reaches(e.local, netip.AddrPortFrom(as, 80), 10_000)
	e.isSealed(road)
}
