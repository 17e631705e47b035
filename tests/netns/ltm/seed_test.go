package ltm

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"spigate/tests/netns"
)

// onPorts runs a test on raw ports, which are veth here, and on TAP devices.
func onPorts(t *testing.T, test func(t *testing.T, tap bool)) {
	t.Run("raw ports", func(t *testing.T) { test(t, false) })
	t.Run("TAP devices", func(t *testing.T) { test(t, true) })
}

// "TCP connections to 10.1.1.1 from 10.2.1.1 will establish. However, new
// connections originated by 10.1.1.1 cannot reach 10.2.1.1." (VR4, walk-through A)
func TestTheSeedsFirstConfigurationServesOneDirection(t *testing.T) {
	onPorts(t, func(t *testing.T, tap bool) {
		p := settleWith(t, settings{tap: tap}, ipsec0)
		p.serve(p.far, netip.AddrPortFrom(far, 80))
		p.serve(p.local, netip.AddrPortFrom(local, 80))
		wire := p.watch(p.local)
		p.reaches(p.local, netip.AddrPortFrom(far, 80), 300_000)
		p.agrees("virtual", "ipsec-0", passed(wire, tcp))
		attempts := p.getsNothing(p.far, p.local, netip.AddrPortFrom(local, 80))
		p.dropped("no_listener", attempts)
		p.reaches(p.local, netip.AddrPortFrom(far, 80), 10)
	})
}

// "Now both sides can establish a connection", and the page of ipsec-2 shows
// what 10.1.1.1 sent and got (VR20, VR38).
func TestTheSeedsSecondConfigurationServesBoth(t *testing.T) {
	onPorts(t, func(t *testing.T, tap bool) {
		p := settleWith(t, settings{tap: tap}, ipsec0+ipsec2)
		p.serve(p.far, netip.AddrPortFrom(far, 80))
		p.serve(p.local, netip.AddrPortFrom(local, 80))
		wire := p.watch(p.far)
		p.reaches(p.far, netip.AddrPortFrom(local, 80), 20_000)
		p.agrees("virtual", "ipsec-2", passed(wire, tcp))
		p.showsTheSeedsPage(passed(wire, tcp)())
		wire.Stop()
		wire = p.watch(p.local)
		p.reaches(p.local, netip.AddrPortFrom(far, 80), 20_000)
		p.agrees("virtual", "ipsec-0", passed(wire, tcp))
		if c, err := p.counted("virtual", "ipsec-2"); err != nil || c.Total != 1 || c.Maximum != 1 {
			p.t.Errorf("ipsec-2 counts a connection that ipsec-0 admitted: %+v %v", c, err)
		}
	})
}

// showsTheSeedsPage compares `show ltm virtual ipsec-2` with the seed's page,
// with other numbers.
func (p *place) showsTheSeedsPage(seen traffic) {
	p.t.Helper()
	rule := strings.Repeat("-", 66)
	want := []string{
		rule, "Ltm::Virtual Server: ipsec-2", rule,
		"Status", "Availability : unknown", "State : enabled", "Reason : …", "CMP : enabled", "CMP Mode : all-cpus",
		"Destination : 10.2.1.0:any", "",
		"Traffic ClientSide Ephemeral General",
		"Bits In " + scaled(seen.BitsIn) + " 0 -", "Bits Out " + scaled(seen.BitsOut) + " 0 -",
		fmt.Sprint("Packets In ", seen.PacketsIn, " 0 -"), fmt.Sprint("Packets Out ", seen.PacketsOut, " 0 -"),
	}
	got := p.page("show", "ltm", "virtual", "ipsec-2")
	for i := range got {
		if strings.HasPrefix(got[i], "Reason : ") {
			got[i] = "Reason : …"
		}
	}
	if got = got[:min(len(want), len(got))]; !slices.Equal(got, want) {
		p.t.Errorf("show ltm virtual ipsec-2:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// scaled is a number as the page has it (VR40): these are bits of some 20,000
// bytes.
func scaled(n uint64) string { return fmt.Sprintf("%.1fK", float64(n)/1000) }

// Debian's nc, which knows nothing of us, from either side.
func TestNetcatTalksBothWays(t *testing.T) {
	p := settle(t, ipsec0+ipsec2)
	for _, c := range []struct {
		name           string
		client, server *netns.Namespace
		at             netip.Addr
	}{{"from the local host", p.local, p.far, far}, {"from the far host", p.far, p.local, local}} {
		t.Run(c.name, func(t *testing.T) {
			text := "said " + c.name
			s, err := c.server.Start(netns.Command{Path: "nc", Args: []string{"-n", "-v", "-l", "-N", c.at.String(), "7000"}})
			p.must(err)
			_, err = s.WaitLine(p.ctx, func(line string) bool { return strings.HasPrefix(line, "Listening on") })
			p.must(err)
			_, err = c.client.Run(p.ctx, text+"\n", "nc", "-n", "-N", "-w", "10", c.at.String(), "7000")
			p.must(err)
			if _, err := s.WaitLine(p.ctx, func(line string) bool { return line == text }); err != nil {
				t.Errorf("%v: %q", err, s.Output())
			}
		})
	}
}
