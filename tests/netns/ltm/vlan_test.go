package ltm

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"spigate/tests/netns"
)

// only makes a server's text listen on some VLANs alone.
func only(server string, vlans ...string) string {
	return fmt.Sprintf("%svlans = [\"%s\"]\nvlans_enabled = true\n", server, strings.Join(vlans, `", "`))
}

// "The VLAN that sees connection establishment attempts must be enabled on the
// Virtual Server": one that lists the other side is the commonest fault, so the
// router explains it, and the reload that mends it disturbs nobody (VR5, VR21,
// VR46, Q2).
func TestAnAttemptOnAVLANThatIsNotListedIsRefusedAndExplained(t *testing.T) {
	p := settle(t, only(ipsec0, "vlan-internal-2-0")+only(ipsec2, "vlan-internal-2-0"))
	p.serve(p.far, netip.AddrPortFrom(far, 80))
	p.serve(p.local, netip.AddrPortFrom(local, 80))
	old, err := p.dial(p.local, netip.AddrPortFrom(far, 80), soon)
	p.must(err) // its answers come in on external, which ipsec-0 does not list
	defer old.Close()

	attempts := p.getsNothing(p.far, p.local, netip.AddrPortFrom(local, 80))
	p.dropped("vlan_miss", attempts)
	explained := regexp.MustCompile(`^virtual server ipsec-2 listens on vlan-internal-2-0, not on external, ` +
		`where 10\.1\.1\.1:\d+ -> 10\.2\.1\.1:80 \(tcp\) came in: add "external" to its vlans$`)
	if page := p.page("show", "drops"); !slices.ContainsFunc(page, explained.MatchString) {
		t.Errorf("show drops does not explain it:\n%s", strings.Join(page, "\n"))
	}
	p.explainedInTheLog()

	p.reload(only(ipsec0, "vlan-internal-2-0") + only(ipsec2, "external"))
	p.reaches(p.far, netip.AddrPortFrom(local, 80), 1000)
	if err := exchange(old, 1000); err != nil {
		t.Errorf("the connection that was there before: %v", err)
	}
	attempts += p.getsNothing(p.far, p.local, netip.AddrPortFrom(netip.MustParseAddr("10.2.1.2"), 80)) - 1
	p.dropped("vlan_miss", attempts)
}

func (p *place) explainedInTheLog() {
	p.t.Helper()
	for _, line := range p.daemon.Output() {
		l := netns.ParseLogLine(line)
		if l["listener"] != "virtual server ipsec-2" {
			continue
		}
		if l["level"] != "WARN" || l["vlan"] != "external" || l["listens_on"] != "vlan-internal-2-0" ||
			l["to"] != "10.2.1.1:80" || l["remedy"] != "add it to the listener's vlans" {
			p.t.Errorf("the log explains it badly: %v", l)
		}
		return
	}
	p.t.Error("the log does not explain it")
}

// The other way of the list: all VLANs but those.
func TestAVLANThatIsDisabledIsRefusedAndTheOthersAreNot(t *testing.T) {
	p := settle(t, ipsec0+ipsec2+"vlans = [\"external\"]\nvlans_disabled = true\n")
	p.serve(p.far, netip.AddrPortFrom(far, 80))
	p.reaches(p.local, netip.AddrPortFrom(far, 80), 1000)
	p.dropped("vlan_miss", p.getsNothing(p.far, p.local, netip.AddrPortFrom(local, 80)))
	if page := strings.Join(p.page("show", "drops"), "\n"); !strings.Contains(page, `take "external" out of its vlans`) {
		t.Errorf("show drops has no remedy:\n%s", page)
	}
}

// What the seed prints for a server with VLAN listeners, to the blank (VR45).
func TestTheListingsAreTheSeeds(t *testing.T) {
	tunnel := "[vlan.ipsec-tunnel]\nport = \"wan\"\nid = 100\naddresses = [\"192.0.2.1/30\"]\n"
	p := settle(t, tunnel+only(ipsec0, "vlan-internal-2-0", "ipsec-tunnel"))
	for words, want := range map[string]string{
		"vlans-enabled": "ltm virtual ipsec-0 {\n    vlans-enabled\n}\n",
		"vlans":         "ltm virtual ipsec-0 {\n    vlans {\n        ipsec-tunnel\n        vlan-internal-2-0\n    }\n}\n",
	} {
		if got, err := p.daemon.Command(p.ctx, "list", "ltm", "virtual", words); err != nil || got != want {
			t.Errorf("list ltm virtual %s: %v\n%s", words, err, got)
		}
	}
	p.reload(tunnel + ipsec0)
	want := []string{
		"ltm virtual ipsec-0 {", "destination 10.1.1.0:any", "ip-forward", "ip-protocol tcp", "mask 255.255.255.0",
		"profiles {", "fastL4 { }", "}", "source 10.2.1.0/24", "translate-address disabled", "translate-port disabled", "}",
	}
	if got := p.page("list", "ltm", "virtual", "ipsec-0"); !slices.Equal(got, want) {
		t.Errorf("list ltm virtual ipsec-0:\n%s", strings.Join(got, "\n"))
	}
}
