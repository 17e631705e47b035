package peers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"

	"spigate/tests/netns"
)

// GateTimeout is the esp_gate_timeout of the test's configuration: short, so
// that waiting for it to pass does not take the whole test.
const GateTimeout = 10 * time.Second

// BuildSpigate compiles the daemon under test into dir.
func BuildSpigate(dir string) (string, error) {
	file := filepath.Join(dir, "spigate")
	return file, netns.Compile(file)
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

// Router is what stands between the two networks.
type Router struct {
	site *netns.Site // only its router
	in   *netns.Namespace
}

// NewRouter makes a namespace with ports lan and wan on the site's networks.
// It goes, with what runs in it, when the lab closes.
func (s *Site) NewRouter(l *netns.Lab) (*Router, error) {
	ns, err := l.Namespace("router")
	if err != nil {
		return nil, err
	}
	s.routers++ // the kernel removes the ports of earlier ones in its own time
	lan, wan := fmt.Sprintf("lan%d", s.routers), fmt.Sprintf("wan%d", s.routers)
	err = errors.Join(
		l.Wire(netns.End{In: ns, Device: "lan"}, netns.End{In: s.networks, Device: lan}),
		l.Wire(netns.End{In: ns, Device: "wan"}, netns.End{In: s.networks, Device: wan}),
		s.networks.Do(func() error { return errors.Join(enslave(lan, "inside"), enslave(wan, "outside")) }),
	)
	return &Router{site: &netns.Site{Router: ns}, in: ns}, err
}

// enslave makes a device a port of a bridge, in the calling thread's namespace.
func enslave(device, bridge string) error {
	d, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	b, err := netlink.LinkByName(bridge)
	if err != nil {
		return err
	}
	return netlink.LinkSetMaster(d, b)
}

// Spigate starts spigate in the router.
func (r *Router) Spigate(ctx context.Context, binary, dir string) (*netns.Daemon, error) {
	template := filepath.Join(dir, "template.toml")
	if err := os.WriteFile(template, []byte(config()), 0o600); err != nil {
		return nil, err
	}
	return r.site.StartSpigate(ctx, netns.DaemonConfig{Binary: binary, Template: template, Dir: dir})
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

// Masquerade lets the router's kernel translate, as a control. It has
// the NAT address for its own, so that the gateway sees the same peer.
func (r *Router) Masquerade(ctx context.Context) error {
	err := errors.Join(
		r.in.Address("lan", InsideRouter),
		r.in.Address("wan", netip.PrefixFrom(NATAddress, OutsideRouter.Bits())),
		r.in.Sysctl("net/ipv4/ip_forward", "1"),
	)
	if err != nil {
		return err
	}
	_, err = r.in.Run(ctx, masquerade, "nft", "-f", "-")
	return err
}
