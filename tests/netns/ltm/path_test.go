package ltm

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"spigate/tests/netns"
)

// The way out is narrower than the way in, and the far end does not say so. Real
// TCP learns it from our ICMP errors, which quote the packet as its sender knows
// it, whatever its source became (VR28).
func TestTCPFindsTheMTUOfTheWayOut(t *testing.T) {
	p := settleWith(t, settings{narrow: 1300}, servers("fastL4"))
	p.ip(p.far, "route", "replace", "default", "via", beyond.String(), "advmss", "1460")
	p.ip(p.far, "route", "replace", "10.1.1.0/24", "dev", "eth0", "src", far.String(), "advmss", "1460")
	for port := uint16(81); port <= 83; port++ {
		p.serve(p.far, netip.AddrPortFrom(far, port))
		p.ip(p.local, "route", "flush", "cache") // it forgets what it was told
		seen := p.watch(p.local)
		p.reaches(p.local, netip.AddrPortFrom(far, port), 300_000)
		told := 0
		for _, f := range seen.Stop() {
			if b := ip(f, icmp); b != nil && !f.Sent && b[20] == 3 && b[21] == 4 {
				told++
			}
		}
		if told == 0 {
			t.Errorf("port %d: the sender was not told: this shows nothing", port)
		}
	}
}

// ip runs iproute2's command.
func (p *place) ip(n *netns.Namespace, args ...string) {
	p.t.Helper()
	_, err := n.Run(p.ctx, "", "ip", args...)
	p.must(err)
}

// A datagram in pieces passes a server, a SNAT and a group as a whole one does
// (VR13).
func TestADatagramInPiecesPasses(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		seen   netip.Addr
	}{
		"virtual server": {"[ltm.virtual.all]\ndestination = \"0.0.0.0:any\"\nip_forward = true\n", local},
		"automap":        {"[ltm.virtual.all]\ndestination = \"0.0.0.0:any\"\nip_forward = true\nsource_address_translation = \"automap\"\n", beyond},
		"LSN":            {carrier + "[ltm.virtual.all]\ndestination = \"0.0.0.0:any\"\nip_forward = true\nsource_address_translation = \"lsn\"\nlsn_group = \"G\"\n", natAddress},
		"SNAT":           {"[ltm.snat.S1]\norigins = [\"10.2.1.0/24\"]\ntranslation = \"10.1.1.50\"\n", netip.MustParseAddr("10.1.1.50")},
	} {
		t.Run(name, func(t *testing.T) {
			p := settle(t, c.config)
			if seen, err := p.asksUDP(p.local, p.far, local, far, far); err != nil || seen != c.seen {
				t.Errorf("%v was seen, expected %v: %v", seen, c.seen, err)
			}
		})
	}
}

// Debian's traceroute sees us and the other end through a server, and through a
// NAT the address that it asked for.
func TestTracerouteSeesTheWay(t *testing.T) {
	p := settle(t, nats+"[ltm.virtual.all]\ndestination = \"0.0.0.0:any\"\nip_forward = true\n")
	hops := regexp.MustCompile(`(?m)^ ?[12]  (\S+)  `)
	for _, c := range []struct{ to, end string }{{"10.1.1.1", "10.1.1.1"}, {"10.2.1.77", "10.2.1.77"}} {
		for _, way := range []string{"-U", "-I", "-T"} {
			text, err := p.local.Run(p.ctx, "", "traceroute", "-n", "-m", "3", "-w", "2", "-q", "1", way, c.to)
			p.must(err)
			var seen []string
			for _, m := range hops.FindAllStringSubmatch(text, -1) {
				seen = append(seen, m[1])
			}
			if strings.Join(seen, " ") != inside.String()+" "+c.end {
				t.Errorf("traceroute %s %s:\n%s", way, c.to, text)
			}
		}
	}
}
