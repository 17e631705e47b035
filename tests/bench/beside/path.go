package beside

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"spigate/netstack/frame"
	"spigate/tests/bench/traffic"
	"spigate/tests/netns"
)

// path is one way from source to sink, with a router in the middle.
type path struct {
	name                 string
	source, router, sink *netns.Namespace
	load, echo           *exchange
	daemon               *netns.Daemon // nil where the kernel routes, or this process
	here                 bool          // the routers are in this process
	gateway              frame.MAC     // the router's address in front of the source
}

// The ports of the sink: one swallows the load, one answers for ever.
const (
	loadPort = 9998
	echoPort = 9999
)

const masquerade = `table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat;
		oifname "wan" masquerade
	}
}
`

// routers are the ways that are compared; the first is what the others are
// compared with.
var routers = []struct {
	name  string
	start func(ctx context.Context, o Options, dir string, p *path) error
}{
	{"kernel ip_forward", startKernel},
	{"kernel + nft masquerade", startMasquerade},
	{"spigate", startSpigate},
	{"spigate, virtual server", startServer},
}

func startKernel(_ context.Context, _ Options, _ string, p *path) error {
	return (&netns.Site{Router: p.router}).RouterKernel()
}

func startMasquerade(ctx context.Context, o Options, dir string, p *path) error {
	tool, err := exec.LookPath("nft")
	if err != nil {
		return errors.New("nft is missing: install the package nftables, or run `make deps`")
	}
	if err := startKernel(ctx, o, dir, p); err != nil {
		return err
	}
	_, err = p.router.Run(ctx, masquerade, tool, "-f", "-")
	return err
}

func startSpigate(ctx context.Context, o Options, dir string, p *path) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	p.daemon, err = (&netns.Site{Router: p.router}).StartSpigate(ctx, netns.DaemonConfig{Binary: o.Binary, Template: o.Template, Dir: dir})
	return err
}

// newPath lays the cables, with addresses at both ends.
func newPath(lab *netns.Lab, name string) (*path, error) {
	p := &path{name: name}
	for _, n := range []struct {
		name string
		to   **netns.Namespace
	}{{"source", &p.source}, {"router", &p.router}, {"sink", &p.sink}} {
		var err error
		if *n.to, err = lab.Namespace(n.name); err != nil {
			return nil, err
		}
	}
	err := errors.Join(
		lab.Wire(netns.End{In: p.source, Device: "eth0"}, netns.End{In: p.router, Device: "lan"}),
		lab.Wire(netns.End{In: p.router, Device: "wan"}, netns.End{In: p.sink, Device: "eth0"}),
		p.source.Address("eth0", netip.PrefixFrom(netns.Client1, netns.Inside.Bits())),
		p.source.Route(netip.MustParsePrefix("0.0.0.0/0"), netns.Inside.Addr()),
		p.sink.Address("eth0", netns.Remote),
		p.sink.Route(netns.Inside, netns.Outside.Addr()),
	)
	if err != nil {
		return p, err
	}
	lan, err := p.router.MAC("lan")
	if err != nil {
		return p, err
	}
	p.gateway = frame.MAC(lan)
	return p, nil
}

// open talks both ways over both flows, so that they are established and every
// neighbour is known.
func (p *path) open() (err error) {
	if p.load, err = newExchange(p, loadPort); err != nil {
		return err
	}
	if p.echo, err = newExchange(p, echoPort); err != nil {
		return err
	}
	for range 5 {
		if _, err := p.load.roundTrip(); err != nil {
			return err
		}
		if _, err := p.echo.roundTrip(); err != nil {
			return err
		}
	}
	return p.load.deafen()
}

// hits says which way spigate sent the packets, "" where the kernel routes.
func (p *path) hits(ctx context.Context) (string, error) {
	if p.daemon == nil {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var rows []netns.StatusRow
	if err := p.daemon.Show(ctx, &rows, "status"); err != nil {
		return "", err
	}
	if len(rows) != 1 {
		return "", fmt.Errorf("status has %d rows, not 1", len(rows))
	}
	return fmt.Sprintf("%s: %d packets from the flow table, %d through the stack", p.name, rows[0].FastHits, rows[0].SlowHits), nil
}

func (p *path) close() {
	p.load.close()
	p.echo.close()
}

// frame builds a packet of the load's flow, of length bytes of IP.
func (p *path) frame(length int) ([]byte, error) {
	src, err := p.source.MAC("eth0")
	if err != nil {
		return nil, err
	}
	f := traffic.Flows{
		Proto: frame.ProtoUDP, From: frame.MAC(src), To: p.gateway, Source: netns.Client1.As4(), Target: netns.Remote.Addr().As4(),
		SourcePort: p.load.port(), TargetPort: loadPort, Count: 1, Length: length,
	}
	return f.Frame(0), nil
}

// received is how many packets the sink's device has taken in.
func (p *path) received() (n uint64, err error) {
	err = p.sink.Do(func() error {
		l, err := linkByName("eth0")
		if err == nil {
			n = l.Attrs().Statistics.RxPackets
		}
		return err
	})
	return n, err
}

func linkByName(device string) (netlink.Link, error) {
	l, err := netlink.LinkByName(device)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", device, err)
	}
	return l, nil
}

// exchange is a UDP socket in the source and one in the sink that answers it.
type exchange struct {
	source *net.UDPConn
	sink   *net.UDPConn
}

func newExchange(p *path, port int) (*exchange, error) {
	x := &exchange{}
	at := &net.UDPAddr{IP: netns.Remote.Addr().AsSlice(), Port: port}
	err := errors.Join(
		p.sink.Do(func() (err error) { x.sink, err = net.ListenUDP("udp4", at); return err }),
		p.source.Do(func() (err error) { x.source, err = net.DialUDP("udp4", nil, at); return err }),
	)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	go answer(x.sink)
	return x, nil
}

// answer sends back what comes until the socket is closed.
func answer(c *net.UDPConn) {
	buf := make([]byte, 2048)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if _, err := c.WriteToUDPAddrPort(buf[:n], from); err != nil {
			return
		}
	}
}

func (x *exchange) port() uint16 {
	return x.source.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

// roundTrip asks once a second until an answer comes, and says how long the
// answered question took.
func (x *exchange) roundTrip() (time.Duration, error) {
	var buf [64]byte
	var err error
	for range 5 {
		start := netns.Monotonic()
		if _, err = x.source.Write(buf[:20]); err != nil {
			continue
		}
		if err = x.source.SetReadDeadline(deadline(time.Second)); err != nil {
			return 0, err
		}
		if _, err = x.source.Read(buf[:]); err == nil {
			return time.Duration(netns.Monotonic() - start), nil
		}
	}
	return 0, fmt.Errorf("no answer through the router: %w", err)
}

func deadline(d time.Duration) time.Time { return time.Now().Add(d) }

// deafen makes the kernel drop all that comes for the sink's socket, as
// cheaply as it can without an ICMP error: the device has counted it already.
func (x *exchange) deafen() error {
	raw, err := x.sink.SyscallConn()
	if err != nil {
		return err
	}
	none := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &none})
	})
	return errors.Join(err, set)
}

func (x *exchange) close() {
	if x != nil {
		x.source.Close()
		x.sink.Close()
	}
}

// pathDir is where a path keeps its files.
func pathDir(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("path%d", i)) }
