package programs

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spigate/tests/netns"
)

// One subscriber takes every port of the one NAT address. The next one is
// refused with ICMP; what is there stays, and other protocols go on.
func TestOneSubscriberTakesAllPortsOfAnAddress(t *testing.T) {
	p := settle(t, `
[limits]
lsn_sessions = 131072
flows = 262144
[lsn.appsprofile.A]
protocol = "UDP"
ip_pooling = "PAIRED"
mapping = "EIM"
[lsn.appsprofile.B]
protocol = "TCP"
ip_pooling = "PAIRED"
[lsn.transportprofile.T]
protocol = "UDP"
session_timeout = "10m"
[lsn.group.G]
client = "C"
pools = ["P"]
apps_profiles = ["A", "B"]
transport_profiles = ["T"]
`)
	sink := p.listen(p.Gateway)
	from := p.sprayer(p.Client1)
	outside := map[uint16]uint16{} // inside port → outside port
	taken := map[uint16]bool{}
	for first := 1024; first < 65536; first += 512 {
		p.fill(from, sink, outside, uint16(first), 512)
	}
	for in, out := range outside {
		if out < 1024 || taken[out] {
			t.Fatalf("inside port %d is outside port %d, which is taken or below 1024", in, out)
		}
		taken[out] = true
	}
	if len(outside) != 64512 {
		t.Fatalf("%d mappings, want 64512", len(outside))
	}

	refusals := p.icmp(p.Client1)
	from.send(t, 1023)
	if kind, code, port := refusals.next(t); kind != 3 || code != 1 || port != 1023 {
		t.Errorf("the next port was answered with ICMP %d/%d about port %d, want 3/1 about 1023", kind, code, port)
	}
	for _, port := range []uint16{1024, 40000, 65535} {
		was := outside[port]
		delete(outside, port)
		p.fill(from, sink, outside, port, 1)
		if outside[port] != was {
			t.Errorf("inside port %d was %d and is %d", port, was, outside[port])
		}
	}
	p.start(p.Gateway, "listening", "iperf3", "-s", "--forceflush")
	if got := p.iperf(p.Client1, netns.Remote.Addr().String()); got < 500_000 {
		t.Errorf("TCP beside it: %.0f bytes in two seconds", got)
	}
}

// fill sends from n inside ports, again from those that were lost, until the
// server has heard of all.
func (p *place) fill(from *sprayer, sink *net.UDPConn, outside map[uint16]uint16, first uint16, n int) {
	p.t.Helper()
	want := map[uint16]bool{}
	for i := range n {
		want[first+uint16(i)] = true
	}
	buf := make([]byte, 64)
	for len(want) > 0 {
		for port := range want {
			from.send(p.t, port)
		}
		for len(want) > 0 {
			p.must(sink.SetReadDeadline(time.Now().Add(500 * time.Millisecond)))
			size, peer, err := sink.ReadFromUDPAddrPort(buf)
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				break
			}
			p.must(err)
			if size != 2 {
				p.t.Fatalf("%d bytes from %v", size, peer)
			}
			in := binary.BigEndian.Uint16(buf)
			if was, known := outside[in]; known && was != peer.Port() {
				p.t.Fatalf("inside port %d is %d and %d outside", in, was, peer.Port())
			}
			outside[in] = peer.Port()
			delete(want, in)
		}
		p.must(p.ctx.Err())
	}
}

// listen is the server's socket.
func (p *place) listen(in *netns.Namespace) (c *net.UDPConn) {
	p.t.Helper()
	p.must(in.Do(func() (err error) {
		c, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 7})
		return err
	}))
	p.t.Cleanup(func() { c.Close() })
	p.must(c.SetReadBuffer(1 << 20))
	return c
}

// sprayer sends UDP from any port: a process has not sockets enough.
type sprayer struct{ fd int }

func (p *place) sprayer(in *netns.Namespace) *sprayer {
	p.t.Helper()
	s := &sprayer{}
	p.must(in.Do(func() (err error) {
		s.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
		return err
	}))
	p.t.Cleanup(func() { unix.Close(s.fd) })
	return s
}

// send sends a datagram whose payload is the port that it comes from, without
// a checksum.
func (s *sprayer) send(t *testing.T, port uint16) {
	t.Helper()
	b := binary.BigEndian.AppendUint16(nil, port)
	b = append(b, 0, 7, 0, 10, 0, 0)
	b = binary.BigEndian.AppendUint16(b, port)
	to := netns.Remote.Addr().As4()
	if err := unix.Sendto(s.fd, b, 0, &unix.SockaddrInet4{Addr: to}); err != nil {
		t.Fatal(err)
	}
}

// icmpSocket hears the ICMP messages that a host gets.
type icmpSocket struct{ c *net.IPConn }

func (p *place) icmp(in *netns.Namespace) *icmpSocket {
	p.t.Helper()
	s := &icmpSocket{}
	p.must(in.Do(func() (err error) {
		s.c, err = net.ListenIP("ip4:icmp", nil)
		return err
	}))
	p.t.Cleanup(func() { s.c.Close() })
	return s
}

// next returns the next ICMP error and the source port in what it quotes.
func (s *icmpSocket) next(t *testing.T) (kind, code uint8, port uint16) {
	t.Helper()
	if err := s.c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	n, from, err := s.c.ReadFrom(buf)
	if err != nil || n < 8+28 {
		t.Fatalf("%d bytes of ICMP: %v", n, err)
	}
	if got := from.String(); got != netns.Inside.Addr().String() {
		t.Errorf("the refusal comes from %s, want the router", got)
	}
	if quoted := netip.AddrFrom4([4]byte(buf[8+12 : 8+16])); quoted != netns.Client1 {
		t.Errorf("it quotes a packet from %v", quoted)
	}
	return buf[0], buf[1], binary.BigEndian.Uint16(buf[8+20:])
}
