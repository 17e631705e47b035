package fourport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/tests/netns"
)

// soon is long enough for anything on a busy machine.
const soon = 15 * time.Second

// A server sends back what it gets, and knows who came.
type server struct {
	l    net.Listener
	busy sync.WaitGroup

	mu   sync.Mutex
	from []netip.Addr
}

// serve listens at a host until the test ends.
func (o *office) serve(h *host, port uint16) *server {
	o.t.Helper()
	s := &server{}
	o.must(h.Do(func() (err error) {
		s.l, err = net.Listen("tcp4", netip.AddrPortFrom(h.at, port).String())
		return err
	}))
	s.busy.Go(s.accept)
	o.t.Cleanup(func() {
		s.l.Close()
		s.busy.Wait()
	})
	return s
}

func (s *server) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.from = append(s.from, c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr())
		s.mu.Unlock()
		s.busy.Go(func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(soon))
			_, _ = io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, make([]byte, 4096))
		})
	}
}

// visitors are the addresses that came, in order.
func (s *server) visitors() []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]netip.Addr(nil), s.from...)
}

// talk sends so many bytes to a server and compares what comes back.
func (o *office) talk(from, to *host, port uint16, count int) error {
	c, err := o.dial(from, to, port, soon)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(soon)); err != nil {
		return err
	}
	want := bytes.Repeat([]byte("0123456789abcdef-"), count/17+1)[:count]
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		sent <- errors.Join(err, c.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(c)
	if err = errors.Join(err, <-sent); err != nil {
		return fmt.Errorf("%s and %s: %w", from.name, to.name, err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s and %s: %d bytes of %d came back, or others", from.name, to.name, len(got), count)
	}
	return nil
}

func (o *office) dial(from, to *host, port uint16, within time.Duration) (c net.Conn, err error) {
	ctx, cancel := context.WithTimeout(o.ctx, within)
	defer cancel()
	d := net.Dialer{KeepAlive: -1}
	err = from.Do(func() (err error) {
		c, err = d.DialContext(ctx, "tcp4", netip.AddrPortFrom(to.at, port).String())
		return err
	})
	return c, err
}

// talks is talk, which must succeed.
func (o *office) talks(from, to *host, port uint16, count int) {
	o.t.Helper()
	o.must(o.talk(from, to, port, count))
}

// refused dials where the router must say no.
func (o *office) refused(from, to *host, port uint16) {
	o.t.Helper()
	c, err := o.dial(from, to, port, soon)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		o.t.Errorf("%s to %s:%d: %v, expected a refusal", from.name, to.name, port, err)
	}
}

// marked is a frame of an experimental type (IEEE 802) that carries a mark.
func marked(dst frame.MAC, src byte, mark string) []byte {
	b := append(dst[:], 2, 0, 0, 0, 0xff, src, 0x88, 0xb5)
	return append(append(b, mark...), make([]byte, 60)...)
}

// send lets a host send a frame of its own making, with a tag if vlan is not 0.
func (o *office) send(from *host, raw []byte, vlan uint16) {
	o.t.Helper()
	o.must(from.Do(func() error {
		d, err := link.OpenRing(link.RingConfig{Device: "eth0", Threads: 1})
		if err != nil {
			return err
		}
		n, why := d.Write([]frame.Frame{frame.Copy(raw, vlan)})
		if n != 1 {
			err = fmt.Errorf("%s could not send: %v", from.name, why)
		}
		return errors.Join(err, d.Close())
	}))
}

// watch captures at hosts.
func (o *office) watch(hosts ...*host) map[*host]*netns.Capture {
	o.t.Helper()
	out := map[*host]*netns.Capture{}
	for _, h := range hosts {
		var err error
		out[h], err = h.Capture("eth0")
		o.must(err)
	}
	return out
}

// hears waits for a mark at a host.
func (o *office) hears(c *netns.Capture, who *host, mark string) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.ctx, soon)
	defer cancel()
	if _, err := c.Wait(ctx, func(f netns.Captured) bool { return bytes.Contains(f.Frame, []byte(mark)) }); err != nil {
		o.t.Errorf("%s did not hear %q: %v", who.name, mark, err)
	}
}

// heardNothing fails if a mark came by a host.
func (o *office) heardNothing(c *netns.Capture, who *host, mark string) {
	o.t.Helper()
	for _, f := range c.Frames() {
		if bytes.Contains(f.Frame, []byte(mark)) {
			o.t.Errorf("%s heard %q: %x", who.name, mark, f.Frame)
		}
	}
}
