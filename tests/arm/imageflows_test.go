package arm

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spigate/tests/netns"
)

// Sessions of this test: each is two flows.
const (
	clients    = 50   // addresses inside
	perClient  = 1000 // ports of each
	echoPort   = 7007
	maxPending = 64 // packets under way: an emulated machine drowns in more
	flowsLimit = 100 * time.Second

	fewSessions = 5000 // with fewer something is wrong with the router and not with the machine
)

// manyFlows opens 50,000 NAT sessions, which are 100,000 flows, and measures.
// Lost packets are sent again. How fast emulation is nobody knows: when time is
// up, fewer sessions do, and the log tells how many there were.
func manyFlows(t *testing.T, ctx context.Context, site *netns.Site, r *router) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, flowsLimit)
	defer cancel()
	for i := range clients {
		if err := site.Client1.Address("eth0", netip.PrefixFrom(subscriber(i), 24)); err != nil {
			t.Fatal(err)
		}
	}
	// Answers find no socket there, which is nobody's business.
	if err := site.Client1.Sysctl("net/ipv4/icmp_ratelimit", "1000000"); err != nil {
		t.Fatal(err)
	}
	stop := echo(t, site.Gateway)
	defer stop()
	before := r.memory("before")
	begun := netns.Monotonic()
	opened := openSessions(t, ctx, site)
	took := float64(netns.Monotonic()-begun) / 1e9
	var rows []netns.StatusRow
	r.show(&rows, "status")
	if len(rows) != 1 || rows[0].Flows == 0 {
		t.Fatalf("status %+v", rows)
	}
	after := r.memory(fmt.Sprintf("with %d flows", rows[0].Flows))
	t.Logf("%d sessions answered in %.1f s; %d bytes resident for each of %d flows", opened, took, (after-before)*1024/int(rows[0].Flows), rows[0].Flows)
	// Those that fell idle in the meantime are missing.
	if opened < fewSessions || rows[0].Flows < uint64(opened) {
		t.Errorf("%d sessions were answered, %d flows are in the table", opened, rows[0].Flows)
	}
}

func subscriber(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)}) }

// listen takes the datagrams that come to the gateway.
func listen(t *testing.T, in *netns.Namespace) (conn *net.UDPConn) {
	t.Helper()
	err := in.Do(func() (err error) {
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: echoPort})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// echo answers every datagram at the gateway.
func echo(t *testing.T, in *netns.Namespace) (stop func()) {
	t.Helper()
	conn := listen(t, in)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if _, err := conn.WriteToUDPAddrPort(buf[:n], from); err != nil {
				return
			}
		}
	}()
	return func() { conn.Close(); <-done }
}

// opener sends from every port of every client over one raw socket, and notes
// who was answered over another.
type opener struct {
	fd       int
	answered [clients * perClient]bool
	count    int
}

func openSessions(t *testing.T, ctx context.Context, site *netns.Site) int {
	t.Helper()
	o := &opener{}
	err := site.Client1.Do(func() (err error) {
		o.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
		if err != nil {
			return err
		}
		limit := unix.Timeval{Usec: 500_000}
		return unix.SetsockoptTimeval(o.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(o.fd)
	if err := unix.SetsockoptInt(o.fd, unix.IPPROTO_IP, unix.IP_HDRINCL, 1); err != nil {
		t.Fatal(err)
	}
	for o.count < len(o.answered) && ctx.Err() == nil {
		if err := o.round(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return o.count
}

// round sends for everyone who was not answered yet, as fast as answers come.
func (o *opener) round(ctx context.Context) error {
	pending := 0
	for i := range o.answered {
		if o.answered[i] {
			continue
		}
		if err := unix.Sendto(o.fd, datagram(i), 0, &unix.SockaddrInet4{Addr: netns.Remote.Addr().As4()}); err != nil {
			return err
		}
		pending++
		for pending >= maxPending && ctx.Err() == nil {
			pending--
			if !o.receive() {
				pending = 0 // the rest is lost
			}
		}
	}
	for o.receive() && ctx.Err() == nil {
	}
	return nil
}

// receive takes one answer; false: none came for a while.
func (o *opener) receive() bool {
	buf := make([]byte, 128)
	n, _, err := unix.Recvfrom(o.fd, buf, 0)
	if err != nil {
		return false
	}
	if n != 32 || binary.BigEndian.Uint16(buf[20:]) != echoPort {
		return true
	}
	i := (int(buf[19])-100)*perClient + int(binary.BigEndian.Uint16(buf[22:])) - 10000
	if i >= 0 && i < len(o.answered) && !o.answered[i] {
		o.answered[i] = true
		o.count++
	}
	return true
}

// datagram is an IPv4 packet with a UDP datagram of four bytes; the kernel fills
// in the header's checksum, and UDP's is optional (RFC 768).
func datagram(i int) []byte {
	b := make([]byte, 32)
	b[0], b[8], b[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(b[2:], 32)
	src, dst := subscriber(i/perClient).As4(), netns.Remote.Addr().As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	binary.BigEndian.PutUint16(b[20:], uint16(10000+i%perClient))
	binary.BigEndian.PutUint16(b[22:], echoPort)
	binary.BigEndian.PutUint16(b[24:], 12)
	return b
}
