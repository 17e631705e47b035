package beside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"spigate/tests/bench/report"
	"spigate/tests/netns"
)

// serving is a configuration without a NAT: one virtual server lets everything
// through.
const serving = `version = 1
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
[ltm.virtual.all]
destination = "0.0.0.0:any"
ip_forward = true
`

// startServer is startSpigate with a virtual server in place of the NAT.
func startServer(ctx context.Context, o Options, dir string, p *path) error {
	o.Template = filepath.Join(dir, "template.toml")
	if err := os.WriteFile(o.Template, []byte(serving), 0o600); err != nil {
		return err
	}
	return startSpigate(ctx, o, dir, p)
}

// diallers is how many connections are open at a time, each to a port of its
// own, of which the first is here.
const (
	diallers  = 64
	dialledAt = 10001
)

// setUps measures in turns how many TCP connections are opened and closed in a
// second.
func setUps(ctx context.Context, o Options, paths []*path, out io.Writer) error {
	all := make([][]float64, len(paths))
	for round := range o.Rounds {
		for turn := range paths { // another one begins each time: what a router has yet to forget slows the next one down
			i := (round + turn) % len(paths)
			p := paths[i]
			if err := ctx.Err(); err != nil {
				return err
			}
			rate, err := p.connects(o.Each)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			all[i] = append(all[i], rate)
		}
	}
	t := report.Table{Head: []string{
		fmt.Sprintf("TCP opened and closed, %d at a time, median of %d rounds of %s", diallers, o.Rounds, o.Each), "connections/s", "ratio",
	}}
	for i, p := range paths {
		m := report.Median(all[i])
		t.Row(p.name, fmt.Sprintf("%.0f", m), report.Ratio(m, report.Median(all[0])))
	}
	t.Print(out)
	return nil
}

// connects opens and closes connections for d and returns how many a second.
func (p *path) connects(d time.Duration) (rate float64, err error) {
	// A port that waits after its connection may be used again, so that the
	// rounds do not run out of them.
	err = errors.Join(
		p.source.Sysctl("net/ipv4/ip_local_port_range", "1024 65535"),
		p.source.Sysctl("net/ipv4/tcp_tw_reuse", "1"),
	)
	if err != nil {
		return 0, err
	}
	var listeners [diallers]int
	err = p.sink.Do(func() error {
		for i := range listeners {
			fd, err := listen(netns.Remote.Addr(), dialledAt+i)
			if err != nil {
				return err
			}
			listeners[i] = fd
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	var servers, clients sync.WaitGroup
	for _, fd := range listeners {
		servers.Go(func() { acceptAll(fd) })
	}
	var done atomic.Int64
	errs := make([]error, diallers)
	start := netns.Monotonic()
	for i := range diallers {
		clients.Go(func() {
			errs[i] = p.source.Do(func() error { return dialAll(netns.Remote.Addr(), dialledAt+i, start+int64(d), &done) })
		})
	}
	clients.Wait()
	took := time.Duration(netns.Monotonic() - start)
	for _, fd := range listeners {
		unix.Shutdown(fd, unix.SHUT_RDWR) // ends accept
	}
	servers.Wait()
	return float64(done.Load()) / took.Seconds(), errors.Join(errs...)
}

// tcpSocket is a blocking socket: what the runtime would add is not measured.
func tcpSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	bound := unix.Timeval{Sec: 3}
	return fd, errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &bound),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &bound),
	)
}

func listen(at netip.Addr, port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: at.As4(), Port: port}),
		unix.Listen(fd, 128),
	)
	if err != nil {
		unix.Close(fd)
	}
	return fd, err
}

// acceptAll takes one connection after the other and closes it when its client
// has, until the listener is shut down.
func acceptAll(fd int) {
	defer unix.Close(fd)
	var buf [16]byte
	for {
		c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err == unix.EINTR || err == unix.ECONNABORTED {
			continue
		}
		if err != nil {
			return
		}
		for err = unix.EINTR; err == unix.EINTR; {
			_, err = unix.Read(c, buf[:])
		}
		unix.Close(c)
	}
}

// dialAll opens and closes one connection after the other until a time.
func dialAll(to netip.Addr, port int, until int64, done *atomic.Int64) error {
	at := &unix.SockaddrInet4{Addr: to.As4(), Port: port}
	var buf [16]byte
	for netns.Monotonic() < until {
		fd, err := tcpSocket()
		if err != nil {
			return err
		}
		if err = unix.Connect(fd, at); err == nil {
			err = unix.Shutdown(fd, unix.SHUT_WR)
		}
		if err == nil {
			_, err = unix.Read(fd, buf[:]) // the server's end
		}
		unix.Close(fd)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("connection to port %d: %w", port, err)
		}
		done.Add(1)
	}
	return nil
}
