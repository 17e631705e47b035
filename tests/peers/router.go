package peers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"spigate/tests/netns"
)

// GateTimeout is the esp_gate_timeout of the test's configuration: short, so
// that waiting for it to pass does not take the whole test.
const GateTimeout = 10 * time.Second

// BuildSpigate compiles the daemon under test into dir.
func BuildSpigate(ctx context.Context, dir string) (string, error) {
	file := filepath.Join(dir, "spigate")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", file, "spigate/cmd/spigate").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build spigate: %w: %s", err, out)
	}
	return file, nil
}

// config is the router's configuration: the shipped example's, with the site's
// addresses and one NAT address for everybody.
func config() string {
	return fmt.Sprintf(`version = 1
[port.lan]
driver = "raw"
device = "lan"
[port.wan]
driver = "raw"
device = "wan"
[vlan.inside]
port = "lan"
addresses = [%q]
[vlan.outside]
port = "wan"
addresses = [%q]
[lsn.client.site]
networks = [%q]
[lsn.pool.one]
addresses = [%q]
[lsn.appsprofile.ike]
protocol = "UDP"
ip_pooling = "PAIRED"
ports = ["500", "4500"]
[ipsecalg.profile.vpn]
ike_session_timeout = "45m"
esp_session_timeout = "40m"
esp_gate_timeout = "%v"
ike_keep_with_esp = true
[lsn.group.site]
client = "site"
pools = ["one"]
apps_profiles = ["ike"]
ipsecalg_profile = "vpn"
`, InsideRouter, OutsideRouter, InsideRouter.Masked(), NATAddress, GateTimeout)
}

// RouterSpigate starts spigate in the router. Its log lines go to line.
func (s *Site) RouterSpigate(ctx context.Context, binary, dir string, line func(string)) (*netns.Daemon, error) {
	template := filepath.Join(dir, "template.toml")
	if err := os.WriteFile(template, []byte(config()), 0o600); err != nil {
		return nil, err
	}
	return s.StartSpigate(ctx, netns.DaemonConfig{Binary: binary, Template: template, Dir: dir, Line: line})
}

// masquerade is stock address translation of the kernel.
const masquerade = `flush ruleset
table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "wan" masquerade
	}
}
`

// RouterMasquerade lets the router's kernel translate, as a control. It has
// the NAT address for its own, so that the gateway sees the same peer.
func (s *Site) RouterMasquerade(ctx context.Context) error {
	err := errors.Join(
		s.Router.Address("lan", InsideRouter),
		s.Router.Address("wan", netip.PrefixFrom(NATAddress, OutsideRouter.Bits())),
		s.Router.Sysctl("net/ipv4/ip_forward", "1"),
	)
	if err != nil {
		return err
	}
	_, err = s.Router.Run(ctx, masquerade, "nft", "-f", "-")
	return err
}
