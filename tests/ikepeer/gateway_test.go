package ikepeer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spigate/tests/netns"
)

// gateway is the daemon itself with a host behind it, and strongSwan with its
// ESP in user space:
//
//	host 10.72.0.1 ── lan [spigate] wan ── 198.51.100.0/24 ── strongSwan, 10.71.0.1
type gateway struct {
	t           *testing.T
	ctx         context.Context
	host, there *netns.Namespace
	daemon      *netns.Daemon
	swan        *StrongSwan
}

var (
	behindUs   = netip.MustParseAddr("10.72.0.1")
	behindThem = netip.MustParseAddr("10.71.0.1")
)

// gatewayConfig is the file as a user writes it, for a policy mode.
func gatewayConfig(mode string) string {
	way := fmt.Sprintf("[route.\"10.71.0.0/24\"]\nvia = %q\n", theirs)
	if mode == "interface" {
		way = "[net.tunnel.ipsec-tunnel]\npolicy = \"Rio\"\naddresses = [\"10.9.0.1/30\"]\n[route.\"10.71.0.0/24\"]\ntunnel = \"ipsec-tunnel\"\n"
	}
	return fmt.Sprintf(`version = 1
[port.lan]
driver = "raw"
device = "lan"
[port.wan]
driver = "raw"
device = "wan"
[vlan.internal]
port = "lan"
addresses = ["10.72.0.254/24"]
[vlan.external]
port = "wan"
addresses = ["%v/24"]
[ltm.virtual.to-them]
destination = "10.71.0.0/24:any"
source = "10.72.0.0/24"
ip_forward = true
require_protection = true
[ltm.virtual.from-them]
destination = "10.72.0.0/24:any"
source = "10.71.0.0/24"
ip_forward = true
require_protection = true
[net.ipsec.peer.swan]
remote_address = %q
my_id_value = "us.example"
peers_id_value = "gw.example"
psk = "correct horse"
[net.ipsec.policy.Rio]
mode = %q
peer = "swan"
tunnel_local_address = "%[1]v"
tunnel_remote_address = %[2]q
[net.ipsec.selector.net]
source_address = "10.72.0.0/24"
destination_address = "10.71.0.0/24"
policy = "Rio"
`, ours, theirs, mode) + way
}

func newGateway(t *testing.T, mode string) *gateway {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	root, err := Unpack(ctx, cache(t))
	g := &gateway{t: t, ctx: ctx}
	g.must(err)
	binary, err := built.Daemon()
	g.must(err)
	lab := netns.For(t)
	router := &netns.Site{}
	for name, to := range map[string]**netns.Namespace{"host": &g.host, "router": &router.Router, "strongswan": &g.there} {
		*to, err = lab.Namespace(name)
		g.must(err)
	}
	for _, err := range []error{
		lab.Wire(netns.End{In: g.host, Device: "eth0"}, netns.End{In: router.Router, Device: "lan"}),
		lab.Wire(netns.End{In: router.Router, Device: "wan"}, netns.End{In: g.there, Device: "eth0"}),
		g.host.Address("eth0", netip.PrefixFrom(behindUs, 24)), g.host.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.72.0.254")),
		g.host.NoSegmentation("eth0"),
		g.there.Address("eth0", netip.PrefixFrom(theirs, 24)), g.there.Address("lo", netip.PrefixFrom(behindThem, 24)),
	} {
		g.must(err)
	}
	g.swan, err = StartStrongSwan(ctx, g.there, root, t.TempDir(), swanctl("aes256gcm16-prfsha256-x25519", "aes128gcm16-x25519", "auth = psk", pskSecret), nil)
	g.must(err)
	dir := t.TempDir()
	template := filepath.Join(dir, "template.toml")
	g.must(os.WriteFile(template, []byte(gatewayConfig(mode)), 0o600))
	g.daemon, err = router.StartSpigate(ctx, netns.DaemonConfig{Binary: binary, Template: template, Dir: dir})
	g.must(err)
	t.Cleanup(func() {
		if t.Failed() {
			drops, err := g.daemon.Text(context.WithoutCancel(ctx), "drops")
			t.Log(strings.Join(g.daemon.Output(), "\n"), drops, err, g.swan.Log())
		}
		if err := g.swan.Stop(); err != nil {
			t.Log(err)
		}
	})
	return g
}

func (g *gateway) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// carries sends bytes over TCP from one host to the other and wants all of
// them back.
func (g *gateway) carries(from *netns.Namespace, source netip.Addr, to *netns.Namespace, at netip.Addr, size int) {
	g.t.Helper()
	var l net.Listener
	g.must(to.Do(func() (err error) {
		l, err = net.Listen("tcp4", netip.AddrPortFrom(at, 7).String())
		return err
	}))
	defer l.Close()
	echoed := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			_, err = io.Copy(c, c)
		}
		echoed <- err
	}()
	sent := bytes.Repeat([]byte("through the tunnel, "), size/20)
	g.must(from.Do(func() error {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0)), Timeout: 20 * time.Second}
		c, err := d.DialContext(g.ctx, "tcp4", l.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			return err
		}
		written := make(chan error, 1)
		go func() {
			_, err := c.Write(sent)
			if err == nil {
				err = c.(*net.TCPConn).CloseWrite()
			}
			written <- err
		}()
		got, err := io.ReadAll(c)
		if err == nil && !bytes.Equal(got, sent) {
			err = fmt.Errorf("%d bytes came back of %d, or others", len(got), len(sent))
		}
		if werr := <-written; err == nil {
			err = werr
		}
		return err
	}))
	g.must(<-echoed)
}

// The daemon with a file as a user writes it and a real peer: begun by a
// packet, then by the peer; ping and TCP in both directions, both policy modes.
func TestTheDaemonIsAnEndOfATunnel(t *testing.T) {
	for _, mode := range []string{"tunnel", "interface"} {
		t.Run(mode, func(t *testing.T) {
			if !asked(t) {
				return
			}
			g := newGateway(t, mode)
			g.carries(g.host, behindUs, g.there, behindThem, 400_000)
			out, err := g.there.Run(g.ctx, "", "ping", "-n", "-c", "3", "-i", "0.2", "-W", "5", behindUs.String())
			if err != nil {
				t.Error(out, err)
			}
			out, err = g.swan.Ctl(g.ctx, "--terminate --ike v2")
			if err != nil {
				t.Fatal(out, err)
			}
			if out, err := g.swan.Ctl(g.ctx, "--initiate --child net --timeout 30"); err != nil {
				t.Fatal(out, err)
			}
			g.carries(g.there, behindThem, g.host, behindUs, 400_000)
		})
	}
}
