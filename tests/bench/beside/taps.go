package beside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"spigate/netstack"
	"spigate/netstack/frame"
	"spigate/netstack/ipsec"
	"spigate/netstack/link"
	"spigate/netstack/vserver"
	"spigate/tests/bench/inside"
	"spigate/tests/bench/report"
	"spigate/tests/netns"
)

// Two routers in this process, with a TAP device each towards a host and a
// cable between them:
//
//	source ── TAP ── router ── veth ── router ── TAP ── sink
//	                        in clear | ESP
//
// They have the virtual server and the routes of each other's network; with a
// suite there is a tunnel between them, too, which the packets take. The SAs are
// handed to them, nothing is negotiated.

// tapWays are what is compared; the first is what the others are compared with.
var tapWays = []struct {
	name  string
	suite *ipsec.Suite
}{
	{"in clear", nil},
	{"tunnel, aes-gcm-128", &inside.Suites[0]},
	{"tunnel, aes-cbc-256 with sha256", &inside.Suites[3]},
}

// The interfaces of each router.
const (
	lan = frame.Interface(1)
	wan = frame.Interface(2)
)

// side is one of the two routers, as the other one sees it.
type side struct {
	host *netns.Namespace
	lan  netip.Prefix // towards the host
	end  netip.Prefix // on the cable
}

var (
	endA = netip.MustParsePrefix("198.51.100.1/30")
	endB = netip.MustParsePrefix("198.51.100.2/30")
)

// newTAPPath lays a path through two routers, which run until ctx ends; wait
// says what became of them.
func newTAPPath(ctx context.Context, lab *netns.Lab, name string, s *ipsec.Suite) (p *path, wait func() error, err error) {
	p = &path{name: name, here: true}
	wait = func() error { return nil }
	var errs [3]error
	p.source, errs[0] = lab.Namespace("source")
	p.router, errs[1] = lab.Namespace("between")
	p.sink, errs[2] = lab.Namespace("sink")
	if err := errors.Join(errs[:]...); err != nil {
		return p, wait, err
	}
	if err := lab.Wire(netns.End{In: p.router, Device: "a"}, netns.End{In: p.router, Device: "b"}); err != nil {
		return p, wait, err
	}
	a, b := side{p.source, netns.Inside, endA}, side{p.sink, netns.Outside, endB}
	ra, mac, err := a.router(p.router, "a", b, s)
	if err != nil {
		return p, wait, err
	}
	rb, _, err := b.router(p.router, "b", a, s)
	if err != nil {
		ra.Close()
		return p, wait, err
	}
	p.gateway = mac
	var g errgroup.Group
	g.Go(func() error { return ra.Run(ctx) })
	g.Go(func() error { return rb.Run(ctx) })
	return p, g.Wait, errors.Join(
		agree(ra, rb, a, b, s),
		p.source.Address("eth0", netip.PrefixFrom(netns.Client1, netns.Inside.Bits())),
		p.source.Route(netip.MustParsePrefix("0.0.0.0/0"), netns.Inside.Addr()),
		p.sink.Address("eth0", netns.Remote),
		p.sink.Route(netns.Inside, netns.Outside.Addr()),
	)
}

// router makes the router of a side, and the TAP device of its host.
func (a side) router(between *netns.Namespace, device string, b side, s *ipsec.Suite) (r *netstack.Router, mac frame.MAC, err error) {
	var tap, cable link.Driver
	err = a.host.Do(func() (err error) {
		tap, err = link.OpenTAP(link.TAPConfig{Name: "eth0"})
		return err
	})
	if err != nil {
		return nil, mac, err
	}
	err = between.Do(func() (err error) {
		cable, err = link.OpenRing(link.RingConfig{Device: device})
		return err
	})
	if err != nil {
		return nil, mac, errors.Join(err, tap.Close())
	}
	c := netstack.RouterConfig{
		Listeners: vserver.Config{Servers: []vserver.Server{inside.Forwarding("all", "0.0.0.0/0")}},
		Routes:    []netstack.Route{{To: b.lan.Masked(), Via: b.end.Addr()}},
	}
	if s != nil {
		c.IPsec = ipsec.Config{
			Policies:  []ipsec.Policy{{Name: "P", Mode: ipsec.Tunnel, Local: a.end.Addr(), Remote: b.end.Addr()}},
			Selectors: []ipsec.TrafficSelector{{Name: "S", Policy: "P", Source: a.lan.Masked(), Destination: b.lan.Masked()}},
		}
	}
	r, err = netstack.New(netstack.Config{RouterConfig: c, ChassisConfig: netstack.ChassisConfig{
		CryptoWorkers: runtime.GOMAXPROCS(0) - 1, // as the daemon has it
		Ports: []netstack.Port{
			{Name: "lan", Driver: tap, VLANs: []netstack.VLAN{{ID: lan, Name: "inside", Addresses: []netip.Prefix{a.lan}}}},
			{Name: "wan", Driver: cable, VLANs: []netstack.VLAN{{ID: wan, Name: "outside", Addresses: []netip.Prefix{a.end}}}},
		},
	}})
	if err != nil {
		return nil, mac, errors.Join(err, tap.Close(), cable.Close())
	}
	return r, tap.MAC(), nil
}

// agree gives both routers the SAs of their tunnel.
func agree(ra, rb *netstack.Router, a, b side, s *ipsec.Suite) error {
	if s == nil {
		return nil
	}
	add := func(spi uint32, from, to *netstack.Router, src, dst side) error {
		c := ipsec.SAConfig{SPI: spi, Mode: ipsec.Tunnel, Suite: *s, Keys: inside.SomeKeys(*s), Local: dst.end.Addr().As4(), Remote: src.end.Addr().As4()}
		_, err := to.IPsec().Add("S", c, netns.Monotonic())
		if err != nil {
			return err
		}
		c.Outbound, c.Local, c.Remote = true, c.Remote, c.Local
		_, err = from.IPsec().Add("S", c, netns.Monotonic())
		return err
	}
	return errors.Join(add(0x1001, ra, rb, a, b), add(0x1002, rb, ra, b, a))
}

// tunnelsThroughTAP lays out the ways and measures them in turns.
func tunnelsThroughTAP(ctx context.Context, o Options, out io.Writer) (err error) {
	lab := netns.New()
	defer func() { err = errors.Join(err, lab.Close()) }()
	ctx, stop := context.WithCancel(ctx)
	var paths []*path
	var waits []func() error
	defer func() {
		stop()
		for i := range paths {
			paths[i].close()
			err = errors.Join(err, waits[i]())
		}
	}()
	for _, w := range tapWays {
		p, wait, err := newTAPPath(ctx, lab, w.name, w.suite)
		paths, waits = append(paths, p), append(waits, wait)
		if err == nil {
			err = p.open()
		}
		if err != nil {
			return fmt.Errorf("two routers, %s: %w", w.name, err)
		}
	}
	fmt.Fprintln(out, "two routers between TAP devices:")
	for _, size := range inside.Sizes {
		if err := throughput(ctx, o, paths, size, out); err != nil {
			return err
		}
	}
	return streams(ctx, o, paths, out)
}

// streams measures in turns what one TCP connection carries.
func streams(ctx context.Context, o Options, paths []*path, out io.Writer) error {
	all := make([][]float64, len(paths))
	for range o.Rounds {
		for i, p := range paths {
			if err := ctx.Err(); err != nil {
				return err
			}
			rate, err := p.stream(o.Each)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			all[i] = append(all[i], rate)
		}
	}
	t := report.Table{Head: []string{fmt.Sprintf("TCP, one connection, median of %d rounds of %s", o.Rounds, o.Each), "Mbit/s", "ratio"}}
	for i, p := range paths {
		m := report.Median(all[i])
		t.Row(p.name, fmt.Sprintf("%.0f", m*8/1e6), report.Ratio(m, report.Median(all[0])))
	}
	t.Print(out)
	return nil
}

// streamPort is where the sink swallows a connection.
const streamPort = 10000

// stream sends over one TCP connection for d and returns the bytes a second that
// arrived.
func (p *path) stream(d time.Duration) (rate float64, err error) {
	at := &net.TCPAddr{IP: netns.Remote.Addr().AsSlice(), Port: streamPort}
	var l *net.TCPListener
	if err := p.sink.Do(func() (err error) { l, err = net.ListenTCP("tcp4", at); return err }); err != nil {
		return 0, err
	}
	defer l.Close()
	var c *net.TCPConn
	if err := p.source.Do(func() (err error) { c, err = net.DialTCP("tcp4", nil, at); return err }); err != nil {
		return 0, err
	}
	defer c.Close()
	far, err := l.AcceptTCP()
	if err != nil {
		return 0, err
	}
	defer far.Close()
	start := netns.Monotonic()
	if err := errors.Join(c.SetWriteDeadline(deadline(d)), far.SetReadDeadline(deadline(d+5*time.Second))); err != nil {
		return 0, err
	}
	var g errgroup.Group
	g.Go(func() error {
		b := make([]byte, 64<<10)
		for {
			if _, err := c.Write(b); isTimeout(err) {
				return c.CloseWrite()
			} else if err != nil {
				return err
			}
		}
	})
	n, err := io.Copy(io.Discard, far)
	took := float64(netns.Monotonic()-start) / 1e9
	return float64(n) / took, errors.Join(err, g.Wait())
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
