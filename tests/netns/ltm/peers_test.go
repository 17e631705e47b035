package ltm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/tests/netns"
)

// server answers TCP by sending everything back, and keeps how each connection
// ended.
type server struct {
	l    net.Listener
	busy sync.WaitGroup

	mu   sync.Mutex
	from []netip.AddrPort // who came
	ends map[uint16]error // by the port of who came; nil: it was closed
	open map[net.Conn]bool
}

// serve listens at an address until the test ends.
func (p *place) serve(n *netns.Namespace, at netip.AddrPort) *server {
	p.t.Helper()
	s := &server{ends: map[uint16]error{}, open: map[net.Conn]bool{}}
	p.must(n.Do(func() (err error) {
		s.l, err = net.Listen("tcp4", at.String())
		return err
	}))
	s.busy.Go(s.accept)
	p.t.Cleanup(s.close)
	return s
}

func (s *server) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.from = append(s.from, peer(c))
		s.open[c] = true
		s.mu.Unlock()
		s.busy.Go(func() { s.echo(c) })
	}
}

func (s *server) echo(c net.Conn) {
	defer c.Close()
	_, err := io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, make([]byte, 4096))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends[peer(c).Port()] = err
	delete(s.open, c)
}

func (s *server) close() {
	s.l.Close()
	s.mu.Lock()
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.busy.Wait()
}

// visitors are the addresses that came, with their ports.
func (s *server) visitors() []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]netip.AddrPort(nil), s.from...)
}

func peer(c net.Conn) netip.AddrPort { return c.RemoteAddr().(*net.TCPAddr).AddrPort() }

// dial connects, within a time.
func (p *place) dial(n *netns.Namespace, to netip.AddrPort, within time.Duration) (net.Conn, error) {
	return p.dialFrom(n, netip.AddrPort{}, to, within)
}

func (p *place) dialFrom(n *netns.Namespace, from, to netip.AddrPort, within time.Duration) (c net.Conn, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
	d := net.Dialer{KeepAlive: -1}
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(from)
	}
	err = n.Do(func() (err error) {
		c, err = d.DialContext(ctx, "tcp4", to.String())
		return err
	})
	return c, err
}

// soon is long enough for a connection on a busy machine.
const soon = 10 * time.Second

// reaches connects to an echo server, sends it so many bytes and compares what
// comes back.
func (p *place) reaches(n *netns.Namespace, to netip.AddrPort, count int) {
	p.t.Helper()
	c, err := p.dial(n, to, soon)
	p.must(err)
	defer c.Close()
	p.must(c.SetDeadline(time.Now().Add(soon)))
	if err := exchange(c, count); err != nil {
		p.t.Errorf("%s to %v: %v", n.Name, to, err)
	}
}

// exchange sends and compares at the same time, then closes and waits for the
// other end to do so.
func exchange(c net.Conn, count int) error {
	want := make([]byte, count)
	for i := range want {
		want[i] = byte(i >> 8 * i)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		sent <- errors.Join(err, c.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(c)
	if err = errors.Join(err, <-sent); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes of %d came back, or others", len(got), count)
	}
	return nil
}

// silence is how long a connection attempt that nobody answers is waited for.
// Before it ends the kernel has sent one SYN.
const silence = 400 * time.Millisecond

// getsNothing attempts a connection of which the other host must not hear, and
// returns how many packets the attempt was.
func (p *place) getsNothing(n, other *netns.Namespace, to netip.AddrPort) (packets uint64) {
	p.t.Helper()
	sent, heard := p.watch(n), p.watch(other)
	c, err := p.dial(n, to, silence)
	if err == nil {
		c.Close()
		p.t.Fatalf("%s reached %v", n.Name, to)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
		p.t.Errorf("%s to %v was answered: %v", n.Name, to, err)
	}
	if came := attempts(heard, to, false); came != 0 {
		p.t.Errorf("%d attempts of %s arrived at %s", came, n.Name, other.Name)
	}
	packets = attempts(sent, to, true)
	if packets == 0 {
		p.t.Fatal("not even an attempt was made")
	}
	return packets
}

// attempts counts the SYNs to an endpoint in a capture, which ends.
func attempts(c *netns.Capture, to netip.AddrPort, sent bool) (n uint64) {
	for _, f := range c.Stop() {
		b := ip(f, tcp)
		if b == nil || f.Sent != sent {
			continue
		}
		syn := header.TCP(b[header.IPv4MinimumSize:])
		if syn.Flags() == header.TCPFlagSyn && to == netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), syn.DestinationPort()) {
			n++
		}
	}
	return n
}

// isReset fails unless an end of a connection was told that it is gone.
func isReset(t *testing.T, who string, err error) {
	t.Helper()
	if !reset(err) {
		t.Errorf("%s: %v, expected a reset", who, err)
	}
}

func reset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
