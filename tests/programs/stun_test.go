package programs

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"spigate/tests/netns"
)

var behaviours = []Behaviour{EndpointIndependent, AddressDependent, AddressAndPortDependent}

// coturn's client has its own words.
var coturn = map[Behaviour]string{
	EndpointIndependent: "Endpoint Independent", AddressDependent: "Address Dependent", AddressAndPortDependent: "Address and Port Dependent",
}

func TestRFC4787_REQ8_STUNClientsSeeEachMappingWithEachFiltering(t *testing.T) {
	daemon(t)
	for _, mapping := range behaviours {
		for _, filtering := range behaviours {
			t.Run(fmt.Sprintf("%s and %s", mapping, filtering), func(t *testing.T) {
				t.Parallel()
				classify(t, mapping, filtering)
			})
		}
	}
}

func classify(t *testing.T, mapping, filtering Behaviour) {
	p := settle(t, fmt.Sprintf(`
[lsn.appsprofile.A]
protocol = "UDP"
ip_pooling = "PAIRED"
mapping = %q
filtering = %q
[lsn.group.G]
client = "C"
pools = ["P"]
apps_profiles = ["A"]
`, mapping, filtering))
	server := netns.Remote.Addr()
	turn, err := p.Gateway.Start(netns.Command{Path: program(t, "turnserver"), Args: []string{
		"-n", "--no-cli", "--no-tls", "--no-dtls", "--no-auth", "--stun-only", "--log-file", "stdout", "--simple-log",
		"--pidfile", t.TempDir() + "/pid", "--db", t.TempDir() + "/db",
		"-L", server.String(), "-L", second.Addr().String(), "-p", "3478", "--alt-listening-port", "3479",
	}})
	if err != nil {
		t.Fatal(err)
	}
	var gotM, gotF Behaviour
	at := netip.AddrPortFrom(server, 3478)
	// The first question also waits for the server to be there.
	err = netns.Poll(p.ctx, 200*time.Millisecond, func() bool {
		return p.Client1.Do(func() (err error) {
			_, err = withSocket(at, func(c *client) (Behaviour, error) { _, err := c.ask(at, 0); return "", err })
			return err
		}) == nil
	})
	if err != nil {
		t.Fatalf("the STUN server does not answer: %v\n%s", err, strings.Join(turn.Output(), "\n"))
	}
	err = p.Client1.Do(func() (err error) {
		gotM, gotF, err = Discover(at)
		return err
	})
	if err != nil || gotM != mapping || gotF != filtering {
		t.Errorf("the pion client sees mapping %q and filtering %q (%v)", gotM, gotF, err)
	}
	for flag, want := range map[string]string{
		"-m": "NAT with " + coturn[mapping] + " Mapping!", "-f": "NAT with " + coturn[filtering] + " Filtering!",
	} {
		out, err := p.Client2.Run(p.ctx, "", program(t, "turnutils_natdiscovery"), flag, server.String())
		if !strings.Contains(out, want) {
			t.Errorf("coturn's client %s does not say %q (%v):\n%s", flag, want, err, out)
		}
	}
}
