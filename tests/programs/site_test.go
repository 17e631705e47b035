package programs

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/tests/netns"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		built.Remove()
		os.Exit(code)
	}))
}

var built netns.Build

func daemon(t *testing.T) string {
	t.Helper()
	path, err := built.Daemon()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// program finds one of Debian's programs; make deps installs them.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/sbin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	t.Fatalf("there is no program %s: run make deps", name)
	return ""
}

// network is the common part of every configuration here.
const network = `version = 1
[port.lan]
driver = "raw"
device = "lan"
[port.wan]
driver = "raw"
device = "wan"
[vlan.inside]
port = "lan"
addresses = ["192.0.2.1/24"]
[vlan.outside]
port = "wan"
addresses = ["203.0.113.2/24"]
[route."0.0.0.0/0"]
via = "203.0.113.254"
[lsn.client.C]
networks = ["192.0.2.0/24"]
[lsn.pool.P]
addresses = ["203.0.113.3"]
`

// gateway has a second address, for servers that need two.
var second = netip.MustParsePrefix("203.0.113.253/24")

// patience bounds each test; a busy machine needs some.
const patience = 3 * time.Minute

// place is two clients, the router and a gateway, with the daemon running.
type place struct {
	*netns.Site
	t      *testing.T
	ctx    context.Context
	lab    *netns.Lab
	daemon *netns.Daemon
}

// settle makes a place whose daemon runs on the network above and what a test
// adds to it. The inside link has an MTU if one is given.
func settle(t *testing.T, more string, inside ...int) *place {
	t.Helper()
	if !netns.Root() {
		t.Fatal("these tests make network namespaces: run them as root")
	}
	p := &place{t: t, lab: netns.For(t)}
	var cancel context.CancelFunc
	p.ctx, cancel = context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	var err error
	p.Site, err = netns.NewSite(p.lab)
	p.must(err)
	p.must(p.Gateway.Address("eth0", second))
	for _, n := range []*netns.Namespace{p.Client1, p.Client2, p.Gateway} {
		p.must(n.NoSegmentation("eth0"))
	}
	for _, mtu := range inside {
		p.must(p.Router.SetMTU("lan", mtu))
	}
	template := filepath.Join(t.TempDir(), "template.toml")
	p.must(os.WriteFile(template, []byte(network+more), 0o600))
	p.daemon, err = p.StartSpigate(p.ctx, netns.DaemonConfig{Binary: daemon(t), Template: template, Dir: t.TempDir()})
	p.must(err)
	return p
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// run runs a program in a namespace to its end.
func (p *place) run(in *netns.Namespace, name string, args ...string) string {
	p.t.Helper()
	out, err := in.Run(p.ctx, "", program(p.t, name), args...)
	p.must(err)
	return out
}

// start starts a server and waits for a line of its output.
func (p *place) start(in *netns.Namespace, ready, name string, args ...string) {
	p.t.Helper()
	s, err := in.Start(netns.Command{Path: program(p.t, name), Args: args})
	p.must(err)
	_, err = s.WaitLine(p.ctx, func(line string) bool { return strings.Contains(line, ready) })
	p.must(err)
}

// farAway puts a server behind the gateway, over a cable with an MTU.
func (p *place) farAway(mtu int) (*netns.Namespace, netip.Addr) {
	p.t.Helper()
	far, err := p.lab.Namespace("far")
	p.must(err)
	p.must(p.lab.Wire(netns.End{In: p.Gateway, Device: "far"}, netns.End{In: far, Device: "eth0"}))
	server := netip.MustParsePrefix("198.51.100.7/24")
	p.must(errors.Join(
		p.Gateway.Address("far", netip.MustParsePrefix("198.51.100.1/24")),
		far.Address("eth0", server),
		far.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("198.51.100.1")),
		p.Gateway.Sysctl("net/ipv4/ip_forward", "1"),
		p.Gateway.SetMTU("far", mtu), far.SetMTU("eth0", mtu), far.NoSegmentation("eth0"),
	))
	return far, server.Addr()
}
